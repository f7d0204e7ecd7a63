//! A connection that has been negotiated, and the transport below it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use convoke_xmpp::stream::StreamError;
use convoke_xmpp::{Limits, StreamReader};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

/// How long the last words, `close_notify` and the peer's own end may take together. The peer has nothing to do but to
/// read; two seconds are several round trips around the world.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// A negotiated connection: its transport, and the reader with whatever the peer sent behind the negotiation.
#[derive(Debug)]
pub struct Connection {
    pub(crate) transport: Transport,
    pub(crate) reader: StreamReader,
}

impl Connection {
    pub(crate) fn new(transport: Transport, reader: StreamReader) -> Self {
        Self { transport, reader }
    }

    /// Replaces the limits of the peer, now that it has authenticated.
    pub fn set_limits(&mut self, limits: Limits) {
        self.reader.set_limits(limits);
    }

    /// Closes the stream with this error, without a session; takes two seconds at most.
    pub async fn close(self, error: &StreamError) {
        self.transport.close(farewell(Some(error)).as_bytes()).await;
    }

    /// The peer's address.
    pub fn peer_address(&self) -> io::Result<SocketAddr> {
        self.transport.tcp().peer_addr()
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        matches!(self.transport, Transport::Tls(_))
    }
}

/// The error, if any, and the end of the stream.
pub(crate) fn farewell(error: Option<&StreamError>) -> String {
    let mut text = error.map(|error| error.to_element().to_stream_xml()).unwrap_or_default();
    text.push_str("</stream:stream>");
    text
}

/// TCP with or without TLS on it.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Sends the last words, says goodbye (`close_notify` under TLS) and waits for the peer's end, two seconds in all.
    ///
    /// What still arrives is read and thrown away: closing a socket with unread bytes would reset the connection, and
    /// the peer might never see the error that it was just sent.
    pub(crate) async fn close(mut self, last_words: &[u8]) {
        let farewell = async {
            self.write_all(last_words).await?;
            self.shutdown().await?;
            let mut rest = [0; 1024];
            while self.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // Nobody is left to be told about a failure: the connection is given up either way.
        let _ = timeout(CLOSE_WAIT, farewell).await;
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }
}
