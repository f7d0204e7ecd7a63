//! What a connection costs before its peer has authenticated, whatever the peer sends; counted on the thread that serves it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use convoke_counting_allocator::{reset_peak, tally};
use convoke_dev::{CertificateAuthority, Subject};
use convoke_net::{Credentials, Tasks, TlsContext, negotiate};
use convoke_xmpp::negotiation::{Input, Negotiator, Output, TlsStart};
use convoke_xmpp::{Element, Limits, StreamEvent, namespace};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use crate::greeting::{Refusal, SOON, b, header_of_a};
use crate::tls::client;
use crate::tls_versions::padded_client_hello;

/// What a connection may cost, its task and its TLS state included; the TLS library's buffers in a handshake are extra.
const BYTES: i64 = 64 * 1024;

/// What the attacks below send if nobody stops them.
const ATTACK_BYTES: usize = 2 * 1024 * 1024;

/// The worst negotiator: it never refuses anything, and so leaves it to the driver to be careful.
struct Patient {
    outputs: VecDeque<Output<()>>,
    deadline: Instant,
}

impl Patient {
    fn new() -> Self {
        Self { outputs: VecDeque::new(), deadline: Instant::now() + SOON }
    }
}

impl Negotiator for Patient {
    type Established = ();
    type Error = Refusal;

    fn handle(&mut self, _: Instant, input: Input<'_>) -> Result<(), Refusal> {
        match input {
            Input::Stream(StreamEvent::Element(element)) if element.is("starttls", namespace::TLS) => {
                self.outputs.push_back(Output::Send(Element::new("proceed", namespace::TLS)));
                self.outputs.push_back(Output::StartTls(TlsStart::Receiving { local: Some(b()), alpn: None }));
            }
            // Every restart is a chance to begin again.
            Input::Stream(StreamEvent::Element(element)) if element.is("restart", namespace::SASL) => {
                self.outputs.push_back(Output::RestartStream);
            }
            Input::Malformed(error) => return Err(Refusal::Loud(error.to_string())),
            Input::TlsFailed(failure) => return Err(Refusal::Loud(failure.reason)),
            Input::TlsEstablished(_) => {
                // The handshake's buffers have been, and what stays of them counts.
                reset_peak();
            }
            _ => {}
        }
        Ok(())
    }

    fn poll_output(&mut self) -> Option<Output<()>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.deadline)
    }
}

/// A server on a thread of its own, which serves one connection after the other and tells what each came to.
struct Server {
    address: std::net::SocketAddr,
    authority: CertificateAuthority,
    ended: mpsc::Receiver<Cost>,
}

/// What one connection cost at most and what is left of it, in bytes, and how it ended.
#[derive(Debug)]
struct Cost {
    peak: i64,
    left: i64,
    end: String,
}

impl Server {
    fn start() -> Self {
        let authority = CertificateAuthority::new("Test CA").unwrap();
        let issued = authority.issue(&Subject::domain("b.example")).unwrap();
        let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
        let tls = TlsContext::new([(b(), credentials)]).unwrap();
        let (tell, told) = mpsc::channel();
        let (finished, ended) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                serve(listener, tls, finished).await;
            });
        });
        Self { address: told.recv().unwrap(), authority, ended }
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
    }

    /// Attacks a fresh connection with this text, until it is over or the server has had enough.
    fn attack(&self, text: impl IntoIterator<Item = Vec<u8>>) -> Cost {
        self.finish(self.connect(), text)
    }

    /// The same within TLS.
    fn attack_within_tls(&self, text: impl IntoIterator<Item = Vec<u8>>) -> Cost {
        let mut socket = self.connect();
        start_tls(&mut socket);
        let name = ServerName::try_from("b.example").unwrap();
        let tls = ClientConnection::new(client(&self.authority, &TLS13), name).unwrap();
        self.finish(StreamOwned::new(tls, socket), text)
    }

    fn finish(&self, mut stream: impl Write, text: impl IntoIterator<Item = Vec<u8>>) -> Cost {
        // Writing fails once the server has closed.
        let _ = text.into_iter().try_for_each(|piece| stream.write_all(&piece).and_then(|()| stream.flush()));
        drop(stream);
        self.ended.recv_timeout(SOON).unwrap()
    }
}

/// One connection at a time: what is live when one begins is the measure for its end.
async fn serve(listener: TcpListener, tls: TlsContext, finished: mpsc::Sender<Cost>) {
    let tasks = Tasks::new();
    loop {
        let before = reset_peak();
        let (stream, _) = listener.accept().await.unwrap();
        let (tell, told) = oneshot::channel();
        let tls = tls.clone();
        tasks.spawn(async move {
            let _ = tell.send(negotiate(Patient::new(), stream, &tls, Limits::before_authentication()).await);
        });
        let outcome = told.await.unwrap();
        let peak = tally().peak - before;
        let end = outcome.unwrap_err().to_string();
        // The task ends behind its last word.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let left = tally().live - before - end.capacity() as i64;
        if finished.send(Cost { peak, left, end }).is_err() {
            return;
        }
    }
}

fn start_tls(socket: &mut TcpStream) {
    socket.write_all(header_of_a().as_bytes()).unwrap();
    socket.write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
}

/// The header of a good stream, and behind it the same piece again and again.
fn behind_header(piece: &str) -> impl Iterator<Item = Vec<u8>> + use<> {
    endless(&header_of_a(), piece)
}

