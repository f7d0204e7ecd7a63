//! The handle of everything: listeners, dialer and links of a set of local domains.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use convoke_net::session::SessionSettings;
use convoke_net::tcp::TcpListener;
use convoke_net::{Admission, Credentials, Drained, Tasks, TlsContext, TlsError};
use convoke_xmpp::session::SessionConfig;
use convoke_xmpp::{Condition, Domainpart, Limits, Outbound, Router, Stanza, StanzaError, Undelivered};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::config::{Backoff, FederationConfig, LocalDomain, PersistentLink, Timeouts};
use crate::dialback::{DialbackPolicy, Secret};
use crate::dialer::{DialReport, Dialed, Dialer, Penalties};
use crate::identity::{Evidence, IdentityVerifier, Trust};
use crate::link::{Contacts, Incoming, Link, NotRegistered, Refused};
use crate::links::Links;
use crate::listener::listen;
use crate::live_trust::LiveTrust;
use crate::negotiation::ReceivingConfig;
use crate::policy::DomainPolicy;
use crate::statistics::{DialbackCounters, DialbackStatistics, EvidenceStatistics, LinkStatistics};
use crate::vouching::{EvidenceRule, Vouching};

/// How many claims are verified by dialback at a time: each has us dial somebody, and its peer has proved nothing.
const VERIFICATIONS: usize = 16;

/// Why a federation cannot start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FederationError {
    /// No domain is served.
    #[error("no domain is to be served; name at least one with its certificate")]
    NoDomains,
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Streams to and from other domains. Cheap to clone; when the last clone is dropped, everything ends at once.
#[derive(Clone)]
pub struct Federation {
    shared: Arc<Shared>,
    /// Apart from `shared`, which the tasks themselves hold.
    _owner: Arc<AbortOnDrop>,
}

/// What the tasks of a federation share.
pub(crate) struct Shared {
    pub(crate) domains: Arc<[Domainpart]>,
    pub(crate) dialer: Dialer,
    pub(crate) tls: TlsContext,
    pub(crate) trust: Arc<LiveTrust>,
    pub(crate) receiving: ReceivingConfig,
    pub(crate) limits: Limits,
    pub(crate) connections: usize,
    pub(crate) admission: Admission,
    /// How many incoming streams a pair may have.
    pub(crate) streams: usize,
    policy: Arc<DomainPolicy>,
    /// Makes the keys of dialback.
    pub(crate) secret: Arc<Secret>,
    /// Claims that are being verified by dialback.
    pub(crate) verifications: Semaphore,
    pub(crate) dialback: DialbackCounters,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) tasks: Tasks,
    links: Links,
    /// Who dials a domain for the first time.
    pub(crate) contacts: Contacts,
    persistent: Vec<PersistentLink>,
    pub(crate) timeouts: Timeouts,
    pub(crate) stream_management: bool,
    pub(crate) backoff: Backoff,
}

struct AbortOnDrop(Tasks);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Federation {
    /// Prepares a federation whose incoming stanzas go to `router`. Nothing is accepted yet, and nothing dialled but
    /// [`FederationConfig::persistent`].
    ///
    /// # Panics
    /// Outside of a tokio runtime, with time and I/O enabled.
    pub fn new(config: FederationConfig, router: Arc<dyn Router>) -> Result<Self, FederationError> {
        let shared = Arc::new(Shared::new(config, router)?);
        let _owner = Arc::new(AbortOnDrop(shared.tasks.clone()));
        shared.keep_evidence();
        for PersistentLink { local, remote } in &shared.persistent {
            // Beyond the bound on links there is none for it: what is sent to it will say so.
            shared.links.link(local.as_str(), remote.as_str()).iter().for_each(|link| link.persist(&shared));
        }
        Ok(Self { shared, _owner })
    }

    /// Accepts server-to-server connections on this listener until shutdown: STARTTLS, as `_xmpp-server` records name it.
    pub fn serve(&self, listener: TcpListener) {
        self.listen(listener, self.shared.receiving.clone());
    }

