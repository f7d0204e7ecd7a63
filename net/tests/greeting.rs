//! A tiny negotiation: stream headers, STARTTLS, headers again, an empty `features`; and sockets to run it on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use convoke_dev::{CertificateAuthority, Subject};
use convoke_net::session::{End, SessionHandler, SessionSettings, Stop, run};
use convoke_net::{Connection, Credentials, Negotiated, NegotiationError, Outbox, TlsContext, negotiate};
use convoke_xmpp::negotiation::{Failure, Input, Negotiator, Output, TlsStart};
use convoke_xmpp::stream::{Features, StreamCondition, StreamError, StreamHeader};
use convoke_xmpp::{Domainpart, Element, Limits, Stanza, StreamEvent, namespace};
use tokio::net::{TcpListener, TcpStream};

/// Nothing in these tests takes as long.
pub(crate) const SOON: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Told by a stream error.
    #[error("{0}")]
    Loud(String),
    /// Told by the outputs.
    #[error("the peer aborts")]
    Quiet,
}

impl Failure for Refusal {
    fn stream_error(&self) -> Option<StreamError> {
        let told = StreamError::new(StreamCondition::NotAuthorized).with_text("no");
        matches!(self, Self::Loud(_)).then_some(told)
    }
}

/// What TLS told: the peer's certificates, the version, the exporter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Told {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) version: &'static str,
    pub(crate) exporter: Option<[u8; 32]>,
    pub(crate) resumed: bool,
}

pub(crate) struct Greeting {
    initiates: bool,
    tls: bool,
    encrypted: bool,
    restarts: bool,
    outputs: VecDeque<Output<Told>>,
    told: Told,
    timeout: Option<Instant>,
}

impl Greeting {
    pub(crate) fn new(initiates: bool, tls: bool) -> Self {
        let outputs = VecDeque::new();
        let (encrypted, told) = (!tls, Told::default());
        let mut greeting = Self { initiates, tls, encrypted, restarts: false, outputs, told, timeout: None };
        if initiates {
            greeting.open();
        }
        greeting
    }

    pub(crate) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(Instant::now() + timeout);
        self
    }

    /// Establishes nothing: the peer may restart the stream as often as it likes.
    pub(crate) fn with_restarts(mut self) -> Self {
        self.restarts = true;
        self
    }

    fn open(&mut self) {
        let (from, to) = if self.initiates { (a(), b()) } else { (b(), a()) };
        self.outputs.push_back(Output::OpenStream(StreamHeader::server(Some(&from), Some(&to))));
    }

    fn send(&mut self, element: Element) {
        self.outputs.push_back(Output::Send(element));
    }

    fn established(&mut self) {
        self.outputs.push_back(Output::Established(self.told.clone()));
    }

    fn start_tls(&mut self) {
        let start = match self.initiates {
            true => TlsStart::Initiating { local: a(), remote: b(), alpn: None },
            false => TlsStart::Receiving { local: Some(b()), alpn: None },
        };
        self.outputs.push_back(Output::StartTls(start));
    }

    fn stream(&mut self, event: StreamEvent) -> Result<(), Refusal> {
        match event {
            StreamEvent::Open(_) if self.initiates => match self.encrypted {
                true => {}
                false => self.send(Element::new("starttls", namespace::TLS)),
            },
            StreamEvent::Open(_) if self.restarts => self.open(),
            StreamEvent::Element(element) if element.is("restart", namespace::SASL) => {
                self.send(Element::new("success", namespace::SASL));
                self.outputs.push_back(Output::RestartStream);
            }
            StreamEvent::Open(_) => {
                self.open();
                if self.encrypted {
                    self.send(Features::element());
                    self.established();
                }
            }
            StreamEvent::Element(element) if element.is("starttls", namespace::TLS) => {
                self.send(Element::new("proceed", namespace::TLS));
                self.start_tls();
            }
            StreamEvent::Element(element) if element.is("proceed", namespace::TLS) => self.start_tls(),
            StreamEvent::Element(element) if element.is("features", namespace::STREAM) => self.established(),
            StreamEvent::Element(element) if element.is("abort", namespace::SASL) => {
                self.send(Element::new("failure", namespace::SASL));
                self.outputs.push_back(Output::Close(None));
                return Err(Refusal::Quiet);
            }
            other => return Err(Refusal::Loud(format!("{other:?}"))),
        }
        Ok(())
    }
}

