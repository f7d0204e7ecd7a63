//! One side of a negotiation between real XML texts, and two sides wired to each other.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use convoke_dev::{CertificateAuthority, Issued, Subject};
use convoke_xmpp::negotiation::{Failure, Input, Negotiator, Output, TlsFailure, TlsInfo, TlsStart};
use convoke_xmpp::{Domainpart, Limits, StreamReader};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::negotiation::{Claim, Established, Initiating, InitiatingConfig, Received, Receiving, ReceivingConfig};
use crate::{IdentityVerifier, NegotiationFailure, TrustAnchors};

pub(super) type Chain = Vec<Vec<u8>>;

/// The features that follow the header of each stage.
pub(super) const TLS_FEATURES: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/>\
    </starttls></stream:features>";
pub(super) const SASL_FEATURES: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
pub(super) const LAST_FEATURES: &str = "<stream:features><limits xmlns='urn:xmpp:stream-limits:0'>\
    <max-bytes>65536</max-bytes></limits></stream:features>";
pub(super) const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(super) const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(super) const TLS_FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
/// `auth` with `a.example` as authzid.
pub(super) const AUTH_A: &str =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>YS5leGFtcGxl</auth>";
pub(super) const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
pub(super) const CHALLENGE: &str = "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
pub(super) const END: &str = "</stream:stream>";

/// The certificates of one test process, and who trusts them.
pub(super) struct World {
    authority: CertificateAuthority,
    pub(super) verifier: Arc<IdentityVerifier>,
    pub(super) a: Chain,
    pub(super) b: Chain,
    pub(super) stranger: Chain,
}

impl World {
    pub(super) fn issue(&self, subject: &Subject) -> Chain {
        chain(&self.authority.issue(subject).unwrap())
    }
}

pub(super) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let authority = CertificateAuthority::new("Test CA").unwrap();
        let issue = |domain: &str| chain(&authority.issue(&Subject::domain(domain)).unwrap());
        let (a, b) = (issue("a.example"), issue("b.example"));
        let roots = vec![der(authority.certificate_pem())];
        let anchors = TrustAnchors::new(roots, Vec::new()).unwrap();
        let verifier = Arc::new(IdentityVerifier::new(anchors, webpki::ALL_VERIFICATION_ALGS));
        let other = CertificateAuthority::new("Other CA").unwrap();
        let stranger = chain(&other.issue(&Subject::domain("a.example")).unwrap());
        World { authority, verifier, a, b, stranger }
    })
}

pub(crate) fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

pub(super) fn chain(issued: &Issued) -> Chain {
    CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).map(|der| der.unwrap().to_vec()).collect()
}

pub(super) fn domain(text: &str) -> Domainpart {
    Domainpart::new(text).unwrap()
}

/// The header of an initiating entity, as this crate writes it.
pub(super) fn header(from: &str, to: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         from='{from}' to='{to}' version='1.0' xml:lang='en'>"
    )
}

/// The header of a receiving entity, its identifier as [`masked`] writes it.
pub(super) fn response(from: &str, to: &str) -> String {
    header(from, to).replace(" version='1.0' xml", " id='ID' version='1.0' xml")
}

/// The text with `ID` for every stream identifier.
pub(super) fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" id='") {
        masked.push_str(before);
        masked.push_str(" id='ID'");
        rest = after.split_once('\'').unwrap().1;
    }
    masked + rest
}

/// The identifiers of a text, in order.
pub(super) fn ids(text: &str) -> Vec<&str> {
    text.split(" id='").skip(1).map(|rest| rest.split('\'').next().unwrap()).collect()
}

/// One side, with the reader that its driver would have.
pub(super) struct Side<N> {
    negotiator: N,
    reader: StreamReader,
    pub(super) now: Instant,
    said: String,
    pub(super) tls: Option<TlsStart>,
    pub(super) outcome: Option<Result<Received, NegotiationFailure>>,
}

impl<N: Negotiator<Established: Into<Received>, Error = NegotiationFailure>> Side<N> {
    pub(super) fn new(negotiator: N, now: Instant) -> Self {
        let reader = StreamReader::new(Limits::before_authentication());
        let mut side = Self { negotiator, reader, now, said: String::new(), tls: None, outcome: None };
        side.perform();
        side
    }

    /// The peer sends this text.
    pub(super) fn hears(&mut self, text: &str) -> &mut Self {
        self.reader.push(text.as_bytes());
        while self.outcome.is_none() {
            match self.reader.poll() {
                Ok(Some(event)) => self.input(Input::Stream(event)),
                Ok(None) => break,
                Err(error) => self.input(Input::Malformed(error)),
            };
        }
        self
    }

    /// The TLS handshake succeeds, and the peer has shown this chain.
    pub(super) fn secure(&mut self, chain: &Chain) -> &mut Self {
        self.secure_at(chain, SystemTime::now())
    }

    pub(super) fn secure_at(&mut self, chain: &Chain, at: SystemTime) -> &mut Self {
        assert!(self.tls.take().is_some(), "TLS was not begun");
        let peer_chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let peer_chain = &peer_chain[..];
        let tls = TlsInfo { peer_chain, version: "TLSv1.3", alpn: None, resumed: false, at, exporter: None };
        self.input(Input::TlsEstablished(tls))
    }

    pub(super) fn fail_tls(&mut self) -> &mut Self {
        self.input(Input::TlsFailed(TlsFailure { reason: "bad_certificate".to_owned(), alert: Some(42) }))
    }

