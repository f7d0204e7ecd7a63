//! A host that does something wrong on the way to the final features.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use convoke_net::tcp::{TcpListener, TcpStream};
use rcgen::{Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::DIALLED;
use crate::certificates::{authority, certified};
use crate::world::PORT;

/// What a target does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    NobodyListens,
    NeverAnswers,
    BreaksOff,
    SaysNothing,
    SaysNonsense,
    DoesNotServeTheDomain,
    RefusesTls,
    AnswersTlsWithHttp,
    BreaksOffInTls,
    IsSilentInTls,
    RefusesOurCertificateByAlert,
    ShowsAnotherName,
    /// Of an authority of the same name as the one that is trusted, with another key.
    ShowsACertificateOfANamesake,
    GoesDown,
    OffersNoExternal,
    RefusesToAuthenticate,
    HasTooMuchToDo,
    IsSilentAtLast,
    BreaksOffAtLast,
}

use Fault::*;

impl Fault {
    /// Whether only patience tells that it is one.
    pub(super) fn is_silence(self) -> bool {
        matches!(self, NeverAnswers | SaysNothing | IsSilentInTls | IsSilentAtLast)
    }

    /// How often such a host sees whoever dials once.
    pub(super) fn visits(self) -> usize {
        usize::from(!matches!(self, NobodyListens | NeverAnswers))
    }
}

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' id='1' version='1.0' \
    xmlns:stream='http://etherx.jabber.org/streams' from='b.example' to='a.example' xml:lang='en'>";
const END: &str = "</stream:stream>";
const TLS_FEATURES: &str = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
    </stream:features>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const TLS_FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const SASL_FEATURES: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
const SASL_FAILURE: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
const HTTP: &str = "HTTP/1.1 400 Bad Request\r\n\r\n";

/// A host that does one thing wrong, again and again.
#[derive(Clone)]
pub(super) struct Host {
    fault: Fault,
    tls: Arc<ServerConfig>,
    visits: Arc<AtomicUsize>,
}

impl Host {
    /// A host whose certificate is of this authority, with this root, unless that is its fault.
    pub(super) fn new(fault: Fault, issuer: &Issuer<'static, KeyPair>, root: &[u8], visits: Arc<AtomicUsize>) -> Self {
        let (unknown_root, unknown) = authority();
        let name = if fault == ShowsAnotherName { "c.example" } else { DIALLED };
        let (certificate, key) = certified(if fault == ShowsACertificateOfANamesake { &unknown } else { issuer }, name);
        let mut roots = RootCertStore::empty();
        let trusted = if fault == RefusesOurCertificateByAlert { unknown_root } else { root.to_vec() };
        roots.add(CertificateDer::from(trusted)).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let tls = tls.with_client_cert_verifier(verifier.unwrap());
        let tls = Arc::new(tls.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap());
        Self { fault, tls, visits }
    }

    pub(super) async fn serve(self) -> turmoil::Result {
        if self.fault == NobodyListens {
            return std::future::pending().await;
        }
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            self.visits.fetch_add(1, Ordering::Relaxed);
            // Whoever is led astray goes away at some point, in the middle of whatever this is.
            let _ = self.play(stream).await;
        }
    }

    async fn play(&self, mut tcp: TcpStream) -> std::io::Result<()> {
        hear(&mut tcp, "xml:lang='en'>").await?;
        match self.fault {
            BreaksOff => return Ok(()),
            SaysNothing => return silence(tcp).await,
            SaysNonsense => return tcp.write_all(HTTP.as_bytes()).await,
            DoesNotServeTheDomain => return say(&mut tcp, &[HEADER, &stream_error("host-unknown")]).await,
            _ => say(&mut tcp, &[HEADER, TLS_FEATURES]).await?,
        }
        hear(&mut tcp, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await?;
        if self.fault == RefusesTls {
            return say(&mut tcp, &[TLS_FAILURE, END]).await;
        }
        say(&mut tcp, &[PROCEED]).await?;
        self.play_tls(tcp).await
    }

    async fn play_tls(&self, mut tcp: TcpStream) -> std::io::Result<()> {
        if matches!(self.fault, AnswersTlsWithHttp | BreaksOffInTls | IsSilentInTls) {
            // Sooner it would be ahead of the handshake, which is another fault.
            tcp.read_u8().await?;
        }
        match self.fault {
            AnswersTlsWithHttp => say(&mut tcp, &[HTTP]).await,
            BreaksOffInTls => Ok(()),
            IsSilentInTls => silence(tcp).await,
            _ => self.play_sasl(TlsAcceptor::from(Arc::clone(&self.tls)).accept(tcp).await?).await,
        }
    }

    async fn play_sasl(&self, mut tls: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        hear(&mut tls, "xml:lang='en'>").await?;
        match self.fault {
            GoesDown => return say(&mut tls, &[HEADER, &stream_error("system-shutdown")]).await,
            OffersNoExternal => {
                return say(&mut tls, &[HEADER, &SASL_FEATURES.replace("EXTERNAL", "PLAIN")]).await;
            }
            _ => say(&mut tls, &[HEADER, SASL_FEATURES]).await?,
        }
        hear(&mut tls, "</auth>").await?;
        if self.fault == RefusesToAuthenticate {
            return say(&mut tls, &[SASL_FAILURE, END]).await;
        }
        say(&mut tls, &[SUCCESS]).await?;
        hear(&mut tls, "xml:lang='en'>").await?;
        match self.fault {
            HasTooMuchToDo => say(&mut tls, &[HEADER, &stream_error("resource-constraint")]).await,
            IsSilentAtLast => silence(tls).await,
            _ => Ok(()),
        }
    }
}

fn stream_error(condition: &str) -> String {
    format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>{END}")
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), texts: &[&str]) -> std::io::Result<()> {
    stream.write_all(texts.concat().as_bytes()).await?;
    stream.flush().await
}

/// Reads until this has been said.
async fn hear(stream: &mut (impl AsyncRead + Unpin), until: &str) -> std::io::Result<()> {
    let mut heard = Vec::new();
    while !heard.ends_with(until.as_bytes()) {
        heard.push(stream.read_u8().await?);
    }
    Ok(())
}

/// Says nothing more until the other side has gone.
async fn silence(mut stream: impl AsyncRead + Unpin) -> std::io::Result<()> {
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}
