//! A connection that has been negotiated, and the transport below it.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use convoke_xmpp::session::Nonza;
use convoke_xmpp::stream::StreamError;
use convoke_xmpp::{Element, Limits, ReadError, StreamEvent, StreamReader};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use crate::tcp::{self, TcpStream};
use crate::wire::Wire;

/// How long the last words, `close_notify` and the peer's own end may take together. The peer has nothing to do but to
/// read; two seconds are several round trips around the world.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Bytes per read where little is to be expected, or is thrown away.
const DISCARD_BYTES: usize = 4096;

/// A negotiated connection: its transport, and the reader with whatever the peer sent behind the negotiation.
#[derive(Debug)]
pub struct Connection {
    pub(crate) transport: Transport,
    /// Boxed, for a connection passes through many hands and each of their futures would keep room for it.
    pub(crate) reader: Box<StreamReader>,
    /// What the peer said first, if that was waited for.
    pub(crate) first: Option<Box<Result<StreamEvent, ReadError>>>,
}

/// What a peer says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstWord {
    /// It wants to go on with an earlier session (XEP-0198, section 5).
    Resume {
        /// Which.
        previd: String,
        /// How many of our stanzas it has handled in it.
        h: u32,
    },
    /// Something else, which is left for the session.
    Other,
    /// Nothing: the connection has ended.
    Gone,
}

impl Connection {
    pub(crate) fn new(transport: Transport, reader: Box<StreamReader>) -> Self {
        Self { transport, reader, first: None }
    }

    /// Waits until the peer has said something, which decides whether it goes on with an earlier session. Can be given up
    /// at any time; nothing is lost for the session that follows.
    pub async fn first_word(&mut self) -> FirstWord {
        while self.first.is_none() {
            match self.reader.poll() {
                Ok(Some(StreamEvent::Element(element))) => match Nonza::from_element(&element) {
                    Some(Nonza::Resume { previd, h }) => return FirstWord::Resume { previd, h },
                    _ => self.first = Some(Box::new(Ok(StreamEvent::Element(element)))),
                },
                Ok(Some(event)) => self.first = Some(Box::new(Ok(event))),
                Err(error) => self.first = Some(Box::new(Err(error))),
                Ok(None) if self.read().await => {}
                Ok(None) => return FirstWord::Gone,
            }
        }
        FirstWord::Other
    }

    /// Reads what is there; says whether the connection is alive.
    async fn read(&mut self) -> bool {
        let reader = &mut self.reader;
        matches!(self.transport.read(|bytes| reader.push(bytes)).await, Ok(length) if length > 0)
    }

    /// Replaces the limits of the peer, now that it has authenticated.
    pub fn set_limits(&mut self, limits: Limits) {
        self.reader.set_limits(limits);
    }

    /// Closes the stream with this error, without a session; takes two seconds at most.
    pub async fn close(self, error: &StreamError) {
        self.say_farewell(Some(error)).await;
    }

    /// Closes the stream without an error and without a session; takes two seconds at most.
    pub async fn finish(self) {
        self.say_farewell(None).await;
    }

    async fn say_farewell(mut self, error: Option<&StreamError>) {
        self.transport.close(farewell(error).as_bytes(), Some(&mut self.reader), CLOSE_WAIT).await;
    }

    /// Sends an element ahead of the session, in two seconds at most; says whether the connection has taken it.
    pub async fn send(&mut self, element: &Element) -> bool {
        let text = element.to_stream_xml();
        let sending = async {
            self.transport.write_all(text.as_bytes()).await?;
            self.transport.flush().await
        };
        matches!(timeout(CLOSE_WAIT, sending).await, Ok(Ok(())))
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

/// Where a session or a negotiation reads and writes.
pub(crate) trait Socket: AsyncWrite + Unpin {
    /// Reads what is there, `BYTES` at most, and gives it to `take`; says how much it was, nothing at the end.
    ///
    /// Nothing is allocated or held while there is nothing to read: an idle connection has no read buffer.
    fn poll_take<const BYTES: usize>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>>;
}

/// TCP with or without TLS on it.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
}

impl Transport {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(wire) => wire.tcp(),
            Self::Tls(tls) => tls.get_ref().0.tcp(),
        }
    }

    /// Sends the last words, says goodbye (`close_notify` under TLS) and waits for the peer's end, so long in all.
    ///
    /// Where the last words close a stream, its `reader` tells when the peer has closed its own: it has half the time for that
    /// before the connection is ended (RFC 6120, section 4.4). Who finds a connection ended may give up what it has read and
    /// not yet looked at: ejabberd, when it is busy, forgets the error that it was just sent.
    ///
    /// What still arrives is read and thrown away: closing a socket with unread bytes would reset the connection, and
    /// the peer might never see the error that it was just sent.
    pub(crate) async fn close(mut self, last_words: &[u8], reader: Option<&mut StreamReader>, wait: Duration) {
        let farewell = async {
            self.write_all(last_words).await?;
            self.flush().await?;
            if let Some(reader) = reader {
                // Whether it has or not, the connection ends.
                let _ = timeout(wait / 2, self.until_closed_by_peer(reader)).await;
            }
            self.shutdown().await?;
            while self.read(|_| ()).await? > 0 {}
            io::Result::Ok(())
        };
        // Nobody is left to be told about a failure: the connection is given up either way.
        let _ = timeout(wait, farewell).await;
    }

    /// Reads until the peer has closed its stream, or the connection; where the stream makes no sense, until the latter.
    async fn until_closed_by_peer(&mut self, reader: &mut StreamReader) -> io::Result<()> {
        loop {
            while matches!(reader.poll(), Ok(Some(_))) {}
            if reader.is_closed() || self.read(|bytes| reader.push(bytes)).await? == 0 {
                return Ok(());
            }
        }
    }

    /// Reads what is there and gives it to `take`; says how much it was, nothing at the end.
    async fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        poll_fn(|cx| self.poll_take::<DISCARD_BYTES>(cx, &mut take)).await
    }

    /// Breaks the connection: what the peer has not read is thrown away here, not kept for it by the operating system.
    pub(crate) fn reset(self) {
        tcp::break_on_drop(self.tcp());
    }
}

