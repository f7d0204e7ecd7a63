//! A stream after its negotiation, without I/O: stanzas, idle time, late errors and the closing handshake.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::Stanza;
use crate::stream::{StreamCondition, StreamError};
use crate::xml::{ReadError, StreamEvent};

/// When a session says something of its own accord.
#[derive(Debug, Clone, Copy)]
pub struct SessionConfig {
    /// How long nothing may be sent before a space keeps the connection alive (RFC 6120, section 4.6.1). Default 5 min:
    /// below the idle time after which common middleboxes forget a connection, and not more often than section 4.6.4 wants.
    pub keepalive: Duration,
    /// How long to wait for the peer's closing tag after ours (RFC 6120, section 4.4). Default 5 s.
    pub close_wait: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { keepalive: Duration::from_secs(300), close_wait: Duration::from_secs(5) }
    }
}

/// What a session wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOutput {
    /// A stanza from the peer, in order.
    Deliver(Stanza),
    /// Send one space.
    KeepAlive,
    /// Send the error, if any, and the closing tag.
    Close(Option<StreamError>),
    /// The stream is over: close the connection.
    Ended(SessionEnd),
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEnd {
    /// Both sides closed the stream.
    Closed,
    /// The peer reported an error.
    PeerError(StreamError),
    /// The peer broke a rule, and this was the answer.
    LocalError(StreamError),
    /// The connection broke without a closing tag.
    Disconnected,
    /// The peer did not answer our closing tag in time.
    CloseTimeout,
}

/// The state of one negotiated stream.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    outputs: VecDeque<SessionOutput>,
    keepalive_at: Instant,
    close_by: Option<Instant>,
    local_error: Option<StreamError>,
    ended: bool,
}

impl Session {
    /// A session that begins now.
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        Self {
            config,
            outputs: VecDeque::new(),
            keepalive_at: now + config.keepalive,
            close_by: None,
            local_error: None,
            ended: false,
        }
    }

    /// Takes what the peer sent.
    pub fn handle(&mut self, now: Instant, event: StreamEvent) {
        match event {
            _ if self.ended => {}
            StreamEvent::Stanza(stanza) => self.outputs.push_back(SessionOutput::Deliver(stanza)),
            StreamEvent::Close => {
                self.close_once(now, None);
                let end = self.local_error.take().map_or(SessionEnd::Closed, SessionEnd::LocalError);
                self.end(end);
            }
            StreamEvent::Open(_) => self.fail(now, StreamCondition::BadFormat.into()),
            StreamEvent::Element(element) => match StreamError::from_element(&element) {
                Some(error) => {
                    // RFC 6120, section 4.9.1.1: who receives an error closes too.
                    self.close_once(now, None);
                    self.end(SessionEnd::PeerError(error));
                }
                None => self.fail(now, StreamError::new(StreamCondition::UnsupportedStanzaType)),
            },
        }
    }

    /// The peer sent something that is no acceptable stream.
    pub fn malformed(&mut self, now: Instant, error: ReadError) {
        self.fail(now, error.into());
    }

    /// The connection broke.
    pub fn disconnected(&mut self) {
        if !self.ended {
            let closing = self.close_by.is_some();
            let end = match self.local_error.take() {
                Some(error) => SessionEnd::LocalError(error),
                None if closing => SessionEnd::Closed,
                None => SessionEnd::Disconnected,
            };
            self.end(end);
        }
    }

    /// Something was written: the connection is not idle.
    pub fn sent(&mut self, now: Instant) {
        self.keepalive_at = now + self.config.keepalive;
    }

    /// Closes the stream, with an error or without (RFC 6120, section 4.4).
    pub fn close(&mut self, now: Instant, error: Option<StreamError>) {
        self.local_error = self.local_error.take().or_else(|| error.clone());
        self.close_once(now, error);
    }

    /// The time that [`Session::poll_timeout`] named has come.
    pub fn timeout(&mut self, now: Instant) {
        if self.close_by.is_some_and(|by| by <= now) {
            let end = self.local_error.take().map_or(SessionEnd::CloseTimeout, SessionEnd::LocalError);
            self.end(end);
        } else if self.keepalive_at <= now {
            self.outputs.push_back(SessionOutput::KeepAlive);
            self.sent(now);
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<SessionOutput> {
        self.outputs.pop_front()
    }

    /// When [`Session::timeout`] is due.
    pub fn poll_timeout(&self) -> Instant {
        self.close_by.unwrap_or(self.keepalive_at)
    }

    fn fail(&mut self, now: Instant, error: StreamError) {
        self.close(now, Some(error));
    }

    fn close_once(&mut self, now: Instant, error: Option<StreamError>) {
        if self.close_by.is_none() && !self.ended {
            self.close_by = Some(now + self.config.close_wait);
            self.outputs.push_back(SessionOutput::Close(error));
        }
    }

    fn end(&mut self, end: SessionEnd) {
        if !self.ended {
            self.ended = true;
            self.outputs.push_back(SessionOutput::Ended(end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::Element;

    fn outputs(session: &mut Session) -> Vec<SessionOutput> {
        std::iter::from_fn(|| session.poll_output()).collect()
    }

    #[test]
    fn answers_a_close_and_ends() {
        let now = Instant::now();
        let mut session = Session::new(SessionConfig::default(), now);
        session.handle(now, StreamEvent::Close);
        assert_eq!(outputs(&mut session), [SessionOutput::Close(None), SessionOutput::Ended(SessionEnd::Closed)]);
    }

    #[test]
    fn still_delivers_what_arrives_between_our_close_and_theirs() {
        let now = Instant::now();
        let mut session = Session::new(SessionConfig::default(), now);
        session.close(now, None);
        let stanza = Stanza::parse("<message/>").unwrap();
        session.handle(now, StreamEvent::Stanza(stanza.clone()));
        session.handle(now, StreamEvent::Close);
        assert_eq!(
            outputs(&mut session),
            [SessionOutput::Close(None), SessionOutput::Deliver(stanza), SessionOutput::Ended(SessionEnd::Closed)]
        );
    }

    #[test]
    fn does_not_wait_for_ever_for_the_closing_tag() {
        let now = Instant::now();
        let mut session = Session::new(SessionConfig::default(), now);
        session.close(now, Some(StreamCondition::SystemShutdown.into()));
        let due = session.poll_timeout();
        assert_eq!(due, now + Duration::from_secs(5));
        session.timeout(due);
        let end = SessionEnd::LocalError(StreamCondition::SystemShutdown.into());
        assert_eq!(outputs(&mut session).pop(), Some(SessionOutput::Ended(end)));
    }

    #[test]
    fn refuses_a_first_level_element_it_does_not_know() {
        let now = Instant::now();
        let mut session = Session::new(SessionConfig::default(), now);
        session.handle(now, StreamEvent::Element(Element::new("x", "urn:x")));
        let error = StreamError::new(StreamCondition::UnsupportedStanzaType);
        assert_eq!(outputs(&mut session), [SessionOutput::Close(Some(error))]);
    }

    #[test]
    fn sends_a_space_only_when_nothing_else_was_sent() {
        let now = Instant::now();
        let mut session = Session::new(SessionConfig::default(), now);
        let later = now + Duration::from_secs(200);
        session.sent(later);
        session.timeout(now + Duration::from_secs(300));
        assert_eq!(outputs(&mut session), []);
        session.timeout(later + Duration::from_secs(300));
        assert_eq!(outputs(&mut session), [SessionOutput::KeepAlive]);
    }
}
