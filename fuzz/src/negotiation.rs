//! The server-to-server negotiation, in both roles, against any bytes and any outcome of TLS.
//!
//! The input is a script: its first byte chooses the role and what this side wants, and then the byte 0xFF, which no UTF-8 holds, makes what
//! follows it an [`Event`] of the connection rather than bytes from the peer.

use std::fmt::Debug;
use std::time::Instant;

use convoke_s2s::negotiation::Received;
use convoke_s2s::{Established, Initiating, InitiatingConfig, NegotiationFailure, Receiving, ReceivingConfig};
use convoke_xmpp::negotiation::{Failure, Input, Negotiator, Output, TlsFailure, TlsInfo};
use convoke_xmpp::stream::StreamHeader;
use convoke_xmpp::{Domainpart, Limits, StreamReader};

use crate::proofs::{Chain, handshake_time, proofs};

/// What one negotiation says at most by itself, headers, features and an error with its text; and for each byte heard.
const SAID_AT_MOST: usize = 32 * 1024;
const SAID_PER_BYTE_HEARD: usize = 8;

/// The bits of the first byte: which role, TLS first, and every extension.
const DIALER: u8 = 1;
const DIRECT_TLS: u8 = 2;
const EXTENDED: u8 = 4;

/// Plays a script to a listener or a dialer.
pub fn negotiation(data: &[u8]) {
    let Some((&selector, script)) = data.split_first() else { return };
    let (now, verifier) = (Instant::now(), proofs().verifier.clone());
    let (direct_tls, extended) = (selector & DIRECT_TLS > 0, selector & EXTENDED > 0);
    if selector & DIALER == 0 {
        let mut config = ReceivingConfig::new([domain("b.example"), domain("c.example")].into(), 65_536);
        (config.direct_tls, config.bidi) = (direct_tls, extended);
        (config.stream_management, config.dialback) = (extended, extended);
        Connection::new(Receiving::new(config, verifier, now), direct_tls, now).play(script);
    } else {
        let mut config = InitiatingConfig::new(domain("a.example"), domain("b.example"));
        (config.direct_tls, config.bidi) = (direct_tls, extended);
        (config.max_bytes, config.dialback) = (extended.then_some(65_536), extended);
        Connection::new(Initiating::new(config, verifier, now), direct_tls, now).play(script);
    }
}

fn domain(name: &str) -> Domainpart {
    Domainpart::new(name).expect("a domain")
}

/// What happens to a connection.
enum Event<'a> {
    /// The peer sends these bytes.
    Bytes(&'a [u8]),
    /// TLS succeeds; the certificates, and the domain that they prove, if any.
    Secured(Chain, Option<&'static str>),
    TlsFailed,
    Disconnected,
    /// The deadline comes.
    Deadline,
}

/// Takes the next event off the script.
fn next_event<'a>(script: &mut &'a [u8]) -> Option<Event<'a>> {
    let (&first, rest) = script.split_first()?;
    if first == 0xff
        && let Some((&code, rest)) = rest.split_first()
        && let Some(event) = event(code, rest)
    {
        *script = if code == b'X' { rest.get(2..).unwrap_or_default() } else { rest };
        return Some(event);
    }
    let length = 1 + rest.iter().position(|byte| *byte == 0xff).unwrap_or(rest.len());
    let (bytes, behind) = script.split_at(length);
    *script = behind;
    Some(Event::Bytes(bytes))
}

fn event(code: u8, operand: &[u8]) -> Option<Event<'static>> {
    let proofs = proofs();
    let unproved = |chain| Event::Secured(chain, None);
    Some(match code {
        b'A' => Event::Secured(proofs.a.clone(), Some("a.example")),
        b'B' => Event::Secured(proofs.b.clone(), Some("b.example")),
        b'C' => Event::Secured([proofs.a.clone(), proofs.b.clone()].concat(), Some("a.example")),
        b'E' => unproved(proofs.expired.clone()),
        b'S' => unproved(proofs.stranger.clone()),
        b'N' => unproved(Chain::new()),
        b'L' => unproved(std::iter::repeat_n(proofs.a.clone(), 12).flatten().collect()),
        b'X' => unproved(damaged(&proofs.a, operand)),
        b'F' => Event::TlsFailed,
        b'D' => Event::Disconnected,
        b'W' => Event::Deadline,
        _ => return None,
    })
}

/// The chain with one bit of its first certificate changed.
fn damaged(chain: &Chain, operand: &[u8]) -> Chain {
    let number = |at: usize| usize::from(operand.get(at).copied().unwrap_or_default());
    let mut chain = chain.clone();
    if let Some(certificate) = chain.first_mut() {
        let bit = (number(0) << 8 | number(1)) % (certificate.len() * 8);
        certificate[bit / 8] ^= 1 << (bit % 8);
    }
    chain
}

/// One side with the reader that its driver would have, and what was seen of it.
struct Connection<N> {
    negotiator: N,
    /// Whether there is no stream before TLS.
    direct_tls: bool,
    reader: StreamReader,
    now: Instant,
    /// The domain that the certificates of the latest handshake prove.
    proved: Option<&'static str>,
    /// What this side says on the stream in force.
    stream: String,
    heard: usize,
    said: usize,
    opened: usize,
    restarted: usize,
    over: bool,
}

