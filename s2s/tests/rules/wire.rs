//! A connection whose bytes are the test's own, in the clear and within TLS.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use convoke_dev::{CertificateAuthority, Issued};
use convoke_net::pem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::world::SOON;

pub(crate) const STREAM: &str = "http://etherx.jabber.org/streams";
pub(crate) const SASL: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";
pub(crate) const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(crate) const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(crate) const TLS_FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(crate) const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
pub(crate) const CHALLENGE: &str = "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
pub(crate) const FEATURES_END: &str = "</stream:features>";
pub(crate) const END: &str = "</stream:stream>";
pub(crate) const TLS_FEATURES: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/>\
    </starttls></stream:features>";
pub(crate) const SASL_FEATURES: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
pub(crate) const NO_FEATURES: &str = "<stream:features/>";

/// The header of an initiating entity.
pub(crate) fn header(from: &str, to: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='{STREAM}' from='{from}' to='{to}' \
         version='1.0' xml:lang='en'>"
    )
}

/// The header of a receiving entity.
pub(crate) fn answer(from: &str, to: &str, id: &str) -> String {
    header(from, to).replace(" version='1.0' xml", &format!(" id='{id}' version='1.0' xml"))
}

/// `auth` with this text.
pub(crate) fn auth(response: &str) -> String {
    format!("<auth {SASL} mechanism='EXTERNAL'>{response}</auth>")
}

pub(crate) fn sasl_failure(condition: &str) -> String {
    format!("<failure {SASL}><{condition}/></failure>")
}

/// The same as what was said, without the texts for people, of which there has to be one in each failure of SASL.
pub(crate) fn without_texts(said: &str) -> String {
    let mut parts = said.split("<text xml:lang='en'>");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest: Vec<_> = parts.map(|part| part.split_once("</text>").unwrap()).collect();
    assert_eq!(rest.len(), said.matches("</failure>").count(), "{said}");
    rest.iter().fold(first, |all, (text, rest)| {
        assert!(!text.is_empty());
        all + rest
    })
}

/// The values of this attribute in a text, in order.
pub(crate) fn values<'a>(text: &'a str, attribute: &str) -> Vec<&'a str> {
    let opening = format!(" {attribute}='");
    text.split(opening.as_str()).skip(1).map(|rest| rest.split('\'').next().unwrap()).collect()
}

/// The condition of the one stream error in the text, which the stream's end follows.
pub(crate) fn stream_error(text: &str) -> &str {
    assert_eq!(text.matches("<stream:error>").count(), 1, "{text}");
    assert_eq!(text.matches(END).count(), 1, "{text}");
    assert!(text.ends_with(END), "{text}");
    let (_, error) = text.split_once("<stream:error><").unwrap();
    error.split([' ', '/', '>']).next().unwrap()
}

/// How a connection came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The peer said that it would send nothing more: by `close_notify` within TLS, by FIN without.
    Said,
    /// The connection broke, or TLS was not ended by `close_notify`.
    Broken,
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