    /// The same for connections that begin with TLS, as `_xmpps-server` records name them (XEP-0368).
    pub fn serve_direct(&self, listener: TcpListener) {
        self.listen(listener, ReceivingConfig { direct_tls: true, ..self.shared.receiving.clone() });
    }

    fn listen(&self, listener: TcpListener, receiving: ReceivingConfig) {
        self.shared.tasks.spawn(listen(listener, receiving, Arc::clone(&self.shared)));
    }

    /// Shows these credentials for a domain that is served here from the next handshake on, in both roles, and replaces
    /// the streams that were dialled here: see [`Federation::renew`].
    ///
    /// Fails for a domain that is not served here, and where the crypto provider cannot use the credentials; then
    /// the old ones stay in force.
    pub fn replace_credentials(&self, domain: &Domainpart, credentials: &Credentials) -> Result<(), TlsError> {
        self.shared.tls.replace(domain, credentials)?;
        self.renew();
        Ok(())
    }

    /// Takes note of what a domain vouches for from now on, in place of what it did; `None` if it vouches for nothing.
    ///
    /// Its live streams are judged anew, as by [`Federation::replace_trust`].
    pub fn replace_evidence(&self, domain: &Domainpart, evidence: Option<Evidence>) {
        self.shared.trust.replace_evidence(domain, evidence);
    }

    /// Looks up what domains vouch for by these rules from now on, in place of [`FederationConfig::evidence`], and all of it
    /// at once; returns before that has happened.
    ///
    /// What is known of domains that a rule still names counts until the answers are there; that of others is dropped at once,
    /// and their live streams are judged anew.
    pub fn replace_evidence_rules(&self, rules: Vec<EvidenceRule>) {
        self.shared.dialer.vouching.replace_rules(rules);
    }

    /// Has what domains vouch for looked up again at once, by the rules of [`FederationConfig::evidence`]; returns at once.
    ///
    /// What is known counts until the answers are there.
    pub fn refresh_evidence(&self) {
        self.shared.dialer.vouching.refresh_all();
    }

    /// Judges every certificate from now on by these roots, revocation lists and pins, those of the live streams too: a
    /// stream whose peer is not proved by them is closed with `not-authorized`. One that was dialled here and whose peer is
    /// proved by something else now, or for another time, is replaced as by [`Federation::renew`]. Returns before that has
    /// happened.
    pub fn replace_trust(&self, trust: impl Into<Trust>) {
        self.shared.trust.replace_trust(trust);
    }

    /// Dials a domain to see what happens, besides any link, and closes the stream again.
    ///
    /// Takes as long as [`Timeouts::dial`] at most, and two seconds for the closing. What is learned about bad targets
    /// serves the links too.
    pub async fn dial(&self, local: &Domainpart, remote: &Domainpart) -> Arc<DialReport> {
        match self.shared.dialer.dial(local, remote).await {
            Ok(Dialed { connection, report, .. }) => {
                connection.finish().await;
                report
            }
            Err(error) => Arc::clone(error.report()),
        }
    }

    /// Replaces every stream that was dialled here by a new one, as after [`Federation::replace_credentials`]: the new one is
    /// dialled first and takes over when it is established; nothing is lost, and what cannot be replaced goes on.
    ///
    /// Returns at once. The streams that peers have dialled are theirs to replace, which they do before the certificate
    /// expires that they know.
    pub fn renew(&self) {
        self.shared.links.renew();
    }

    /// Breaks the TCP connections between these domains, both ways, at once and without closing tags; says whether there
    /// was any. What the outgoing link has not written yet is sent by the next stream.
    pub fn cut(&self, local: &Domainpart, remote: &Domainpart) -> bool {
        self.shared.links.existing(local.as_str(), remote.as_str()).is_some_and(|link| link.cut())
    }

    /// What each link has done and is doing, in no order.
    pub fn statistics(&self) -> Vec<LinkStatistics> {
        self.shared.links.statistics()
    }

    /// What is known at present of what domains vouch for, and how often it was looked up.
    pub fn evidence_statistics(&self) -> EvidenceStatistics {
        self.shared.dialer.vouching.statistics()
    }

