//! Entity capabilities (XEP-0115): what an entity can do, as one hash within its presence.
//!
//! Whoever sees a hash for the first time asks the entity by service discovery, checks the answer against the hash, and
//! need not ask anybody who shows the same again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use thiserror::Error;

use crate::{Element, Stanza, namespace};

/// The element `<c/>` of a presence (XEP-0115, section 4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// The algorithm of the hash.
    pub hash: CapabilityHash,
    /// An address of the software, by which nothing is decided.
    pub node: String,
    /// The hash in Base64.
    pub ver: String,
}

/// The algorithm of a hash, by its name in the registry of hash functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CapabilityHash {
    /// `sha-1`, which everybody has to support (section 5.1).
    Sha1,
    /// `sha-256`.
    Sha256,
}

/// Why an answer of service discovery has no hash: it could be read in two ways (sections 5.4 and 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AmbiguousInfo {
    /// Two identities have the same category, type, language and name.
    #[error("the same identity twice")]
    Identity,
    /// The same feature twice.
    #[error("the same feature twice")]
    Feature,
    /// Two forms of the same `FORM_TYPE`, or one with several.
    #[error("more than one form of the same type, or more than one type of a form")]
    Form,
    /// The character that separates everything is part of something.
    #[error("a `<` within a name")]
    Separator,
}

impl CapabilityHash {
    /// The value of the attribute `hash`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha256 => "sha-256",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256].into_iter().find(|hash| hash.as_str() == text)
    }

    fn of(self, text: &str) -> String {
        match self {
            Self::Sha1 => STANDARD.encode(Sha1::digest(text)),
            Self::Sha256 => STANDARD.encode(Sha256::digest(text)),
        }
    }
}

impl Capabilities {
    /// The capabilities of an entity that answers disco#info with this `query` (section 5.1), by SHA-1.
    ///
    /// Fails where the answer could be read in two ways.
    pub fn of(info: &Element, node: &str) -> Result<Self, AmbiguousInfo> {
        let hash = CapabilityHash::Sha1;
        Ok(Self { hash, node: node.to_owned(), ver: hash.of(&verification_string(info)?) })
    }

    /// What a presence shows. `None` without `<c/>`, for the legacy format without `hash` (section 4), and for algorithms
    /// that are not known here ([`UncheckedCapabilities::read`]).
    pub fn read(presence: &Stanza) -> Option<Self> {
        let [hash, node, ver] = shown(presence)?;
        Some(Self { hash: CapabilityHash::parse(&hash)?, node, ver })
    }

    /// The element of a presence.
    pub fn to_element(&self) -> Element {
        Element::new("c", namespace::CAPABILITIES)
            .attr("hash", self.hash.as_str())
            .attr("node", &self.node)
            .attr("ver", &self.ver)
    }

    /// The node at which the entity is asked what the hash stands for (section 6.2).
    pub fn disco_node(&self) -> String {
        format!("{}#{}", self.node, self.ver)
    }

    /// Whether the hash is that of this answer, the `query` of disco#info (section 5.4). Only then may the answer stand for
    /// everybody who shows the hash.
    pub fn is_hash_of(&self, info: &Element) -> bool {
        verification_string(info).is_ok_and(|text| self.hash.of(&text) == self.ver)
    }
}

/// What a presence shows by an algorithm that is not known here: the answer of the entity cannot be checked, and stands for
/// that one alone (section 5.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UncheckedCapabilities {
    disco_node: String,
}

impl UncheckedCapabilities {
    /// What a presence shows. `None` without `<c/>`, for the legacy format without `hash` (section 4), and for algorithms
    /// that are known ([`Capabilities::read`]).
    pub fn read(presence: &Stanza) -> Option<Self> {
        let [hash, node, ver] = shown(presence)?;
        CapabilityHash::parse(&hash).is_none().then(|| Self { disco_node: format!("{node}#{ver}") })
    }

    /// The node at which the entity is asked what the hash stands for (section 6.2).
    pub fn disco_node(&self) -> &str {
        &self.disco_node
    }
}

/// The attributes `hash`, `node` and `ver` of what a presence shows; `None` unless it has all of them.
fn shown(presence: &Stanza) -> Option<[String; 3]> {
    let tree = presence.to_element();
    let c = tree.find("c", namespace::CAPABILITIES)?;
    let attribute = |name| c.attribute(name).filter(|value: &&str| !value.is_empty()).map(str::to_owned);
    Some([attribute("hash")?, attribute("node")?, attribute("ver")?])
}

