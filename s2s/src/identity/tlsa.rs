//! Keys and certificates that a domain vouches for in its DNS (RFC 6698, RFC 7671).

use sha2::{Digest, Sha256, Sha512};

use super::parse;

/// A TLSA record of the usage DANE-EE(3): this very certificate or key is that of the server, whoever has issued it.
///
/// The other usages are of no use here: PKIX-TA(0) and PKIX-EE(1) say less than pins do, and what DANE-TA(2) wants of a
/// chain is beside the point of a server that has a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsaRecord {
    selector: Selector,
    matching: Matching,
    association: Vec<u8>,
}

/// What is compared (RFC 6698, section 2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Selector {
    Certificate,
    Key,
}

/// By what it is compared (RFC 6698, section 2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Matching {
    Whole,
    Sha256,
    Sha512,
}

impl TlsaRecord {
    /// Takes the four fields of a record; `None` if it is not usable here (RFC 7671, section 4): of another usage, or
    /// with a selector, a matching type or a length that is not known.
    pub fn new(usage: u8, selector: u8, matching: u8, association: &[u8]) -> Option<Self> {
        let selector = match (usage, selector) {
            (3, 0) => Selector::Certificate,
            (3, 1) => Selector::Key,
            _ => return None,
        };
        let matching = match (matching, association.len()) {
            (0, 1..) => Matching::Whole,
            (1, 32) => Matching::Sha256,
            (2, 64) => Matching::Sha512,
            _ => return None,
        };
        Some(Self { selector, matching, association: association.to_vec() })
    }

    /// Whether this is the certificate, given as DER, or that of the key. Names and times do not matter (RFC 7671,
    /// section 5.1).
    pub fn matches(&self, certificate: &[u8]) -> bool {
        match self.selector {
            Selector::Certificate => self.is_of(certificate),
            Selector::Key => parse(certificate).is_ok_and(|parsed| self.is_of(parsed.public_key().raw)),
        }
    }

    fn is_of(&self, selected: &[u8]) -> bool {
        match self.matching {
            Matching::Whole => selected == self.association,
            Matching::Sha256 => Sha256::digest(selected)[..] == self.association,
            Matching::Sha512 => Sha512::digest(selected)[..] == self.association,
        }
    }
}

#[cfg(test)]
mod tests {
    use convoke_dev::{CertificateAuthority, Subject};
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn a_record_is_of_one_certificate_or_of_one_key() {
        let authority = CertificateAuthority::new("Test CA").unwrap();
        let [ours, other] = ["a.example", "a.example"].map(|name| {
            let issued = authority.issue(&Subject::domain(name)).unwrap();
            CertificateDer::from_pem_slice(issued.chain_pem.as_bytes()).unwrap().to_vec()
        });
        let key = parse(&ours).unwrap().public_key().raw.to_vec();
        for (selector, whole) in [(0, &ours), (1, &key)] {
            let associations = [whole.clone(), Sha256::digest(whole).to_vec(), Sha512::digest(whole).to_vec()];
            for (matching, association) in (0..).zip(associations) {
                let record = TlsaRecord::new(3, selector, matching, &association).unwrap();
                assert!(record.matches(&ours) && !record.matches(&other), "3 {selector} {matching}");
                assert!(!record.matches(b"no DER"), "3 {selector} {matching}");
            }
        }
    }

    #[test]
    fn other_records_are_not_usable() {
        for (usage, selector, matching, length) in
            [(0, 1, 1, 32), (1, 1, 1, 32), (2, 1, 1, 32), (4, 1, 1, 32), (255, 1, 1, 32), (3, 2, 1, 32), (3, 1, 3, 32)]
                .into_iter()
                .chain([(3, 1, 1, 31), (3, 1, 1, 64), (3, 1, 2, 32), (3, 0, 0, 0)])
        {
            assert_eq!(
                TlsaRecord::new(usage, selector, matching, &vec![0; length]),
                None,
                "{usage} {selector} {matching}"
            );
        }
    }
}
