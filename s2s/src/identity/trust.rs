//! Whom to believe about which domain.

use convoke_xmpp::Domainpart;

use super::names::is_address;
use super::pins::SpkiPin;
use super::{IdentityError, TrustAnchors, TrustError};

/// Roots for everybody, and roots of their own for the domains of closed federations.
///
/// A domain is judged by the [`TrustGroup`] with the longest suffix that it is under, and by nothing else: neither can a
/// public authority speak for a closed federation, nor the authority of one federation for another, nor a private
/// authority for the rest of the world.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Whom to believe about every domain that no group is for.
    pub general: TrustAnchors,
    /// The groups. Of two with the same suffix the first is used.
    pub groups: Vec<TrustGroup>,
}

/// Whom to believe about the domains under some suffixes.
#[derive(Debug, Clone)]
pub struct TrustGroup {
    /// What the domains end in, by whole labels: `grid.example` is the suffix of itself and of `a.grid.example`, not of
    /// `mygrid.example`.
    pub suffixes: Vec<Domainpart>,
    /// Roots and revocation lists.
    pub anchors: TrustAnchors,
    /// Keys of which one has to be on the path, that of the certificate itself or of an issuer. None for no such demand.
    pub pins: Vec<SpkiPin>,
}

/// By what one domain is judged.
pub(super) struct Judgement<'a> {
    pub(super) anchors: &'a TrustAnchors,
    /// Empty for no demand.
    pub(super) pins: &'a [SpkiPin],
}

impl Judgement<'_> {
    /// One of the keys has to be pinned, if any is.
    pub(super) fn check_pins(
        &self,
        keys: impl IntoIterator<Item = SpkiPin>,
        domain: &Domainpart,
    ) -> Result<(), IdentityError> {
        if self.pins.is_empty() || keys.into_iter().any(|key| self.pins.contains(&key)) {
            return Ok(());
        }
        Err(IdentityError::NotPinned(domain.clone()))
    }
}

impl Trust {
    /// Trusts the root certificates of this PEM text about every domain; see [`TrustAnchors::from_pem`].
    pub fn from_pem(pem: &str) -> Result<Self, TrustError> {
        TrustAnchors::from_pem(pem).map(Self::from)
    }

    /// Adds a group.
    #[must_use]
    pub fn with_group(mut self, group: TrustGroup) -> Self {
        self.groups.push(group);
        self
    }

    pub(super) fn of(&self, domain: &Domainpart) -> Judgement<'_> {
        let length = |group: &TrustGroup| {
            group.suffixes.iter().filter(|suffix| is_under(domain, suffix)).map(|suffix| suffix.as_str().len()).max()
        };
        let mut best: Option<(usize, &TrustGroup)> = None;
        for group in &self.groups {
            // Strictly longer: of equals the first is kept.
            if let Some(length) = length(group).filter(|length| best.is_none_or(|(longest, _)| *length > longest)) {
                best = Some((length, group));
            }
        }
        match best {
            Some((_, group)) => Judgement { anchors: &group.anchors, pins: &group.pins },
            None => Judgement { anchors: &self.general, pins: &[] },
        }
    }
}

impl From<TrustAnchors> for Trust {
    /// Trusts these about every domain.
    fn from(general: TrustAnchors) -> Self {
        Self { general, groups: Vec::new() }
    }
}

/// By whole labels; an IP address has none.
fn is_under(domain: &Domainpart, suffix: &Domainpart) -> bool {
    let above = domain.as_str().strip_suffix(suffix.as_str());
    above.is_some_and(|above| above.is_empty() || (above.ends_with('.') && !is_address(domain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_made_of_whole_labels() {
        let domain = |name: &str| Domainpart::new(name).unwrap();
        for (name, suffix, expected) in [
            ("grid.example", "grid.example", true),
            ("a.grid.example", "grid.example", true),
            ("b.a.grid.example", "grid.example", true),
            ("mygrid.example", "grid.example", false),
            ("grid.example", "a.grid.example", false),
            ("example", "grid.example", false),
            ("a.GRID.example", "Grid.Example", true),
            ("a.bücher.example", "xn--bcher-kva.example", true),
            ("192.0.2.1", "2.1", false),
            ("192.0.2.1", "192.0.2.1", true),
        ] {
            assert_eq!(is_under(&domain(name), &domain(suffix)), expected, "{name} under {suffix}");
        }
    }
}
