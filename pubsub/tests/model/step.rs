//! What may happen to a service, and in which words it is asked.

use super::faulty_store::Failure;
use crate::support::{Numbers, form, request};

/// Who takes part, by bare address. The first creates the nodes and always owns them.
pub(super) const PEOPLE: [&str; 5] =
    ["owner@a.example", "ann@a.example", "bob@b.example", "eve@b.example", "zoe@z.example"];
pub(super) const NODES: [&str; 2] = ["north", "south"];

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Somebody asks something of a node.
    Ask { who: usize, node: usize, request: Request },
    /// Somebody tells the service whether it is there.
    Presence { who: usize, is_there: bool },
    /// The presence of owners is shared with somebody from now on, or no more.
    Befriend { who: usize, is_friend: bool },
    /// Time passes, more than any digest takes.
    Pass,
    /// The next commit fails.
    Fail(Failure),
    /// The service ends and is opened again on its store.
    Reopen,
}

/// What is asked; a subscription is of the full address or of the bare one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Create,
    Delete,
    Purge,
    Configure(&'static str, &'static str),
    Affiliate(usize, &'static str),
    Impose { who: usize, is_full: bool, is_subscribed: bool },
    Subscribe { is_full: bool },
    Unsubscribe { is_full: bool },
    Options { is_full: bool, field: &'static str, value: &'static str },
    Publish { id: u64, value: u64 },
    Retract { id: u64 },
}

/// The fields that are configured, with their values.
const CONFIGURATIONS: [(&str, &[&str]); 7] = [
    ("access_model", &["open", "presence", "authorize", "whitelist"]),
    ("publish_model", &["publishers", "subscribers", "open"]),
    ("max_items", &["1", "2", "4", "max"]),
    ("publish_node_full", &["retract-oldest", "reject"]),
    ("deliver_notifications", &["1", "1", "0"]),
    ("presence_based_delivery", &["0", "0", "1"]),
    ("notify_config", &["0", "1"]),
];
const AFFILIATIONS: [&str; 7] = ["none", "member", "member", "publisher", "publish-only", "outcast", "owner"];
const OPTIONS: [(&str, &str); 5] =
    [("deliver", "1"), ("deliver", "1"), ("deliver", "0"), ("digest", "1"), ("digest", "0")];

/// The steps that a seed makes.
pub(super) fn random(seed: u64, count: usize) -> Vec<Step> {
    let mut numbers = Numbers::new(seed);
    // Its first numbers tell near seeds apart but little.
    for _ in 0..10 {
        numbers.below(2);
    }
    let create = |node| Step::Ask { who: 0, node, request: Request::Create };
    [create(0), create(1)].into_iter().chain((2..count).map(|_| random_step(&mut numbers))).collect()
}

fn random_step(numbers: &mut Numbers) -> Step {
    let who = numbers.below(PEOPLE.len() as u64) as usize;
    match numbers.below(60) {
        0..=2 => Step::Presence { who, is_there: numbers.below(3) > 0 },
        3 | 4 => Step::Befriend { who, is_friend: numbers.below(3) > 0 },
        5..=7 => Step::Pass,
        8 => Step::Fail(Failure::Nothing),
        9 => Step::Fail(Failure::AllTheSame),
        10 | 11 => Step::Reopen,
        _ => random_request(numbers, who),
    }
}

fn random_request(numbers: &mut Numbers, who: usize) -> Step {
    let node = numbers.below(NODES.len() as u64) as usize;
    let is_full = numbers.below(3) == 0;
    // What only owners may do is mostly asked by one.
    let owner = if numbers.below(10) == 0 { who } else { 0 };
    let mut one_of = |count: usize| numbers.below(count as u64) as usize;
    let (by, request) = match one_of(48) {
        0 => (0, Request::Create),
        1 => (owner, Request::Delete),
        2 => (owner, Request::Purge),
        3..=8 => {
            let (field, values) = CONFIGURATIONS[one_of(CONFIGURATIONS.len())];
            (owner, Request::Configure(field, values[one_of(values.len())]))
        }
        9..=12 => (owner, Request::Affiliate(1 + one_of(PEOPLE.len() - 1), AFFILIATIONS[one_of(AFFILIATIONS.len())])),
        13 | 14 => (owner, Request::Impose { who, is_full, is_subscribed: one_of(3) > 0 }),
        15..=22 => (who, Request::Subscribe { is_full }),
        23 => (who, Request::Unsubscribe { is_full }),
        24..=27 => {
            let (field, value) = OPTIONS[one_of(OPTIONS.len())];
            (who, Request::Options { is_full, field, value })
        }
        28..=30 => (if one_of(2) == 0 { 0 } else { who }, Request::Retract { id: one_of(4) as u64 }),
        _ => {
            let by = if one_of(2) == 0 { 0 } else { who };
            (by, Request::Publish { id: one_of(4) as u64, value: one_of(1_000_000) as u64 })
        }
    };
    Step::Ask { who: by, node, request }
}

/// The address that is subscribed.
pub(super) fn address(who: usize, is_full: bool) -> String {
    if is_full { resource(who) } else { PEOPLE[who].to_owned() }
}

/// The address that somebody asks from.
pub(super) fn resource(who: usize) -> String {
    format!("{}/desk", PEOPLE[who])
}

impl Request {
    /// The iq that asks for it.
    pub(super) fn iq(&self, who: usize, node: usize) -> String {
        let node = NODES[node];
        let verb = |name: &str, rest: &str| format!("<{name} node='{node}'{rest}/>");
        let jid = |is_full: bool| format!(" jid='{}'", address(who, is_full));
        let (namespace, verb) = match self {
            Self::Create => ("", verb("create", "")),
            Self::Delete => ("#owner", verb("delete", "")),
            Self::Purge => ("#owner", verb("purge", "")),
            Self::Configure(field, value) => {
                let form = one_field("node_config", field, value);
                ("#owner", format!("<configure node='{node}'>{form}</configure>"))
            }
            Self::Affiliate(whom, affiliation) => {
                let entry = format!("<affiliation jid='{}' affiliation='{affiliation}'/>", PEOPLE[*whom]);
                ("#owner", format!("<affiliations node='{node}'>{entry}</affiliations>"))
            }
            Self::Impose { who, is_full, is_subscribed } => {
                let state = if *is_subscribed { "subscribed" } else { "none" };
                let entry = format!("<subscription jid='{}' subscription='{state}'/>", address(*who, *is_full));
                ("#owner", format!("<subscriptions node='{node}'>{entry}</subscriptions>"))
            }
            Self::Subscribe { is_full } => ("", verb("subscribe", &jid(*is_full))),
            Self::Unsubscribe { is_full } => ("", verb("unsubscribe", &jid(*is_full))),
            Self::Options { is_full, field, value } => {
                let form = one_field("subscribe_options", field, value);
                ("", format!("<options node='{node}'{}>{form}</options>", jid(*is_full)))
            }
            Self::Publish { id, value } => {
                let item = format!("<item id='{id}'><v xmlns='urn:v'>{value}</v></item>");
                ("", format!("<publish node='{node}'>{item}</publish>"))
            }
            Self::Retract { id } => ("", format!("<retract node='{node}' notify='true'><item id='{id}'/></retract>")),
        };
        request(&resource(who), "set", &format!("http://jabber.org/protocol/pubsub{namespace}"), &verb)
    }
}

fn one_field(purpose: &str, field: &str, value: &str) -> String {
    let purpose = format!("http://jabber.org/protocol/pubsub#{purpose}");
    form(&purpose, &[(&format!("pubsub#{field}"), &[value])])
}
