//! What a session asks, answers and learns of what was handled (XEP-0198), and from when on it sends and counts.

use convoke_xmpp::session::{ManagementNews, Nonza};
use tokio_util::sync::CancellationToken;

use super::Runner;
use crate::session::{Agreed, SessionHandler, Stop};

impl<H: SessionHandler> Runner<'_, H> {
    /// From when on the stanzas of the outbox are this session's to send.
    pub(super) fn serve(&mut self, stop: &Stop) {
        if !self.serving && stop.hold.as_ref().is_none_or(CancellationToken::is_cancelled) {
            self.serving = true;
            self.count();
            self.handler.serves();
        }
    }

    /// Acknowledgements count from here on.
    fn count(&self) {
        if self.serving && self.session.is_managed() {
            self.outbox.count_from(self.acknowledged);
        }
    }

    /// Does what the peer's news of acknowledgements ask for.
    pub(super) fn manage(&mut self, news: ManagementNews) {
        match news {
            ManagementNews::Asked { resume } => {
                self.session.grant(self.handler.grant(resume));
                self.count();
            }
            ManagementNews::Enabled(grant) => {
                self.count();
                self.handler.agreed(Agreed::Enabled(grant));
            }
            ManagementNews::Declined => self.handler.agreed(Agreed::Declined),
            ManagementNews::Resumed(h) => {
                // By another connection: that says nothing of this one.
                self.acknowledge(h);
                self.outbox.give_back();
                self.handler.agreed(Agreed::Resumed);
            }
            ManagementNews::NotResumed(h) => {
                // A count that cannot be is as good as none.
                let _ = h.map(|h| self.outbox.acknowledge(h));
                self.handler.agreed(Agreed::NotResumed(self.outbox.take_unacknowledged()));
            }
            ManagementNews::Acknowledged(h) => {
                let bytes = self.acknowledge(h);
                self.window.acknowledged(bytes, self.now);
            }
        }
    }

    /// Gives the bytes that are in doubt no more.
    fn acknowledge(&mut self, h: u32) -> usize {
        let acknowledged = match self.serving {
            true => self.outbox.acknowledge(h).map_err(|error| error.sent),
            false if h == self.acknowledged => Ok(0),
            false => Err(self.acknowledged),
        };
        acknowledged.unwrap_or_else(|sent| {
            self.session.acknowledged_too_much(self.now, h, sent);
            0
        })
    }

    /// Asks what has arrived, if something is in doubt and the peer was not asked yet.
    pub(super) fn request(&mut self) {
        if self.serving && self.session.may_request() && self.outbox.unacknowledged() > 0 {
            self.session.request(self.now);
            self.window.asked(self.now);
            // A question ends nothing.
            let _ = self.perform();
        }
    }

    pub(super) fn push_nonza(&mut self, nonza: &Nonza) {
        let mut text = String::new();
        nonza.write(&mut text);
        self.push_text(&text);
    }
}

/// Until a session that is held back is let go.
pub(super) async fn released(hold: Option<&CancellationToken>) {
    if let Some(hold) = hold {
        hold.cancelled().await;
    }
}
