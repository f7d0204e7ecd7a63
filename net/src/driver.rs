//! Performs a negotiation: the only place where an [`Output`] becomes bytes and a socket's news become an [`Input`].

use std::future::{Future, poll_fn};
use std::io;
use std::time::{Duration, Instant};

use convoke_xmpp::negotiation::{Failure, Input, Negotiator, Output, TlsFailure, TlsStart};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Limits, StreamReader};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout_at;
use tokio_rustls::rustls;

use crate::connection::{CLOSE_WAIT, Connection, Socket, Transport, farewell};
use crate::tcp::{TcpStream, hold_little, notice_silent_death};
use crate::tls::{Handshake, TlsContext, TlsError};
use crate::wire::Wire;

/// How long a negotiation may take whatever its negotiator says: nobody waits for ever.
const LONGEST: Duration = Duration::from_secs(90);

/// How long the TLS handshake may take of that: two round trips, each with room for a packet that is lost thrice.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(15);

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
/// `limits` hold until the caller replaces them. All times are absolute, whatever the peer sends meanwhile: that of
/// [`Negotiator::poll_timeout`], 90 s in all, 15 s for a TLS handshake, in which the peer may send 64 KiB. On failure the
/// peer has been told what [`Failure::stream_error`] names, the stream is closed and so is the connection; that takes two
/// seconds at most, and no time at all when there was none left.
pub fn negotiate<'a, N>(
    negotiator: N,
    stream: TcpStream,
    tls: &'a TlsContext,
    limits: Limits,
) -> impl Future<Output = Outcome<N>> + use<'a, N>
where
    N: Negotiator + 'a,
    N::Error: Failure,
{
    // Answers are small and the peer waits for each: never delay them. Failing to say so is no reason to fail.
    let _ = stream.set_nodelay(true);
    notice_silent_death(&stream);
    hold_little(&stream);
    let driver = Driver {
        negotiator,
        tls,
        reader: Box::new(StreamReader::new(limits)),
        out: String::new(),
        opened: false,
        latest: now() + LONGEST,
        lost: None,
    };
    // On the heap only while it lasts: else the session that follows in the same task would keep its room.
    Box::pin(driver.run(Transport::Plain(Wire::new(stream))))
}

/// What a negotiation comes to.
pub type Outcome<N> = Result<Negotiated<<N as Negotiator>::Established>, NegotiationError<<N as Negotiator>::Error>>;

struct Driver<'a, N: Negotiator> {
    negotiator: N,
    tls: &'a TlsContext,
    reader: Box<StreamReader>,
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
        let deadline = self.deadline();
        if deadline <= now() {
            // Before anything is read: who never stops sending would else never be late.
            return self.time_out();
        }
        let reader = &mut self.reader;
        let reading = poll_fn(|cx| transport.poll_take::<READ_BYTES>(cx, |bytes| reader.push(bytes)));
        match timeout_at(deadline.into(), reading).await {
            Err(_) => self.time_out(),
            Ok(Ok(0)) => self.disconnected(None),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => self.disconnected(Some(&error)),
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
        let Transport::Plain(wire) = transport else { return Err(NegotiationError::AlreadyEncrypted) };
        let deadline = self.deadline().min(now() + LONGEST_HANDSHAKE);
        let (told, otherwise) = match timeout_at(deadline.into(), self.tls.handshake(&start, wire)).await {
            Ok(Ok(stream)) => return self.encrypted(Transport::Tls(Box::new(stream))).await,
            Ok(Err(TlsError::Handshake(error))) => {
                let failure = tls_failure(&error).unwrap_or(TlsFailure { reason: error.to_string(), alert: None });
                let failed = Input::TlsFailed(failure);
                (self.negotiator.handle(now(), failed), NegotiationError::Disconnected)
            }
            Ok(Err(error)) => return Err(NegotiationError::Tls(error)),
            Err(_) => (self.negotiator.handle(now(), Input::Timeout), NegotiationError::Timeout),
        };
        // No stream is left to close (RFC 6120, section 5.4.3.2).
        Err(told.err().map_or(otherwise, NegotiationError::Refused))
    }

    fn check_no_injection(&self) -> Result<(), NegotiationError<N::Error>> {
        match self.reader.buffered() {
            0 => Ok(()),
            bytes => Err(NegotiationError::Injection { bytes }),
        }
    }

    /// Everything that was read before TLS is forgotten (RFC 6120, section 5.4.3.3), except how much it was.
    async fn encrypted(&mut self, transport: Transport) -> Result<Transport, NegotiationError<N::Error>> {
        self.reader.reset();
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
            (_, None) => transport.close(std::mem::take(&mut self.out).as_bytes(), None, self.time_to_close()).await,
        }
    }

    async fn close(&mut self, error: Option<&StreamError>, transport: Transport) {
        let mut last_words = std::mem::take(&mut self.out);
        if self.opened {
            last_words.push_str(&farewell(error));
        }
        let wait = self.time_to_close();
        // Where no stream was opened, or no time is left, nobody has to answer.
        let reader = (self.opened && !wait.is_zero()).then_some(&mut *self.reader);
        transport.close(last_words.as_bytes(), reader, wait).await;
    }

    fn deadline(&self) -> Instant {
        self.negotiator.poll_timeout().map_or(self.latest, |timeout| timeout.min(self.latest))
    }

    /// Who was given all the time there is gets none to say goodbye.
    fn time_to_close(&self) -> Duration {
        if matches!(self.lost, Some(Lost::Timeout)) { Duration::ZERO } else { CLOSE_WAIT }
    }

    /// The result, or `None` when the time has come first.
    async fn in_time<F: Future>(&self, future: F) -> Option<F::Output> {
        timeout_at(self.deadline().into(), future).await.ok()
    }
}

fn tls_failure(error: &io::Error) -> Option<TlsFailure> {
    let tls = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    let alert = match tls {
        rustls::Error::AlertReceived(alert) => Some(u8::from(*alert)),
        _ => None,
    };
    Some(TlsFailure { reason: tls.to_string(), alert })
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
