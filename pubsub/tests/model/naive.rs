//! What a service does, as plainly as it can be said: written from sections 4, 6, 7 and 8 of XEP-0060, not from the code.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{PEOPLE, Request, address, resource};

/// Addresses, and what they are to a node.
pub(super) type Entries = BTreeMap<String, String>;

/// All that there is.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) nodes: BTreeMap<usize, Node>,
    /// Who shares the presence of owners.
    friends: BTreeSet<usize>,
    /// Who has told the service that it is there.
    available: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    config: BTreeMap<&'static str, &'static str>,
    affiliations: BTreeMap<usize, &'static str>,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) who: usize,
    pub(super) is_pending: bool,
    is_full: bool,
    delivers: bool,
    pub(super) is_digest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    id: String,
    value: String,
    publisher: usize,
}

const DONE: &str = "result";
const FORBIDDEN: &str = "forbidden";
const NOT_FOUND: &str = "item-not-found";

impl Model {
    /// The answer to a request, and what it changes.
    pub(super) fn perform(&mut self, who: usize, node: usize, request: &Request) -> &'static str {
        if *request == Request::Create {
            if self.nodes.contains_key(&node) {
                return "conflict";
            }
            self.nodes.insert(node, Node::new(who));
            return DONE;
        }
        let friends = self.friends.clone();
        let Some(entry) = self.nodes.get_mut(&node) else { return NOT_FOUND };
        let is_owners = matches!(
            request,
            Request::Delete | Request::Purge | Request::Configure(..) | Request::Affiliate(..) | Request::Impose { .. }
        );
        if is_owners && entry.affiliation(who) != "owner" {
            return FORBIDDEN;
        }
        if *request == Request::Delete {
            self.nodes.remove(&node);
            return DONE;
        }
        entry.perform(who, request, &friends)
    }

    pub(super) fn befriend(&mut self, who: usize, is_friend: bool) {
        if is_friend {
            self.friends.insert(who)
        } else {
            self.friends.remove(&who)
        };
    }

    pub(super) fn is_friend(&self, who: usize) -> bool {
        self.friends.contains(&who)
    }

    pub(super) fn tell_presence(&mut self, who: usize, is_there: bool) {
        if is_there {
            self.available.insert(who)
        } else {
            self.available.remove(&who)
        };
    }

    /// A service that starts takes everybody for unavailable.
    pub(super) fn restart(&mut self) {
        self.available.clear();
    }

    /// Whether an address is to be told of every change of the node.
    pub(super) fn listens(&self, node: usize, address: &str) -> bool {
        self.is_open_for(node, address) && self.nodes[&node].is("deliver_notifications", "1")
    }

    /// Whether an address may be told anything: the last item it is sent also by a node that tells of no changes.
    pub(super) fn is_open_for(&self, node: usize, address: &str) -> bool {
        let Some(node) = self.nodes.get(&node) else { return false };
        let Some(subscription) = node.subscriptions.get(address) else { return false };
        let is_in_reach = node.is("presence_based_delivery", "0") || self.available.contains(&subscription.who);
        let is_admitted =
            !node.is("access_model", "presence") || node.admission(subscription.who, &self.friends).is_ok();
        !subscription.is_pending && subscription.delivers && is_in_reach && is_admitted
    }

    /// Whether somebody who is subscribed retrieves items (section 6.5.1).
    pub(super) fn may_retrieve(&self, node: usize, who: usize) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.admission(who, &self.friends).is_ok())
    }
}

impl Node {
    fn new(creator: usize) -> Self {
        let config = [
            ("access_model", "open"),
            ("publish_model", "publishers"),
            ("max_items", "max"),
            ("publish_node_full", "retract-oldest"),
            ("deliver_notifications", "1"),
            ("presence_based_delivery", "0"),
            ("notify_config", "0"),
        ];
        let affiliations = BTreeMap::from([(creator, "owner")]);
        Self { config: config.into(), affiliations, subscriptions: BTreeMap::new(), items: Vec::new() }
    }

    fn is(&self, field: &str, value: &str) -> bool {
        self.config[field] == value
    }

