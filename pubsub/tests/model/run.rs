//! One life of a service, watched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use convoke_pubsub::client::{self, Event};
use convoke_pubsub::{Contacts, PubSubService};
use convoke_xmpp::{Element, Jid, Kind, Stanza, namespace};

use super::faulty_store::FaultyStore;
use super::naive::{Entries, Model, Node};
use super::step::{NODES, PEOPLE, Request, Step, resource};
use super::view::{Effect, Snapshot, View, is_recalled};
use crate::support::{House, ManualClock, open_config, request, verdict};

/// How much came about.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Requests that were granted.
    pub(super) accepted: u64,
    /// Notifications.
    pub(super) told: u64,
}

/// More than every digest takes.
const LONG: Duration = Duration::from_secs(600);

type Check<T = ()> = Result<T, String>;

/// Leads a life of these steps; says what is not as it should be.
pub(super) fn play(steps: &[Step]) -> Check<Tally> {
    Life::new().lead(steps)
}

/// The same with a store that says it keeps what it does not.
pub(super) fn play_with_a_forgetful_store(steps: &[Step]) -> Check<Tally> {
    let life = Life::new();
    life.store.forget();
    life.lead(steps)
}

/// Whose presence owners share.
#[derive(Default)]
struct Friends(Mutex<BTreeSet<String>>);

impl Contacts for Friends {
    fn shares_presence(&self, _: &Jid, contact: &Jid) -> bool {
        self.0.lock().unwrap().contains(contact.as_str())
    }

    fn is_in_group(&self, _: &Jid, _: &Jid, _: &BTreeSet<String>) -> bool {
        false
    }
}

struct Life {
    house: House,
    store: Arc<FaultyStore>,
    clock: Arc<ManualClock>,
    friends: Arc<Friends>,
    model: Model,
    /// By node and subscribed address.
    views: BTreeMap<(usize, String), View>,
    /// How many commits were kept when one was written that had failed: until another one is kept, the store may say
    /// at its next start what was refused.
    doubt: Option<usize>,
    tally: Tally,
}

impl Life {
    fn new() -> Self {
        let (store, clock, friends) = (Arc::<FaultyStore>::default(), Arc::new(ManualClock::new()), Arc::default());
        let house = open(&store, &clock, &friends);
        let (model, views, doubt, tally) = (Model::default(), BTreeMap::new(), None, Tally::default());
        Self { house, store, clock, friends, model, views, doubt, tally }
    }

    fn lead(mut self, steps: &[Step]) -> Check<Tally> {
        for (number, step) in steps.iter().enumerate() {
            let nodes = if let Step::Ask { node, .. } = step { *node..*node + 1 } else { 0..NODES.len() };
            let seen = self.take(step).and_then(|()| self.look_around(nodes));
            seen.map_err(|reason| format!("step {number}: {reason}"))?;
        }
        self.compare_all()?;
        Ok(self.tally)
    }

    fn take(&mut self, step: &Step) -> Check {
        match step {
            Step::Ask { who, node, request } => return self.ask(*who, *node, request),
            Step::Presence { who, is_there } => return self.tell_presence(*who, *is_there),
            Step::Befriend { who, is_friend } => self.befriend(*who, *is_friend),
            Step::Pass => return self.pass(),
            Step::Fail(failure) => self.store.fail(*failure),
            Step::Reopen => return self.reopen(),
        }
        Ok(())
    }

    fn ask(&mut self, who: usize, node: usize, request: &Request) -> Check {
        let was_to_fail = self.store.will_fail();
        let mut sent = self.house.send(&request.iq(who, node));
        let is_answer = |stanza: &Stanza| {
            matches!(stanza.kind(), Kind::Iq(_)) && stanza.to().is_some_and(|to| to.as_str() == resource(who))
        };
        if sent.iter().filter(|stanza| matches!(stanza.kind(), Kind::Iq(_))).count() != 1 || !is_answer(&sent[0]) {
            return Err(format!("a request has one answer, and that comes first: {sent:?}"));
        }
        let answer = sent.remove(0);
        let found = verdict(std::slice::from_ref(&answer));
        if was_to_fail && !self.store.will_fail() {
            return self.has_failed(&found, &sent);
        }
        let before = self.model.clone();
        let expected = self.model.perform(who, node, request);
        if found != expected {
            return Err(format!("the answer is {found}, not {expected}"));
        }
        self.tally.accepted += u64::from(found == "result");
        self.hear_all(&sent, &before)
    }

    /// Nothing of it is told, and nothing of it is there.
    fn has_failed(&mut self, found: &str, told: &[Stanza]) -> Check {
        if found != "resource-constraint" || !told.is_empty() {
            return Err(format!("a request that the store has not kept is answered {found}, with {told:?}"));
        }
        self.doubt = Some(self.store.kept());
        Ok(())
    }

