//! The certificates that a connection may show: good ones, and all kinds of bad ones.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use convoke_s2s::{IdentityVerifier, TrustAnchors};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// Certificates as DER, the peer's own first.
pub(crate) type Chain = Vec<Vec<u8>>;

/// When every handshake of this process ends.
pub(crate) const NOW: Duration = Duration::from_secs(1_800_000_000);

/// Who is trusted, and what peers show.
pub(crate) struct Proofs {
    pub(crate) verifier: Arc<IdentityVerifier>,
    pub(crate) a: Chain,
    pub(crate) b: Chain,
    pub(crate) expired: Chain,
    /// For `a.example`, by an authority that nobody trusts.
    pub(crate) stranger: Chain,
}

/// The certificates of this process, made once.
pub(crate) fn proofs() -> &'static Proofs {
    static PROOFS: OnceLock<Proofs> = OnceLock::new();
    PROOFS.get_or_init(|| make().expect("certificates can be made"))
}

pub(crate) fn handshake_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + NOW
}

fn make() -> Result<Proofs, Box<dyn std::error::Error>> {
    let (root, authority) = authority("Trusted")?;
    let (_, other) = self::authority("Other")?;
    let anchors = TrustAnchors::new(vec![root], Vec::new())?;
    Ok(Proofs {
        verifier: Arc::new(IdentityVerifier::with_default_algorithms(anchors)),
        a: issue(&authority, "a.example", 2100)?,
        b: issue(&authority, "b.example", 2100)?,
        expired: issue(&authority, "a.example", 2001)?,
        stranger: issue(&other, "a.example", 2100)?,
    })
}

fn authority(name: &str) -> Result<(Vec<u8>, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let key = KeyPair::generate()?;
    let root = parameters.self_signed(&key)?.der().to_vec();
    Ok((root, Issuer::new(parameters, key)))
}

fn issue(authority: &Issuer<'static, KeyPair>, domain: &str, until: i32) -> Result<Chain, rcgen::Error> {
    let mut parameters = CertificateParams::new(vec![domain.to_owned()])?;
    parameters.distinguished_name.push(DnType::CommonName, domain);
    parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = KeyPair::generate()?;
    Ok(vec![parameters.signed_by(&key, authority)?.der().to_vec()])
}
