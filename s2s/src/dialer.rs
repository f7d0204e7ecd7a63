//! Reaches a domain: every target and address in order, until one has been negotiated to the end.
//!
//! A target is good when the final features have arrived and not before. Whatever goes wrong earlier, be it in TCP, in
//! TLS, by a certificate, a stream error, SASL or mere silence, the next address is tried, and then the next target.
//! What happened is told by a [`DialReport`], for each dial.

mod code;
mod eyeballs;
mod fault;
mod observer;
mod penalty;
mod race;
mod report;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke_net::tcp::TcpStream;
use convoke_net::{Connection, Negotiated, NegotiationError, TlsContext, negotiate};
use convoke_xmpp::stream::OtherHost;
use convoke_xmpp::{Condition, Domainpart, Element, Limits, StanzaError, namespace};
use thiserror::Error;
use tokio::time::timeout;
use tracing::debug;

use crate::config::Timeouts;
use crate::dialback::{Dialback, DialbackPolicy};
use crate::error::{NegotiationFailure, Stage};
use crate::identity::IdentityVerifier;
use crate::negotiation::{Authzid, Established, Initiating, InitiatingConfig};
use crate::resolver::{Family, ResolveError, Resolver, literal};
use crate::target::{DEFAULT_PORT, Located, Service, SrvRecord, Target};
use crate::vouching::{EvidenceError, Vouched, Vouching};

pub use code::FaultCode;
pub use fault::Fault;
pub use report::{Attempt, DialReport, EvidenceReport, Lookup, Record, RecordKind, StreamReport, TlsReport, Verdict};

use fault::Cause;
use observer::{Observed, Progress};
pub(crate) use penalty::Penalties;
use penalty::Place;
use race::{BoxFuture, Event, Race};

/// How many addresses are tried for one domain: DNS answers are under the control of others.
const MAX_ATTEMPTS: usize = 8;

/// How often in one dial a peer may send us to another host (RFC 6120, section 4.9.3.19: two to five).
const MAX_REDIRECTS: usize = 2;

/// A domain could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{report}")]
pub struct DialError {
    report: Arc<DialReport>,
    fault: Fault,
}

impl DialError {
    /// What was tried, and how each attempt failed.
    pub fn report(&self) -> &Arc<DialReport> {
        &self.report
    }

    /// The code of the fault that explains most: that of the attempt which came furthest.
    pub fn code(&self) -> FaultCode {
        self.fault.code
    }

    /// What the senders of stanzas to the domain are told (RFC 6120, section 10.4.3): `remote-server-not-found` when DNS
    /// leads nowhere, `internal-server-error` when dialback says that we are not who we are, and `remote-server-timeout` when
    /// no stream could be negotiated otherwise. The reason is the text, and its code an
    /// element of [`namespace::CONVOKE_ERRORS`].
    pub fn to_stanza_error(&self) -> StanzaError {
        let condition = match self.code() {
            code if code.is_dns() => Condition::RemoteServerNotFound,
            // XEP-0220, section 2.1.1.
            FaultCode::DialbackRefused => Condition::InternalServerError,
            _ => Condition::RemoteServerTimeout,
        };
        let code = Element::new(self.code().to_string(), namespace::CONVOKE_ERRORS);
        StanzaError::new(condition).with_text(self.to_string()).with_application(code)
    }
}

/// A stream to another domain, ready for stanzas.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) connection: Connection,
    pub(crate) established: Established,
    pub(crate) report: Arc<DialReport>,
}

/// Everything that dialling needs.
pub(crate) struct Dialer {
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) tls: TlsContext,
    pub(crate) verifier: Arc<IdentityVerifier>,
    pub(crate) authzid: Authzid,
    /// Whether to ask for streams in both directions.
    pub(crate) bidi: bool,
    /// Whether further domains may share streams.
    pub(crate) dialback: bool,
    /// For whom dialback by keys is good enough.
    pub(crate) keys: Option<DialbackPolicy>,
    pub(crate) timeouts: Timeouts,
    /// What the peer may send once it is known.
    pub(crate) limits: Limits,
    /// Which targets and addresses have failed lately.
    pub(crate) penalties: Penalties,
    /// What domains vouch for themselves.
    pub(crate) vouching: Arc<Vouching>,
}

impl Dialer {
    /// Negotiates an outgoing stream from `local` to `remote` with the first target that can.
    pub(crate) async fn dial(&self, local: &Domainpart, remote: &Domainpart) -> Result<Dialed, DialError> {
        self.dial_for(local, remote, None).await
    }

