//! Role x operation x access model x publish model: every combination, against tables that were written from sections
//! 4.1, 4.5, 6.1.3, 6.5.1, 7.1.3, 7.2.3 and 8 of XEP-0060, and not from the code.

use std::collections::BTreeSet;
use std::sync::Arc;

use convoke_pubsub::{Contacts, PubSubService};
use convoke_xmpp::Jid;

use crate::support::{House, NODE, open_config, verdict};

/// The columns of every table. A friend shares presence with the owner, a servant is in a group that the node admits,
/// too; both have no affiliation, like a stranger, who is neither.
const ROLES: [&str; 8] = ["owner", "publisher", "publish-only", "member", "servant", "friend", "stranger", "outcast"];
const PUBLISH_MODELS: [&str; 3] = ["publishers", "subscribers", "open"];

/// Access model, and what each role is answered that subscribes.
const SUBSCRIBE: [(&str, [char; 8]); 5] = [
    ("open", ['y', 'y', 'F', 'y', 'y', 'y', 'y', 'F']),
    ("presence", ['y', 'y', 'F', 'y', 'y', 'y', 'P', 'F']),
    ("roster", ['y', 'y', 'F', 'y', 'y', 'R', 'R', 'F']),
    ("authorize", ['y', 'y', 'F', 'y', '?', '?', '?', 'F']),
    ("whitelist", ['y', 'y', 'F', 'y', 'C', 'C', 'C', 'F']),
];

/// What each role is answered that retrieves items and has not subscribed.
const RETRIEVE: [(&str, [char; 8]); 5] = [
    ("open", ['y', 'y', 'F', 'y', 'y', 'y', 'y', 'F']),
    ("presence", ['y', 'y', 'F', 'y', 'y', 'y', 'P', 'F']),
    ("roster", ['y', 'y', 'F', 'y', 'y', 'R', 'R', 'F']),
    ("authorize", ['y', 'y', 'F', 'S', 'S', 'S', 'S', 'F']),
    ("whitelist", ['y', 'y', 'F', 'S', 'C', 'C', 'C', 'F']),
];

/// What each role is answered that retrieves items and was subscribed by an owner, as far as the access model admits it.
const RETRIEVE_SUBSCRIBED: [(&str, [char; 8]); 5] = [
    ("open", ['y', 'y', 'F', 'y', 'y', 'y', 'y', 'F']),
    ("presence", ['y', 'y', 'F', 'y', 'y', 'y', 'P', 'F']),
    ("roster", ['y', 'y', 'F', 'y', 'y', 'R', 'R', 'F']),
    ("authorize", ['y', 'y', 'F', 'y', 'y', 'y', 'y', 'F']),
    ("whitelist", ['y', 'y', 'F', 'y', 'C', 'C', 'C', 'F']),
];

/// Publish model, and what each role is answered that publishes, or retracts what it has published.
const PUBLISH: [(&str, [char; 8]); 3] = [
    ("publishers", ['y', 'y', 'y', 'F', 'F', 'F', 'F', 'F']),
    ("subscribers", ['y', 'y', 'y', 'F', 'F', 'F', 'F', 'F']),
    ("open", ['y', 'y', 'y', 'y', 'y', 'y', 'y', 'F']),
];

/// The same for those who have subscribed, as far as the access model admits them.
const PUBLISH_SUBSCRIBED: [(&str, [char; 8]); 3] = [
    ("publishers", ['y', 'y', 'y', 'F', 'F', 'F', 'F', 'F']),
    ("subscribers", ['y', 'y', 'y', 'y', 'y', 'y', 'y', 'F']),
    ("open", ['y', 'y', 'y', 'y', 'y', 'y', 'y', 'F']),
];

/// What only owners may do, under every model.
const OWN: [char; 8] = ['y', 'F', 'F', 'F', 'F', 'F', 'F', 'F'];

/// The operations of owners, and the retraction of what somebody else has published.
const OWNERS_OPERATIONS: [(&str, &str, &str); 9] = [
    ("", "set", "<retract node='princely_musings'><item id='other'/></retract>"),
    ("#owner", "get", "<configure node='princely_musings'/>"),
    ("#owner", "set", "<configure node='princely_musings'><x xmlns='jabber:x:data' type='cancel'/></configure>"),
    ("#owner", "get", "<subscriptions node='princely_musings'/>"),
    ("#owner", "set", "<subscriptions node='princely_musings'/>"),
    ("#owner", "get", "<affiliations node='princely_musings'/>"),
    ("#owner", "set", "<affiliations node='princely_musings'/>"),
    ("#owner", "set", "<purge node='princely_musings'/>"),
    ("#owner", "set", "<delete node='princely_musings'/>"),
];