    fn tell_presence(&mut self, who: usize, is_there: bool) -> Check {
        let kind = if is_there { "" } else { " type='unavailable'" };
        let presence = format!("<presence from='{}' to='pubsub.shakespeare.lit'{kind}/>", resource(who));
        let before = self.model.clone();
        let sent = self.house.send(&presence);
        self.model.tell_presence(who, is_there);
        self.hear_all(&sent, &before)
    }

    fn befriend(&mut self, who: usize, is_friend: bool) {
        self.model.befriend(who, is_friend);
        let friends = PEOPLE.iter().enumerate().filter(|(who, _)| self.model.is_friend(*who));
        *self.friends.0.lock().unwrap() = friends.map(|(_, jid)| (*jid).to_owned()).collect();
    }

    fn pass(&mut self) -> Check {
        self.clock.pass(LONG);
        self.house.service.advance(&self.house.router);
        let (sent, before) = (self.house.router.take(), self.model.clone());
        self.hear_all(&sent, &before)?;
        self.views.values_mut().for_each(|view| view.may_lag = false);
        Ok(())
    }

    /// All is there again, but for who is available and what was collected.
    fn reopen(&mut self) -> Check {
        if self.doubt.is_some_and(|kept| kept == self.store.kept()) {
            return Ok(());
        }
        self.doubt = None;
        self.house = open(&self.store, &self.clock, &self.friends);
        self.model.restart();
        self.views.clear();
        self.compare_all()
    }

    fn hear_all(&mut self, sent: &[Stanza], before: &Model) -> Check {
        for stanza in sent {
            self.tally.told += 1;
            self.hear(stanza, before).map_err(|reason| format!("{reason}: {stanza:?}"))?;
        }
        Ok(())
    }

    fn hear(&mut self, stanza: &Stanza, before: &Model) -> Check {
        let to = stanza.to().ok_or("no recipient")?.as_str().to_owned();
        if !matches!(stanza.kind(), Kind::Message(_)) {
            return Err("only messages are sent unasked".to_owned());
        }
        let Some(event) = client::parse_event(stanza) else { return self.hear_of_owners(stanza, &to) };
        let node = self.node_of(&event)?;
        match event {
            Event::Subscription { subscription, .. } if subscription.jid.as_str() == to => Ok(()),
            Event::Deleted { .. } => {
                let was_subscribed = before.nodes.get(&node).is_some_and(|node| node.subscriptions.contains_key(&to));
                if was_subscribed { Ok(()) } else { Err("who has not subscribed is told of the end".to_owned()) }
            }
            Event::Subscription { .. } => Err("somebody else is told of a subscription".to_owned()),
            _ if is_recalled(stanza) => self.check_recalled(node, &to),
            _ => self.hear_change(node, &to, stanza, before),
        }
    }

    fn node_of(&self, event: &Event) -> Check<usize> {
        let (Event::Items { node, .. }
        | Event::Deleted { node, .. }
        | Event::Purged { node }
        | Event::Configured { node, .. }
        | Event::Subscription { node, .. }) = event
        else {
            return Err("an event of no node".to_owned());
        };
        NODES.iter().position(|name| name == node).ok_or("an unknown node".to_owned())
    }

    /// Requests for approval go to owners; of its affiliation everybody hears itself.
    fn hear_of_owners(&self, stanza: &Stanza, to: &str) -> Check {
        let is_for_owners = stanza.has_payload("x", namespace::DATA_FORMS);
        let is_owner = || self.model.nodes.values().any(|node| node.owners().any(|owner| owner == to));
        let is_own = || stanza.payload().is_some_and(|payload| payload.to_string().contains(&format!("jid='{to}'")));
        if (is_for_owners && is_owner()) || (!is_for_owners && is_own()) {
            return Ok(());
        }
        Err("told to somebody whom it does not concern".to_owned())
    }

    fn check_recalled(&self, node: usize, to: &str) -> Check {
        let own = self.model.nodes.get(&node).into_iter().flat_map(|node| &node.subscriptions);
        let mut open = own.filter(|(address, _)| self.model.is_open_for(node, address));
        if open.any(|(_, subscription)| subscription.is_reached_at(to)) {
            return Ok(());
        }
        Err("the last item goes to who does not listen".to_owned())
    }