    fn affiliation(&self, who: usize) -> &'static str {
        self.affiliations.get(&who).copied().unwrap_or("none")
    }

    fn max_items(&self) -> usize {
        self.config["max_items"].parse().unwrap_or(usize::MAX)
    }

    fn perform(&mut self, who: usize, request: &Request, friends: &BTreeSet<usize>) -> &'static str {
        match *request {
            Request::Create | Request::Delete => unreachable!("of the service"),
            Request::Purge => self.items.clear(),
            Request::Configure(field, value) => self.configure(field, value, friends),
            Request::Affiliate(whom, affiliation) => return self.affiliate(whom, affiliation, friends),
            Request::Impose { who, is_full, is_subscribed } => {
                return self.impose(who, is_full, is_subscribed, friends);
            }
            Request::Subscribe { is_full } => return self.subscribe(who, is_full, friends),
            Request::Unsubscribe { is_full } => {
                if self.subscriptions.remove(&address(who, is_full)).is_none() {
                    return "unexpected-request/not-subscribed";
                }
            }
            Request::Options { is_full, field, value } => {
                let Some(subscription) = self.subscriptions.get_mut(&address(who, is_full)) else {
                    return "unexpected-request/not-subscribed";
                };
                let flag = if field == "deliver" { &mut subscription.delivers } else { &mut subscription.is_digest };
                *flag = value == "1";
            }
            Request::Publish { id, value } => return self.publish(who, id, value, friends),
            Request::Retract { id } => return self.retract(who, &id.to_string(), friends),
        }
        DONE
    }

    /// Sections 4.1, 4.5 and 6.1.3: whether somebody may subscribe, and then whether nobody need approve it.
    fn admission(&self, who: usize, friends: &BTreeSet<usize>) -> Result<bool, &'static str> {
        match (self.affiliation(who), self.config["access_model"]) {
            ("outcast" | "publish-only", _) => Err(FORBIDDEN),
            ("owner" | "publisher" | "member", _) | (_, "open") => Ok(true),
            (_, "authorize") => Ok(false),
            (_, "whitelist") => Err("not-allowed/closed-node"),
            (_, "presence") if friends.contains(&who) => Ok(true),
            _ => Err("not-authorized/presence-subscription-required"),
        }
    }

    fn subscribe(&mut self, who: usize, is_full: bool, friends: &BTreeSet<usize>) -> &'static str {
        let is_granted = match self.admission(who, friends) {
            Ok(is_granted) => is_granted,
            Err(verdict) => return verdict,
        };
        match self.subscriptions.get(&address(who, is_full)) {
            Some(existing) if existing.is_pending => "not-authorized/pending-subscription",
            Some(_) => DONE,
            None => {
                self.add(who, is_full, !is_granted);
                DONE
            }
        }
    }

    fn add(&mut self, who: usize, is_full: bool, is_pending: bool) {
        let subscription = Subscription { who, is_pending, is_full, delivers: true, is_digest: false };
        self.subscriptions.insert(address(who, is_full), subscription);
    }

    /// Section 8.8.2: nobody is subscribed whom the node does not admit.
    fn impose(&mut self, who: usize, is_full: bool, is_subscribed: bool, friends: &BTreeSet<usize>) -> &'static str {
        let (address, is_admitted) = (address(who, is_full), self.admission(who, friends).is_ok());
        match self.subscriptions.get_mut(&address) {
            Some(_) if !is_subscribed => drop(self.subscriptions.remove(&address)),
            Some(existing) => existing.is_pending = false,
            None if !is_subscribed => {}
            None if !is_admitted => return "not-acceptable",
            None => self.add(who, is_full, false),
        }
        DONE
    }

    /// Sections 4.1 and 8.9.2.
    fn affiliate(&mut self, whom: usize, affiliation: &'static str, friends: &BTreeSet<usize>) -> &'static str {
        let is_possible = match self.affiliation(whom) {
            "owner" => matches!(affiliation, "owner" | "none"),
            "publisher" => affiliation != "member",
            _ => true,
        };
        if is_possible {
            self.affiliations.insert(whom, affiliation);
            self.affiliations.retain(|_, affiliation| *affiliation != "none");
        }
        self.settle(friends);
        if is_possible { DONE } else { "not-acceptable" }
    }

    fn configure(&mut self, field: &'static str, value: &'static str, friends: &BTreeSet<usize>) {
        if self.config.insert(field, value) == Some(value) {
            return;
        }
        let surplus = self.items.len().saturating_sub(self.max_items());
        self.items.drain(..surplus);
        self.settle(friends);
    }

    /// Who may not subscribe any more is no subscriber; who needs no approval any more has it.
    fn settle(&mut self, friends: &BTreeSet<usize>) {
        for (address, subscription) in self.subscriptions.clone() {
            match self.admission(subscription.who, friends) {
                Err(_) => drop(self.subscriptions.remove(&address)),
                Ok(true) => self.add_approval(&address),
                Ok(false) => {}
            }
        }
    }

    fn add_approval(&mut self, address: &str) {
        if let Some(subscription) = self.subscriptions.get_mut(address) {
            subscription.is_pending = false;
        }
    }

    fn may_publish(&self, who: usize, friends: &BTreeSet<usize>) -> bool {
        let is_subscribed = || self.subscriptions.values().any(|own| own.who == who && !own.is_pending);
        match (self.affiliation(who), self.config["publish_model"]) {
            ("owner" | "publisher" | "publish-only", _) => true,
            ("outcast", _) | (_, "publishers") => false,
            (_, "subscribers") => is_subscribed() && self.admission(who, friends).is_ok(),
            _ => true,
        }
    }

    fn publish(&mut self, who: usize, id: u64, value: u64, friends: &BTreeSet<usize>) -> &'static str {
        if !self.may_publish(who, friends) {
            return FORBIDDEN;
        }
        let (id, value) = (id.to_string(), value.to_string());
        let is_new = self.items.iter().all(|item| item.id != id);
        if is_new && self.items.len() >= self.max_items() {
            if self.is("publish_node_full", "reject") {
                return "conflict/node-full";
            }
            self.items.remove(0);
        }
        self.items.retain(|item| item.id != id);
        self.items.push(Item { id, value, publisher: who });
        if self.is("access_model", "presence") {
            // Whoever is no friend any more finds its subscription ended when there is something to hear.
            self.settle(friends);
        }
        DONE
    }

    fn retract(&mut self, who: usize, id: &str, friends: &BTreeSet<usize>) -> &'static str {
        if !self.may_publish(who, friends) {
            return FORBIDDEN;
        }
        let Some(at) = self.items.iter().position(|item| item.id == id) else { return NOT_FOUND };
        if self.items[at].publisher != who && self.affiliation(who) != "owner" {
            return FORBIDDEN;
        }
        self.items.remove(at);
        DONE
    }

    /// What its items are: ids and values, oldest first.
    pub(super) fn kept(&self) -> Vec<(String, String)> {
        self.items.iter().map(|item| (item.id.clone(), item.value.clone())).collect()
    }

    /// Everybody who has an affiliation, and which.
    pub(super) fn affiliated(&self) -> Entries {
        self.affiliations
            .iter()
            .map(|(who, affiliation)| (PEOPLE[*who].to_owned(), (*affiliation).to_owned()))
            .collect()
    }

    /// Every address that is subscribed.
    pub(super) fn subscribed(&self) -> Entries {
        let counting = self.subscriptions.iter().filter(|(_, own)| !own.is_pending);
        counting.map(|(address, _)| (address.clone(), "subscribed".to_owned())).collect()
    }

    /// The addresses of all owners.
    pub(super) fn owners(&self) -> impl Iterator<Item = &'static str> {
        let owners = self.affiliations.iter().filter(|(_, affiliation)| **affiliation == "owner");
        owners.map(|(who, _)| PEOPLE[*who])
    }
}

impl Subscription {
    /// The addresses to which the last item may go: itself, or the resource that has become available.
    pub(super) fn is_reached_at(&self, to: &str) -> bool {
        to == address(self.who, self.is_full) || to == resource(self.who)
    }
}
