//! Whether a peer is alive that does not acknowledge: after a silence it is asked (XEP-0199), and then it has to say
//! something, whatever it is.

use std::time::{Duration, Instant};

use super::Runner;
use crate::session::{End, SessionHandler};

/// When the peer last gave a sign of life, and when it was asked for one.
#[derive(Debug)]
pub(super) struct Pulse {
    /// How long the peer may be silent before it is asked.
    silence: Duration,
    /// How long it may be silent then.
    answer: Duration,
    heard_at: Instant,
    asked_at: Option<Instant>,
    /// Whether there was a sign of life since the turn began, whose time is that of the next one.
    sign: bool,
    /// Whether there is nothing to ask.
    mute: bool,
}

/// What is due.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Ask,
    End,
}

impl Pulse {
    pub(super) fn new(silence: Duration, answer: Duration, now: Instant) -> Self {
        Self { silence, answer, heard_at: now, asked_at: None, sign: false, mute: false }
    }

    /// Something was read; or something could be written that could not before: the peer reads.
    pub(super) fn sign(&mut self) {
        self.sign = true;
    }

    fn heard(&mut self, at: Instant) {
        self.heard_at = self.heard_at.max(at);
        self.asked_at = self.asked_at.filter(|asked| self.heard_at < *asked);
    }

    fn due_at(&self) -> Instant {
        self.asked_at.map_or(self.heard_at + self.silence, |asked| asked + self.answer)
    }

    fn due(&mut self, now: Instant) -> Due {
        match self.asked_at {
            _ if self.due_at() > now => Due::Nothing,
            Some(_) => Due::End,
            None => {
                self.asked_at = Some(now);
                Due::Ask
            }
        }
    }
}

impl<H: SessionHandler> Runner<'_, H> {
    /// A turn begins, after whatever the last one has waited for.
    pub(super) fn take_sign(&mut self) {
        if std::mem::take(&mut self.pulse.sign) {
            self.pulse.heard(self.now);
            self.handler.heard(self.now);
        }
    }

    /// When the peer is to be asked, or has to have answered. Only who may send stanzas can ask, and who acknowledges is
    /// asked for that instead.
    pub(super) fn pulse_at(&self) -> Option<Instant> {
        let may_ask = self.serving && !self.pulse.mute && !self.ends_anyway();
        let is_plain = !self.session.is_held() && !self.session.is_managed();
        (may_ask && is_plain).then(|| self.pulse.due_at())
    }

    /// Asks a peer that was silent, and ends the session of one that does not answer.
    pub(super) fn feel_pulse(&mut self) -> Option<End> {
        if self.pulse_at().is_none_or(|at| at > self.now) {
            return None;
        }
        if let Some(at) = self.handler.last_heard() {
            self.pulse.heard(at);
        }
        match self.pulse.due(self.now) {
            Due::Nothing => None,
            Due::End => Some(End::Unanswered),
            Due::Ask => {
                self.ping();
                None
            }
        }
    }

    /// No use of the stream: what is idle stays so.
    fn ping(&mut self) {
        match self.handler.ping() {
            Some(ping) => {
                self.push_text(&ping.text());
                // The space that would keep the connection alive is spared.
                self.session.sent(self.now);
            }
            None => self.pulse.mute = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn asks_after_a_silence_and_ends_when_nothing_comes() {
        let start = Instant::now();
        let mut pulse = Pulse::new(300 * SECOND, 30 * SECOND, start);
        assert_eq!(pulse.due(start + 299 * SECOND), Due::Nothing);
        assert_eq!(pulse.due(start + 300 * SECOND), Due::Ask);
        assert_eq!(pulse.due(start + 329 * SECOND), Due::Nothing);
        assert_eq!(pulse.due(start + 330 * SECOND), Due::End);
    }

    #[test]
    fn whatever_is_heard_after_the_question_is_a_sign_of_life_and_the_silence_begins_anew() {
        let start = Instant::now();
        let mut pulse = Pulse::new(300 * SECOND, 30 * SECOND, start);
        pulse.heard(start + 100 * SECOND);
        // Another stream may have heard less.
        pulse.heard(start + 50 * SECOND);
        assert_eq!(pulse.due(start + 399 * SECOND), Due::Nothing);
        assert_eq!(pulse.due(start + 400 * SECOND), Due::Ask);
        pulse.heard(start + 399 * SECOND);
        assert_eq!(pulse.due_at(), start + 430 * SECOND);
        pulse.heard(start + 429 * SECOND);
        assert_eq!(pulse.due(start + 430 * SECOND), Due::Nothing);
        assert_eq!(pulse.due(start + 729 * SECOND), Due::Ask);
    }
}
