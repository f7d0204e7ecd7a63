//! One row of the table: a certificate is shown, and what both roles say of it is compared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke_net::{NegotiationError, TlsContext, negotiate};
use convoke_s2s::identity::NameKind;
use convoke_s2s::{
    Established, IdentityVerifier, Initiating, InitiatingConfig, NegotiationFailure, Receiving, ReceivingConfig, Trust,
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
    expected: Verdict,
}

impl Row {
    pub(crate) fn new(title: impl Into<String>, shown: Shown, trust: impl Into<Trust>, expected: Verdict) -> Self {
        Self { title: title.into(), domain: DOMAIN, shown, trust: trust.into(), expected }
    }

    /// For another domain than the usual one.
    pub(crate) fn of(mut self, domain: &'static str) -> Self {
        self.domain = domain;
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
struct Bench {
    authority: Authority,
    shown: Shown,
}

impl Bench {
    fn new() -> Self {
        let authority = Authority::root("Judge's CA");
        let shown = authority.issue(&server([dns(JUDGE)]));
        Self { authority, shown }
    }

    /// What is wrong with the row, if anything.
    async fn judge(&self, row: &Row) -> Option<String> {
        let (listener, dialer) = (self.by_listener(row).await, self.by_dialer(row).await);
        (listener != row.expected || dialer != row.expected).then(|| {
            let Row { title, expected, .. } = row;
            format!("  {title}: expected {expected:?}, the listener says {listener:?}, the dialer {dialer:?}")
        })
    }

    /// The peer dials and shows the certificate as the client of TLS.
    async fn by_listener(&self, row: &Row) -> Verdict {
        let config = ReceivingConfig::new([domain(JUDGE)].into(), 10_000);
        let judge = Receiving::new(config, verifier(row.trust.clone()), Instant::now());
        let config = InitiatingConfig::new(domain(row.domain), domain(JUDGE));
        let peer = Initiating::new(config, verifier(self.authority.trust()), Instant::now());
        let (ours, theirs) = connection().await;
        self.meet(row, (judge, ours), (peer, theirs)).await
    }

    /// The peer is dialled and shows the certificate as the server of TLS.
    async fn by_dialer(&self, row: &Row) -> Verdict {
        let config = InitiatingConfig::new(domain(JUDGE), domain(row.domain));
        let judge = Initiating::new(config, verifier(row.trust.clone()), Instant::now());
        let config = ReceivingConfig::new([domain(row.domain)].into(), 10_000);
        let peer = Receiving::new(config, verifier(self.authority.trust()), Instant::now());
        let (ours, theirs) = connection().await;
        self.meet(row, (judge, ours), (peer, theirs)).await
    }

    /// Both negotiate; a refused peer has to be told why.
    async fn meet<J, P>(&self, row: &Row, judge: (J, TcpStream), peer: (P, TcpStream)) -> Verdict
    where
        J: Negotiator<Established = Established, Error = NegotiationFailure>,
        P: Negotiator<Established = Established, Error = NegotiationFailure>,
    {
        let ours = TlsContext::new([(domain(JUDGE), self.shown.credentials())]).unwrap();
        let theirs = TlsContext::new([(domain(row.domain), row.shown.credentials())]).unwrap();
        let limits = Limits::before_authentication();
        let (judged, told) =
            tokio::join!(negotiate(judge.0, judge.1, &ours, limits), negotiate(peer.0, peer.1, &theirs, limits));
        match judged {
            Ok(negotiated) => {
                let established = negotiated.established;
                assert_eq!(established.identity.domain(), &domain(row.domain), "{}", row.title);
                told.unwrap_or_else(|error| panic!("{}: the peer says {error}", row.title));
                Ok(established.identity.matched())
            }
            Err(NegotiationError::Refused(NegotiationFailure::Identity(fault))) => {
                assert_told(&row.title, told.map(drop), &fault.to_string());
                Err(fault.as_str())
            }
            Err(other) => panic!("{}: {other}", row.title),
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

fn verifier(trust: Trust) -> Arc<IdentityVerifier> {
    Arc::new(IdentityVerifier::with_default_algorithms(trust))
}

fn domain(name: &str) -> Domainpart {
    Domainpart::new(name).unwrap()
}