fn meaning(letter: char) -> &'static str {
    match letter {
        'y' | '?' => "result",
        'F' => "forbidden",
        'P' => "not-authorized/presence-subscription-required",
        'R' => "not-authorized/not-in-roster-group",
        'C' => "not-allowed/closed-node",
        'S' => "not-authorized/not-subscribed",
        other => panic!("{other}"),
    }
}

fn row<'a>(table: &'a [(&str, [char; 8])], model: &str) -> &'a [char; 8] {
    &table.iter().find(|(name, _)| *name == model).unwrap().1
}

/// Hamlet's contacts.
struct Roster;

impl Contacts for Roster {
    fn shares_presence(&self, owner: &Jid, contact: &Jid) -> bool {
        owner.as_str() == "hamlet@denmark.lit" && matches!(contact.local(), Some("friend" | "servant"))
    }

    fn is_in_group(&self, owner: &Jid, contact: &Jid, groups: &BTreeSet<String>) -> bool {
        owner.as_str() == "hamlet@denmark.lit" && contact.local() == Some("servant") && groups.contains("servants")
    }
}

/// One role before one node.
struct Scene {
    house: House,
    jid: String,
}

impl Scene {
    fn new(role: &str, access_model: &str, publish_model: &str, is_subscribed: bool) -> Self {
        let address = Jid::new("pubsub.shakespeare.lit").unwrap();
        let service = PubSubService::new(address, open_config()).with_contacts(Arc::new(Roster));
        let house = House::of(service);
        house.done("hamlet@denmark.lit/elsinore", "set", &format!("<create node='{NODE}'/>"));
        house.configure(&[
            ("pubsub#access_model", &[access_model]),
            ("pubsub#publish_model", &[publish_model]),
            ("pubsub#roster_groups_allowed", &["servants"]),
        ]);
        house.publish("other", "<a xmlns='urn:a'/>");
        let jid = format!("{role}@denmark.lit");
        if !matches!(role, "servant" | "friend" | "stranger") {
            house.affiliate(&jid, role);
        }
        if is_subscribed {
            let change = format!("<subscription jid='{jid}' subscription='subscribed'/>");
            let change = format!("<subscriptions node='{NODE}'>{change}</subscriptions>");
            house.owner_request("hamlet@denmark.lit/elsinore", "set", &change);
        }
        Self { house, jid }
    }

    fn ask(&self, namespace: &str, kind: &str, verb: &str) -> String {
        let from = format!("{}/x", self.jid);
        match namespace {
            "" => verdict(&self.house.request(&from, kind, verb)),
            _ => verdict(&self.house.owner_request(&from, kind, verb)),
        }
    }

    fn subscribe(&self) -> Vec<convoke_xmpp::Stanza> {
        let verb = format!("<subscribe node='{NODE}' jid='{}'/>", self.jid);
        self.house.request(&format!("{}/x", self.jid), "set", &verb)
    }

    fn discover(&self, what: &str, node: &str) -> convoke_xmpp::Element {
        let answers = self.house.send(&format!(
            "<iq type='get' from='{}' to='pubsub.shakespeare.lit' id='1'>\
             <query xmlns='http://jabber.org/protocol/disco#{what}' {node}/></iq>",
            self.jid
        ));
        answers[0].payload().unwrap()
    }
}

/// Every combination of role, access model, publish model and subscription, with a scene of its own.
fn each_combination(check: impl Fn(usize, &str, &str, bool, Scene)) {
    for (column, role) in ROLES.iter().enumerate() {
        for (access_model, _) in &SUBSCRIBE {
            for publish_model in PUBLISH_MODELS {
                for is_subscribed in [false, true] {
                    let scene = Scene::new(role, access_model, publish_model, is_subscribed);
                    check(column, access_model, publish_model, is_subscribed, scene);
                }
            }
        }
    }
}

