//! The server-to-server negotiation, in both roles, against any bytes and any outcome of TLS.
//!
//! The input is a script: its first byte chooses the role and what this side wants, and then the byte 0xFF, which no
//! UTF-8 holds, makes what follows it an [`Event`] of the connection rather than bytes from the peer.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use convoke_s2s::dialback::{Dialback, DialbackPolicy, Secret, Subject};
use convoke_s2s::identity::NameKind;
use convoke_s2s::negotiation::{Claim, Received};
use convoke_s2s::{Established, Initiating, InitiatingConfig, NegotiationFailure, Receiving, ReceivingConfig};
use convoke_xmpp::negotiation::{Failure, Input, Negotiator, Output, TlsFailure, TlsInfo};
use convoke_xmpp::stream::StreamHeader;
use convoke_xmpp::{Domainpart, Limits, StreamReader};

use crate::proofs::{Chain, handshake_time, proofs};

/// What one negotiation says at most by itself, headers, features and an error with its text; and for each byte heard.
const SAID_AT_MOST: usize = 32 * 1024;
const SAID_PER_BYTE_HEARD: usize = 8;

/// The bits of the first byte: which role, TLS first, every extension, dialback where certificates prove nothing, and a
/// question in place of a stream for stanzas.
const DIALER: u8 = 1;
const DIRECT_TLS: u8 = 2;
const EXTENDED: u8 = 4;
const KEYS: u8 = 8;
const QUESTION: u8 = 64;

/// For whom dialback is good enough.
const KEYED: [&str; 2] = ["a.example", "*.y.example"];

/// Plays a script to a listener or a dialer.
pub fn negotiation(data: &[u8]) {
    played(data);
}

/// What came of a script; `None` where there is none.
fn played(data: &[u8]) -> Option<Ending> {
    let (&selector, script) = data.split_first()?;
    let (now, verifier) = (Instant::now(), proofs().verifier.clone());
    Some(if selector & DIALER == 0 {
        Connection::new(Receiving::new(receiving(selector), verifier, now), selector, now).play(script)
    } else {
        Connection::new(Initiating::new(initiating(selector), verifier, now), selector, now).play(script)
    })
}

/// How a negotiation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Established(NameKind),
    /// It is for somebody else to say who the peer is.
    Claimed,
    Failed,
}

fn receiving(selector: u8) -> ReceivingConfig {
    let is_set = |bit| selector & bit > 0;
    let domains = KEYED.iter().map(|pattern| pattern.parse().expect("a pattern")).collect();
    ReceivingConfig {
        direct_tls: is_set(DIRECT_TLS),
        bidi: is_set(EXTENDED),
        stream_management: is_set(EXTENDED),
        dialback: is_set(EXTENDED),
        keys: is_set(KEYS).then(|| DialbackPolicy { domains, secret: secret() }),
        ..ReceivingConfig::new([domain("b.example"), domain("c.example")].into(), 65_536)
    }
}

fn initiating(selector: u8) -> InitiatingConfig {
    let is_set = |bit| selector & bit > 0;
    let (local, remote) = (domain("a.example"), domain("b.example"));
    let request = Dialback::request(remote.clone(), local.clone(), secret().key(&local, &remote, "1"));
    InitiatingConfig {
        direct_tls: is_set(DIRECT_TLS),
        bidi: is_set(EXTENDED),
        max_bytes: is_set(EXTENDED).then_some(65_536),
        dialback: is_set(EXTENDED),
        secret: is_set(KEYS).then(secret),
        question: request.verification("1").filter(|_| is_set(QUESTION)),
        ..InitiatingConfig::new(local, remote)
    }
}

fn secret() -> Arc<Secret> {
    Arc::new(Secret::new(b"the same secret in every run of it"))
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
        // What follows comes by another read, as behind whatever restarts the stream it has to.
        b'P' => Event::Bytes(b""),
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
    /// The first byte of the script.
    selector: u8,
    reader: StreamReader,
    now: Instant,
    /// The domain that the certificates of the latest handshake prove.
    proved: Option<&'static str>,
    /// What this side says on the stream in force, and which identifier it has given that.
    stream: String,
    id: Option<String>,
    heard: usize,
    said: usize,
    opened: usize,
    restarted: usize,
    over: bool,
    ending: Ending,
}

impl<N: Negotiator<Established: Into<Received> + Debug, Error = NegotiationFailure>> Connection<N> {
    fn new(negotiator: N, selector: u8, now: Instant) -> Self {
        Self {
            negotiator,
            selector,
            reader: StreamReader::new(Limits::before_authentication()),
            now,
            proved: None,
            stream: String::new(),
            id: None,
            heard: 0,
            said: 0,
            opened: 0,
            restarted: 0,
            over: false,
            ending: Ending::Failed,
        }
    }