impl Socket for Transport {
    fn poll_take<const BYTES: usize>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(wire) => poll_take_read::<BYTES>(wire, cx, take),
            Self::Tls(tls) => poll_take_buffered::<BYTES>(tls, cx, take),
        }
    }
}

/// By way of the stack.
fn poll_take_read<const BYTES: usize>(
    wire: &mut Wire,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]),
) -> Poll<io::Result<usize>> {
    let mut bytes = [const { MaybeUninit::uninit() }; BYTES];
    let mut buffer = ReadBuf::uninit(&mut bytes);
    ready!(Pin::new(wire).poll_read(cx, &mut buffer))?;
    take(buffer.filled());
    Poll::Ready(Ok(buffer.filled().len()))
}

/// Straight from where the TLS library has decrypted it to.
fn poll_take_buffered<const BYTES: usize>(
    tls: &mut TlsStream<Wire>,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]),
) -> Poll<io::Result<usize>> {
    let bytes = ready!(Pin::new(&mut *tls).poll_fill_buf(cx))?;
    let length = bytes.len().min(BYTES);
    take(&bytes[..length]);
    Pin::new(tls).consume(length);
    Poll::Ready(Ok(length))
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
#[cfg(not(convoke_simulation))]
mod tests {
    use std::net::Ipv4Addr;

    use socket2::SockRef;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    const HEADER: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
                          version='1.0' from='a.example' to='b.example'>";
    const END: &str = "</stream:stream>";

    /// Nobody waits so long: a test that had to would fail.
    const LONG: Duration = Duration::from_secs(3_600);
    const SOON: Duration = Duration::from_secs(60);

    /// A connection on which the peer has sent this, and the peer.
    async fn after(said: &str) -> (Transport, StreamReader, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(listener.accept(), connecting);
        let mut far = far.unwrap();
        far.write_all(said.as_bytes()).await.unwrap();
        (Transport::Plain(Wire::new(near.unwrap().0)), StreamReader::new(Limits::default()), far)
    }

    async fn read_until_end_tag(peer: &mut TcpStream) {
        let mut seen = Vec::new();
        while !seen.ends_with(END.as_bytes()) {
            seen.push(peer.read_u8().await.unwrap());
        }
    }

    async fn read_to_end(mut peer: TcpStream) -> String {
        let mut seen = String::new();
        peer.read_to_string(&mut seen).await.unwrap();
        seen
    }

    /// RFC 6120, section 4.4, rules 1 and 4.
    #[tokio::test]
    async fn a_connection_ends_when_the_peer_has_closed_its_stream_too_and_not_before() {
        let (transport, mut reader, mut peer) = after(HEADER).await;
        let peer = async {
            read_until_end_tag(&mut peer).await;
            let is_open = SockRef::from(&peer).peek(&mut [MaybeUninit::uninit()]);
            assert_eq!(is_open.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock), "it has not ended");
            peer.write_all(format!("<late/>{END}").as_bytes()).await.unwrap();
            read_to_end(peer).await
        };
        let closing = transport.close(END.as_bytes(), Some(&mut reader), LONG);
        let ((), rest) = timeout(SOON, async { tokio::join!(closing, peer) }).await.unwrap();
        assert_eq!(rest, "");
    }

    #[tokio::test]
    async fn a_connection_ends_at_once_where_the_peer_had_closed_its_stream_before() {
        let (transport, mut reader, peer) = after(&format!("{HEADER}{END}")).await;
        let closing = transport.close(END.as_bytes(), Some(&mut reader), LONG);
        let ((), said) = timeout(SOON, async { tokio::join!(closing, read_to_end(peer)) }).await.unwrap();
        assert_eq!(said, END);
    }

    /// Rule 3; nor does one have to answer that does not speak XML.
    #[tokio::test]
    async fn a_connection_ends_without_an_answer_in_the_end() {
        for said in [HEADER, "GET / HTTP/1.1\r\n\r\n", ""] {
            let (transport, mut reader, peer) = after(said).await;
            let closing = transport.close(END.as_bytes(), Some(&mut reader), Duration::from_millis(100));
            let ((), said) = timeout(SOON, async { tokio::join!(closing, read_to_end(peer)) }).await.unwrap();
            assert_eq!(said, END);
        }
    }
}
