//! Makes certificates that proper authorities make, and those that none would.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convoke_net::Credentials;
use convoke_s2s::{SpkiPin, Trust, TrustAnchors, TrustGroup};
use convoke_xmpp::Domainpart;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    SignatureAlgorithm,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The domain that most certificates should name.
pub(crate) const DOMAIN: &str = "b.example";

/// The serial number of all certificates of domains.
pub(crate) const SERIAL: u64 = 7;

/// The serial number of all intermediate authorities.
pub(crate) const AUTHORITY_SERIAL: u64 = 99;

/// What a peer shows, and the key that it has for it.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: Vec<u8>,
}

impl Shown {
    /// Shows the certificates of these authorities too, in this order.
    pub(crate) fn with<'a>(mut self, authorities: impl IntoIterator<Item = &'a Authority>) -> Self {
        self.chain.extend(authorities.into_iter().map(|authority| authority.der.clone()));
        self
    }

    pub(crate) fn credentials(&self) -> Credentials {
        let chain = self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        Credentials::new(chain, PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))).unwrap()
    }

    pub(crate) fn pin(&self) -> SpkiPin {
        SpkiPin::of_certificate(&self.chain[0]).unwrap()
    }

    /// The base64 of the SHA-256 of the certificate.
    pub(crate) fn fingerprint(&self) -> String {
        STANDARD.encode(Sha256::digest(&self.chain[0]))
    }
}

/// A certification authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: Vec<u8>,
}

impl Authority {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, |_| {})
    }

    pub(crate) fn root_with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::root_of_key(name, KeyPair::generate().unwrap(), change)
    }

    pub(crate) fn root_of_key(name: &str, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(name);
        change(&mut params);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    /// An authority whose certificate this one has issued.
    pub(crate) fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = authority(name);
        params.serial_number = Some(SerialNumber::from(AUTHORITY_SERIAL));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    /// Issues a certificate for a fresh P-256 key.
    pub(crate) fn issue(&self, params: &CertificateParams) -> Shown {
        self.issue_for(params, &KeyPair::generate().unwrap())
    }

    /// Issues a certificate for a fresh key of this kind.
    pub(crate) fn issue_of_kind(&self, params: &CertificateParams, kind: &'static SignatureAlgorithm) -> Shown {
        self.issue_for(params, &KeyPair::generate_for(kind).unwrap())
    }

    /// The usual certificate of [`DOMAIN`].
    pub(crate) fn issue_usual(&self) -> Shown {
        self.issue(&server([dns(DOMAIN)]))
    }

    pub(crate) fn issue_for(&self, params: &CertificateParams, key: &KeyPair) -> Shown {
        Shown { chain: vec![params.signed_by(key, &self.issuer).unwrap().der().to_vec()], key: key.serialize_der() }
    }

    /// A list of these serial numbers that is in force until `next_update`.
    pub(crate) fn revoke(&self, serials: &[u64], next_update: SystemTime) -> Vec<u8> {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: (SystemTime::now() - DAY).into(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: (SystemTime::now() - 30 * DAY).into(),
            next_update: next_update.into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        self.anchors_with(Vec::new())
    }

    pub(crate) fn anchors_with(&self, revocation_lists: Vec<Vec<u8>>) -> TrustAnchors {
        TrustAnchors::new(vec![self.der.clone()], revocation_lists).unwrap()
    }

    /// Trusts this authority about every domain.
    pub(crate) fn trust(&self) -> Trust {
        self.anchors().into()
    }

    /// Trusts this authority about the domains under these suffixes.
    pub(crate) fn group(&self, suffixes: &[&str]) -> TrustGroup {
        let suffixes = suffixes.iter().map(|suffix| Domainpart::new(suffix).unwrap()).collect();
        TrustGroup { suffixes, anchors: self.anchors(), pins: Vec::new() }
    }

    pub(crate) fn pin(&self) -> SpkiPin {
        SpkiPin::of_certificate(&self.der).unwrap()
    }
}

/// A certificate that its own key has signed.
pub(crate) fn self_signed(params: &CertificateParams) -> Shown {
    let key = KeyPair::generate().unwrap();
    Shown { chain: vec![params.self_signed(&key).unwrap().der().to_vec()], key: key.serialize_der() }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + 30 * DAY).into();
    params
}

/// The certificate of a server with these subjectAltNames. Its common name is [`DOMAIN`], which is worth nothing.
pub(crate) fn server(names: impl IntoIterator<Item = Vec<u8>>) -> CertificateParams {
    let mut params = named(DOMAIN);
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.serial_number = Some(SerialNumber::from(SERIAL));
    let names: Vec<u8> = names.into_iter().flatten().collect();
    if !names.is_empty() {
        let names = tagged(0x30, &names);
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], names)];
    }
    params
}

/// The usual certificate of [`DOMAIN`], changed.
pub(crate) fn usual(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = server([dns(DOMAIN)]);
    change(&mut params);
    params
}

/// `dNSName [2] IA5String` (RFC 5280, section 4.2.1.6), whatever the bytes are.
pub(crate) fn dns(name: &str) -> Vec<u8> {
    tagged(0x82, name.as_bytes())
}

/// `rfc822Name [1] IA5String`.
pub(crate) fn email(address: &str) -> Vec<u8> {
    tagged(0x81, address.as_bytes())
}

/// `uniformResourceIdentifier [6] IA5String`.
pub(crate) fn uri(uri: &str) -> Vec<u8> {
    tagged(0x86, uri.as_bytes())
}

/// `iPAddress [7] OCTET STRING`.
pub(crate) fn ip(address: &[u8]) -> Vec<u8> {
    tagged(0x87, address)
}

/// An SRVName (RFC 4985), an IA5String.
pub(crate) fn srv(name: &str) -> Vec<u8> {
    other_name(7, 0x16, name.as_bytes())
}

/// An xmppAddr (RFC 6120, section 13.7.1.4), a UTF8String.
pub(crate) fn xmpp(address: &str) -> Vec<u8> {
    other_name(5, 0x0c, address.as_bytes())
}

/// An otherName `id-on-<kind>` whose value has this tag.
pub(crate) fn other_name(kind: u8, tag: u8, value: &[u8]) -> Vec<u8> {
    other_name_of(kind, &tagged(0xa0, &tagged(tag, value)))
}

/// An otherName `id-on-<kind>` with this for its `value [0] EXPLICIT ANY`.
pub(crate) fn other_name_of(kind: u8, value: &[u8]) -> Vec<u8> {
    let kind = [0x06, 8, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, kind];
    tagged(0xa0, &[&kind[..], value].concat())
}

/// Tag, length, content (X.690, section 8.1).
pub(crate) fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    der.extend(content);
    der
}
