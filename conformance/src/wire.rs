//! One connection, byte by byte.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use convoke_xmpp::stream::StreamHeader;
use convoke_xmpp::xml::{Limits, ReadError, StreamEvent, StreamReader};
use convoke_xmpp::{Element, Stanza};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::transcript::Transcript;

/// What is kept of the bytes that were heard.
const KEPT: usize = 64 * 1024;

/// Bytes per read.
const READ: usize = 16 * 1024;

/// How long a flood waits for an answer between its pieces.
const MOMENT: Duration = Duration::from_millis(1);

/// A connection, encrypted or not yet.
pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// The handshake of TLS has failed and taken the connection with it.
    Gone,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a FIN; within TLS, behind a `close_notify`.
    Closed,
    /// By a FIN within TLS and without `close_notify`.
    Truncated,
    /// By a reset, an alert or anything else, in words.
    Broken(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::Truncated => f.write_str("the connection was closed without close_notify"),
            Self::Broken(how) => write!(f, "the connection broke ({how})"),
        }
    }
}

/// What came next.
#[derive(Debug)]
pub(crate) enum Seen {
    Open(StreamHeader),
    Stanza(Stanza),
    Element(Element),
    Close,
    Malformed(ReadError),
    Ended(Ending),
    Silence,
}

/// One connection.
pub(crate) struct Wire {
    io: Io,
    reader: StreamReader,
    received: Vec<u8>,
    ending: Option<Ending>,
    patience: Duration,
    transcript: Transcript,
}

impl Wire {
    pub(crate) fn new(tcp: TcpStream, patience: Duration, transcript: Transcript) -> Self {
        // A delayed segment would only cost time.
        let _ = tcp.set_nodelay(true);
        Self {
            io: Io::Plain(tcp),
            reader: StreamReader::new(Limits::default()),
            received: Vec::new(),
            ending: None,
            patience,
            transcript,
        }
    }

    /// Says these bytes. That the peer has closed meanwhile shows in what is heard next.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.transcript.sent(bytes);
        let writing = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        if let Ok(Err(error)) = timeout(self.patience, writing).await {
            self.transcript.note(&format!("cannot write: {error}"));
        }
    }

    /// What comes next, whole.
    pub(crate) async fn next(&mut self) -> Seen {
        self.next_within(self.patience).await
    }

    /// What comes next within this time, whole.
    pub(crate) async fn next_within(&mut self, patience: Duration) -> Seen {
        let until = Instant::now() + patience;
        loop {
            match self.reader.poll() {
                Ok(Some(event)) => return event.into(),
                Ok(None) => {}
                Err(error) => return Seen::Malformed(error),
            }
            if let Some(ending) = &self.ending {
                return Seen::Ended(ending.clone());
            }
            if timeout_at(until, self.read()).await.is_err() {
                return Seen::Silence;
            }
        }
    }

    /// The end of the connection, whatever comes before it; `None` when it does not end in time.
    pub(crate) async fn end(&mut self) -> Option<Ending> {
        let until = Instant::now() + self.patience;
        while self.ending.is_none() {
            timeout_at(until, self.read()).await.ok()?;
        }
        self.ending.clone()
    }

    /// Writes this piece again and again, at most so often, and stops when something comes back or nothing is taken.
    ///
    /// Gives how many bytes were taken; that is somewhat more than the peer has read when it answers.
    pub(crate) async fn flood(&mut self, piece: &[u8], times: usize) -> usize {
        self.transcript.note(&format!("{} bytes, at most {times} times", piece.len()));
        let mut taken = 0;
        for _ in 0..times {
            let mut buffer = [0; READ];
            let (mut reading, mut writing) = tokio::io::split(&mut self.io);
            let written = tokio::select! {
                written = timeout(self.patience, writing.write_all(piece)) => matches!(written, Ok(Ok(()))),
                heard = reading.read(&mut buffer) => {
                    self.heard(heard, &buffer);
                    break;
                }
            };
            taken += if written { piece.len() } else { 0 };
            // With a moment to answer, less is sent in vain.
            let heard = timeout(MOMENT, reading.read(&mut buffer)).await;
            if let Ok(heard) = heard {
                self.heard(heard, &buffer);
            }
            if !written || self.ending.is_some() || self.reader.buffered() > 0 {
                break;
            }
        }
        let _ = timeout(self.patience, self.io.flush()).await;
        taken
    }

    /// From here on, a new stream is read.
    pub(crate) fn restart(&mut self) {
        self.reader = StreamReader::new(Limits::default());
    }

    /// The bytes that were heard so far, decrypted.
    pub(crate) fn received(&self) -> &[u8] {
        &self.received
    }

    /// Forgets what was heard so far.
    pub(crate) fn forget(&mut self) {
        self.received.clear();
    }

    /// Shakes hands as client.
    pub(crate) async fn connect_tls(&mut self, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<()> {
        let tcp = self.take_plain()?;
        let stream = within(self.patience, TlsConnector::from(config).connect(name, tcp)).await;
        self.secured(stream.map(TlsStream::Client))
    }

    /// Shakes hands as server.
    pub(crate) async fn accept_tls(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let tcp = self.take_plain()?;
        let stream = within(self.patience, TlsAcceptor::from(config).accept(tcp)).await;
        self.secured(stream.map(TlsStream::Server))
    }

    /// The TLS session, if there is one.
    pub(crate) fn tls(&self) -> Option<&TlsStream<TcpStream>> {
        match &self.io {
            Io::Tls(stream) => Some(stream),
            _ => None,
        }
    }

    fn take_plain(&mut self) -> io::Result<TcpStream> {
        match std::mem::replace(&mut self.io, Io::Gone) {
            Io::Plain(tcp) => Ok(tcp),
            _ => Err(io::Error::other("not in the clear")),
        }
    }

    fn secured(&mut self, stream: io::Result<TlsStream<TcpStream>>) -> io::Result<()> {
        let stream = stream.inspect_err(|error| {
            self.transcript.note(&format!("TLS failed: {error}"));
            self.ending = Some(Ending::Broken(error.to_string()));
        })?;
        let version = stream.get_ref().1.protocol_version();
        self.transcript.note(&format!("TLS: {}", version.map_or("", |version| version.as_str().unwrap_or(""))));
        self.io = Io::Tls(Box::new(stream));
        self.restart();
        Ok(())
    }

    async fn read(&mut self) {
        let mut buffer = [0; READ];
        let heard = self.io.read(&mut buffer).await;
        self.heard(heard, &buffer);
    }

    fn heard(&mut self, heard: io::Result<usize>, buffer: &[u8]) {
        let ending = match heard {
            Ok(0) => Ending::Closed,
            Ok(length) => {
                let bytes = &buffer[..length];
                self.transcript.received(bytes);
                self.reader.push(bytes);
                let room = KEPT.saturating_sub(self.received.len());
                self.received.extend_from_slice(&bytes[..length.min(room)]);
                return;
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ending::Truncated,
            Err(error) => Ending::Broken(error.to_string()),
        };
        self.transcript.note(&ending.to_string());
        self.ending = Some(ending);
    }
}

async fn within<T>(patience: Duration, handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(patience, handshake).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

impl From<StreamEvent> for Seen {
    fn from(event: StreamEvent) -> Self {
        match event {
            StreamEvent::Open(header) => Self::Open(header),
            StreamEvent::Stanza(stanza) => Self::Stanza(stanza),
            StreamEvent::Element(element) => Self::Element(element),
            StreamEvent::Close => Self::Close,
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}