    /// Asks the authoritative server of a domain whether a key is right (XEP-0220, section 2.1.2); it is if a stream comes
    /// of it, which is good for nothing else.
    pub(crate) async fn ask(&self, question: Dialback) -> Result<Dialed, DialError> {
        let (local, remote) = (question.from.clone(), question.to.clone());
        self.dial_for(&local, &remote, Some(question)).await
    }

    async fn dial_for(
        &self,
        local: &Domainpart,
        remote: &Domainpart,
        question: Option<Dialback>,
    ) -> Result<Dialed, DialError> {
        let began = now();
        let deadline = began + self.timeouts.dial;
        let report = DialReport::new(local, remote);
        let mut dial = Dial { dialer: self, deadline, redirects: 0, question, report };
        let outcome = dial.run().await;
        let mut report = dial.report;
        report.milliseconds = milliseconds(now() - began);
        match outcome {
            Ok(Negotiated { mut connection, established }) => {
                connection.set_limits(self.limits);
                report.established = Some((&established).into());
                Ok(Dialed { connection, established, report: Arc::new(report) })
            }
            Err(fault) => {
                report.fault = Some(fault.clone());
                Err(DialError { report: Arc::new(report), fault })
            }
        }
    }

    /// An answer of DNS, if it comes in time.
    async fn resolving<T>(
        &self,
        lookup: impl Future<Output = Result<T, ResolveError>>,
        name: &str,
        deadline: Instant,
    ) -> Result<T, ResolveError> {
        let in_time = timeout(self.timeouts.resolve.min(left(deadline)), lookup).await;
        in_time.unwrap_or_else(|_| Err(ResolveError::TimedOut { name: name.to_owned() }))
    }

    /// The records of one service; silence is no answer, like none (RFC 6120, section 3.2.1, rule 9).
    async fn services(
        &self,
        service: Service,
        domain: &Domainpart,
        deadline: Instant,
    ) -> (Lookup, Vec<(Service, SrvRecord)>) {
        let (began, name) = (now(), report::service_name(service, domain));
        let answer = self.resolving(self.resolver.services(service, domain), &name, deadline).await;
        let lookup = Lookup::new(name, RecordKind::Srv, &answer, now() - began);
        (lookup, answer.unwrap_or_default().into_iter().map(|record| (service, record)).collect())
    }

