//! Whose certificate it is: one engine for both directions.
//!
//! The TLS handshake proves only that the peer has the key of the certificate that it showed. Everything else is judged
//! here, for the initiating and for the receiving entity alike and on every stream, resumed TLS sessions included:
//!
//! 1. The chain leads to a configured root (RFC 5280), is in force, is not revoked, and its extended key usage allows
//!    `serverAuth`. Both roles of a federation are played by servers, and public authorities issue for nothing else
//!    any more; a certificate without the extension is good for everything, one for `clientAuth` alone is not accepted.
//! 2. The certificate names the domain (RFC 6120, section 13.7.1.2): as dNSName (a wildcard may stand for the whole
//!    left-most label), as SRVName `_xmpp-server.<domain>` or as xmppAddr. A common name is no name.
//! 3. If keys are pinned for the domain ([`TrustGroup::pins`]), one of them is on the path.
//!
//! A domain that policy names may vouch for its certificates itself, in DNS or by HTTPS: see [`Evidence`].
//!
//! Which roots are asked depends on the domain: see [`Trust`].
//!
//! A [`PeerIdentity`] cannot be made in any other way, but for the domains that policy leaves to server dialback
//! ([`DialbackPolicy`](crate::dialback::DialbackPolicy)): of these DNS is believed.

mod anchors;
mod changes;
mod error;
mod evidence;
mod names;
mod own;
mod pins;
mod posh;
mod tlsa;
mod trust;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use convoke_xmpp::Domainpart;
use convoke_xmpp::negotiation::TlsInfo;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::prelude::{FromDer, X509Certificate};

pub use anchors::{TrustAnchors, TrustError};
pub use changes::Concerned;
pub use error::IdentityError;
pub use evidence::Evidence;
pub use names::NameKind;
pub use own::check_own;
pub use pins::{PinError, SpkiPin};
pub use posh::{PoshDocument, PoshError, PoshFingerprint};
pub use tlsa::TlsaRecord;
pub use trust::{Trust, TrustGroup};

use changes::Changes;
use trust::Judgement;

/// How many certificates a peer may show. Public chains have two to four; webpki follows six intermediates at most.
pub const MAX_CHAIN_LENGTH: usize = 8;

/// The algorithms that may sign certificates.
pub type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// How long a dialback is believed: it has no end of its own, and what DNS says may change.
const DIALBACK_LASTS: Duration = Duration::from_secs(24 * 60 * 60);

/// A domain whose certificate has been verified, or that dialback has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerIdentity {
    domain: Domainpart,
    matched: NameKind,
    not_after: SystemTime,
}

impl PeerIdentity {
    /// A domain that policy leaves to dialback, and that DNS has led to or its authoritative server has vouched for.
    pub(crate) fn by_dialback(domain: &Domainpart, at: SystemTime) -> Self {
        Self { domain: domain.clone(), matched: NameKind::Dialback, not_after: at + DIALBACK_LASTS }
    }

    /// The domain that the certificate proves.
    pub fn domain(&self) -> &Domainpart {
        &self.domain
    }

    /// When the first certificate of the path expires, the root's own apart: nothing is proved beyond
    /// (RFC 6120, section 13.7.2.3).
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// By which kind of name the certificate names the domain.
    pub fn matched(&self) -> NameKind {
        self.matched
    }
}

/// Judges certificates by configured roots and revocation lists, which can be replaced while it is in use.
pub struct IdentityVerifier {
    trust: RwLock<Arc<Trust>>,
    evidence: RwLock<HashMap<Domainpart, Arc<Evidence>>>,
    /// Noted when they are in force: who looks here before it judges misses none.
    changes: Mutex<Changes>,
    algorithms: Algorithms,
}

impl IdentityVerifier {
    /// A verifier that accepts signatures by these algorithms.
    pub fn new(trust: impl Into<Trust>, algorithms: Algorithms) -> Self {
        let trust = RwLock::new(Arc::new(trust.into()));
        Self { trust, evidence: RwLock::default(), changes: Mutex::default(), algorithms }
    }

    /// A verifier that accepts all algorithms of the cryptographic library that the crate's features chose.
    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    pub fn with_default_algorithms(trust: impl Into<Trust>) -> Self {
        Self::new(trust, webpki::ALL_VERIFICATION_ALGS)
    }

    /// Judges by these roots, lists and pins from now on, all at once. What was proved before is not taken back
    /// by itself: a federation judges its streams anew.
    pub fn replace_trust(&self, trust: impl Into<Trust>) {
        let trust = Arc::new(trust.into());
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = trust;
        self.changes().note_all();
    }

