//! Which keys may sign. RSA is left out: the library that makes these certificates cannot make such keys.

use convoke_s2s::identity::NameKind::Dns;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm};

use crate::forge::{Authority, Shown, usual};
use crate::judge::{Row, assert_rows};

const KINDS: [(&str, &SignatureAlgorithm); 3] =
    [("P-256", &PKCS_ECDSA_P256_SHA256), ("P-384", &PKCS_ECDSA_P384_SHA384), ("Ed25519", &PKCS_ED25519)];

#[tokio::test]
async fn any_of_these_may_sign_for_any_other() {
    let mut rows = Vec::new();
    for (above, issuer) in KINDS {
        let root = Authority::root_of_key("Root", KeyPair::generate_for(issuer).unwrap(), |_| {});
        for (below, kind) in KINDS {
            let title = format!("{below} issued by {above}");
            rows.push(Row::new(title, root.issue_of_kind(&usual(|_| {}), kind), root.trust(), Ok(Dns)));
        }
    }
    assert_rows(rows).await;
}

/// `ecdsa-with-SHA256`, 1.2.840.10045.4.3.2 (RFC 5758, section 3.2).
const ECDSA_WITH_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// `ecdsa-with-SHA224`.
const ECDSA_WITH_SHA224: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x01];
/// In the same arc, but assigned to nothing.
const UNKNOWN: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x7f];

#[tokio::test]
async fn a_signature_is_whole_and_by_an_accepted_algorithm() {
    let root = Authority::root("Root");
    let intermediate = root.below("Intermediate", |_| {});
    let weak_above = {
        let mut shown = intermediate.issue_usual().with([&intermediate]);
        shown.chain[1] = replaced(&shown.chain[1], &ECDSA_WITH_SHA224);
        shown
    };
    assert_rows(vec![
        Row::new("ECDSA with SHA-256", root.issue_usual(), root.trust(), Ok(Dns)),
        Row::new("ECDSA with SHA-224", signed_by(&root, &ECDSA_WITH_SHA224), root.trust(), Err("algorithm")),
        Row::new("an unknown algorithm", signed_by(&root, &UNKNOWN), root.trust(), Err("algorithm")),
        Row::new("an intermediate by ECDSA with SHA-224", weak_above, root.trust(), Err("algorithm")),
        Row::new("one bit of the signature flipped", damaged(&root, 1), root.trust(), Err("signature")),
        Row::new("one bit of what is signed flipped", damaged_name(&root), root.trust(), Err("signature")),
    ])
    .await;
}

/// A certificate that says that it was signed by this algorithm, both times.
fn signed_by(root: &Authority, algorithm: &[u8; 8]) -> Shown {
    let mut shown = root.issue_usual();
    shown.chain[0] = replaced(&shown.chain[0], algorithm);
    shown
}

fn replaced(certificate: &[u8], algorithm: &[u8; 8]) -> Vec<u8> {
    let mut certificate = certificate.to_vec();
    let places: Vec<_> =
        (0..certificate.len() - 8).filter(|at| certificate[*at..].starts_with(&ECDSA_WITH_SHA256)).collect();
    assert_eq!(places.len(), 2);
    places.into_iter().for_each(|at| certificate[at..at + 8].copy_from_slice(algorithm));
    certificate
}

/// The lowest bit of the byte that is so far from the end is another one.
fn damaged(root: &Authority, from_end: usize) -> Shown {
    let mut shown = root.issue_usual();
    let at = shown.chain[0].len() - from_end;
    shown.chain[0][at] ^= 1;
    shown
}

/// Another authority's certificate, made out to the domain afterwards.
fn damaged_name(root: &Authority) -> Shown {
    let mut shown = root.issue(&crate::forge::server([crate::forge::dns("c.example")]));
    let certificate = &mut shown.chain[0];
    let at = certificate.windows(9).position(|window| window == b"c.example").unwrap();
    certificate[at] = b'b';
    shown
}
