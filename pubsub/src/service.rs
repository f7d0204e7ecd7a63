//! The publish-subscribe service as an entity that takes stanzas.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use convoke_xmpp::{Condition, IqType, Jid, JidRef, Kind, MessageType, Origin, Router, Service, Stanza};

use crate::PubSubConfig;
use crate::broker::{Broker, Context, Notification, Operation, Outcome, Requester};
use crate::contacts::NoContacts;
use crate::ids::RandomIds;
use crate::outbox::{Outbox, Outgoing, deliver};
use crate::protocol::{self, Request, RequestError};

/// A publish-subscribe service (XEP-0060) that keeps everything in memory.
///
/// Every iq of type get or set is answered exactly once, from the address that it was sent to. Notifications come from
/// the service's own address, each node's in the order of its changes, after the answer to the request that caused
/// them. Subscribers may live in any domain. A requester is whoever `from` says: the router and the links have proved
/// it before.
///
/// Nodes have the access model `open` and the publish model `publishers`; whoever creates a node owns it. Forms are
/// not supported yet, and refused by the name of the feature.
pub struct PubSubService {
    address: Jid,
    config: PubSubConfig,
    broker: Mutex<Broker>,
    outbox: Outbox,
}

impl PubSubService {
    /// A service at this address, without nodes.
    pub fn new(address: Jid, config: PubSubConfig) -> Self {
        let broker = Broker::new(address.clone(), config.clone());
        let outbox = Outbox::new(config.max_waiting);
        Self { address, config, broker: Mutex::new(broker), outbox }
    }

    /// The address that notifications come from.
    pub fn address(&self) -> &Jid {
        &self.address
    }

    fn answer(&self, iq: &Stanza, origin: &Origin, router: &dyn Router) {
        if self.outbox.is_full() {
            return deliver_if_any(iq.bounce(&RequestError::Busy.into()), router);
        }
        if let Err(error) = self.serve(iq, origin) {
            self.outbox.extend(iq.bounce(&error.into()).map(Outgoing::Answer));
        }
    }

    fn serve(&self, iq: &Stanza, origin: &Origin) -> Result<(), RequestError> {
        let from = iq.from().ok_or(RequestError::Malformed("a request has a sender"))?;
        match protocol::read(iq, &self.config)? {
            Request::Constant(payload) => self.outbox.extend([Outgoing::Answer(iq.result(payload))]),
            Request::Operation(operation) => self.perform(iq, from, origin, operation)?,
        }
        Ok(())
    }

    fn perform(
        &self,
        iq: &Stanza,
        from: JidRef<'_>,
        origin: &Origin,
        operation: Operation,
    ) -> Result<(), RequestError> {
        let requester = Requester { jid: from.to_owned(), is_local: *origin == Origin::Local };
        // What comes of it is queued under the same lock: otherwise two changes of a node could change places.
        let mut broker = self.broker();
        let mut context = Context { now: SystemTime::now(), ids: &mut RandomIds, contacts: &NoContacts };
        let outcome = broker.apply(&requester, operation, &mut context)?;
        // Nothing is kept beyond memory.
        drop(broker.take_changes());
        self.outbox.extend(self.outgoing(iq, outcome));
        Ok(())
    }

    fn outgoing(&self, iq: &Stanza, outcome: Outcome) -> impl Iterator<Item = Outgoing> {
        let answer = protocol::answer(iq, &outcome.answer, &self.config);
        let notify = |notification: Notification| Outgoing::Notification {
            message: protocol::event(&notification, &self.address),
            recipients: notification.recipients,
        };
        [Outgoing::Answer(answer)].into_iter().chain(outcome.notifications.into_iter().map(notify))
    }

    fn broker(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for PubSubService {
    /// Answers requests; results, errors, headlines and presence need no answer and change nothing.
    fn handle(&self, stanza: Stanza, origin: &Origin, router: &dyn Router) {
        match stanza.kind() {
            Kind::Iq(IqType::Get | IqType::Set) => self.answer(&stanza, origin, router),
            // Nobody reads messages here; their senders learn it (RFC 6121, section 8.5.2.2).
            Kind::Message(MessageType::Normal | MessageType::Chat | MessageType::GroupChat) => {
                deliver_if_any(stanza.bounce(&Condition::ServiceUnavailable.into()), router);
            }
            _ => return,
        }
        self.outbox.drain(router);
    }
}

fn deliver_if_any(stanza: Option<Stanza>, router: &dyn Router) {
    if let Some(stanza) = stanza {
        deliver(stanza, router);
    }
}