    /// What has come of the claims that dialback was to verify.
    pub fn dialback_statistics(&self) -> DialbackStatistics {
        self.shared.dialback.statistics()
    }

    /// How many incoming connections were turned away because their address had too many.
    pub fn turned_away(&self) -> u64 {
        self.shared.admission.refused()
    }

    /// Ends everything at once, without a word to anybody, as when the last clone is dropped.
    pub fn abort(&self) {
        self.shared.tasks.abort();
    }

    /// Stops accepting, sends what is queued and `system-shutdown` on every stream, and waits until all are closed; at
    /// the deadline the rest is broken off.
    ///
    /// Stanzas that cannot be sent any more go to [`Router::undelivered`].
    pub async fn shutdown(&self, deadline: Duration) -> Drained {
        self.shared.tasks.drain(deadline).await
    }
}

impl Outbound for Federation {
    /// Queues a stanza from a domain that is served here to one that is not; the first one dials.
    fn send(&self, stanza: Stanza) -> Result<(), Undelivered> {
        self.shared.send(stanza)
    }
}

impl Shared {
    fn new(mut config: FederationConfig, router: Arc<dyn Router>) -> Result<Self, FederationError> {
        if config.domains.is_empty() {
            return Err(FederationError::NoDomains);
        }
        config.limits = config.limits.at_least_standard();
        let domains: Arc<[Domainpart]> = config.domains.iter().map(|domain| domain.name.clone()).collect();
        let shown = std::mem::take(&mut config.domains);
        let tls = TlsContext::new(shown.into_iter().map(|LocalDomain { name, credentials }| (name, credentials)))?;
        let verifier = IdentityVerifier::with_default_algorithms(config.trust.clone());
        let trust = Arc::new(LiveTrust::new(Arc::new(verifier)));
        let policy = Arc::new(std::mem::take(&mut config.policy));
        let random = || Secret::random().map(Arc::new);
        let secret = config.dialback_secret.take().or_else(random).ok_or(FederationError::NoRandomness)?;
        let names = std::mem::take(&mut config.dialback);
        let keys = (!names.is_empty()).then(|| DialbackPolicy { domains: names, secret: Arc::clone(&secret) });
        Ok(Self {
            receiving: ReceivingConfig { keys: keys.clone(), ..receiving(&config, &domains, &policy) },
            dialer: Dialer { keys, ..dialer(&mut config, &tls, &trust) },
            domains,
            tls,
            trust,
            limits: config.limits,
            connections: config.connections,
            admission: Admission::new(config.admission),
            streams: config.streams,
            policy,
            secret,
            verifications: Semaphore::new(VERIFICATIONS),
            dialback: DialbackCounters::default(),
            router,
            tasks: Tasks::new(),
            links: Links::new(config.links, config.queue, config.urgent.into(), config.rates),
            contacts: Contacts::default(),
            persistent: config.persistent,
            timeouts: config.timeouts,
            stream_management: config.stream_management,
            backoff: config.backoff,
        })
    }

    pub(crate) fn federates_with(&self, domain: &str) -> bool {
        self.policy.allows(domain)
    }

    /// The link of this pair, made if need be; `None` when there are too many.
    pub(crate) fn link(&self, local: &str, remote: &str) -> Option<Arc<Link>> {
        self.links.link(local, remote)
    }

    pub(crate) fn links_to(&self, remote: &str) -> Vec<Arc<Link>> {
        self.links.to(remote)
    }

    /// Keeps what domains vouch for fresh, by whatever rules there are.
    fn keep_evidence(self: &Arc<Self>) {
        let (vouching, shared) = (Arc::clone(&self.dialer.vouching), Arc::clone(self));
        let is_linked = move |domain: &Domainpart| !shared.links_to(domain.as_str()).is_empty();
        self.tasks.spawn(vouching.run(self.tasks.shutdown_token().clone(), is_linked));
    }

    pub(crate) fn serves(&self, domain: &str) -> bool {
        self.domains.iter().any(|served| served.as_str() == domain)
    }

