//! A stream after its negotiation, without I/O: stanzas, acknowledgements, idle time, late errors and the closing
//! handshake.

mod management;
mod nonza;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use self::management::Agreement;
use crate::stream::{StreamCondition, StreamError};
use crate::xml::{Element, ReadError, StreamEvent};
use crate::{Condition, Stanza, namespace};

pub use self::management::{Grant, Management, ManagementNews, Ticket};
pub use self::nonza::{Nonza, handled_count_too_high};

/// When a session says something of its own accord.
#[derive(Debug, Clone, Copy)]
pub struct SessionConfig {
    /// How long nothing may be sent before a space keeps the connection alive (RFC 6120, section 4.6.1). Default 5 min:
    /// below the idle time after which common middleboxes forget a connection, and not more often than section 4.6.4 wants.
    pub keepalive: Duration,
    /// How long to wait for the peer's closing tag after ours (RFC 6120, section 4.4). Default 5 s.
    pub close_wait: Duration,
    /// How long the peer may take to answer in stream management (XEP-0198), before the connection is given up. Default
    /// 30 s: long enough for everything that was written before the question, and much shorter than TCP would take.
    pub acknowledgement: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { keepalive: seconds(300), close_wait: seconds(5), acknowledgement: seconds(30) }
    }
}

/// What a session wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOutput {
    /// A stanza from the peer, in order.
    Deliver(Stanza),
    /// A first-level element that is no stanza and not of the session's own: whoever has offered it takes it, else the
    /// stream is closed with `unsupported-stanza-type` ([`Session::close`]).
    Element(Element),
    /// Send one space.
    KeepAlive,
    /// Send this.
    Send(Nonza),
    /// The agreement on acknowledgements has changed, or something was acknowledged.
    Management(ManagementNews),
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
    /// The peer did not answer in stream management in time: the connection is as good as broken.
    Unacknowledged,
}

/// The state of one negotiated stream.
///
/// Outputs are to be performed before the next event is handled.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    outputs: VecDeque<SessionOutput>,
    agreement: Agreement,
    /// How many stanzas of the peer have been handled, modulo 2^32.
    handled: u32,
    /// When the peer must have answered in stream management.
    answer_by: Option<Instant>,
    keepalive_at: Instant,
    close_by: Option<Instant>,
    local_error: Option<StreamError>,
    ended: bool,
}

impl Session {
    /// A session that begins now.
    pub fn new(config: SessionConfig, management: Management, now: Instant) -> Self {
        let (agreement, handled, first) = Agreement::begin(management);
        Self {
            config,
            outputs: first.into_iter().map(SessionOutput::Send).collect(),
            answer_by: agreement.is_pending().then(|| now + config.acknowledgement),
            agreement,
            handled,
            keepalive_at: now + config.keepalive,
            close_by: None,
            local_error: None,
            ended: false,
        }
    }

    /// Whether nothing may be sent yet, because the peer has to say first whether and from where on it acknowledges.
    pub fn is_held(&self) -> bool {
        self.agreement.is_pending()
    }

    /// Whether stanzas that are sent now will be acknowledged.
    pub fn is_managed(&self) -> bool {
        self.agreement == Agreement::On
    }

    /// How many stanzas of the peer have been handled, modulo 2^32; counted while [`Session::is_managed`].
    pub fn handled(&self) -> u32 {
        self.handled
    }

    /// The stanza that was delivered last has been taken: this side is responsible for it now.
    pub fn taken(&mut self) {
        if self.is_managed() {
            self.handled = self.handled.wrapping_add(1);
        }
    }

    /// Whether the peer can be asked how many stanzas it has handled, and owes no answer yet.
    pub fn may_request(&self) -> bool {
        self.is_managed() && self.answer_by.is_none() && self.close_by.is_none()
    }

    /// Asks the peer how many stanzas it has handled, if it may be asked.
    pub fn request(&mut self, now: Instant) {
        if self.may_request() {
            self.answer_by = Some(now + self.config.acknowledgement);
            self.outputs.push_back(SessionOutput::Send(Nonza::Request));
        }
    }

    /// Answers the peer that has asked for acknowledgements; `None` refuses.
    pub fn grant(&mut self, grant: Option<Grant>) {
        if self.agreement != Agreement::Asked {
            return;
        }
        let Some(Grant { id, max }) = grant else {
            self.agreement = Agreement::Granting;
            return self.decline(Condition::ResourceConstraint);
        };
        (self.agreement, self.handled) = (Agreement::On, 0);
        let max = max.map(|max| max.as_secs().try_into().unwrap_or(u32::MAX));
        self.outputs.push_back(SessionOutput::Send(Nonza::Enabled { id, max }));
    }