    fn hear_change(&mut self, node: usize, to: &str, stanza: &Stanza, before: &Model) -> Check {
        // What was collected leaves ahead of the end of a node.
        let entry = self.model.nodes.get(&node).or_else(|| before.nodes.get(&node));
        let subscription = entry.and_then(|node| node.subscriptions.get(to));
        let subscription =
            subscription.filter(|own| !own.is_pending).ok_or("who is no subscriber is told of a change")?;
        let view = self.views.get_mut(&(node, to.to_owned()));
        let may_be_late = subscription.is_digest || view.as_ref().is_some_and(|view| view.may_lag);
        if !may_be_late && !self.model.listens(node, to) {
            return Err("who does not listen is told of a change".to_owned());
        }
        match view.map(|view| (view.hear(stanza), view.is_whole)) {
            Some((Effect::Gap, true)) => Err("a gap where there should be none".to_owned()),
            Some((Effect::Gap, false)) => {
                self.views.remove(&(node, to.to_owned()));
                Ok(())
            }
            Some((Effect::Nothing, _)) | None => Ok(()),
        }
    }

    /// Has every subscriber of these nodes keep its view, and compares it with what there is.
    fn look_around(&mut self, nodes: impl IntoIterator<Item = usize>) -> Check {
        let model = &self.model;
        self.views.retain(|(node, address), _| {
            model.nodes.get(node).and_then(|node| node.subscriptions.get(address)).is_some_and(|own| !own.is_pending)
        });
        nodes.into_iter().try_for_each(|node| self.look_at(node))
    }

    fn look_at(&mut self, node: usize) -> Check {
        let (truth, expected) = (self.snapshot(0, node)?, self.model.nodes.get(&node).map(Node::kept));
        if truth.as_ref().map(Snapshot::items) != expected.as_ref() {
            return Err(format!("{} has {truth:?}, not {expected:?}", NODES[node]));
        }
        truth.map_or(Ok(()), |truth| self.look_with_subscribers(node, &truth))
    }

    fn look_with_subscribers(&mut self, node: usize, truth: &Snapshot) -> Check {
        for (address, subscription) in self.model.nodes[&node].subscriptions.clone() {
            let listens = self.model.listens(node, &address);
            let key = (node, address);
            if let Some(view) = self.views.get_mut(&key) {
                view.may_lag |= subscription.is_digest;
                view.is_whole &= listens;
                view.check(truth).map_err(|reason| format!("{} of {}: {reason}", key.1, NODES[node]))?;
            } else if listens && self.model.may_retrieve(node, subscription.who) {
                let asked = self.snapshot(subscription.who, node)?.ok_or("a subscriber retrieves no items")?;
                self.views.insert(key, View::new(asked));
            }
        }
        Ok(())
    }

    /// What somebody is answered who retrieves the items of a node; `None` if it is refused.
    fn snapshot(&self, who: usize, node: usize) -> Check<Option<Snapshot>> {
        let items = format!("<items node='{}'/>", NODES[node]);
        match &self.house.send(&request(&resource(who), "get", namespace::PUBSUB, &items))[..] {
            [answer] if answer.error().is_some() => Ok(None),
            [answer] => Ok(answer.payload().and_then(|payload| Snapshot::read(&payload))),
            other => Err(format!("items are asked for once: {other:?}")),
        }
    }

    /// Compares what owners see of each node with the model.
    fn compare_all(&mut self) -> Check {
        for (node, name) in NODES.iter().enumerate() {
            let expected = self.model.nodes.get(&node);
            let found = self.managed(name, "affiliations", |payload| {
                let jid = |entry: &client::Affiliation| entry.jid.as_ref().map(Jid::to_string).unwrap_or_default();
                let all = client::parse_affiliations(payload)?.into_iter();
                Some(all.map(|entry| (jid(&entry), entry.affiliation)).collect())
            });
            compare(&found, &expected.map(Node::affiliated))?;
            let found = self.managed(name, "subscriptions", |payload| {
                let all = client::parse_subscriptions(payload)?.into_iter();
                Some(all.map(|entry| (entry.jid.to_string(), entry.state)).collect())
            });
            compare(&found, &expected.map(Node::subscribed))?;
        }
        self.look_around(0..NODES.len())
    }

    fn managed(&self, node: &str, what: &str, read: impl Fn(&Element) -> Option<Entries>) -> Option<Entries> {
        let answers = self.house.owner_request(&resource(0), "get", &format!("<{what} node='{node}'/>"));
        answers.first().filter(|answer| answer.error().is_none())?.payload().as_ref().and_then(read)
    }
}

fn compare(found: &Option<Entries>, expected: &Option<Entries>) -> Check {
    if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
}

fn open(store: &Arc<FaultyStore>, clock: &Arc<ManualClock>, friends: &Arc<Friends>) -> House {
    let address = Jid::new("pubsub.shakespeare.lit").unwrap();
    let service = PubSubService::open(address, open_config(), store.clone()).unwrap();
    House::of(service.with_clock(clock.clone()).with_contacts(friends.clone()))
}
