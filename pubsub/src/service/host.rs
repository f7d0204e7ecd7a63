//! One broker behind the stanzas that it is asked by.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use convoke_store::{Batch, Store, StoreError};
use convoke_xmpp::{Jid, JidRef, Kind, Origin, Stanza};

use super::clock::Clock;
use super::commit::{Host, Undos};
use super::work::Work;
use crate::broker::{
    Answer, Broker, Census, Change, Context, Followers, NoFollowers, NodeId, Notification, Operation, Outcome,
    Presence, Refusal, Requester, SubscriptionInfo,
};
use crate::contacts::{Contacts, NoContacts};
use crate::delivery::{Head, Notice, Outgoing};
use crate::ids::RandomIds;
use crate::protocol::{self, Request, RequestError};
use crate::state::Changes;
use crate::{AccessModel, PubSubConfig};

/// How long the service waits at most before it looks again for what is over.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// A broker that serves stanzas for one address.
pub(super) struct SingleBroker {
    address: Jid,
    config: PubSubConfig,
    broker: Broker,
    clock: Arc<dyn Clock>,
    contacts: Arc<dyn Contacts>,
}

impl SingleBroker {
    pub(super) fn new(address: Jid, config: PubSubConfig, broker: Broker, clock: Arc<dyn Clock>) -> Self {
        Self { address, config, broker, clock, contacts: Arc::new(NoContacts) }
    }

    /// Does one thing, for a service some of whose nodes have followers.
    pub(super) fn perform_for(&mut self, work: &Work, followers: &dyn Followers) -> Vec<Outgoing> {
        match work {
            Work::Stanza(stanza, origin) => self.serve(stanza, origin, followers),
            Work::Remove(jid) => {
                let told = self.broker.remove_subscriber(jid);
                told.into_iter().flat_map(|notification| self.notices(notification)).collect()
            }
            // Nobody has asked who could be told of a failure; it is tried again.
            Work::Expire => self.tell(followers, |broker, context| broker.expire(context)).unwrap_or_default(),
        }
    }

