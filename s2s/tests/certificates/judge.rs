//! One row of the table: a certificate is shown, and what both roles say of it is compared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke_net::{NegotiationError, TlsContext, negotiate};
use convoke_s2s::identity::{Evidence, NameKind};
use convoke_s2s::negotiation::Received;
use convoke_s2s::{
    IdentityVerifier, Initiating, InitiatingConfig, NegotiationFailure, Receiving, ReceivingConfig, Trust,
};
use convoke_xmpp::negotiation::Negotiator;
use convoke_xmpp::stream::StreamCondition;
use convoke_xmpp::{Domainpart, Limits};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::forge::{Authority, DOMAIN, Shown, dns, server};

/// No row takes as long, on any machine.
const SOON: Duration = Duration::from_secs(60);

/// How many rows are under way at a time.
const ROWS_AT_ONCE: usize = 8;

/// Who judges.
const JUDGE: &str = "judge.example";

/// By which name the domain is proved, or the word for the fault.
pub(crate) type Verdict = Result<NameKind, &'static str>;

/// A certificate, and what has to be said of it.
pub(crate) struct Row {
    title: String,
    domain: &'static str,
    shown: Shown,
    trust: Trust,
    evidence: Option<(Domainpart, Evidence)>,
    expected: Verdict,
}

impl Row {
    pub(crate) fn new(title: impl Into<String>, shown: Shown, trust: impl Into<Trust>, expected: Verdict) -> Self {
        Self { title: title.into(), domain: DOMAIN, shown, trust: trust.into(), evidence: None, expected }
    }

    /// For another domain than the usual one.
    pub(crate) fn of(mut self, domain: &'static str) -> Self {
        self.domain = domain;
        self
    }

    /// The domain vouches for this.
    pub(crate) fn with_evidence(self, evidence: Evidence) -> Self {
        let domain = domain(self.domain);
        self.with_evidence_of(domain, evidence)
    }

    /// That domain vouches for this.
    pub(crate) fn with_evidence_of(mut self, domain: Domainpart, evidence: Evidence) -> Self {
        self.evidence = Some((domain, evidence));
        self
    }
}

/// Shows every certificate to a listener and to a dialer; all rows that are not as expected are told together.
pub(crate) async fn assert_rows(rows: Vec<Row>) {
    let bench = Arc::new(Bench::new());
    let places = Arc::new(Semaphore::new(ROWS_AT_ONCE));
    let mut judging = JoinSet::new();
    let count = rows.len();
    for row in rows {
        let (bench, places) = (Arc::clone(&bench), Arc::clone(&places));
        judging.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            timeout(SOON, bench.judge(&row)).await.unwrap_or_else(|_| panic!("{}: no verdict in time", row.title))
        });
    }
    let faults: Vec<String> = judging.join_all().await.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{} of {count} rows:\n{}", faults.len(), faults.join("\n"));
}

/// The judge, with a certificate that everybody believes.
pub(crate) struct Bench {
    authority: Authority,
    shown: Shown,
}

