//! One broker behind the stanzas that it is asked by.

use std::sync::Arc;

use convoke_store::{Batch, StoreError};
use convoke_xmpp::{Jid, JidRef, Origin, Stanza};

use super::clock::Clock;
use super::commit::Host;
use super::work::Work;
use crate::PubSubConfig;
use crate::broker::{Broker, Context, Notification, Operation, Outcome, Requester};
use crate::contacts::NoContacts;
use crate::delivery::{Notice, Outgoing};
use crate::ids::RandomIds;
use crate::protocol::{self, Request, RequestError};
use crate::state::{Changes, Undo};

/// A broker that serves stanzas for one address.
pub(super) struct SingleBroker {
    address: Jid,
    config: PubSubConfig,
    broker: Broker,
    clock: Arc<dyn Clock>,
}

impl SingleBroker {
    pub(super) fn new(address: Jid, config: PubSubConfig, broker: Broker, clock: Arc<dyn Clock>) -> Self {
        Self { address, config, broker, clock }
    }

    pub(super) fn set_clock(&mut self, clock: Arc<dyn Clock>) {
        self.clock = clock;
    }

    fn serve(&mut self, stanza: &Stanza, origin: &Origin) -> Vec<Outgoing> {
        if !stanza.is_request() {
            return Vec::new();
        }
        match self.answer(stanza, origin) {
            Ok(outgoing) => outgoing,
            Err(error) => stanza.bounce(&error.into()).map(Outgoing::Answer).into_iter().collect(),
        }
    }

    fn answer(&mut self, iq: &Stanza, origin: &Origin) -> Result<Vec<Outgoing>, RequestError> {
        let from = iq.from().ok_or(RequestError::Malformed("a request has a sender"))?;
        match protocol::read(iq, &self.config)? {
            Request::Constant(payload) => Ok(vec![Outgoing::Answer(iq.result(payload))]),
            Request::Operation(operation) => self.operate(iq, from, origin, operation),
        }
    }

    fn operate(
        &mut self,
        iq: &Stanza,
        from: JidRef<'_>,
        origin: &Origin,
        operation: Operation,
    ) -> Result<Vec<Outgoing>, RequestError> {
        let requester = Requester { jid: from.to_owned(), is_local: *origin == Origin::Local };
        let mut context = Context { now: self.clock.time(), ids: &mut RandomIds, contacts: &NoContacts };
        let outcome = self.broker.apply(&requester, operation, &mut context)?;
        Ok(self.outgoing(iq, outcome))
    }

    /// The answer first, then who else is told.
    fn outgoing(&self, iq: &Stanza, outcome: Outcome) -> Vec<Outgoing> {
        let answer = protocol::answer(iq, &outcome.answer, &self.config);
        let ended = outcome.answer.unsubscribed().map(|(node, jid)| Outgoing::Ended {
            subscriber: jid.clone(),
            service: self.address.clone(),
            node: node.clone(),
        });
        let notifications = outcome.notifications.into_iter().map(|notification| self.notice(notification));
        [Outgoing::Answer(answer)].into_iter().chain(ended).chain(notifications).collect()
    }

    fn notice(&self, notification: Notification) -> Outgoing {
        let notice = Notice {
            from: self.address.clone(),
            kind: protocol::message_type(&notification),
            is_state: notification.style.is_singleton,
            event: protocol::event(&notification),
            extras: protocol::delay(&notification).into_iter().collect(),
            node: notification.node,
            position: notification.position,
        };
        Outgoing::Notification { notice, recipients: notification.recipients }
    }
}

impl Host for SingleBroker {
    type Undo = Undo;

    fn perform(&mut self, work: &Work) -> Vec<Outgoing> {
        match work {
            Work::Stanza(stanza, origin) => self.serve(stanza, origin),
            Work::Remove(jid) => {
                self.broker.remove_subscriber(jid);
                Vec::new()
            }
        }
    }

    fn take_changes(&mut self) -> Option<(Batch, Undo)> {
        if !self.broker.has_changes() {
            return None;
        }
        let Changes { batch, undo } = self.broker.take_changes();
        Some((batch, undo))
    }

    fn undo(&mut self, undo: Undo, cause: &StoreError) {
        self.broker.undo(undo, cause);
    }
}
