//! Performs a negotiation: the only place where an [`Output`] becomes bytes and a socket's news become an [`Input`].

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use convoke_xmpp::negotiation::{Failure, Input, Negotiator, Output, TlsFailure, TlsStart};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Limits, StreamReader};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::rustls;

use crate::connection::{Connection, Transport, farewell};
use crate::tls::{Handshake, TlsContext, TlsError};

/// How long a negotiation may take whose negotiator names no time: nobody waits for ever.
const LONGEST: Duration = Duration::from_secs(90);

/// Bytes per read: negotiations are small.
const READ_BYTES: usize = 4096;

/// A connection and what its negotiation has proved.
#[derive(Debug)]
pub struct Negotiated<E> {
    /// The connection, ready for its session.
    pub connection: Connection,
    /// What the negotiator established.
    pub established: E,
}

/// Why a negotiation did not succeed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NegotiationError<E: std::error::Error + 'static> {
    /// The negotiator refused.
    #[error(transparent)]
    Refused(E),
    /// The negotiator closed the stream of its own accord.
    #[error("the stream was closed before it was negotiated{}", .0.as_ref().map(|e| format!(": {e}")).unwrap_or_default())]
    Closed(Option<StreamError>),
    /// The peer sent bytes ahead of the TLS handshake, to have them taken for encrypted ones (RFC 6120, section 5.4.3.1).
    #[error("the peer sent {bytes} bytes ahead of the TLS handshake")]
    Injection {
        /// How many.
        bytes: usize,
    },
    /// TLS cannot start.
    #[error(transparent)]
    Tls(TlsError),
    /// The negotiator wants TLS within TLS.
    #[error("the connection is encrypted already")]
    AlreadyEncrypted,
    /// The peer broke the connection.
    #[error("the peer closed the connection")]
    Disconnected,
    /// The negotiation took too long.
    #[error("the negotiation took too long")]
    Timeout,
}

/// Negotiates on a new TCP connection until the stream is established or has failed.
///
/// `limits` hold until the caller replaces them. On failure the peer has been told what [`Failure::stream_error`]
/// names, the stream is closed and so is the connection; that takes two seconds at most.
pub async fn negotiate<N: Negotiator>(
    negotiator: N,
    stream: TcpStream,
    tls: &TlsContext,
    limits: Limits,
) -> Result<Negotiated<N::Established>, NegotiationError<N::Error>>
where
    N::Error: Failure,
{
    // Answers are small and the peer waits for each: never delay them. Failing to say so is no reason to fail.
    let _ = stream.set_nodelay(true);
    let driver = Driver {
        negotiator,
        tls,
        reader: StreamReader::new(limits),
        limits,
        out: String::new(),
        opened: false,
        latest: now() + LONGEST,
        lost: None,
    };
    driver.run(Transport::Plain(stream)).await
}

struct Driver<'a, N: Negotiator> {
    negotiator: N,
    tls: &'a TlsContext,
    reader: StreamReader,
    limits: Limits,
    /// What the outputs of one step want written, in one piece.
    out: String,
    /// Whether our header of the present stream is out: without it, nothing can be closed.
    opened: bool,
    latest: Instant,
    /// Why nothing more can be read, if so.
    lost: Option<Lost>,
}

#[derive(Clone, Copy)]
enum Lost {
    Disconnected,
    Timeout,
    Malformed,
}

/// What the outputs of one step amount to.
enum Step<E> {
    Read,
    StartTls(TlsStart),
    Established(E),
    Close(Option<StreamError>),
}

type Outcome<N> = Result<Negotiated<<N as Negotiator>::Established>, NegotiationError<<N as Negotiator>::Error>>;

