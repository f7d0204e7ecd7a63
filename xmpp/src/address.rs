//! XMPP addresses: `localpart@domainpart/resourcepart` (RFC 7622).
//!
//! An address is normalised once, when it is parsed, and then compared byte by byte. The domainpart is kept as
//! lower-case U-labels without a trailing dot (section 3.2), the localpart lower-case (section 3.3), the resourcepart
//! as it was sent (section 3.4). Where ASCII does not suffice, the profiles of RFC 6122 (Nodeprep, Resourceprep) are
//! used, as the servers in use today do.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// The longest localpart, domainpart or resourcepart, in bytes (RFC 7622, sections 3.2 to 3.4).
pub const MAX_PART_BYTES: usize = 1023;

/// Why a text is no XMPP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The domainpart is missing.
    #[error("the domainpart is empty")]
    EmptyDomainpart,
    /// There is an `@` with nothing before it.
    #[error("the localpart is empty")]
    EmptyLocalpart,
    /// There is a `/` with nothing behind it.
    #[error("the resourcepart is empty")]
    EmptyResourcepart,
    /// One part is longer than [`MAX_PART_BYTES`].
    #[error("a part is longer than {MAX_PART_BYTES} bytes")]
    TooLong,
    /// The domainpart is neither a host name nor an IP address.
    #[error("the domainpart is neither a host name nor an IP address")]
    BadDomainpart,
    /// The localpart holds a character that RFC 7622 (section 3.3.1) forbids.
    #[error("the localpart holds a forbidden character")]
    BadLocalpart,
    /// The resourcepart holds a character that RFC 7622 (section 3.4.1) forbids.
    #[error("the resourcepart holds a forbidden character")]
    BadResourcepart,
}

/// A normalised domainpart, such as `volunteers.example` (RFC 7622, section 3.2). Cheap to clone: the text is shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domainpart(Arc<str>);

impl Domainpart {
    /// Parses and normalises a domainpart.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        Ok(Self(normal_domainpart(text)?.into()))
    }

    /// The normalised text, with U-labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same domain with A-labels, as DNS, SNI and certificates want it (RFC 6120, section 13.9.2).
    pub fn to_ascii(&self) -> String {
        idna::domain_to_ascii(&self.0).unwrap_or_else(|_| self.0.to_string())
    }
}

impl AsRef<str> for Domainpart {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Domainpart {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Domainpart {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::new(text)
    }
}

impl fmt::Display for Domainpart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domainpart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<Domainpart> for Jid {
    fn from(domain: Domainpart) -> Self {
        Jid { text: (*domain.0).into(), parts: Parts::default() }
    }
}

/// Where the parts of a normalised address begin: the offsets of `@` and of `/`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Parts {
    at: Option<u16>,
    slash: Option<u16>,
}

/// An owned, normalised XMPP address.
#[derive(Clone)]
pub struct Jid {
    text: Box<str>,
    parts: Parts,
}

/// A borrowed, normalised XMPP address, as the header of a stanza gives it.
#[derive(Clone, Copy)]
pub struct JidRef<'a> {
    text: &'a str,
    parts: Parts,
}

impl Jid {
    /// Parses and normalises an address.
    pub fn new(text: &str) -> Result<Self, AddressError> {
        let (text, parts) = normal_address(text)?;
        Ok(Self { text: text.into(), parts })
    }

    /// Puts an address together from its parts; each of them is normalised.
    pub fn from_parts(local: Option<&str>, domain: &str, resource: Option<&str>) -> Result<Self, AddressError> {
        let (text, parts) = join(local, domain, resource)?;
        Ok(Self { text: text.into(), parts })
    }

    /// Borrows the address.
    pub fn as_ref(&self) -> JidRef<'_> {
        JidRef { text: &self.text, parts: self.parts }
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The localpart, if there is one.
    pub fn local(&self) -> Option<&str> {
        self.as_ref().local()
    }

    /// The domainpart.
    pub fn domain(&self) -> &str {
        self.as_ref().domain()
    }

    /// The resourcepart, if there is one.
    pub fn resource(&self) -> Option<&str> {
        self.as_ref().resource()
    }