/// The text that is hashed (section 5.1).
fn verification_string(info: &Element) -> Result<String, AmbiguousInfo> {
    let named = |name| info.children().filter(move |child| child.is(name, namespace::DISCO_INFO));
    let mut parts = sorted(named("identity").map(identity), AmbiguousInfo::Identity)?;
    let features = named("feature").filter_map(|feature| feature.attribute("var")).map(str::to_owned);
    parts.extend(sorted(features, AmbiguousInfo::Feature)?);
    parts.extend(forms(info)?);
    if parts.iter().any(|part| part.contains('<')) {
        return Err(AmbiguousInfo::Separator);
    }
    Ok(parts.iter().flat_map(|part| [part.as_str(), "<"]).collect())
}

fn identity(identity: &Element) -> String {
    let attribute = |name| identity.attribute(name).unwrap_or_default();
    let (category, kind, name) = (attribute("category"), attribute("type"), attribute("name"));
    format!("{category}/{kind}/{}/{name}", identity.lang().unwrap_or_default())
}

/// By bytes, as the collation `i;octet` has it; nothing twice.
fn sorted(values: impl Iterator<Item = String>, twice: AmbiguousInfo) -> Result<Vec<String>, AmbiguousInfo> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    if values.windows(2).any(|pair| pair[0] == pair[1]) { Err(twice) } else { Ok(values) }
}

/// The forms of XEP-0128, by their type, each with its fields by name and their values in order.
fn forms(info: &Element) -> Result<Vec<String>, AmbiguousInfo> {
    let mut forms = Vec::new();
    for form in info.children().filter(|child| child.is("x", namespace::DATA_FORMS)) {
        let Some(kind) = form_type(form)? else { continue };
        forms.push((kind, fields(form)));
    }
    forms.sort();
    if forms.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(AmbiguousInfo::Form);
    }
    Ok(forms.into_iter().flat_map(|(kind, fields)| [vec![kind], fields].concat()).collect())
}

/// The type of a form; one without a hidden type does not count.
fn form_type(form: &Element) -> Result<Option<String>, AmbiguousInfo> {
    let hidden = |field: &&Element| field.attribute("type") == Some("hidden");
    let Some(field) = form_fields(form).find(|field| field.attribute("var") == Some("FORM_TYPE")) else {
        return Ok(None);
    };
    let mut kinds = values(field);
    kinds.dedup();
    if kinds.len() > 1 {
        return Err(AmbiguousInfo::Form);
    }
    Ok(Some(field).filter(hidden).and(kinds.pop()))
}

fn fields(form: &Element) -> Vec<String> {
    let mut fields: Vec<_> = form_fields(form)
        .filter_map(|field| Some((field.attribute("var")?, field)))
        .filter(|(name, _)| *name != "FORM_TYPE")
        .map(|(name, field)| (name.to_owned(), values(field)))
        .collect();
    fields.sort();
    fields.into_iter().flat_map(|(name, values)| [vec![name], values].concat()).collect()
}

fn form_fields(form: &Element) -> impl Iterator<Item = &Element> {
    form.children().filter(|child| child.is("field", namespace::DATA_FORMS))
}