/// A peer that calls itself `domain`, what it shows, and by what it is judged.
pub(crate) struct Peer {
    pub(crate) title: String,
    pub(crate) domain: Domainpart,
    pub(crate) tls: TlsContext,
    pub(crate) verifier: Arc<IdentityVerifier>,
    /// Whether TLS comes first (XEP-0368).
    pub(crate) direct_tls: bool,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let authority = Authority::root("Judge's CA");
        let shown = authority.issue(&server([dns(JUDGE)]));
        Self { authority, shown }
    }

    /// What is wrong with the row, if anything.
    async fn judge(&self, row: &Row) -> Option<String> {
        let verifier = verifier(row.trust.clone());
        if let Some((domain, evidence)) = &row.evidence {
            verifier.replace_evidence(domain, Some(evidence.clone()));
        }
        let peer = Peer {
            title: row.title.clone(),
            domain: domain(row.domain),
            tls: TlsContext::new([(domain(row.domain), row.shown.credentials())]).unwrap(),
            verifier,
            direct_tls: false,
        };
        let (listener, dialer) = (self.by_listener(&peer).await, self.by_dialer(&peer).await);
        (listener != row.expected || dialer != row.expected).then(|| {
            let Row { title, expected, .. } = row;
            format!("  {title}: expected {expected:?}, the listener says {listener:?}, the dialer {dialer:?}")
        })
    }

    /// The peer dials and shows its certificate as the client of TLS.
    pub(crate) async fn by_listener(&self, peer: &Peer) -> Verdict {
        let direct_tls = peer.direct_tls;
        let config = ReceivingConfig { direct_tls, ..ReceivingConfig::new([domain(JUDGE)].into(), 10_000) };
        let judge = Receiving::new(config, Arc::clone(&peer.verifier), Instant::now());
        let config = InitiatingConfig { direct_tls, ..InitiatingConfig::new(peer.domain.clone(), domain(JUDGE)) };
        let judged = Initiating::new(config, verifier(self.authority.trust()), Instant::now());
        self.meet(peer, judge, judged).await
    }

    /// The peer is dialled and shows its certificate as the server of TLS.
    pub(crate) async fn by_dialer(&self, peer: &Peer) -> Verdict {
        let direct_tls = peer.direct_tls;
        let config = InitiatingConfig { direct_tls, ..InitiatingConfig::new(domain(JUDGE), peer.domain.clone()) };
        let judge = Initiating::new(config, Arc::clone(&peer.verifier), Instant::now());
        let config = ReceivingConfig { direct_tls, ..ReceivingConfig::new([peer.domain.clone()].into(), 10_000) };
        let judged = Receiving::new(config, verifier(self.authority.trust()), Instant::now());
        self.meet(peer, judge, judged).await
    }

    /// Both negotiate over a connection of this machine; a refused peer has to be told why.
    async fn meet<J, P>(&self, peer: &Peer, judge: J, judged: P) -> Verdict
    where
        J: Negotiator<Established: Into<Received>, Error = NegotiationFailure>,
        P: Negotiator<Established: Into<Received>, Error = NegotiationFailure>,
    {
        let ours = TlsContext::new([(domain(JUDGE), self.shown.credentials())]).unwrap();
        let (here, there) = connection().await;
        let limits = Limits::before_authentication();
        let (verdict, told) =
            tokio::join!(negotiate(judge, here, &ours, limits), negotiate(judged, there, &peer.tls, limits));
        match verdict {
            Ok(negotiated) => {
                let Received::Proved(established) = negotiated.established.into() else {
                    panic!("{}: nobody is left to dialback", peer.title)
                };
                assert_eq!(established.identity.domain(), &peer.domain, "{}", peer.title);
                told.unwrap_or_else(|error| panic!("{}: the peer says {error}", peer.title));
                Ok(established.identity.matched())
            }
            Err(NegotiationError::Refused(NegotiationFailure::Identity(fault))) => {
                assert_told(&peer.title, told.map(drop), &fault.to_string());
                Err(fault.as_str())
            }
            Err(other) => panic!("{}: {other}", peer.title),
        }
    }
}

/// The refusal is a stream error that the peer's operator can read.
fn assert_told(title: &str, told: Result<(), NegotiationError<NegotiationFailure>>, reason: &str) {
    match told {
        Err(NegotiationError::Refused(NegotiationFailure::StreamError { error, .. })) => {
            assert_eq!(error.condition, StreamCondition::PolicyViolation, "{title}");
            assert_eq!(error.text.as_deref(), Some(reason), "{title}");
        }
        other => panic!("{title}: refused, but the peer was told {other:?}"),
    }
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (theirs, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (accepted.unwrap().0, theirs.unwrap())
}

pub(crate) fn verifier(trust: Trust) -> Arc<IdentityVerifier> {
    Arc::new(IdentityVerifier::with_default_algorithms(trust))
}

pub(crate) fn domain(name: &str) -> Domainpart {
    Domainpart::new(name).unwrap()
}