    async fn addresses(&self, family: Family, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, ResolveError> {
        match literal(host) {
            Some(address) if address.is_ipv6() == (family == Family::V6) => Ok(vec![address]),
            Some(_) => Ok(Vec::new()),
            None => self.resolving(self.resolver.addresses(family, host), host, deadline).await,
        }
    }

    async fn connect(&self, address: SocketAddr, deadline: Instant) -> io::Result<TcpStream> {
        let connecting = timeout(self.timeouts.connect.min(left(deadline)), TcpStream::connect(address)).await;
        connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// One dial in progress.
struct Dial<'a> {
    dialer: &'a Dialer,
    /// When the dial as a whole is given up.
    deadline: Instant,
    redirects: usize,
    /// What is asked in place of a stream for stanzas.
    question: Option<Dialback>,
    report: DialReport,
}

/// What has come of a target.
enum Outcome {
    Established(Box<Negotiated<Established>>),
    /// The peer has proved who it is and sends us elsewhere.
    Redirected(OtherHost),
    /// The peer has said no, and no other address of its would say anything else.
    Refused,
    Failed,
}

impl Dial<'_> {
    async fn run(&mut self) -> Result<Negotiated<Established>, Fault> {
        let remote = self.report.remote.clone();
        let vouching = Arc::clone(&self.dialer.vouching);
        // RFC 7711, section 5: in parallel with the records of the domain.
        let (located, vouched) = tokio::join!(self.locate(&remote), vouching.before_dial(&remote));
        let mut targets = VecDeque::from(located.map_err(|error| Fault::from(&Cause::from(error)))?);
        self.check_vouched(vouched).map_err(|cause| Fault::from(&cause))?;
        while let Some(target) = targets.pop_front() {
            match self.reach(&target).await {
                Outcome::Established(negotiated) => return Ok(*negotiated),
                Outcome::Redirected(host) => {
                    for target in self.elsewhere(host, &target).await.into_iter().rev() {
                        targets.push_front(target);
                    }
                }
                Outcome::Refused => break,
                Outcome::Failed => self.dialer.penalties.blame(self.place(&target, None), now()),
            }
            if self.is_over() {
                break;
            }
        }
        let timed_out = || Fault::from(&Cause::Resolve(ResolveError::TimedOut { name: remote.to_ascii() }));
        Err(self.report.furthest_fault().unwrap_or_else(timed_out))
    }

    /// Keeps what the domain vouches for. Where its TLSA records are wanted and it cannot be told whether there are any, it
    /// must not be dialled (RFC 7673, section 3.1); a POSH document that is out of reach is as good as none.
    fn check_vouched(&mut self, vouched: Option<Vouched>) -> Result<(), Cause> {
        self.report.evidence = vouched.as_ref().map(EvidenceReport::from);
        match vouched {
            Some(Err(EvidenceError::Dane(error))) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The targets of a domain, in the order in which they are to be tried.
    async fn locate(&mut self, domain: &Domainpart) -> Result<Vec<Target>, ResolveError> {
        if let Some(address) = literal(domain.as_str()) {
            return Ok(vec![Target::new(address.to_string(), DEFAULT_PORT)]);
        }
        let ((direct_lookup, direct), (lookup, starttls)) = tokio::join!(
            self.dialer.services(Service::DirectTls, domain, self.deadline),
            self.dialer.services(Service::StartTls, domain, self.deadline),
        );
        self.report.lookups.extend([direct_lookup, lookup]);
        // Without random numbers the order is merely less fair.
        let random = &mut || getrandom::u32().unwrap_or_default();
        match Located::from_records(direct.into_iter().chain(starttls), random) {
            Located::Targets(mut targets) => {
                let now = now();
                let is_blamed = |target: &Target| self.dialer.penalties.is_blamed(&self.place(target, None), now);
                targets.sort_by_cached_key(|target| (target.priority, is_blamed(target)));
                Ok(targets)
            }
            Located::Declined => Err(ResolveError::NoService { domain: domain.clone() }),
            Located::Unknown => Ok(vec![Target::new(domain.to_ascii(), DEFAULT_PORT)]),
        }
    }

    /// Tries the addresses of a target until one has been negotiated with.
    async fn reach(&mut self, target: &Target) -> Outcome {
        let (dialer, deadline) = (self.dialer, self.deadline);
        let lookup = |family| -> BoxFuture<'_, _> {
            Box::pin(async move { (family, dialer.addresses(family, &target.host, deadline).await) })
        };
        let connect = |address| -> BoxFuture<'_, _> { Box::pin(dialer.connect(address, deadline)) };
        let remote = self.report.remote.clone();
        let is_blamed =
            |address: &IpAddr| dialer.penalties.is_blamed(&Place::new(&remote, target, Some(*address)), now());
        let mut race = Race::new(target.port, [lookup(Family::V6), lookup(Family::V4)], connect, is_blamed);
        let mut answers = Vec::new();
        while !self.is_over() {
            let Some(event) = race.next().await else { return self.unresolved(target, answers) };
            match event {
                Event::Resolved(family, answer, took) => answers.extend(self.resolved(target, family, answer, took)),
                Event::Failed(address, error, took) => {
                    self.note(target, Some(address), Progress::default(), took, Some(&Cause::Connect(error)));
                }
                Event::Connected(address, stream, took) => match self.negotiate(target, address, stream, took).await {
                    Outcome::Failed => {}
                    outcome => return outcome,
                },
            }
        }
        Outcome::Failed
    }

    /// Keeps the answer about one family; gives back why there is none.
    fn resolved(
        &mut self,
        target: &Target,
        family: Family,
        answer: Result<Vec<IpAddr>, ResolveError>,
        took: Duration,
    ) -> Option<Result<(), ResolveError>> {
        if literal(&target.host).is_some() {
            return None;
        }
        self.report.lookups.push(Lookup::new(target.host.clone(), family.into(), &answer, took));
        match answer {
            Ok(addresses) if addresses.is_empty() => Some(Ok(())),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Nothing is left to try; if there never was anything, that is a fault of its own.
    fn unresolved(&mut self, target: &Target, answers: Vec<Result<(), ResolveError>>) -> Outcome {
        // Of two families, each without addresses.
        if answers.len() == 2 {
            let nowhere = || ResolveError::NoAddress { host: target.host.clone() };
            let error = answers.into_iter().find_map(Result::err).unwrap_or_else(nowhere);
            let progress = Progress { stage: Stage::Resolution, tls: None };
            self.note(target, None, progress, Duration::ZERO, Some(&Cause::Resolve(error)));
        }
        Outcome::Failed
    }

    async fn negotiate(
        &mut self,
        target: &Target,
        address: SocketAddr,
        stream: TcpStream,
        connecting: Duration,
    ) -> Outcome {
        let (dialer, began, mut progress) = (self.dialer, now(), Progress::default());
        let initiating = Initiating::new(self.initiating(target), Arc::clone(&dialer.verifier), began);
        let observed = Observed::new(initiating, dialer.timeouts.answer, began, &mut progress);
        let outcome = negotiate(observed, stream, &dialer.tls, Limits::before_authentication()).await;
        let took = connecting + (now() - began);
        match outcome {
            Ok(negotiated) => {
                self.note(target, Some(address), progress, took, None);
                Outcome::Established(Box::new(negotiated))
            }
            Err(error) => {
                let elsewhere = other_host(&error).cloned();
                let is_verdict = matches!(error, NegotiationError::Refused(NegotiationFailure::Dialback { .. }));
                self.note(target, Some(address), progress, took, Some(&Cause::Negotiation(error)));
                let failed = if is_verdict { Outcome::Refused } else { Outcome::Failed };
                elsewhere.map_or(failed, Outcome::Redirected)
            }
        }
    }

    fn initiating(&self, target: &Target) -> InitiatingConfig {
        let DialReport { local, remote, .. } = &self.report;
        InitiatingConfig {
            authzid: self.dialer.authzid,
            direct_tls: target.direct_tls,
            deadline: self.dialer.timeouts.negotiation.min(left(self.deadline)),
            bidi: self.dialer.bidi,
            dialback: self.dialer.dialback,
            secret: self.dialer.keys.as_ref().filter(|keys| keys.names(remote)).map(|keys| Arc::clone(&keys.secret)),
            question: self.question.clone(),
            max_bytes: Some(self.dialer.limits.stanza_bytes),
            ..InitiatingConfig::new(local.clone(), remote.clone())
        }
    }

    /// The targets to which a peer sends us; none if there have been enough of that.
    ///
    /// The domain stays the same, and so do the name that the certificate has to prove and the way TLS is begun.
    async fn elsewhere(&mut self, other: OtherHost, sender: &Target) -> Vec<Target> {
        self.redirects += 1;
        if self.redirects > MAX_REDIRECTS {
            return Vec::new();
        }
        match (other.port, literal(other.host.as_str())) {
            (None, None) => self.locate(&other.host).await.unwrap_or_default(),
            (port, address) => {
                let host = address.map_or_else(|| other.host.to_ascii(), |address| address.to_string());
                vec![Target { host, port: port.unwrap_or(DEFAULT_PORT), ..sender.clone() }]
            }
        }
    }

    fn note(
        &mut self,
        target: &Target,
        address: Option<SocketAddr>,
        progress: Progress,
        took: Duration,
        cause: Option<&Cause>,
    ) {
        let Progress { stage, tls } = progress;
        let fault = cause.map(Fault::from);
        let place = self.place(target, address.map(|address| address.ip()));
        match &fault {
            Some(fault) => {
                let remote = &self.report.remote;
                debug!(%remote, %target, ?address, %stage, code = %fault.code, reason = fault.text, "attempt failed");
                // Else a forged key would make the server suspicious that has found it out.
                if !matches!(fault.code, FaultCode::DialbackRefused | FaultCode::DialbackFailed) {
                    self.dialer.penalties.blame(place, now());
                }
            }
            None => {
                self.dialer.penalties.absolve(&place);
                self.dialer.penalties.absolve(&self.place(target, None));
            }
        }
        let target = target.clone();
        let milliseconds = milliseconds(took);
        self.report.attempts.push(Attempt { target, address, stage, tls, fault, milliseconds });
    }

    fn place(&self, target: &Target, address: Option<IpAddr>) -> Place {
        Place::new(&self.report.remote, target, address)
    }

    fn is_over(&self) -> bool {
        self.report.attempts.len() >= MAX_ATTEMPTS || self.deadline <= now()
    }
}

fn other_host(error: &NegotiationError<NegotiationFailure>) -> Option<&OtherHost> {
    match error {
        NegotiationError::Refused(failure) => failure.other_host(),
        _ => None,
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(now())
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
