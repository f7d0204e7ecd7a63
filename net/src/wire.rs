//! The TCP connection below everything, which for the time of a TLS handshake may bring only so many bytes, and writes what the
//! handshake has to say when an answer is wanted: what ends it leaves with the first words within TLS.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::tcp::TcpStream;

/// What a peer may send in one TLS handshake, in bytes. Default of no protocol, but room for every chain of certificates
/// that is in use (a dozen of them with post-quantum keys), and what the TLS library keeps of a handshake stays below it.
pub(crate) const HANDSHAKE_BYTES: usize = 64 * 1024;

/// A peer sent more than [`HANDSHAKE_BYTES`] and had not finished the handshake.
#[derive(Debug, Error)]
#[error("more than {HANDSHAKE_BYTES} bytes of TLS handshake")]
pub(crate) struct HandshakeTooLarge;

/// A TCP connection.
#[derive(Debug)]
pub(crate) struct Wire {
    tcp: TcpStream,
    /// What may still be read, while there is a handshake.
    allowance: Option<usize>,
    /// What the handshake has said and was not written yet.
    held: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, allowance: None, held: Vec::new() }
    }

    /// From now on reads [`HANDSHAKE_BYTES`], and an error instead of what is beyond; and holds back what is written until
    /// something is read.
    pub(crate) fn begin_handshake(&mut self) {
        self.allowance = Some(HANDSHAKE_BYTES);
    }

    /// Lifts the limit; what is still held back goes ahead of the next bytes, or when something is read or flushed.
    pub(crate) fn end_handshake(&mut self) {
        self.allowance = None;
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    fn is_handshaking(&self) -> bool {
        self.allowance.is_some()
    }

    /// Writes what was held back, and this behind it, in one piece if it can; says how much of this was written, which may be
    /// nothing of nothing.
    fn poll_release(&mut self, cx: &mut Context<'_>, behind: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        while !self.held.is_empty() {
            let all: Vec<_> = [IoSlice::new(&self.held)].into_iter().chain(behind.iter().copied()).collect();
            let written = ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, &all))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let released = written.min(self.held.len());
            self.held.drain(..released);
            if written > released {
                return Poll::Ready(Ok(written - released));
            }
        }
        self.held = Vec::new();
        if behind.is_empty() { Poll::Ready(Ok(0)) } else { Pin::new(&mut self.tcp).poll_write_vectored(cx, behind) }
    }

    fn spend(&mut self, bytes: usize) -> io::Result<()> {
        if let Some(allowance) = self.allowance {
            self.allowance = Some(allowance.checked_sub(bytes).ok_or_else(|| io::Error::other(HandshakeTooLarge))?);
        }
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx, &[]))?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        Poll::Ready(self.spend(buffer.filled().len() - before))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// TLS writes its records so: many in one syscall.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_handshaking() {
            slices.iter().for_each(|slice| self.held.extend_from_slice(slice));
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        self.poll_release(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_handshaking() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_release(cx, &[]))?;
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx, &[]))?;
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::tcp::TcpListener;

    async fn pair() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Wire::new(near), listener.accept().await.unwrap().0)
    }

    async fn read(peer: &mut TcpStream, bytes: usize) -> Vec<u8> {
        let mut read = vec![0; bytes];
        peer.read_exact(&mut read).await.unwrap();
        read
    }

    #[tokio::test]
    async fn what_a_handshake_says_is_written_when_an_answer_is_wanted() {
        let (mut wire, mut peer) = pair().await;
        wire.begin_handshake();
        wire.write_all(b"hello").await.unwrap();
        wire.flush().await.unwrap();
        assert_eq!(wire.held, b"hello");
        peer.write_all(b"?").await.unwrap();
        assert_eq!(wire.read_u8().await.unwrap(), b'?');
        assert_eq!(read(&mut peer, 5).await, b"hello");
    }

    #[tokio::test]
    async fn what_ends_a_handshake_leaves_with_the_first_words_behind_it_or_when_they_are_waited_for() {
        let (mut wire, mut peer) = pair().await;
        for (said, flushed) in [("first words", true), ("", true), ("", false)] {
            wire.begin_handshake();
            wire.write_all(b"finished").await.unwrap();
            wire.end_handshake();
            wire.write_all(said.as_bytes()).await.unwrap();
            assert_eq!(wire.held.is_empty(), !said.is_empty(), "in the same write");
            if flushed {
                wire.flush().await.unwrap();
            } else {
                peer.write_all(b"?").await.unwrap();
                wire.read_u8().await.unwrap();
            }
            assert_eq!(read(&mut peer, 8 + said.len()).await, [b"finished", said.as_bytes()].concat());
        }
        wire.begin_handshake();
        wire.write_all(b"alert").await.unwrap();
        wire.shutdown().await.unwrap();
        assert_eq!(read(&mut peer, 5).await, b"alert");
    }
}