    /// Sends somebody who follows these nodes from now on what it has missed.
    pub(super) fn greet<'n>(&mut self, who: &Jid, nodes: impl IntoIterator<Item = &'n NodeId>) -> Vec<Outgoing> {
        let greeted = self.tell(&NoFollowers, |broker, context| Ok(broker.greet_follower(who, nodes, context)));
        greeted.unwrap_or_default()
    }

    /// A contact, whose resources follow these nodes, sees more or less than before: nodes of these access models may have
    /// been opened to it.
    pub(super) fn contact_changed(
        &mut self,
        contact: &Jid,
        follows: &[(Jid, Vec<NodeId>)],
        opened: &[AccessModel],
    ) -> Vec<Outgoing> {
        let told = self.tell(&NoFollowers, |broker, context| {
            let mut notifications = broker.settle_contact(contact, context)?;
            let greetings = follows.iter().flat_map(|(who, nodes)| broker.greet_admitted(who, nodes, opened, context));
            notifications.extend(greetings);
            Ok(notifications)
        });
        told.unwrap_or_default()
    }

    /// Whether there is nothing that anybody could ask for.
    pub(super) fn is_empty(&self) -> bool {
        self.broker.is_empty()
    }

    fn serve(&mut self, stanza: &Stanza, origin: &Origin, followers: &dyn Followers) -> Vec<Outgoing> {
        let served = match stanza.kind() {
            Kind::Presence(_) => self.note_presence(stanza, origin, followers),
            Kind::Message(_) => self.decide(stanza, origin, followers),
            Kind::Iq(_) => self.answer(stanza, origin, followers),
        };
        match served {
            Ok(outgoing) => outgoing,
            Err(error) => stanza.bounce(&error.into()).map(Outgoing::Answer).into_iter().collect(),
        }
    }

    fn note_presence(
        &mut self,
        stanza: &Stanza,
        origin: &Origin,
        followers: &dyn Followers,
    ) -> Result<Vec<Outgoing>, RequestError> {
        let Some((jid, presence)) = protocol::read_presence(stanza, origin) else { return Ok(Vec::new()) };
        self.tell(followers, |broker, context| broker.presence(&jid, presence, context))
    }

    /// An owner's word about a subscription; nobody reads other messages here, and their senders learn it (RFC 6121,
    /// section 8.5.2.2).
    fn decide(
        &mut self,
        message: &Stanza,
        origin: &Origin,
        followers: &dyn Followers,
    ) -> Result<Vec<Outgoing>, RequestError> {
        let from = message.from().ok_or(RequestError::Malformed("a message has a sender"))?;
        let Some(operation) = protocol::read_approval(message)? else { return Ok(Vec::new()) };
        let requester = Requester { jid: from.to_owned(), is_local: *origin == Origin::Local };
        self.tell(followers, |broker, context| Ok(broker.apply(&requester, operation, context)?.notifications))
    }

    /// Performs something that nobody awaits an answer to.
    fn tell(
        &mut self,
        followers: &dyn Followers,
        operate: impl FnOnce(&mut Broker, &mut Context<'_>) -> Result<Vec<Notification>, Refusal>,
    ) -> Result<Vec<Outgoing>, RequestError> {
        let contacts = self.contacts.clone();
        let mut context = Context { now: self.clock.time(), ids: &mut RandomIds, contacts: &*contacts, followers };
        let notifications = operate(&mut self.broker, &mut context)?;
        Ok(notifications.into_iter().flat_map(|notification| self.notices(notification)).collect())
    }

    fn answer(
        &mut self,
        iq: &Stanza,
        origin: &Origin,
        followers: &dyn Followers,
    ) -> Result<Vec<Outgoing>, RequestError> {
        let from = iq.from().ok_or(RequestError::Malformed("a request has a sender"))?;
        match protocol::read(iq, &self.config)? {
            Request::Constant(payload) => Ok(vec![Outgoing::Answer(iq.result(payload))]),
            Request::Operation(operation) => self.operate(iq, from, origin, operation, followers),
        }
    }

    fn operate(
        &mut self,
        iq: &Stanza,
        from: JidRef<'_>,
        origin: &Origin,
        operation: Operation,
        followers: &dyn Followers,
    ) -> Result<Vec<Outgoing>, RequestError> {
        let requester = Requester { jid: from.to_owned(), is_local: *origin == Origin::Local };
        let contacts = self.contacts.clone();
        let mut context = Context { now: self.clock.time(), ids: &mut RandomIds, contacts: &*contacts, followers };
        let outcome = self.broker.apply(&requester, operation, &mut context)?;
        Ok(self.outgoing(iq, outcome))
    }

    /// The answer first, then who else is told.
    fn outgoing(&self, iq: &Stanza, outcome: Outcome) -> Vec<Outgoing> {
        let answer = protocol::answer(iq, &outcome.answer, &self.config);
        let answer = match outcome.answer {
            Answer::Published { .. } => Outgoing::Published(answer),
            _ => Outgoing::Answer(answer),
        };
        let ended = self.ended_by(&outcome.answer);
        let notices = outcome.notifications.into_iter().flat_map(|notification| self.notices(notification));
        [answer].into_iter().chain(ended).chain(notices).collect()
    }

    /// The end of a subscription of which the answer alone tells.
    fn ended_by(&self, answer: &Answer) -> Option<Outgoing> {
        let Answer::Unsubscribed { subscription } = answer else { return None };
        Some(self.ended(subscription))
    }

    fn ended(&self, subscription: &SubscriptionInfo) -> Outgoing {
        let SubscriptionInfo { jid, node, subid, .. } = subscription.clone();
        Outgoing::Ended { subscriber: jid, service: self.address.clone(), node, subid }
    }

    /// A notification; what waits for a subscription that it ends goes first.
    fn notices(&self, notification: Notification) -> impl Iterator<Item = Outgoing> + use<> {
        let ended = match &notification.change {
            Change::Subscription { subscription } if subscription.state.is_none() => Some(self.ended(subscription)),
            _ => None,
        };
        ended.into_iter().chain([self.notice(notification)])
    }

    fn notice(&self, notification: Notification) -> Outgoing {
        let head = Head {
            from: self.address.clone(),
            kind: protocol::message_type(&notification),
            is_state: notification.style.is_singleton,
            is_recalled: matches!(notification.change, Change::Recalled { .. }),
            stamp: self.stamp(&notification.change),
            node: notification.node.clone(),
            position: notification.position.clone(),
        };
        let notice = Notice { head, event: protocol::event(&notification) };
        Outgoing::Notification { notice, recipients: notification.recipients }
    }

    /// When it happened.
    fn stamp(&self, change: &Change) -> SystemTime {
        match change {
            Change::Published { item } | Change::Recalled { item } => item.published(),
            _ => self.clock.time(),
        }
    }
}

impl Host for SingleBroker {
    fn set_clock(&mut self, clock: Arc<dyn Clock>) {
        self.clock = clock;
    }

    fn set_contacts(&mut self, contacts: Arc<dyn Contacts>) {
        self.contacts = contacts;
    }

    fn perform(&mut self, work: &Work) -> Vec<Outgoing> {
        self.perform_for(work, &NoFollowers)
    }

    fn is_due(&self) -> bool {
        self.broker.next_expiry().is_some_and(|expiry| expiry <= self.clock.time())
    }

    fn next_expiry(&self) -> Option<Instant> {
        let pause = self.broker.next_expiry()?.duration_since(self.clock.time()).unwrap_or_default();
        // A clock that is set makes nothing wait for long: what is over is looked at again by then.
        Some(self.clock.now() + pause.min(LONGEST_PAUSE))
    }

    fn retry(&mut self, work: Work, _: &[Outgoing]) -> Option<Work> {
        match &work {
            Work::Expire => return None,
            Work::Stanza(..) if work.is_about_contact() => {}
            Work::Stanza(stanza, _) => {
                // Who is available already would not be greeted again.
                let from = stanza.from()?.to_owned();
                self.tell(&NoFollowers, |broker, context| broker.presence(&from, Presence::Unreachable, context))
                    .ok()?;
            }
            Work::Remove(_) => {}
        }
        Some(work)
    }

    fn take_changes(&mut self) -> Option<(Batch, Undos)> {
        if !self.broker.has_changes() {
            return None;
        }
        let Changes { batch, undo } = self.broker.take_changes();
        Some((batch, vec![(self.address.clone(), undo)]))
    }

    fn undo(&mut self, undos: Undos, cause: &StoreError) {
        undos.into_iter().for_each(|(_, undo)| self.broker.undo(undo, cause));
    }

    fn census(&self) -> Census {
        self.broker.census()
    }

    fn resolve_doubts(&mut self, store: &dyn Store) {
        self.broker.resolve_doubts(store);
    }
}
