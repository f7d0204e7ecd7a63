//! A server that believes everything and refuses nothing: what a checker has to find.

use std::net::SocketAddr;
use std::sync::Arc;

use convoke_net::Credentials;
use convoke_net::provider::provider;
use convoke_net::verifier::PossessionVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::sign::SingleCertAndKey;

use super::dialler;
use super::world::SERVER;

/// What the server does at what it should refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes it.
    Credulous,
    /// It hangs up, without a word.
    Curt,
}

/// Serves until it is dropped.
pub(crate) struct BadServer {
    _serving: JoinSet<()>,
}

impl BadServer {
    /// Serves on this listener, and dials the checker there when it is asked for something.
    pub(crate) fn serve(listener: TcpListener, credentials: &Credentials, manner: Manner, checker: SocketAddr) -> Self {
        Self { _serving: JoinSet::new() }.and_serve(listener, credentials, manner, checker, false)
    }

    /// Serves on this listener too, with TLS from the first byte on.
    pub(crate) fn and_direct(
        self,
        listener: TcpListener,
        credentials: &Credentials,
        manner: Manner,
        checker: SocketAddr,
    ) -> Self {
        self.and_serve(listener, credentials, manner, checker, true)
    }

    fn and_serve(
        mut self,
        listener: TcpListener,
        credentials: &Credentials,
        manner: Manner,
        checker: SocketAddr,
        direct: bool,
    ) -> Self {
        let tls = TlsAcceptor::from(tls(credentials));
        self._serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                connections.spawn(talk(tcp, tls.clone(), manner, checker, direct));
            }
        });
        self
    }
}

async fn talk(mut tcp: TcpStream, tls: TlsAcceptor, manner: Manner, checker: SocketAddr, direct: bool) {
    let mut dialling = JoinSet::new();
    if !direct && Talk::new(manner, false).run(&mut tcp, || ()).await == After::End {
        return;
    }
    if let Ok(mut stream) = tls.accept(tcp).await {
        let mut talk = Talk::new(manner, true);
        talk.run(&mut stream, || drop(dialling.spawn(dialler::dial(checker)))).await;
    }
}

fn tls(credentials: &Credentials) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(Arc::new(PossessionVerifier::new(provider())));
    Arc::new(config.with_cert_resolver(Arc::new(SingleCertAndKey::from(credentials.certified_key()))))
}

#[derive(Debug, PartialEq, Eq)]
enum After {
    StartTls,
    End,
}

/// The longest text in which something is looked for, in bytes.
const LONGEST: usize = 64 * 1024;

const MANAGEMENT: &str = "urn:xmpp:sm:3";

/// An answer from nobody to nobody.
const PONG: &str = "<iq type='result' id='bidi-ping' from='server.example' to='checker.example'/>";

/// The talk on one connection, by searching in what was heard.
struct Talk {
    manner: Manner,
    secured: bool,
    authenticated: bool,
    heard: String,
}

impl Talk {
    fn new(manner: Manner, secured: bool) -> Self {
        Self { manner, secured, authenticated: false, heard: String::new() }
    }

    /// Talks until the end; `asked` is called for each request.
    async fn run<S>(&mut self, stream: &mut S, mut asked: impl FnMut()) -> After
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = [0; 16 * 1024];
        loop {
            let length = match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return After::End,
                Ok(length) => length,
            };
            self.heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
            if self.heard.len() > LONGEST {
                // A flood holds nothing that it could understand.
                self.heard.clear();
            }
            while let Some((answer, after)) = self.answer(&mut asked) {
                let written = stream.write_all(answer.as_bytes()).await.is_ok() && stream.flush().await.is_ok();
                match after {
                    Some(after) => return after,
                    None if !written => return After::End,
                    None => {}
                }
            }
        }
    }

    /// The answer to the first thing that was heard and is understood; everything before it is passed over.
    fn answer(&mut self, asked: &mut impl FnMut()) -> Option<(String, Option<After>)> {
        let begun = [
            "<stream:stream",
            "<starttls",
            "<auth",
            "<abort",
            "<enable",
            "<resume",
            "<r xmlns='urn:xmpp:sm:3'",
            "</stream",
            "<message",
            "<iq",
            "<presence",
        ];
        let (at, what) = begun.iter().filter_map(|what| Some((self.heard.find(what)?, *what))).min()?;
        let end = at + self.heard[at..].find('>')? + 1;
        let tag: String = self.heard.drain(..end).collect::<String>().split_off(at);
        match what {
            "<stream:stream" => Some((self.header(), None)),
            "<starttls" => {
                Some((" <proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned(), Some(After::StartTls)))
            }
            "<auth" => {
                self.authenticated = true;
                Some((" <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(), None))
            }
            // Whatever is asked for is granted, whenever and however often.
            "<enable" => Some((format!("<enabled xmlns='{MANAGEMENT}' resume='true' id='constant'/>"), None)),
            "<resume" => Some((format!("<resumed xmlns='{MANAGEMENT}' previd='constant' h='7'/>"), None)),
            "<r xmlns='urn:xmpp:sm:3'" => Some((format!("<a xmlns='{MANAGEMENT}' h='7'/>"), None)),
            "<iq" if self.manner == Manner::Credulous => {
                asked();
                // By the stream of the request, whether that was agreed upon or not.
                let answer = if tag.contains("bidi-ping") { PONG } else { "" };
                Some((answer.to_owned(), None))
            }
            "</stream" => Some(("</stream:stream>".to_owned(), None)),
            _ if self.manner == Manner::Curt && !tag.is_empty() => Some((String::new(), Some(After::End))),
            _ => Some((String::new(), None)),
        }
    }

    /// Never the same twice but for what matters: no `to`, no language, one id for all, a version of its own.
    fn header(&self) -> String {
        let features = match (self.secured, self.authenticated) {
            (false, _) => "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            (true, false) => {
                "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>\
                 <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><bidi xmlns='urn:xmpp:features:bidi'/>\
                 <sm xmlns='urn:xmpp:sm:3'/>"
            }
            (true, true) => {
                "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls><sm xmlns='urn:xmpp:sm:3'/>\
                 <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>9999</max-bytes></limits>"
            }
        };
        format!(
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='{SERVER}' \
             id='constant' version='1.1'><stream:features>{features}</stream:features>"
        )
    }
}
