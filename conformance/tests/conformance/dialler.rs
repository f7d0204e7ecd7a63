//! A server that dials, and breaks the rules of initiating entities.

use std::net::SocketAddr;
use std::sync::Arc;

use convoke_net::provider::provider;
use convoke_net::verifier::PossessionVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Its headers: an id of its own, the version of another time, for nobody and from nobody.
const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='mine' \
    version='1.1'>";

/// It acts for somebody else.
const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>b3RoZXIuZXhhbXBsZQ==</auth>";

/// Dials and talks until the end.
pub(crate) async fn dial(checker: SocketAddr) {
    let Ok(mut tcp) = TcpStream::connect(checker).await else { return };
    let mut heard = String::new();
    if !talk(&mut tcp, &mut heard).await {
        return;
    }
    let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let verifier = Arc::new(PossessionVerifier::new(provider()));
    let config = config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    let name = ServerName::try_from("elsewhere.example").unwrap();
    if let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, tcp).await {
        // What was heard in the clear counts within TLS too.
        talk(&mut stream, &mut heard).await;
    }
}

/// Whether TLS is to follow.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, heard: &mut String) -> bool {
    let mut say = HEADER;
    let mut buffer = [0; 4096];
    loop {
        if stream.write_all(say.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return false;
        }
        let answer = loop {
            if let Some(answer) = answer(heard) {
                break answer;
            }
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return false,
                // As much as is sent with `proceed` is read in the clear, so that injected bytes are kept.
                Ok(length) => heard.push_str(&String::from_utf8_lossy(&buffer[..length])),
            }
        };
        match answer {
            Some(text) => say = text,
            None => return true,
        }
    }
}

/// What it says to the first thing that it understands, or `None` within for TLS.
fn answer(heard: &mut String) -> Option<Option<&'static str>> {
    let known =
        ["<required/>", "<proceed", "EXTERNAL</mechanism>", "<success", "<stream:features/>", "<failure", "</stream"];
    let (at, what) = known.iter().filter_map(|what| Some((heard.find(what)?, *what))).min()?;
    heard.drain(..at + what.len());
    match what {
        "<required/>" if heard.contains("</moon") => Some(Some("<message from='server.example' to='nobody'/>")),
        "<required/>" => Some(Some("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")),
        "<proceed" => {
            heard.drain(..heard.find('>').map_or(0, |end| end + 1));
            Some(None)
        }
        "<success" => Some(Some(HEADER)),
        "<stream:features/>" => Some(Some("<message from='server.example' to='nobody'/>")),
        // After a refusal, and to features without anything, it just goes on.
        _ => Some(Some(AUTH)),
    }
}
