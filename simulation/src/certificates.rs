//! One authority and a certificate for everybody, made once for all simulations of a run.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use convoke_net::Credentials;
use convoke_s2s::TrustAnchors;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::names::{DOMAINS, MALLORY};

/// Certificates are judged by the real clock: far enough from both ends that it makes no difference.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What everybody trusts, and what each shows.
pub(crate) struct Certificates {
    root: Vec<u8>,
    credentials: HashMap<&'static str, Credentials>,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let (root, issuer) = authority();
        let everybody = DOMAINS.into_iter().chain([MALLORY]);
        let credentials = everybody.map(|name| (name, issued(&issuer, name))).collect();
        Self { root, credentials }
    }

    /// The authority alone.
    pub(crate) fn trust(&self) -> TrustAnchors {
        TrustAnchors::new(vec![self.root.clone()], Vec::new()).unwrap()
    }

    /// What this domain has been given.
    pub(crate) fn of(&self, domain: &str) -> Credentials {
        self.credentials[domain].clone()
    }
}

/// A new root, and what issues in its name.
pub(crate) fn authority() -> (Vec<u8>, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = params.self_signed(&key).unwrap().der().to_vec();
    (root, Issuer::new(params, key))
}

fn issued(issuer: &Issuer<'static, KeyPair>, name: &str) -> Credentials {
    let (certificate, key) = certified(issuer, name);
    Credentials::from_pem(&certificate.pem(), &key.serialize_pem()).unwrap()
}

/// A good certificate of this name and its key.
pub(crate) fn certified(issuer: &Issuer<'static, KeyPair>, name: &str) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = (SystemTime::now() - YEAR).into();
    params.not_after = (SystemTime::now() + YEAR).into();
    (params.signed_by(&key, issuer).unwrap(), key)
}
