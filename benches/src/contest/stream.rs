//! Streams of the generator: negotiated by the shortest way there is, the same for every server, and then raw bytes.

use std::net::SocketAddr;

use convoke_dev::peers::Service;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{client, server};

use super::identity::Identity;
use crate::Error;

/// How much is read at a time: what a full TLS record holds.
const READ_BYTES: usize = 16 * 1024;

/// A stream to a server, or the beginning of one.
pub(crate) struct Talk<S> {
    pub(crate) socket: S,
    /// What has come and was not asked for yet.
    heard: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, heard: String::new() }
    }

    pub(crate) async fn say(&mut self, xml: &str) -> Result<(), Error> {
        self.socket.write_all(xml.as_bytes()).await?;
        Ok(self.socket.flush().await?)
    }

    /// Waits for one of these, and gives what has come up to its end.
    pub(crate) async fn hear(&mut self, ends: &[&str]) -> Result<String, Error> {
        loop {
            let found = ends.iter().filter_map(|end| Some(self.heard.find(end)? + end.len())).min();
            if let Some(end) = found {
                return Ok(self.heard.drain(..end).collect());
            }
            let refused = ["<stream:error", "<failure"].iter().any(|refusal| self.heard.contains(refusal));
            let mut chunk = [0; READ_BYTES];
            let length = if refused { 0 } else { self.socket.read(&mut chunk).await? };
            if length == 0 {
                return Err(format!("the server ended the stream before {ends:?}: {}", self.heard).into());
            }
            self.heard.push_str(std::str::from_utf8(&chunk[..length])?);
        }
    }

    /// Opens a stream and waits for its features.
    pub(crate) async fn open(&mut self, namespace: &str, from: &str, to: &str) -> Result<String, Error> {
        self.say(&header(namespace, &format!("from='{from}' to='{to}'"))).await?;
        self.hear(&["</stream:features>", "<stream:features/>"]).await
    }

    /// The socket, where nothing may have come ahead of time.
    fn upgrade(self) -> Result<S, Error> {
        if self.heard.is_empty() { Ok(self.socket) } else { Err(format!("ahead of TLS came {}", self.heard).into()) }
    }
}

fn header(namespace: &str, addresses: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' \
         version='1.0' {addresses}>"
    )
}

const SERVERS: &str = "jabber:server";
const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";

/// A stream that has been negotiated as its initiating entity.
pub(crate) type Outgoing = client::TlsStream<TcpStream>;

/// A stream that has been negotiated as its receiving entity.
pub(crate) type Incoming = server::TlsStream<TcpStream>;

/// From the TCP connection to the features after SASL EXTERNAL.
pub(crate) async fn dial(
    own: &Identity,
    remote: &str,
    address: SocketAddr,
    service: Service,
) -> Result<Outgoing, Error> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let name = ServerName::try_from(remote.to_owned())?;
    let tls = match service {
        Service::DirectTls => own.direct.connect(name, socket).await?,
        Service::StartTls => own.starttls.connect(name, start_tls(own, remote, socket).await?).await?,
    };
    let mut talk = Talk::new(tls);
    let features = talk.open(SERVERS, &own.domain, remote).await?;
    if !features.contains("EXTERNAL") {
        return Err(format!("{remote} does not offer EXTERNAL: {features}").into());
    }
    talk.say(&format!("<auth xmlns='{SASL}' mechanism='EXTERNAL'>{}</auth>", own.authzid)).await?;
    talk.hear(&["<success"]).await?;
    talk.hear(&["/>", "</success>"]).await?;
    talk.open(SERVERS, &own.domain, remote).await?;
    Ok(talk.socket)
}

async fn start_tls(own: &Identity, remote: &str, socket: TcpStream) -> Result<TcpStream, Error> {
    let mut talk = Talk::new(socket);
    talk.open(SERVERS, &own.domain, remote).await?;
    talk.say(&format!("<starttls xmlns='{TLS}'/>")).await?;
    talk.hear(&["<proceed"]).await?;
    talk.hear(&["/>", "</proceed>"]).await?;
    talk.upgrade()
}

/// Takes the stream that this server dials, and lets it in whatever it shows: what its certificate costs it is in what
/// it costs to be dialled too.
pub(crate) async fn receive(own: &Identity, remote: &str, listener: &TcpListener) -> Result<Incoming, Error> {
    let (socket, _) = listener.accept().await?;
    socket.set_nodelay(true)?;
    let mut talk = Talk::new(socket);
    greet(&mut talk, own, remote, &format!("<starttls xmlns='{TLS}'><required/></starttls>")).await?;
    talk.hear(&["<starttls"]).await?;
    talk.hear(&["/>", "</starttls>"]).await?;
    talk.say(&format!("<proceed xmlns='{TLS}'/>")).await?;
    let mut talk = Talk::new(own.acceptor.accept(talk.upgrade()?).await?);
    let mechanisms = format!("<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>");
    greet(&mut talk, own, remote, &mechanisms).await?;
    talk.hear(&["<auth"]).await?;
    talk.hear(&["/>", "</auth>"]).await?;
    talk.say(&format!("<success xmlns='{SASL}'/>")).await?;
    greet(&mut talk, own, remote, "").await?;
    Ok(talk.socket)
}

/// Takes a header, and answers it with one and with features.
async fn greet<S>(talk: &mut Talk<S>, own: &Identity, remote: &str, features: &str) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    talk.hear(&["<stream:stream"]).await?;
    talk.hear(&[">"]).await?;
    let header = header(SERVERS, &format!("id='generator' from='{}' to='{remote}'", own.domain));
    talk.say(&format!("{header}<stream:features>{features}</stream:features>")).await
}

/// Logs in as a client on plain TCP, by SASL PLAIN, and binds this resource; `credentials` are in base64.
pub(crate) async fn log_in(
    address: SocketAddr,
    domain: &str,
    credentials: &str,
    resource: &str,
) -> Result<TcpStream, Error> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut talk = Talk::new(socket);
    let namespace = "jabber:client";
    talk.open(namespace, domain, domain).await?;
    talk.say(&format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{credentials}</auth>")).await?;
    talk.hear(&["<success"]).await?;
    talk.hear(&["/>", "</success>"]).await?;
    talk.open(namespace, domain, domain).await?;
    let bind = format!("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind>");
    talk.say(&format!("<iq type='set' id='bind'>{bind}</iq>")).await?;
    talk.hear(&["</jid>"]).await?;
    talk.hear(&["</iq>"]).await?;
    Ok(talk.socket)
}