    /// Whether there is no resourcepart.
    pub fn is_bare(&self) -> bool {
        self.parts.slash.is_none()
    }

    /// The text without the resourcepart.
    pub fn bare(&self) -> &str {
        self.as_ref().bare()
    }

    /// The address without its resourcepart.
    pub fn to_bare(&self) -> Jid {
        self.as_ref().to_bare()
    }

    /// The domainpart as an owned value.
    pub fn to_domainpart(&self) -> Domainpart {
        Domainpart(self.domain().into())
    }

    /// The bare address with this resourcepart.
    pub fn with_resource(&self, resource: &str) -> Result<Jid, AddressError> {
        let resource = normal_resourcepart(resource)?;
        let bare = self.bare();
        let parts = Parts { at: self.parts.at, slash: Some(bare.len() as u16) };
        Ok(Jid { text: format!("{bare}/{resource}").into(), parts })
    }
}

impl<'a> JidRef<'a> {
    pub(crate) fn from_normal(text: &'a str, parts: Parts) -> Self {
        Self { text, parts }
    }

    pub(crate) fn parts(self) -> Parts {
        self.parts
    }

    /// The normalised text.
    pub fn as_str(self) -> &'a str {
        self.text
    }

    /// The localpart, if there is one.
    pub fn local(self) -> Option<&'a str> {
        self.parts.at.map(|at| &self.text[..at as usize])
    }

    /// The domainpart.
    pub fn domain(self) -> &'a str {
        let bare = self.bare();
        self.parts.at.map_or(bare, |at| &bare[at as usize + 1..])
    }

    /// The resourcepart, if there is one.
    pub fn resource(self) -> Option<&'a str> {
        self.parts.slash.map(|slash| &self.text[slash as usize + 1..])
    }

    /// Whether there is no resourcepart.
    pub fn is_bare(self) -> bool {
        self.parts.slash.is_none()
    }

    /// The text without the resourcepart.
    pub fn bare(self) -> &'a str {
        self.parts.slash.map_or(self.text, |slash| &self.text[..slash as usize])
    }

    /// The address as an owned value.
    pub fn to_owned(self) -> Jid {
        Jid { text: self.text.into(), parts: self.parts }
    }

    /// The address without its resourcepart.
    pub fn to_bare(self) -> Jid {
        Jid { text: self.bare().into(), parts: Parts { at: self.parts.at, slash: None } }
    }
}

/// Text and parts of a normalised address; the text is borrowed when it was normal already.
pub(crate) fn normal_address(text: &str) -> Result<(Cow<'_, str>, Parts), AddressError> {
    if let Some(parts) = plain_address(text.as_bytes()) {
        return Ok((Cow::Borrowed(text), parts));
    }
    let (bare, resource) = match text.split_once('/') {
        Some((bare, resource)) => (bare, Some(resource)),
        None => (text, None),
    };
    let (local, domain) = match bare.split_once('@') {
        Some((local, domain)) => (Some(local), domain),
        None => (None, bare),
    };
    let local_normal = local.map(normal_localpart).transpose()?;
    let domain_normal = normal_domainpart(domain)?;
    let resource_normal = resource.map(normal_resourcepart).transpose()?;
    let parts = parts_of(local_normal.as_deref(), &domain_normal, resource_normal.is_some());
    let unchanged = matches!(domain_normal, Cow::Borrowed(normal) if normal.len() == domain.len())
        && matches!(local_normal, None | Some(Cow::Borrowed(_)))
        && matches!(resource_normal, None | Some(Cow::Borrowed(_)));
    if unchanged {
        return Ok((Cow::Borrowed(text), parts));
    }
    Ok((Cow::Owned(write_parts(local_normal.as_deref(), &domain_normal, resource_normal.as_deref())), parts))
}

