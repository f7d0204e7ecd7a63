//! What a stream delivers to its link, and what it asks of it.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use convoke_net::Agreed;
use convoke_net::session::SessionHandler;
use convoke_xmpp::session::{Grant, Management};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Element, IqType, JidRef, Kind, Stanza};
use tracing::warn;

use super::further::Further;
use super::proof::Proof;
use super::state::Resumable;
use super::{Link, Pair, in_doubt, now};
use crate::federation::Shared;
use crate::printable::{TOLD_CHARACTERS, printable};

/// One stream, in either role: lets through what the peer may send, from its proved domain to the domain that it was
/// authenticated towards or another that is served here, and from further domains as it was granted.
pub(super) struct Handler {
    pub(super) link: Arc<Link>,
    pub(super) shared: Arc<Shared>,
    /// What the stream carries besides.
    pub(super) further: Further,
    pub(super) proof: Proof,
    /// The number of an incoming stream; `None` for one that was dialled here.
    pub(super) incoming: Option<u64>,
    /// Whether the queue of the link can be emptied by this stream.
    pub(super) sends: bool,
    /// Whether the peer may send stanzas.
    pub(super) receives: bool,
    /// The language of its stanzas that name none, where it is not that of our own streams.
    pub(super) lang: Option<String>,
    pub(super) management: Management,
    /// Until when nothing is read, because one of its pairs has sent more than it may.
    pub(super) rests_until: Option<Instant>,
    /// How many stanzas of the peer were handled, once the session has ended.
    pub(super) handled: u32,
}

impl SessionHandler for Handler {
    fn stanza(&mut self, stanza: Stanza) -> Result<(), StreamError> {
        if !self.receives {
            return Err(StreamError::new(StreamCondition::NotAuthorized)
                .with_text("this stream carries stanzas in the other direction only"));
        }
        let link = self.check(&stanza).map_err(|condition| self.refused(&stanza, condition))?;
        let pause = link.count(&stanza);
        if !self.is_answer_to_us(&stanza) {
            self.route(stanza, link);
        }
        // Whichever of its pairs that is: the stream can only be read as a whole.
        self.rests_until = self.rests_until.max(pause.map(|pause| now() + pause));
        Ok(())
    }

    fn element(&mut self, element: Element) -> Result<(), StreamError> {
        self.further.element(&element)
    }

    fn poll_element(&mut self, cx: &mut Context<'_>) -> Poll<Element> {
        self.further.poll(cx)
    }

    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<StreamError> {
        while let Poll::Ready(concerned) = self.proof.poll_changes(cx, &self.shared.trust) {
            match self.further.still_proved(&concerned, SystemTime::now()) {
                // The new stream is dialled before this one is closed, and ends with the new proof.
                Ok(proved_otherwise) if proved_otherwise && self.incoming.is_none() => self.link.renew(),
                Ok(_) => {}
                Err(error) => {
                    warn!(remote = %self.link.pair.remote, %error, "the peer of a live stream is not trusted any more");
                    return Poll::Ready(StreamError::new(StreamCondition::NotAuthorized).with_text(error.to_string()));
                }
            }
        }
        Poll::Pending
    }

    fn serves(&mut self) {
        if self.sends {
            self.further.serves();
        }
    }

    fn holds(&self) -> bool {
        self.further.holds()
    }

    fn pause(&mut self) -> Option<Duration> {
        self.rests_until.map(|until| until.saturating_duration_since(now())).filter(|pause| !pause.is_zero())
    }

    fn heard(&mut self, at: Instant) {
        self.link.liveness.heard(at);
    }

    fn last_heard(&self) -> Option<Instant> {
        Some(self.link.liveness.last_heard())
    }

    fn ping(&mut self) -> Option<Stanza> {
        self.link.liveness.ask(&self.link.pair)
    }

    fn management(&mut self) -> Management {
        std::mem::take(&mut self.management)
    }

    fn grant(&mut self, resume: bool) -> Option<Grant> {
        let id = self.incoming.filter(|_| resume).and_then(|number| self.link.grant(number));
        if let Some(number) = self.incoming {
            self.link.heard(number, &self.shared);
        }
        let max = id.is_some().then_some(self.shared.timeouts.resume);
        Some(Grant { id, max })
    }

    fn agreed(&mut self, agreed: Agreed) {
        match agreed {
            Agreed::Enabled(grant) => self.link.lock().ticket = self.resumable(grant),
            Agreed::Resumed => self.link.lock().resumed += 1,
            Agreed::NotResumed(stanzas) => {
                let mut state = self.link.lock();
                state.ticket = None;
                state.not_resumed += 1;
                drop(state);
                self.link.bounce(&self.shared, stanzas, &in_doubt());
            }
            _ => {}
        }
    }

    fn ended(&mut self, handled: u32) {
        self.handled = handled;
    }
}

impl Handler {
    fn route(&self, stanza: Stanza, link: &Link) {
        // By another stream it would be taken for another language (RFC 6120, section 8.1.5).
        let stanza = match &self.lang {
            Some(lang) => stanza.or_lang(lang),
            None => stanza,
        };
        if let Err(undelivered) = self.shared.router.route(stanza, &link.origin) {
            self.shared.router.undelivered(undelivered);
        }
    }

    /// RFC 6120, sections 8.1.1.2 and 8.1.2.2. Gives the link of the pair, or the one of the
    /// stream if that is towards another of our domains.
    fn check(&self, stanza: &Stanza) -> Result<&Link, StreamCondition> {
        let (Some(to), Some(from)) = (stanza.to(), stanza.from()) else {
            return Err(StreamCondition::ImproperAddressing);
        };
        // Exactly the proved domain: a sub-domain is another one.
        if from.domain() != self.link.pair.remote.as_str() {
            let further = self.further.accepted(to.domain(), from.domain());
            return further.ok_or(StreamCondition::InvalidFrom);
        }
        if !self.shared.serves(to.domain()) {
            return Err(StreamCondition::HostUnknown);
        }
        Ok(&self.link)
    }

    /// Whether this is the answer to a ping of the link itself, and nobody else's business. It may come by a stream that
    /// was authenticated towards another domain of ours.
    fn is_answer_to_us(&self, stanza: &Stanza) -> bool {
        if !matches!(stanza.kind(), Kind::Iq(IqType::Result | IqType::Error)) {
            return false;
        }
        let Pair { local, remote } = &self.link.pair;
        match stanza.to() {
            Some(to) if to.domain() == local.as_str() => self.link.takes_answer(stanza),
            Some(to) => self.shared.link_between(to.domain(), remote).is_some_and(|link| link.takes_answer(stanza)),
            None => false,
        }
    }

    fn refused(&self, stanza: &Stanza, condition: StreamCondition) -> StreamError {
        let reason = format!("a {} from {:?} to {:?}", stanza.kind().name(), text(stanza.from()), text(stanza.to()));
        let _ends_anyway = self.link.count(stanza);
        warn!(remote = %self.link.pair.remote, %condition, reason, "incoming stanza refused");
        // What the peer has said itself: it learns nothing.
        StreamError::new(condition).with_text(printable(&reason, TOLD_CHARACTERS))
    }

    /// A session lives as long as its stream, and then as long as the peer says and we care.
    fn resumable(&self, grant: Grant) -> Option<Resumable> {
        let longest = self.shared.timeouts.resume;
        let kept = grant.max.map_or(longest, |max| max.min(longest));
        Some(Resumable::new(grant.id?, kept))
    }
}

fn text(address: Option<JidRef<'_>>) -> &str {
    address.map_or("", |jid| jid.as_str())
}