    /// The times of a session with a peer whose proof is in force so long; it may leave an incoming stream idle as long as
    /// we leave ours.
    pub(crate) fn session_settings(&self, not_after: SystemTime) -> SessionSettings {
        let Timeouts { idle, write, keepalive, close, acknowledgement, .. } = self.timeouts;
        let session = SessionConfig { keepalive, close_wait: close, acknowledgement };
        let in_force = not_after.duration_since(SystemTime::now()).unwrap_or_default();
        let reset_at = tokio::time::Instant::now().into_std().checked_add(in_force);
        SessionSettings { session, write_timeout: write, idle: Some(idle), reset_at }
    }

    /// Takes note of an incoming stream; `None` when there are too many of its pair, or too many links.
    pub(crate) fn register(self: &Arc<Self>, local: &Domainpart, remote: &Domainpart) -> Option<Incoming> {
        loop {
            let link = self.links.link(local.as_str(), remote.as_str())?;
            match link.register(self) {
                Ok(incoming) => return Some(incoming),
                Err(NotRegistered::Retired) => self.links.remove(&link),
                Err(NotRegistered::TooMany) => return None,
            }
        }
    }

    /// The link of these domains, if there is one.
    pub(crate) fn link_between(&self, local: &str, remote: &Domainpart) -> Option<Arc<Link>> {
        self.links.existing(local, remote.as_str())
    }

    fn send(self: &Arc<Self>, mut stanza: Stanza) -> Result<(), Undelivered> {
        if self.tasks.shutdown_token().is_cancelled() {
            return Err(Undelivered::new(stanza, shutting_down()));
        }
        loop {
            let link = match self.link_of(&stanza) {
                Ok(link) => link,
                Err(error) => return Err(Undelivered::new(stanza, error)),
            };
            match link.send(stanza, self) {
                Ok(()) => return Ok(()),
                Err(Refused::Undelivered(undelivered)) => return Err(undelivered),
                Err(Refused::Retired(returned)) => {
                    self.links.remove(&link);
                    stanza = *returned;
                }
            }
        }
    }

    fn link_of(&self, stanza: &Stanza) -> Result<Arc<Link>, StanzaError> {
        let (Some(to), Some(from)) = (stanza.to(), stanza.from()) else {
            return Err(Condition::JidMalformed.into());
        };
        if !self.serves(from.domain()) || self.serves(to.domain()) {
            // The router decides by the same list of domains: this is a fault of ours, not of the sender.
            return Err(Condition::InternalServerError.into());
        }
        if !self.policy.allows(to.domain()) {
            let reason = format!("this server does not federate with {}", to.domain());
            return Err(StanzaError::new(Condition::NotAllowed).with_text(reason));
        }
        let too_many = || StanzaError::new(Condition::ResourceConstraint).with_text("too many links to other domains");
        self.links.link(from.domain(), to.domain()).ok_or_else(too_many)
    }
}

/// How to negotiate with who comes.
fn receiving(config: &FederationConfig, domains: &Arc<[Domainpart]>, policy: &Arc<DomainPolicy>) -> ReceivingConfig {
    ReceivingConfig {
        policy: Arc::clone(policy),
        deadline: config.timeouts.negotiation,
        bidi: config.bidi,
        stream_management: config.stream_management,
        dialback: config.multiplexing,
        ..ReceivingConfig::new(Arc::clone(domains), config.limits.stanza_bytes)
    }
}

/// How to reach others.
fn dialer(config: &mut FederationConfig, tls: &TlsContext, trust: &Arc<LiveTrust>) -> Dialer {
    let rules = std::mem::take(&mut config.evidence);
    Dialer {
        resolver: Arc::clone(&config.resolver),
        tls: tls.clone(),
        verifier: Arc::clone(trust.verifier()),
        authzid: config.authzid,
        bidi: config.bidi,
        dialback: config.multiplexing,
        keys: None,
        timeouts: config.timeouts,
        limits: config.limits,
        penalties: Penalties::default(),
        vouching: Arc::new(Vouching::new(rules, Arc::clone(trust), config.backoff)),
    }
}

/// What senders are told once the shutdown has begun.
pub(crate) fn shutting_down() -> StanzaError {
    StanzaError::new(Condition::RemoteServerTimeout).with_text("this server is shutting down")
}