/// The parts of an address that needs no more than a look at each byte to be known as normal, as nearly all do.
fn plain_address(text: &[u8]) -> Option<Parts> {
    let slash = memchr::memchr(b'/', text);
    let bare = &text[..slash.unwrap_or(text.len())];
    let at = memchr::memchr(b'@', bare);
    let resource = slash.map(|slash| &text[slash + 1..]);
    let is_local = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let is_fine =
        |part: &[u8], is_plain: fn(&u8) -> bool| matches!(part.len(), 1..=MAX_PART_BYTES) && part.iter().all(is_plain);
    let is_normal = at.is_none_or(|at| is_fine(&bare[..at], is_local))
        && resource.is_none_or(|resource| is_fine(resource, |b| matches!(b, b' '..=b'~')))
        && is_plain_host(&bare[at.map_or(0, |at| at + 1)..]);
    is_normal.then(|| Parts { at: at.map(|at| at as u16), slash: slash.map(|slash| slash as u16) })
}

fn join(local: Option<&str>, domain: &str, resource: Option<&str>) -> Result<(String, Parts), AddressError> {
    let local = local.map(normal_localpart).transpose()?;
    let domain = normal_domainpart(domain)?;
    let resource = resource.map(normal_resourcepart).transpose()?;
    let parts = parts_of(local.as_deref(), &domain, resource.is_some());
    Ok((write_parts(local.as_deref(), &domain, resource.as_deref()), parts))
}

fn parts_of(local: Option<&str>, domain: &str, has_resource: bool) -> Parts {
    let at = local.map(str::len);
    let bare = at.map_or(0, |at| at + 1) + domain.len();
    Parts { at: at.map(|at| at as u16), slash: has_resource.then_some(bare as u16) }
}

fn write_parts(local: Option<&str>, domain: &str, resource: Option<&str>) -> String {
    let mut text = String::with_capacity(domain.len() + 2 + local.map_or(0, str::len) + resource.map_or(0, str::len));
    if let Some(local) = local {
        text.push_str(local);
        text.push('@');
    }
    text.push_str(domain);
    if let Some(resource) = resource {
        text.push('/');
        text.push_str(resource);
    }
    text
}

fn normal_domainpart(text: &str) -> Result<Cow<'_, str>, AddressError> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(AddressError::EmptyDomainpart);
    }
    if text.len() > MAX_PART_BYTES {
        return Err(AddressError::TooLong);
    }
    if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = literal.parse().map_err(|_| AddressError::BadDomainpart)?;
        return Ok(Cow::Owned(format!("[{address}]")));
    }
    if text.parse::<Ipv4Addr>().is_ok() || is_plain_host(text.as_bytes()) {
        return Ok(Cow::Borrowed(text));
    }
    normal_international_host(text).map(Cow::Owned)
}

/// Lower-case letters, digits, hyphens and dots, no A-label, labels of 1 to 63 bytes: normal as it stands.
fn is_plain_host(text: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        matches!(label.len(), 1..=63)
            && label[0] != b'-'
            && label[label.len() - 1] != b'-'
            && !label.starts_with(b"xn--")
            && label.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    text.len() <= MAX_PART_BYTES && text.split(|b| *b == b'.').all(is_label)
}

fn normal_international_host(text: &str) -> Result<String, AddressError> {
    let ascii = idna::domain_to_ascii_strict(text).map_err(|_| AddressError::BadDomainpart)?;
    let (unicode, checked) = idna::domain_to_unicode(&ascii);
    checked.map_err(|_| AddressError::BadDomainpart)?;
    if unicode.is_empty() || unicode.len() > MAX_PART_BYTES {
        return Err(AddressError::BadDomainpart);
    }
    Ok(unicode)
}

fn normal_localpart(text: &str) -> Result<Cow<'_, str>, AddressError> {
    if text.is_empty() {
        return Err(AddressError::EmptyLocalpart);
    }
    let normal = if text.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else {
        stringprep::nodeprep(text).map_err(|_| AddressError::BadLocalpart)?
    };
    if normal.is_empty() || normal.contains(['"', '&', '\'', '/', ':', '<', '>', '@']) {
        return Err(AddressError::BadLocalpart);
    }
    bounded(normal)
}