fn endless(head: &str, piece: &str) -> impl Iterator<Item = Vec<u8>> + use<> {
    let pieces = (4000 / piece.len()).max(1);
    let block = piece.repeat(pieces).into_bytes();
    let blocks = ATTACK_BYTES / block.len();
    std::iter::once(head.as_bytes().to_vec()).chain(std::iter::repeat_n(block, blocks))
}

/// Names differ: a parser that compares them all has the most to do.
fn attributes(name: &str) -> Vec<Vec<u8>> {
    (0..50_000).map(|number| format!(" {name}{number}='{number}'").into_bytes()).collect()
}

fn with_head(head: &str, rest: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    std::iter::once(head.as_bytes().to_vec()).chain(rest).collect()
}

/// Every way of sending much that this author could think of, each with its name.
fn attacks() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let open = "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'";
    let behind_header = |piece| behind_header(piece).collect::<Vec<_>>();
    vec![
        ("a start tag without end", endless("<", "a").collect()),
        ("a huge attribute of the stream", endless(&format!("{open} to='"), "x").collect()),
        ("many attributes of the stream", with_head(open, attributes("a"))),
        ("many namespaces of the stream", with_head(open, attributes("xmlns:a"))),
        ("no XML", endless("", "\u{0}").collect()),
        ("space ahead of the stream", endless("", " ").collect()),
        ("an XML declaration without end", endless("<?xml version='1.0'", " ").collect()),
        ("space between elements", behind_header(" \n")),
        ("a huge attribute", endless(&format!("{}<a b='", header_of_a()), "x").collect()),
        ("many attributes", with_head(&format!("{}<a", header_of_a()), attributes("b"))),
        ("many namespaces", with_head(&format!("{}<a", header_of_a()), attributes("xmlns:b"))),
        ("an element of endless text", endless(&format!("{}<a>", header_of_a()), "x").collect()),
        ("an element of endless references", endless(&format!("{}<a>", header_of_a()), "&amp;").collect()),
        ("an element of endless CDATA", endless(&format!("{}<a><![CDATA[", header_of_a()), "]").collect()),
        ("deep nesting", behind_header("<a>")),
        ("many small elements", behind_header("<a/>")),
        ("many small children", endless(&format!("{}<a>", header_of_a()), "<b/>").collect()),
        ("many stanzas", behind_header("<message><body>x</body></message>")),
        (
            "one byte after the other",
            format!("{}<a b='{}", header_of_a(), "x".repeat(20_000)).bytes().map(|b| vec![b]).collect(),
        ),
        ("restarts", behind_header(&format!("<restart xmlns='{}'/>{}", namespace::SASL, header_of_a()))),
        (
            "bytes behind starttls",
            endless(&format!("{}<starttls xmlns='{}'/>", header_of_a(), namespace::TLS), "x").collect(),
        ),
    ]
}

/// CVE-2021-32918 and CVE-2026-43507 of Prosody, CVE-2025-59375 of expat: little is held however much is sent.
#[test]
fn whatever_is_sent_costs_less_than_64_kib() {
    let server = Server::start();
    for (name, text) in attacks() {
        let cost = server.attack(text.clone());
        println!("{name}: {cost:?}");
        assert!(cost.peak < BYTES, "{name}: {cost:?}");
        let cost = server.attack_within_tls(text);
        println!("{name}, within TLS: {cost:?}");
        assert!(cost.peak < BYTES, "{name}, within TLS: {cost:?}");
    }
}

/// CVE-2026-43506 of Prosody: what a connection took is given back when it ends.
#[test]
fn connections_that_come_and_go_leave_nothing() {
    let server = Server::start();
    let text = || endless(&format!("{}<a b='", header_of_a()), "x").take(2);
    let cost = |number| if number % 2 == 0 { server.attack(text()) } else { server.attack_within_tls(text()) };
    // The runtime grows its tables at first.
    (0..64).for_each(|number| drop(cost(number)));
    let left: i64 = (0..256).map(|number| cost(number).left).sum();
    // Less than a tenth of what one connection takes: the runtime frees its registrations in batches.
    assert!(left < 8 * 1024, "{left} bytes are left of 256 connections");
}

/// A ClientHello that never ends, in fragments of one byte: most work and most overhead for the TLS library.
fn endless_client_hello() -> impl Iterator<Item = Vec<u8>> {
    let message = [1, 0, 0xff, 0xff].into_iter().chain(std::iter::repeat(0));
    message.map(|byte| vec![22, 3, 1, 0, 1, byte]).take(ATTACK_BYTES / 6)
}

/// Two of these, 40 KB each: the first lacks a key share, and so the server asks for the second (RFC 8446, section 4.1.4).
fn long_client_hellos() -> impl Iterator<Item = Vec<u8>> {
    std::iter::repeat_n(padded_client_hello(0x0303, &[0x0304], 40_000), 2)
}

#[test]
fn a_tls_handshake_may_bring_64_kib_and_holds_little_more() {
    let server = Server::start();
    let handshake = |records: &mut dyn Iterator<Item = Vec<u8>>| {
        let mut socket = server.connect();
        start_tls(&mut socket);
        let cost = server.finish(socket, records);
        println!("{cost:?}");
        assert!(cost.peak < 4 * BYTES, "{cost:?}");
        cost.end
    };
    assert_eq!(handshake(&mut long_client_hellos()), "more than 65536 bytes of TLS handshake");
    // The library's own limit of one message is met first here.
    assert_eq!(handshake(&mut endless_client_hello()), "message buffer full");
}