#[test]
fn who_may_subscribe_is_what_the_table_says() {
    each_combination(|column, access_model, _, is_subscribed, scene| {
        if is_subscribed {
            return;
        }
        let letter = row(&SUBSCRIBE, access_model)[column];
        let answers = scene.subscribe();
        assert_eq!(verdict(&answers), meaning(letter), "{} {access_model}", ROLES[column]);
        let state = answers[0].payload().and_then(|payload| {
            let subscription = payload.find("subscription", "http://jabber.org/protocol/pubsub")?;
            subscription.attribute("subscription").map(str::to_owned)
        });
        let expected = match letter {
            'y' => Some("subscribed"),
            '?' => Some("pending"),
            _ => None,
        };
        assert_eq!(state.as_deref(), expected, "{} {access_model}", ROLES[column]);
    });
}

#[test]
fn who_sees_a_node_in_the_list_and_its_metadata_is_who_may_subscribe() {
    each_combination(|column, access_model, _, _, scene| {
        let may = matches!(row(&SUBSCRIBE, access_model)[column], 'y' | '?');
        let case = format!("{} {access_model}", ROLES[column]);
        assert_eq!(scene.discover("items", "").children().count() == 1, may, "{case}");
        let info = scene.discover("info", &format!("node='{NODE}'"));
        assert_eq!(info.find("x", "jabber:x:data").is_some(), may, "{case}");
        assert!(info.find("identity", "http://jabber.org/protocol/disco#info").is_some(), "{case}");
    });
}

#[test]
fn who_may_retrieve_items_is_what_the_table_says() {
    each_combination(|column, access_model, _, is_subscribed, scene| {
        let table = if is_subscribed { &RETRIEVE_SUBSCRIBED } else { &RETRIEVE };
        let expected = meaning(row(table, access_model)[column]);
        let case = format!("{} {access_model} {is_subscribed}", ROLES[column]);
        assert_eq!(scene.ask("", "get", &format!("<items node='{NODE}'/>")), expected, "{case}");
        assert_eq!(
            scene.ask("", "get", &format!("<items node='{NODE}'><item id='other'/></items>")),
            expected,
            "{case}"
        );
        let discovered = verdict(&scene.house.send(&format!(
            "<iq type='get' from='{}' to='pubsub.shakespeare.lit' id='1'>\
             <query xmlns='http://jabber.org/protocol/disco#items' node='{NODE}'/></iq>",
            scene.jid
        )));
        assert_eq!(discovered, expected, "{case}");
    });
}

#[test]
fn who_may_publish_and_retract_its_own_is_what_the_table_says() {
    each_combination(|column, access_model, publish_model, is_subscribed, scene| {
        let table = if is_subscribed { &PUBLISH_SUBSCRIBED } else { &PUBLISH };
        let is_admitted = matches!(row(&SUBSCRIBE, access_model)[column], 'y' | '?');
        let counts = is_admitted || publish_model != "subscribers" || column < 3;
        let expected = if counts { meaning(row(table, publish_model)[column]) } else { "forbidden" };
        let case = format!("{} {access_model} {publish_model} {is_subscribed}", ROLES[column]);
        let publish = format!("<publish node='{NODE}'><item id='own'><a xmlns='urn:a'/></item></publish>");
        assert_eq!(scene.ask("", "set", &publish), expected, "{case}");
        let retract = format!("<retract node='{NODE}'><item id='own'/></retract>");
        assert_eq!(scene.ask("", "set", &retract), expected, "{case}");
    });
}

#[test]
fn what_only_owners_may_do_nobody_else_does() {
    each_combination(|column, access_model, publish_model, is_subscribed, scene| {
        for (namespace, kind, verb) in OWNERS_OPERATIONS {
            let case = format!("{} {access_model} {publish_model} {is_subscribed}: {verb}", ROLES[column]);
            assert_eq!(scene.ask(namespace, kind, verb), meaning(OWN[column]), "{case}");
        }
    });
}

/// Section 15.3: nor does anybody hear what it may not retrieve.
#[test]
fn who_is_notified_is_who_may_retrieve() {
    each_combination(|column, access_model, _, is_subscribed, scene| {
        let may = row(&RETRIEVE_SUBSCRIBED, access_model)[column] == 'y';
        let told = scene.house.publish("new", "<a xmlns='urn:a'/>");
        let expected = is_subscribed && may;
        assert_eq!(!told.is_empty(), expected, "{} {access_model} {is_subscribed}", ROLES[column]);
    });
}