impl Negotiator for Greeting {
    type Established = Told;
    type Error = Refusal;

    fn handle(&mut self, _: Instant, input: Input<'_>) -> Result<(), Refusal> {
        match input {
            Input::Stream(event) => self.stream(event)?,
            Input::TlsEstablished(info) => {
                self.encrypted = true;
                self.told = Told {
                    chain: info.peer_chain.iter().map(|der| der.to_vec()).collect(),
                    version: info.version,
                    exporter: info.exporter,
                    resumed: info.resumed,
                };
                if self.initiates {
                    self.open();
                }
            }
            Input::Disconnected => {}
            Input::Timeout => {}
            other => return Err(Refusal::Loud(format!("{other:?} with TLS {}", self.tls))),
        }
        Ok(())
    }

    fn poll_output(&mut self) -> Option<Output<Told>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timeout
    }
}

pub(crate) fn a() -> Domainpart {
    Domainpart::new("a.example").unwrap()
}

pub(crate) fn b() -> Domainpart {
    Domainpart::new("b.example").unwrap()
}

/// Both domains, with certificates of one authority; first the certificates as DER.
pub(crate) fn tls() -> ([Vec<u8>; 2], TlsContext) {
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let credentials = [a(), b()].map(|domain| {
        let issued = authority.issue(&Subject::domain(domain.as_str())).unwrap();
        (domain, Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap())
    });
    let chains = credentials.each_ref().map(|(_, credentials)| credentials.chain()[0].to_vec());
    (chains, TlsContext::new(credentials).unwrap())
}

/// The two ends of one TCP connection.
pub(crate) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

pub(crate) type Outcome = Result<Negotiated<Told>, NegotiationError<Refusal>>;

pub(crate) async fn initiate(socket: TcpStream, tls: &TlsContext) -> Outcome {
    negotiate(Greeting::new(true, true), socket, tls, Limits::default()).await
}

pub(crate) async fn receive(socket: TcpStream, tls: &TlsContext) -> Outcome {
    negotiate(Greeting::new(false, true), socket, tls, Limits::default()).await
}

/// Two ends of a negotiated stream.
pub(crate) async fn connections() -> (Connection, Connection) {
    let (_, tls) = tls();
    let (near, far) = sockets().await;
    let (near, far) = tokio::join!(initiate(near, &tls), receive(far, &tls));
    (near.unwrap().connection, far.unwrap().connection)
}

/// A negotiated stream whose other end is a bare socket, without TLS; the peer's negotiation has been read.
pub(crate) async fn connection_to_raw_peer() -> (Connection, TcpStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    let header = StreamHeader::server(Some(&b()), Some(&a())).write();
    let raw = async {
        far.write_all(header.as_bytes()).await.unwrap();
        let mut seen = String::new();
        while !seen.contains("<stream:features") {
            let mut bytes = [0; 512];
            let length = far.read(&mut bytes).await.unwrap();
            assert!(length > 0, "{seen}");
            seen.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
        }
    };
    let receiving = negotiate(Greeting::new(false, false), near, &tls, Limits::default());
    let (negotiated, ()) = tokio::join!(receiving, raw);
    (negotiated.unwrap().connection, far)
}

/// The stream header of the initiating entity.
pub(crate) fn header_of_a() -> String {
    StreamHeader::server(Some(&a()), Some(&b())).write()
}

/// Takes whatever comes.
struct Nobody;

impl SessionHandler for Nobody {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        Ok(())
    }
}

/// Runs a session that does nothing with what it is sent.
pub(crate) async fn carry(connection: Connection, outbox: &Outbox, settings: SessionSettings, stop: &Stop) -> End {
    let mut nobody = Nobody;
    run(connection, outbox, &mut nobody, settings, stop).await
}