    /// Takes note of what a domain vouches for from now on, in place of what it did; `None` if it vouches for nothing. Says
    /// whether that is something else, apart from its end.
    ///
    /// As with trust, what was proved before is not taken back by itself.
    pub fn replace_evidence(&self, domain: &Domainpart, evidence: Option<Evidence>) -> bool {
        let evidence = evidence.map(Arc::new);
        let before = {
            let mut known = self.evidence.write().unwrap_or_else(PoisonError::into_inner);
            match &evidence {
                Some(evidence) => known.insert(domain.clone(), Arc::clone(evidence)),
                None => known.remove(domain),
            }
        };
        let is_new = Evidence::said_by(before.as_deref()) != Evidence::said_by(evidence.as_deref());
        if is_new {
            self.changes().note(domain);
        }
        is_new
    }

    /// How many changes there have been of what certificates are judged by.
    pub fn count_of_changes(&self) -> u64 {
        self.changes().count()
    }

    /// How many changes there have been by now, and whom those concern that came after so many.
    ///
    /// Who has looked at a stream knows [`Established::changes`](crate::Established::changes) of them.
    pub fn changes_since(&self, count: u64) -> (u64, Concerned) {
        let changes = self.changes();
        (changes.count(), changes.since(count))
    }

    /// What is known to be vouched for by the domain and still in force at this time.
    pub fn evidence(&self, domain: &Domainpart, at: SystemTime) -> Option<Arc<Evidence>> {
        let known = self.evidence.read().unwrap_or_else(PoisonError::into_inner).get(domain).map(Arc::clone);
        known.filter(|evidence| at < evidence.until)
    }

    /// The evidence of all domains that is still in force at this time, in no order.
    pub fn all_evidence(&self, at: SystemTime) -> Vec<Arc<Evidence>> {
        let known = self.evidence.read().unwrap_or_else(PoisonError::into_inner);
        known.values().filter(|evidence| at < evidence.until).map(Arc::clone).collect()
    }

    /// Verifies that the certificates which the peer showed prove the domain `reference`.
    ///
    /// The reference is the domain that was asked for or that the peer claims to be, never a name out of DNS
    /// (RFC 6120, section 13.7.2.1). The wall clock is that of [`TlsInfo::at`].
    pub fn verify(&self, tls: &TlsInfo<'_>, reference: &Domainpart) -> Result<PeerIdentity, IdentityError> {
        self.verify_chain(tls.peer_chain, tls.at, reference)
    }

    /// Verifies the certificates, each as DER, of a web server that speaks for a domain (RFC 7711, section 3).
    ///
    /// They have to name the host as dNSName (RFC 2818, section 3.1) and to lead to a root that is asked about the domain:
    /// whoever may not issue for a domain may not vouch for it by this detour either.
    pub fn verify_web_server(
        &self,
        chain: &[impl AsRef<[u8]>],
        at: SystemTime,
        host: &Domainpart,
        speaks_for: &Domainpart,
    ) -> Result<(), IdentityError> {
        let (leaf, rest) = split(chain, host)?;
        let trust = self.trust();
        let entity = EndEntityCert::try_from(&leaf).map_err(|error| IdentityError::path(error, &leaf))?;
        let path = verified_path(&entity, &rest, at, trust.of(speaks_for).anchors, self.algorithms)
            .map_err(|error| IdentityError::path(error, &leaf))?;
        let ders: Vec<_> = path.intermediate_certificates().map(|issuer| issuer.der()).collect();
        parsed_issuers(&ders)?;
        // SRVNames and xmppAddrs are names of XMPP servers: they count as little as where they are not constrained.
        names::matching(&parse(&leaf)?, host, true).map(drop)
    }

    pub(crate) fn verify_chain(
        &self,
        chain: &[impl AsRef<[u8]>],
        at: SystemTime,
        reference: &Domainpart,
    ) -> Result<PeerIdentity, IdentityError> {
        let (leaf, rest) = split(chain, reference)?;
        let trust = self.trust();
        let judgement = trust.of(reference);
        if let Some(identity) = self.vouched(&leaf, at, reference)? {
            judgement.check_pins([SpkiPin::of_certificate(&leaf)?], reference)?;
            return Ok(identity);
        }
        let entity = EndEntityCert::try_from(&leaf).map_err(|error| IdentityError::path(error, &leaf))?;
        let path = verified_path(&entity, &rest, at, judgement.anchors, self.algorithms)
            .map_err(|error| IdentityError::path(error, &leaf))?;
        identify(&leaf, &path, reference, &judgement)
    }