fn values(field: &Element) -> Vec<String> {
    let mut values: Vec<_> =
        field.children().filter(|child| child.is("value", namespace::DATA_FORMS)).map(Element::content).collect();
    values.sort_unstable();
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(children: &str) -> Element {
        Element::parse(&format!("<query xmlns='http://jabber.org/protocol/disco#info'>{children}</query>")).unwrap()
    }

    fn features(names: &[&str]) -> String {
        names.iter().map(|name| format!("<feature var='{name}'/>")).collect()
    }

    const MUC: [&str; 4] = [
        "http://jabber.org/protocol/caps",
        "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items",
        "http://jabber.org/protocol/muc",
    ];

    const SOFTWARE: &str = "<x xmlns='jabber:x:data' type='result'>\
        <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
        <field var='ip_version' type='text-multi'><value>ipv4</value><value>ipv6</value></field>\
        <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>\
        <field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field></x>";

    /// XEP-0115, section 5.2.
    #[test]
    fn the_simple_example_of_the_standard() {
        let info = info(&("<identity category='client' name='Exodus 0.9.1' type='pc'/>".to_owned() + &features(&MUC)));
        let c = Capabilities::of(&info, "http://code.google.com/p/exodus").unwrap();
        assert_eq!(c.ver, "QgayPKawpkPSDYmwT/WM94uAlu0=");
        assert_eq!(c.disco_node(), "http://code.google.com/p/exodus#QgayPKawpkPSDYmwT/WM94uAlu0=");
        assert_eq!(
            c.to_element().to_string(),
            "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.google.com/p/exodus' \
             ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>"
        );
    }

    /// XEP-0115, section 5.3.
    #[test]
    fn the_complex_example_of_the_standard() {
        let identities = "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
                          <identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>";
        let info = info(&(identities.to_owned() + &features(&MUC) + SOFTWARE));
        assert_eq!(Capabilities::of(&info, "n").unwrap().ver, "q07IKJEyjvHSyhy//CH0CxmKi8w=");
    }

    #[test]
    fn a_hash_is_checked_by_its_own_algorithm_whatever_the_order() {
        let [one, other] = [["a", "b"], ["b", "a"]].map(|names| info(&features(&names)));
        let ver = CapabilityHash::Sha256.of("a<b<");
        let presence = format!(
            "<presence><c xmlns='{}' hash='sha-256' node='n' ver='{ver}'/></presence>",
            namespace::CAPABILITIES
        );
        let c = Capabilities::read(&Stanza::parse(&presence).unwrap()).unwrap();
        assert!(c.is_hash_of(&one) && c.is_hash_of(&other));
        assert!(!c.is_hash_of(&info(&features(&["a"]))));
    }

    /// Section 5.4.
    #[test]
    fn what_a_presence_shows_is_checked_or_not_by_its_algorithm() {
        for (attributes, checked, unchecked) in [
            ("hash='sha-1' node='n' ver='v'", Some("n#v"), None),
            ("hash='sha-512' node='n' ver='v'", None, Some("n#v")),
            ("hash='sha-512' node='n' ver=''", None, None),
            ("node='n' ver='v'", None, None),
            ("hash='' node='n' ver='v'", None, None),
        ] {
            let presence = format!("<presence><c xmlns='{}' {attributes}/></presence>", namespace::CAPABILITIES);
            let presence = Stanza::parse(&presence).unwrap();
            let nodes = (
                Capabilities::read(&presence).map(|c| c.disco_node()),
                UncheckedCapabilities::read(&presence).map(|c| c.disco_node),
            );
            assert_eq!((nodes.0.as_deref(), nodes.1.as_deref()), (checked, unchecked), "{attributes}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_has_no_hash() {
        let identity = "<identity category='client' type='pc'/>";
        let form = |kind: &str| {
            format!("<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'>{kind}</field></x>")
        };
        let one = "<value>a</value>";
        for (children, why) in [
            (identity.repeat(2), AmbiguousInfo::Identity),
            (features(&["a", "b", "a"]), AmbiguousInfo::Feature),
            (form(one).repeat(2), AmbiguousInfo::Form),
            (form("<value>a</value><value>b</value>"), AmbiguousInfo::Form),
            (features(&["a&lt;b"]), AmbiguousInfo::Separator),
        ] {
            assert_eq!(Capabilities::of(&info(&children), "n"), Err(why), "{children}");
        }
    }

    #[test]
    fn a_form_without_a_hidden_type_does_not_count() {
        let form = "<x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>a</value></field></x>";
        let plain = info(&features(&["a"]));
        let with_form = info(&(features(&["a"]) + form));
        assert_eq!(Capabilities::of(&with_form, "n"), Capabilities::of(&plain, "n"));
    }

    #[test]
    fn the_legacy_format_and_unknown_algorithms_are_ignored() {
        for attributes in
            ["node='n' ver='v'", "hash='md5' node='n' ver='v'", "hash='sha-1' ver='v'", "hash='sha-1' node='n' ver=''"]
        {
            let text = format!("<presence><c xmlns='http://jabber.org/protocol/caps' {attributes}/></presence>");
            assert_eq!(Capabilities::read(&Stanza::parse(&text).unwrap()), None, "{attributes}");
        }
    }
}