    /// The peer has acknowledged more than the `sent` stanzas that it can have (XEP-0198, section 6).
    pub fn acknowledged_too_much(&mut self, now: Instant, h: u32, sent: u32) {
        self.fail(now, handled_count_too_high(h, sent));
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
                None => self.element(now, element),
            },
        }
    }

    fn element(&mut self, now: Instant, element: Element) {
        match Nonza::from_element(&element) {
            Some(nonza) if self.agreement != Agreement::Off => self.manage(now, nonza),
            None if element.namespace() != namespace::STREAM_MANAGEMENT => {
                self.outputs.push_back(SessionOutput::Element(element));
            }
            _ => self.fail(now, StreamCondition::UnsupportedStanzaType.into()),
        }
    }

    fn manage(&mut self, now: Instant, nonza: Nonza) {
        match (&self.agreement, nonza) {
            (Agreement::On, Nonza::Request) => {
                self.outputs.push_back(SessionOutput::Send(Nonza::Answer(self.handled)));
            }
            (Agreement::On, Nonza::Answer(h)) => {
                self.answer_by = None;
                self.tell(ManagementNews::Acknowledged(h));
            }
            (Agreement::Granting, Nonza::Enable { resume }) => {
                self.agreement = Agreement::Asked;
                self.tell(ManagementNews::Asked { resume });
            }
            (Agreement::Enabling, Nonza::Enabled { id, max }) => {
                let max = max.map(|seconds| Duration::from_secs(seconds.into()));
                self.agree(ManagementNews::Enabled(Grant { id, max }));
            }
            (Agreement::Enabling, Nonza::Failed { .. }) => {
                (self.agreement, self.answer_by) = (Agreement::Off, None);
                self.tell(ManagementNews::Declined);
            }
            (Agreement::Resuming(id), Nonza::Resumed { previd, h }) if *id == previd => {
                self.agree(ManagementNews::Resumed(h));
            }
            (Agreement::Resuming(_), Nonza::Failed { h, .. }) => self.enable_anew(now, h),
            (_, Nonza::Enable { .. } | Nonza::Resume { .. }) => self.decline(Condition::UnexpectedRequest),
            _ => self.fail(now, StreamCondition::UnsupportedStanzaType.into()),
        }
    }

    fn agree(&mut self, news: ManagementNews) {
        (self.agreement, self.answer_by) = (Agreement::On, None);
        self.tell(news);
    }

    fn enable_anew(&mut self, now: Instant, h: Option<u32>) {
        self.tell(ManagementNews::NotResumed(h));
        (self.agreement, self.handled) = (Agreement::Enabling, 0);
        self.answer_by = Some(now + self.config.acknowledgement);
        self.outputs.push_back(SessionOutput::Send(Nonza::Enable { resume: true }));
    }

    fn decline(&mut self, condition: Condition) {
        self.outputs.push_back(SessionOutput::Send(Nonza::Failed { condition, h: None }));
    }

    fn tell(&mut self, news: ManagementNews) {
        self.outputs.push_back(SessionOutput::Management(news));
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
        } else if self.is_unanswered(now) {
            self.end(SessionEnd::Unacknowledged);
        } else if self.keepalive_at <= now {
            self.keep_alive(now);
        }
    }

    fn is_unanswered(&self, now: Instant) -> bool {
        self.close_by.is_none() && self.answer_by.is_some_and(|by| by <= now)
    }

    /// A peer that acknowledges is asked to, so that its silent death is noticed.
    fn keep_alive(&mut self, now: Instant) {
        if self.is_managed() {
            self.request(now);
        } else {
            self.outputs.push_back(SessionOutput::KeepAlive);
        }
        self.sent(now);
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<SessionOutput> {
        self.outputs.pop_front()
    }

    /// When [`Session::timeout`] is due.
    pub fn poll_timeout(&self) -> Instant {
        self.close_by.unwrap_or_else(|| self.answer_by.map_or(self.keepalive_at, |by| by.min(self.keepalive_at)))
    }

    fn fail(&mut self, now: Instant, error: StreamError) {
        self.close(now, Some(error));
    }

    fn close_once(&mut self, now: Instant, error: Option<StreamError>) {
        if self.close_by.is_none() && !self.ended {
            self.close_by = Some(now + self.config.close_wait);
            if self.is_managed() {
                // The last word on what was handled (XEP-0198, section 4).
                self.outputs.push_back(SessionOutput::Send(Nonza::Answer(self.handled)));
            }
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
mod tests;