impl<N: Negotiator> Driver<'_, N> {
    async fn run(mut self, mut transport: Transport) -> Outcome<N> {
        loop {
            match self.collect() {
                Step::Read => {
                    self.write(&mut transport).await;
                    if let Some(lost) = self.lost {
                        return self.give_up(lost, transport).await;
                    }
                    if let Err(error) = self.advance(&mut transport).await {
                        return self.refuse(error, transport).await;
                    }
                }
                Step::StartTls(start) => transport = self.start_tls(start, transport).await?,
                Step::Established(established) => {
                    self.write(&mut transport).await;
                    return Ok(Negotiated { connection: Connection::new(transport, self.reader), established });
                }
                Step::Close(error) => {
                    self.close(error.as_ref(), transport).await;
                    return Err(NegotiationError::Closed(error));
                }
            }
        }
    }

    /// Takes all outputs; what they want written is gathered.
    fn collect(&mut self) -> Step<N::Established> {
        let mut step = Step::Read;
        while let Some(output) = self.negotiator.poll_output() {
            match output {
                Output::Send(element) => self.out.push_str(&element.to_stream_xml()),
                Output::OpenStream(header) => {
                    self.out.push_str(&header.write());
                    self.opened = true;
                }
                Output::RestartStream => self.reader.reset(),
                Output::StartTls(start) => return Step::StartTls(start),
                Output::Established(established) => step = Step::Established(established),
                Output::Close(error) => return Step::Close(error),
            }
        }
        step
    }

    /// Writes what was gathered, at once.
    ///
    /// A failure is not told from here: the next read fails too, and may first bring what the peer said before it closed.
    async fn write(&mut self, transport: &mut Transport) {
        if self.out.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.out);
        let writing = async {
            transport.write_all(bytes.as_bytes()).await?;
            transport.flush().await
        };
        let _ = self.in_time(writing).await;
    }

    /// Tells the negotiator what happens next: an event that was read already, or news from the socket.
    async fn advance(&mut self, transport: &mut Transport) -> Result<(), N::Error> {
        match self.reader.poll() {
            Ok(Some(event)) => self.negotiator.handle(now(), Input::Stream(event)),
            Ok(None) => self.read(transport).await,
            Err(error) => {
                self.lost = Some(Lost::Malformed);
                self.negotiator.handle(now(), Input::Malformed(error))
            }
        }
    }

    async fn read(&mut self, transport: &mut Transport) -> Result<(), N::Error> {
        let mut buffer = [0; READ_BYTES];
        match self.in_time(transport.read(&mut buffer)).await {
            None => self.time_out(),
            Some(Ok(0)) => self.disconnected(None),
            Some(Ok(length)) => {
                self.reader.push(&buffer[..length]);
                Ok(())
            }
            Some(Err(error)) => self.disconnected(Some(&error)),
        }
    }

    fn disconnected(&mut self, error: Option<&io::Error>) -> Result<(), N::Error> {
        self.lost = Some(Lost::Disconnected);
        let input = match error.and_then(tls_failure) {
            // In TLS 1.3 a client learns only from its first read that its certificate was refused.
            Some(failure) => Input::TlsFailed(failure),
            None => Input::Disconnected,
        };
        self.negotiator.handle(now(), input)
    }

    fn time_out(&mut self) -> Result<(), N::Error> {
        let result = self.negotiator.handle(now(), Input::Timeout);
        if self.deadline() <= now() {
            self.lost = Some(Lost::Timeout);
        }
        result
    }

    async fn start_tls(
        &mut self,
        start: TlsStart,
        mut transport: Transport,
    ) -> Result<Transport, NegotiationError<N::Error>> {
        if let Err(error) = self.check_no_injection() {
            // In place of `proceed`: that is not written any more.
            self.out.clear();
            let told = StreamError::new(StreamCondition::PolicyViolation).with_text(error.to_string());
            self.close(Some(&told), transport).await;
            return Err(error);
        }
        self.write(&mut transport).await;
        let Transport::Plain(tcp) = transport else { return Err(NegotiationError::AlreadyEncrypted) };
        let handshake = self.tls.handshake(&start, tcp);
        let told = match self.in_time(handshake).await {
            Some(Ok(stream)) => return self.encrypted(Transport::Tls(Box::new(stream))).await,
            Some(Err(TlsError::Handshake(error))) => {
                self.negotiator.handle(now(), Input::TlsFailed(TlsFailure { reason: error.to_string() }))
            }
            Some(Err(error)) => return Err(NegotiationError::Tls(error)),
            None => self.negotiator.handle(now(), Input::Timeout),
        };
        // No stream is left to close (RFC 6120, section 5.4.3.2).
        Err(told.err().map_or(NegotiationError::Disconnected, NegotiationError::Refused))
    }

    fn check_no_injection(&self) -> Result<(), NegotiationError<N::Error>> {
        match self.reader.buffered() {
            0 => Ok(()),
            bytes => Err(NegotiationError::Injection { bytes }),
        }
    }

    /// Everything that was read before TLS is forgotten (RFC 6120, section 5.4.3.3).
    async fn encrypted(&mut self, transport: Transport) -> Result<Transport, NegotiationError<N::Error>> {
        self.reader = StreamReader::new(self.limits);
        self.opened = false;
        let Transport::Tls(stream) = &transport else { return Ok(transport) };
        let told = Handshake::of(stream).with_info(|info| self.negotiator.handle(now(), Input::TlsEstablished(info)));
        match told {
            Ok(()) => Ok(transport),
            Err(error) => {
                self.tell(&error, transport).await;
                Err(NegotiationError::Refused(error))
            }
        }
    }

    async fn refuse(mut self, error: N::Error, transport: Transport) -> Outcome<N> {
        self.tell(&error, transport).await;
        Err(NegotiationError::Refused(error))
    }

    /// The negotiator has nothing to say to a connection on which nothing more will come.
    async fn give_up(mut self, lost: Lost, transport: Transport) -> Outcome<N> {
        let (error, told) = match lost {
            Lost::Disconnected => return Err(NegotiationError::Disconnected),
            Lost::Timeout => (NegotiationError::Timeout, StreamError::new(StreamCondition::ConnectionTimeout)),
            Lost::Malformed => (NegotiationError::Closed(None), StreamError::new(StreamCondition::BadFormat)),
        };
        self.close(Some(&told), transport).await;
        Err(error)
    }

    /// Sends what the negotiator still wanted sent, then its error; without one, the stream ends as its outputs say.
    async fn tell(&mut self, error: &N::Error, transport: Transport) {
        match (self.collect(), error.stream_error()) {
            (_, Some(error)) => self.close(Some(&error), transport).await,
            (Step::Close(error), None) => self.close(error.as_ref(), transport).await,
            // Anything else that was wanted is void: the negotiation has failed.
            (_, None) => transport.close(std::mem::take(&mut self.out).as_bytes()).await,
        }
    }

    async fn close(&mut self, error: Option<&StreamError>, transport: Transport) {
        let mut last_words = std::mem::take(&mut self.out);
        if self.opened {
            last_words.push_str(&farewell(error));
        }
        transport.close(last_words.as_bytes()).await;
    }

    fn deadline(&self) -> Instant {
        self.negotiator.poll_timeout().unwrap_or(self.latest)
    }

    /// The result, or `None` when the time has come first.
    async fn in_time<F: Future>(&self, future: F) -> Option<F::Output> {
        timeout_at(self.deadline().into(), future).await.ok()
    }
}

fn tls_failure(error: &io::Error) -> Option<TlsFailure> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(TlsFailure { reason: tls.to_string() })
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