    fn play(mut self, mut script: &[u8]) -> Ending {
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
        self.ending
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
                    Received::Claimed(claim) => self.claims(&claim),
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
        self.id.clone_from(&header.id);
        self.said += self.stream.len();
        self.opened += 1;
    }

    /// The one thing that may never go wrong.
    fn establishes(&mut self, established: &Established) {
        self.over = true;
        let identity = &established.identity;
        self.ending = Ending::Established(identity.matched());
        match identity.matched() {
            NameKind::Dialback => assert!(self.is_set(KEYS | DIALER), "an identity by dialback that policy forbids"),
            _ => assert_eq!(Some(identity.domain().as_str()), self.proved, "an identity that nothing proves"),
        }
        let is_asked = ["<db:result ", "<db:verify "].iter().any(|question| self.stream.contains(question));
        let by_verdict = self.selector & DIALER > 0 && is_asked && self.restarted == 1;
        let restarts = if by_verdict { 1 } else { 2 };
        let before_tls = usize::from(!self.is_set(DIRECT_TLS));
        let streams = (before_tls + restarts, restarts);
        assert_eq!((self.opened, self.restarted), streams, "a stream before TLS, one within, one authenticated");
        assert_eq!(self.negotiator.poll_timeout(), None);
        for name in ["a.example", "b.example", "c.example"] {
            let is_taken = established.also(&domain(name), handshake_time()).is_some();
            assert_eq!(is_taken, established.dialback && self.proved == Some(name), "{name} as a further domain");
        }
    }

    /// What is asked of somebody else is about this stream, and about a domain that policy leaves to dialback.
    fn claims(&mut self, claim: &Claim) {
        (self.over, self.ending) = (true, Ending::Claimed);
        assert!(self.is_set(KEYS) && self.selector & DIALER == 0, "a claim that policy forbids: {claim:?}");
        let (local, remote) = (claim.local().as_str(), claim.remote().as_str());
        assert!(remote == "a.example" || remote.ends_with(".y.example"), "a claim that policy forbids: {remote}");
        assert!(["b.example", "c.example"].contains(&local), "a claim towards {local}");
        assert_ne!(Some(remote), self.proved, "a claim of what is proved");
        let (question, id) = (claim.question(), self.id.clone().expect("an identifier"));
        assert_eq!(question.subject, Subject::Verify { id });
        assert_eq!((question.from.as_str(), question.to.as_str()), (local, remote));
        assert_eq!(question.content, claim.request().content);
    }

    /// Whether all of these bits are set.
    fn is_set(&self, bits: u8) -> bool {
        self.selector & bits == bits
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed scripts lead where mutants are to begin.
    #[test]
    fn every_ending_is_reached_by_the_corpus() {
        for (name, expected) in [
            ("receiving-good", Ending::Established(NameKind::Dns)),
            ("receiving-challenge", Ending::Established(NameKind::Dns)),
            ("receiving-equals", Ending::Established(NameKind::Dns)),
            ("receiving-wrong-authzid", Ending::Failed),
            ("initiating-good", Ending::Established(NameKind::Dns)),
            ("receiving-claim", Ending::Claimed),
            ("receiving-claim-none", Ending::Claimed),
            ("receiving-claim-extended", Ending::Claimed),
            ("receiving-claim-direct", Ending::Claimed),
            ("receiving-claim-below", Ending::Claimed),
            ("receiving-claim-other", Ending::Claimed),
            ("receiving-asked", Ending::Claimed),
            ("receiving-asked-proved", Ending::Established(NameKind::Dns)),
            ("receiving-good-extended", Ending::Established(NameKind::Dns)),
            ("initiating-dialback", Ending::Established(NameKind::Dialback)),
            ("initiating-dialback-extended", Ending::Established(NameKind::Dialback)),
            ("initiating-dialback-invalid", Ending::Failed),
            ("initiating-dialback-error", Ending::Failed),
            ("initiating-fallback", Ending::Established(NameKind::Dns)),
            ("initiating-unsolicited", Ending::Failed),
            ("initiating-question", Ending::Established(NameKind::Dialback)),
            ("initiating-question-other", Ending::Failed),
            ("initiating-good-extended", Ending::Established(NameKind::Dns)),
        ] {
            let path = format!("{}/corpus/negotiation/{name}", env!("CARGO_MANIFEST_DIR"));
            let script = std::fs::read(path).expect("a committed input");
            assert_eq!(played(&script), Some(expected), "{name}");
        }
    }
}