    pub(super) fn disconnect(&mut self) -> &mut Self {
        self.input(Input::Disconnected)
    }

    /// The time that the negotiator waits for comes.
    pub(super) fn expire(&mut self) -> &mut Self {
        self.now = self.negotiator.poll_timeout().expect("no deadline");
        self.input(Input::Timeout)
    }

    /// So much time passes, and the driver wakes up.
    pub(super) fn pass(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self.input(Input::Timeout)
    }

    /// What was said since the last call, with its identifiers masked.
    pub(super) fn says(&mut self) -> String {
        masked(&self.says_exactly())
    }

    /// The same without forgetting it.
    pub(super) fn said_so_far(&self) -> &str {
        &self.said
    }

    pub(super) fn says_exactly(&mut self) -> String {
        std::mem::take(&mut self.said)
    }

    pub(super) fn failure(&self) -> &NegotiationFailure {
        self.outcome.as_ref().expect("not over").as_ref().expect_err("established")
    }

    pub(super) fn established(&self) -> &Established {
        match self.outcome.as_ref().expect("not over").as_ref().expect("failed") {
            Received::Proved(established) => established,
            Received::Claimed(claim) => panic!("only claimed: {claim:?}"),
        }
    }

    pub(super) fn claim(&self) -> &Claim {
        match self.outcome.as_ref().expect("not over").as_ref().expect("failed") {
            Received::Claimed(claim) => claim,
            Received::Proved(established) => panic!("proved: {established:?}"),
        }
    }

    /// As the driver does it: first all outputs, then the error.
    fn input(&mut self, input: Input<'_>) -> &mut Self {
        let result = self.negotiator.handle(self.now, input);
        self.perform();
        if let Err(failure) = result {
            if let Some(error) = failure.stream_error() {
                self.said.push_str(&error.to_element().to_stream_xml());
                self.said.push_str(END);
            }
            self.outcome = Some(Err(failure));
        }
        if self.outcome.is_some() {
            assert_eq!(self.negotiator.poll_timeout(), None);
        }
        self
    }

    fn perform(&mut self) {
        while let Some(output) = self.negotiator.poll_output() {
            match output {
                Output::Send(element) => self.said.push_str(&element.to_stream_xml()),
                Output::OpenStream(header) => self.said.push_str(&header.write()),
                Output::StartTls(start) => self.tls = Some(start),
                Output::RestartStream => self.reader.reset(),
                Output::Established(established) => self.outcome = Some(Ok(established.into())),
                Output::Close(error) => {
                    assert_eq!(error, None, "errors come from failures");
                    self.said.push_str(END);
                }
            }
        }
    }
}

pub(super) fn dialing(config: InitiatingConfig) -> Side<Initiating> {
    let now = Instant::now();
    Side::new(Initiating::new(config, world().verifier.clone(), now), now)
}

pub(super) fn listening(domains: &[&str]) -> Side<Receiving> {
    let domains = domains.iter().map(|name| domain(name)).collect();
    answering(ReceivingConfig::new(domains, 65_536))
}

pub(super) fn answering(config: ReceivingConfig) -> Side<Receiving> {
    let now = Instant::now();
    Side::new(Receiving::new(config, world().verifier.clone(), now), now)
}

/// `a.example` dials `b.example`, with changes.
pub(super) fn a_dials_b_with(change: impl FnOnce(&mut InitiatingConfig)) -> Side<Initiating> {
    let mut config = InitiatingConfig::new(domain("a.example"), domain("b.example"));
    change(&mut config);
    dialing(config)
}

/// `b.example` listens, with changes.
pub(super) fn b_listens_with(change: impl FnOnce(&mut ReceivingConfig)) -> Side<Receiving> {
    let mut config = ReceivingConfig::new([domain("b.example")].into(), 65_536);
    change(&mut config);
    answering(config)
}

/// `a.example` dials `b.example`.
pub(super) fn a_dials_b() -> Side<Initiating> {
    dialing(InitiatingConfig::new(domain("a.example"), domain("b.example")))
}

/// `b.example` listens.
pub(super) fn b_listens() -> Side<Receiving> {
    listening(&["b.example"])
}

/// Two sides and what went over the wire.
pub(super) struct Pair {
    pub(super) initiating: Side<Initiating>,
    pub(super) receiving: Side<Receiving>,
    /// The turns of the conversation: who (`I` or `R`), and what.
    pub(super) transcript: Vec<(char, String)>,
}

impl Pair {
    pub(super) fn new(initiating: Side<Initiating>, receiving: Side<Receiving>) -> Self {
        Self { initiating, receiving, transcript: Vec::new() }
    }

    /// Carries texts and handshakes until nobody says anything more; a conversation has a bounded number of turns.
    pub(super) fn drive(&mut self, initiating_chain: &Chain, receiving_chain: &Chain) -> &mut Self {
        for _ in 0..32 {
            let said = self.initiating.says_exactly();
            let answered = if said.is_empty() { self.receiving.says_exactly() } else { String::new() };
            if !said.is_empty() {
                self.receiving.hears(&said);
                self.transcript.push(('I', said));
            } else if !answered.is_empty() {
                self.initiating.hears(&answered);
                self.transcript.push(('R', answered));
            } else if self.initiating.tls.is_some() && self.receiving.tls.is_some() {
                self.receiving.secure(initiating_chain);
                self.initiating.secure(receiving_chain);
                self.transcript.push(('-', "TLS".to_owned()));
            } else {
                return self;
            }
        }
        panic!("the conversation does not end: {:?}", self.transcript);
    }
}