impl<N: Negotiator<Established: Into<Received> + Debug, Error = NegotiationFailure>> Connection<N> {
    fn new(negotiator: N, direct_tls: bool, now: Instant) -> Self {
        let reader = StreamReader::new(Limits::before_authentication());
        let (proved, stream) = (None, String::new());
        Self {
            negotiator,
            direct_tls,
            reader,
            now,
            proved,
            stream,
            heard: 0,
            said: 0,
            opened: 0,
            restarted: 0,
            over: false,
        }
    }

    fn play(mut self, mut script: &[u8]) {
        self.perform();
        while !self.over
            && let Some(event) = next_event(&mut script)
        {
            self.happens(event);
        }
        if !self.over {
            assert!(self.negotiator.poll_timeout().is_some(), "a negotiation without a deadline");
            self.happens(Event::Deadline);
        }
        assert!(self.over, "the deadline does not end it");
        self.stays_over();
        read_back(&self.stream);
    }

    fn happens(&mut self, event: Event<'_>) {
        match event {
            Event::Bytes(bytes) => self.hears(bytes),
            Event::Secured(chain, proved) => self.secured(&chain, proved),
            Event::TlsFailed => {
                self.input(Input::TlsFailed(TlsFailure { reason: "bad_certificate".to_owned(), alert: Some(42) }))
            }
            Event::Disconnected => self.input(Input::Disconnected),
            Event::Deadline => {
                self.now = self.negotiator.poll_timeout().unwrap_or(self.now);
                self.input(Input::Timeout);
            }
        }
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.heard += bytes.len();
        self.reader.push(bytes);
        while !self.over {
            match self.reader.poll() {
                Ok(Some(event)) => self.input(Input::Stream(event)),
                Ok(None) => return,
                Err(error) => self.input(Input::Malformed(error)),
            }
        }
    }

    fn secured(&mut self, chain: &Chain, proved: Option<&'static str>) {
        self.proved = proved;
        let chain: Vec<&[u8]> = chain.iter().map(Vec::as_slice).collect();
        let (at, version) = (handshake_time(), "TLSv1.3");
        self.input(Input::TlsEstablished(TlsInfo {
            peer_chain: &chain,
            version,
            alpn: None,
            resumed: false,
            at,
            exporter: None,
        }));
    }

    /// As the driver does it: first all outputs, then the error.
    fn input(&mut self, input: Input<'_>) {
        let result = self.negotiator.handle(self.now, input);
        self.perform();
        if let Err(failure) = result {
            assert!(!self.over, "established, and failed: {failure}");
            self.over = true;
            if let Some(error) = failure.stream_error() {
                self.says(&error.to_element().to_stream_xml());
            }
        }
        let bound = SAID_AT_MOST + SAID_PER_BYTE_HEARD * self.heard;
        assert!(self.said <= bound, "{} bytes said, {} heard", self.said, self.heard);
    }

    fn perform(&mut self) {
        while let Some(output) = self.negotiator.poll_output() {
            assert!(!self.over, "{output:?} after the end");
            match output {
                Output::Send(element) => self.says(&element.to_stream_xml()),
                Output::OpenStream(header) => self.opens(&header),
                Output::StartTls(_) => self.over = self.reader.buffered() > 0,
                Output::RestartStream => {
                    self.restarted += 1;
                    self.reader.reset();
                }
                Output::Established(established) => match established.into() {
                    Received::Proved(established) => self.establishes(&established),
                    Received::Claimed(claim) => panic!("nobody is left to dialback: {claim:?}"),
                },
                Output::Close(error) => assert_eq!(error, None, "errors come from failures"),
            }
        }
    }

    fn says(&mut self, text: &str) {
        assert!(self.opened > 0, "{text} without a stream");
        self.said += text.len();
        self.stream.push_str(text);
    }

    fn opens(&mut self, header: &StreamHeader) {
        read_back(&std::mem::replace(&mut self.stream, header.write()));
        self.said += self.stream.len();
        self.opened += 1;
    }

    /// The one thing that may never go wrong.
    fn establishes(&mut self, established: &Established) {
        self.over = true;
        assert_eq!(Some(established.identity.domain().as_str()), self.proved, "an identity that nothing proves");
        let opened = if self.direct_tls { 2 } else { 3 };
        assert_eq!((self.opened, self.restarted), (opened, 2), "a stream before TLS, one within, one authenticated");
        assert_eq!(self.negotiator.poll_timeout(), None);
    }

    /// Whatever comes after the end, nothing is said and nothing waited for.
    fn stays_over(&mut self) {
        // A driver that refuses injected bytes forgets its negotiator, which is not over itself.
        if self.negotiator.poll_timeout().is_some() {
            return;
        }
        assert!(self.negotiator.handle(self.now, Input::Disconnected).is_ok(), "it ends twice");
        assert!(self.negotiator.poll_output().is_none(), "it acts after the end");
    }
}

/// What this side says is a good stream itself, whatever of the peer's words is in it.
fn read_back(stream: &str) {
    let mut reader = StreamReader::new(Limits::default());
    reader.push(stream.as_bytes());
    loop {
        match reader.poll() {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => panic!("{error} in what was said: {stream}"),
        }
    }
}