pub(crate) enum Wire {
    Plain(TcpStream, Vec<u8>),
    Tls(Box<TlsStream<TcpStream>>, Vec<u8>),
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::Plain(TcpStream::connect(address).await.unwrap(), Vec::new())
    }

    pub(crate) fn accepted(socket: TcpStream) -> Self {
        Self::Plain(socket, Vec::new())
    }

    pub(crate) async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.try_say(text).await.unwrap();
    }

    /// The same to a peer that may have closed already.
    pub(crate) async fn try_say(&mut self, text: impl AsRef<[u8]>) -> std::io::Result<()> {
        let (socket, _) = self.parts();
        let saying = async {
            socket.write_all(text.as_ref()).await?;
            socket.flush().await
        };
        timeout(SOON, saying).await.unwrap()
    }

    /// Reads until this has been heard; gives everything up to it, and it.
    pub(crate) async fn hear(&mut self, until: &str) -> String {
        loop {
            let (socket, heard) = self.parts();
            if let Some(at) = find(heard, until.as_bytes()) {
                let rest = heard.split_off(at + until.len());
                return String::from_utf8(std::mem::replace(heard, rest)).unwrap();
            }
            let read = timeout(SOON, socket.read_buf(heard)).await;
            let so_far = String::from_utf8_lossy(heard);
            let length = read.unwrap_or_else(|_| panic!("{until} was not said but {so_far}")).unwrap();
            assert_ne!(length, 0, "{until} was not said but {so_far}");
        }
    }

    /// Everything that is said until the end.
    pub(crate) async fn rest(&mut self) -> String {
        self.ending().await.0
    }

    /// The same, and how the end came.
    pub(crate) async fn ending(&mut self) -> (String, Ending) {
        let (socket, heard) = self.parts();
        let ending = loop {
            match timeout(SOON, socket.read_buf(heard)).await.expect("the connection does not end") {
                Ok(0) => break Ending::Said,
                // As a polite peer does it, who has nothing more to say either; the other side need not wait.
                Ok(_) if heard.ends_with(END.as_bytes()) => socket.shutdown().await.unwrap_or_default(),
                Ok(_) => {}
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
                    break Ending::Broken;
                }
            }
        };
        (String::from_utf8(std::mem::take(heard)).unwrap(), ending)
    }

    /// The bytes until the end, whatever they are.
    pub(crate) async fn bytes(&mut self) -> Vec<u8> {
        let (socket, heard) = self.parts();
        // The end may be a reset.
        while !matches!(timeout(SOON, socket.read_buf(heard)).await.unwrap(), Ok(0) | Err(_)) {}
        std::mem::take(heard)
    }

    /// Says that nothing more will be said: `close_notify` within TLS, FIN.
    pub(crate) async fn shut(&mut self) {
        // The peer may have closed already.
        let _ = timeout(SOON, self.parts().0.shutdown()).await.unwrap();
    }

    /// Shakes hands as TLS client of this name.
    pub(crate) async fn secured_as_client(self, config: ClientConfig, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, self.into_tcp());
        Self::Tls(Box::new(timeout(SOON, handshake).await.unwrap().unwrap().into()), Vec::new())
    }

    /// Shakes hands as TLS server.
    pub(crate) async fn secured_as_server(self, config: ServerConfig) -> Self {
        let handshake = TlsAcceptor::from(Arc::new(config)).accept(self.into_tcp());
        Self::Tls(Box::new(timeout(SOON, handshake).await.unwrap().unwrap().into()), Vec::new())
    }

    pub(crate) fn tls(&self) -> &TlsStream<TcpStream> {
        match self {
            Self::Plain(..) => panic!("in the clear"),
            Self::Tls(stream, _) => stream,
        }
    }

    pub(crate) fn into_tcp(self) -> TcpStream {
        match self {
            Self::Plain(socket, heard) => {
                assert!(heard.is_empty(), "said too much: {}", String::from_utf8_lossy(&heard));
                socket
            }
            Self::Tls(..) => panic!("encrypted already"),
        }
    }

    fn parts(&mut self) -> (&mut dyn Socket, &mut Vec<u8>) {
        match self {
            Self::Plain(socket, heard) => (socket, heard),
            Self::Tls(stream, heard) => (stream, heard),
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn roots(authority: &CertificateAuthority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let root = pem::certificates_in(authority.certificate_pem().as_bytes(), "ca.pem".as_ref()).unwrap();
    root.into_iter().for_each(|root| roots.add(root).unwrap());
    roots
}

fn credentials(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = pem::certificates_in(issued.chain_pem.as_bytes(), "chain.pem".as_ref()).unwrap();
    (chain, pem::private_key_in(issued.key_pem.as_bytes(), "key.pem".as_ref()).unwrap())
}

/// A client that trusts the authority and shows this certificate, if any.
pub(crate) fn client(authority: &CertificateAuthority, shown: Option<&Issued>) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots(authority));
    match shown.map(credentials) {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    }
}

/// A server that shows this certificate and wants one of the authority.
pub(crate) fn server(authority: &CertificateAuthority, shown: &Issued) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let roots = Arc::new(roots(authority));
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let (chain, key) = credentials(shown);
    builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap()
}