fn normal_resourcepart(text: &str) -> Result<Cow<'_, str>, AddressError> {
    if text.is_empty() {
        return Err(AddressError::EmptyResourcepart);
    }
    if text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return bounded(Cow::Borrowed(text));
    }
    let normal = stringprep::resourceprep(text).map_err(|_| AddressError::BadResourcepart)?;
    if normal.is_empty() {
        return Err(AddressError::BadResourcepart);
    }
    bounded(normal)
}

fn bounded(part: Cow<'_, str>) -> Result<Cow<'_, str>, AddressError> {
    if part.len() > MAX_PART_BYTES { Err(AddressError::TooLong) } else { Ok(part) }
}

impl FromStr for Jid {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::new(text)
    }
}

impl Borrow<str> for Jid {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Jid {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Jid {}

impl PartialOrd for Jid {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Jid {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl Hash for Jid {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialEq for JidRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for JidRef<'_> {}

impl PartialEq<Jid> for JidRef<'_> {
    fn eq(&self, other: &Jid) -> bool {
        *self.text == *other.text
    }
}

impl fmt::Display for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for JidRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl fmt::Debug for JidRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_slash_and_then_at_the_first_at() {
        let jid = Jid::new("alice@b.example/desk@home/2").unwrap();
        assert_eq!((jid.local(), jid.domain(), jid.resource()), (Some("alice"), "b.example", Some("desk@home/2")));
        assert_eq!(jid.bare(), "alice@b.example");
        assert!(!jid.is_bare());
    }

    #[test]
    fn normalises_case_trailing_dot_and_a_labels() {
        for (given, normal) in [
            ("B.Example.", "b.example"),
            ("ALICE@b.example/Desk", "alice@b.example/Desk"),
            ("xn--bcher-kva.example", "bücher.example"),
            ("BÜCHER.example", "bücher.example"),
            ("[::0001]", "[::1]"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(Jid::new(given).unwrap().as_str(), normal, "{given}");
        }
        assert_eq!(Domainpart::new("bücher.example").unwrap().to_ascii(), "xn--bcher-kva.example");
    }

    #[test]
    fn refuses_what_rfc_7622_forbids() {
        for (given, error) in [
            ("", AddressError::EmptyDomainpart),
            ("@b.example", AddressError::EmptyLocalpart),
            ("b.example/", AddressError::EmptyResourcepart),
            ("a b@c.example", AddressError::BadLocalpart),
            ("a\"b@c.example", AddressError::BadLocalpart),
            ("a@b@c.example", AddressError::BadDomainpart),
            ("a@exa mple", AddressError::BadDomainpart),
            ("a@..example", AddressError::BadDomainpart),
            ("b.example/a\u{7}", AddressError::BadResourcepart),
        ] {
            assert_eq!(Jid::new(given).unwrap_err(), error, "{given:?}");
        }
        let long = "a".repeat(1024);
        assert_eq!(Jid::new(&format!("{long}@b.example")).unwrap_err(), AddressError::TooLong);
        assert_eq!(Jid::new(&format!("b.example/{long}")).unwrap_err(), AddressError::TooLong);
    }

    #[test]
    fn the_short_way_and_the_long_way_agree() {
        for text in
            ["b.example", "a@b.example", "a.b-c_d@b.example/x y/@", "1@2", "b.example/é", "A@b", "a@b..c", "-a.b", "a@"]
        {
            let (bare, resource) = text.split_once('/').map_or((text, None), |(b, r)| (b, Some(r)));
            let (local, domain) = bare.split_once('@').map_or((None, bare), |(l, d)| (Some(l), d));
            let long = join(local, domain, resource);
            assert_eq!(normal_address(text).map(|(text, parts)| (text.into_owned(), parts)), long, "{text}");
        }
    }

    #[test]
    fn parts_and_text_agree_after_every_way_of_making_one() {
        let jid = Jid::from_parts(Some("Alice"), "B.example", Some("x/y")).unwrap();
        assert_eq!(jid, Jid::new("alice@b.example/x/y").unwrap());
        assert_eq!(jid.to_bare().with_resource("x/y").unwrap().resource(), Some("x/y"));
        assert_eq!(Jid::from(Domainpart::new("b.example").unwrap()).domain(), "b.example");
    }
}