    /// Whether the domain itself vouches for the certificate.
    fn vouched(
        &self,
        certificate: &[u8],
        at: SystemTime,
        reference: &Domainpart,
    ) -> Result<Option<PeerIdentity>, IdentityError> {
        self.evidence(reference, at).map_or(Ok(None), |evidence| evidence.prove(certificate, at, reference))
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in force now; one judgement is made by one state of it.
    fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for IdentityVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityVerifier").field("trust", &self.trust()).finish_non_exhaustive()
    }
}

/// The certificate that is judged, and those that may lead to a root.
fn split<'c>(
    chain: &'c [impl AsRef<[u8]>],
    reference: &Domainpart,
) -> Result<(CertificateDer<'c>, Vec<CertificateDer<'c>>), IdentityError> {
    if chain.len() > MAX_CHAIN_LENGTH {
        return Err(IdentityError::ChainTooLong { certificates: chain.len() });
    }
    let mut certificates = chain.iter().map(|der| CertificateDer::from(der.as_ref()));
    let leaf = certificates.next().ok_or_else(|| IdentityError::NoCertificate(reference.clone()))?;
    Ok((leaf, certificates.collect()))
}

fn verified_path<'p>(
    entity: &'p EndEntityCert<'p>,
    intermediates: &'p [CertificateDer<'p>],
    at: SystemTime,
    anchors: &'p TrustAnchors,
    algorithms: Algorithms,
) -> Result<VerifiedPath<'p>, webpki::Error> {
    let revocation_lists = anchors.revocation_lists();
    entity.verify_for_usage(
        algorithms,
        anchors.roots(),
        intermediates,
        // A clock before 1970 finds every certificate not yet valid.
        UnixTime::since_unix_epoch(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),
        KeyUsage::server_auth(),
        anchors::revocation(&revocation_lists),
        None,
    )
}

/// Finds the name on a certificate whose path is verified already, and a pinned key on that path.
fn identify(
    leaf: &CertificateDer<'_>,
    path: &VerifiedPath<'_>,
    reference: &Domainpart,
    judgement: &Judgement<'_>,
) -> Result<PeerIdentity, IdentityError> {
    let ders: Vec<_> = path.intermediate_certificates().map(|issuer| issuer.der()).collect();
    let issuers = parsed_issuers(&ders)?;
    let certificate = parse(leaf)?;
    let constrained = path.anchor().name_constraints.is_some()
        || issuers.iter().any(|issuer| issuer.name_constraints().map_or(true, |found| found.is_some()));
    let matched = names::matching(&certificate, reference, constrained)?;
    let certificates = || issuers.iter().chain([&certificate]);
    let keys = certificates().map(|certificate| SpkiPin::of_key(certificate.public_key().raw));
    let root = SpkiPin::of_bare_key(path.anchor().subject_public_key_info.as_ref());
    judgement.check_pins(keys.chain([root]), reference)?;
    let not_after = certificates().map(expiry).fold(expiry(&certificate), SystemTime::min);
    Ok(PeerIdentity { domain: reference.clone(), matched, not_after })
}

/// The issuers of a path, each of which has to be one.
fn parsed_issuers<'i>(ders: &'i [CertificateDer<'_>]) -> Result<Vec<X509Certificate<'i>>, IdentityError> {
    let issuers = ders.iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
    if issuers.iter().any(may_not_sign) { Err(IdentityError::IssuerIsNoAuthority) } else { Ok(issuers) }
}

/// The key usage of an issuer has to include `keyCertSign`, if it has one (RFC 5280, section 6.1.4); webpki does not look.
fn may_not_sign(issuer: &X509Certificate<'_>) -> bool {
    issuer.key_usage().map_or(true, |usage| usage.is_some_and(|usage| !usage.value.key_cert_sign()))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, IdentityError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(IdentityError::Unreadable),
    }
}

fn in_force(certificate: &X509Certificate<'_>, at: SystemTime) -> Result<(), IdentityError> {
    if at > expiry(certificate) {
        return Err(IdentityError::Expired);
    }
    if at < since_epoch(certificate.validity().not_before.timestamp()) {
        return Err(IdentityError::NotYetValid);
    }
    Ok(())
}

fn expiry(certificate: &X509Certificate<'_>) -> SystemTime {
    since_epoch(certificate.validity().not_after.timestamp())
}

fn since_epoch(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests;
