//! The TCP connection below everything, which for the time of a TLS handshake may bring only so many bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

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
    /// What may still be read, while there is a limit.
    allowance: Option<usize>,
}

impl Wire {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp, allowance: None }
    }

    /// From now on reads [`HANDSHAKE_BYTES`], and an error instead of what is beyond.
    pub(crate) fn begin_handshake(&mut self) {
        self.allowance = Some(HANDSHAKE_BYTES);
    }

    /// Lifts the limit.
    pub(crate) fn end_handshake(&mut self) {
        self.allowance = None;
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
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
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        Poll::Ready(self.spend(buffer.filled().len() - before))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    /// TLS writes its records so: many in one syscall.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
