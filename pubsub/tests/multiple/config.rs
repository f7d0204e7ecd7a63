//! Which services give SubIDs, and what becomes of them when one is configured otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;

use convoke_pubsub::{Contacts, PubSubConfig, PubSubService, client};
use convoke_store::{MemoryStore, Store};
use convoke_xmpp::{Jid, Origin, Service, Stanza, namespace};

use super::scene::*;
use crate::support::{House, NODE, form, open_config, verdict};

/// Section 11, and XEP-0131, section 3.
#[test]
fn what_a_service_with_subids_can_do_is_discovered_and_no_other_says_it() {
    let info = |house: &House, node: &str| {
        let query = format!("<query xmlns='{}'{node}/>", namespace::DISCO_INFO);
        let iq = format!("<iq type='get' from='{BARRACKS}' to='pubsub.shakespeare.lit' id='d'>{query}</iq>");
        house.send(&iq)[0].text().into_owned()
    };
    let shim = " node='http://jabber.org/protocol/shim'";
    for (config, expected) in [(multiple(), true), (open_config(), false)] {
        let house = House::with(config);
        let told = info(&house, "");
        for feature in ["http://jabber.org/protocol/pubsub#multi-subscribe", "http://jabber.org/protocol/shim"] {
            assert_eq!(told.contains(&format!("'{feature}'")), expected, "{feature}");
        }
        assert_eq!(info(&house, shim).contains("'http://jabber.org/protocol/shim#SubID'"), expected);
    }
}

/// Section 6.2.3.5: where the service gives no SubIDs, it does not look at them.
#[test]
fn a_service_without_subids_ignores_those_it_is_told() {
    let house = House::with_node(open_config());
    house.done(BARRACKS, "set", &format!("<subscribe node='{NODE}' jid='{FRANCISCO}' subid='x'/>"));
    let own = format!("node='{NODE}' jid='{FRANCISCO}' subid='none-was-given'");
    let form = form(OPTIONS, &[("pubsub#deliver", &["1"])]);
    let owned = |state: &str| {
        let entry = format!("<subscription jid='{FRANCISCO}' subid='x' subscription='{state}'/>");
        verdict(&house.owner_request(HAMLET, "set", &format!("<subscriptions node='{NODE}'>{entry}</subscriptions>")))
    };
    for (kind, verb) in [
        ("get", format!("<options {own}/>")),
        ("set", format!("<options {own}>{form}</options>")),
        ("get", format!("<items node='{NODE}' subid='none-was-given'/>")),
        ("get", format!("<subscriptions node='{NODE}'/>")),
        ("set", format!("<unsubscribe {own}/>")),
    ] {
        let answers = house.request(BARRACKS, kind, &verb);
        assert_eq!(verdict(&answers), "result", "{verb}");
        assert!(!answers[0].text().contains("subid"), "{answers:?}");
    }
    assert_eq!(owned("subscribed"), "result");
    assert_eq!(client::parse_subids(&house.publish("1", PAYLOAD)[0]), [""; 0]);
    assert_eq!(owned("none"), "result");
    assert!(house.publish("2", PAYLOAD).is_empty());
}

/// Everybody sees everybody's presence.
struct Everybody;

impl Contacts for Everybody {
    fn shares_presence(&self, _: &Jid, _: &Jid) -> bool {
        true
    }

    fn is_in_group(&self, _: &Jid, _: &Jid, _: &BTreeSet<String>) -> bool {
        true
    }
}

#[test]
fn accounts_give_no_subids_whatever_their_configuration_says() {
    let config = PubSubConfig { multi_subscribe: true, ..PubSubConfig::personal() };
    let domain = Jid::new("denmark.lit").unwrap();
    let house = House::of(PubSubService::personal(domain, config, None, Arc::new(Everybody)));
    let ask = |from: &str, verb: &str| {
        let payload = format!("<pubsub xmlns='{}'>{verb}</pubsub>", namespace::PUBSUB);
        let iq = format!("<iq type='set' from='{from}' to='hamlet@denmark.lit' id='r'>{payload}</iq>");
        house.service.handle(Stanza::parse(&iq).unwrap(), &Origin::Local, &house.router);
        house.router.take()
    };
    let publish = |id: &str| ask(HAMLET, &format!("<publish node='{NODE}'><item id='{id}'>{PAYLOAD}</item></publish>"));
    publish("1");
    for _ in 0..2 {
        let answers = ask(BARRACKS, &format!("<subscribe node='{NODE}' jid='{FRANCISCO}'/>"));
        assert_eq!(client::parse_subscription(&answers[0].payload().unwrap()).unwrap().subid, None);
    }
    let told = publish("2");
    assert_eq!(named(&told[1..], &[]), [""]);
}

/// A service that was configured otherwise before still knows what it has.
#[test]
fn several_subscriptions_stay_told_apart_when_there_may_be_no_more_of_them() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let open = |config: PubSubConfig| {
        let address = Jid::new("pubsub.shakespeare.lit").unwrap();
        House::of(PubSubService::open(address, config, store.clone()).unwrap())
    };
    let house = open(open_config());
    house.done(HAMLET, "set", &format!("<create node='{NODE}'/>"));
    house.subscribe(FRANCISCO);

    let house = open(multiple());
    let first = subids(&house).remove(0);
    let second = subscribe(&house, FRANCISCO, &[]);

    let house = open(open_config());
    assert_eq!(named(&house.publish("2", PAYLOAD), &[&first, &second]), ["ab"]);
    let unsubscribe = |subid: &str| {
        let verb = format!("<unsubscribe node='{NODE}' jid='{FRANCISCO}'{subid}/>");
        verdict(&house.request(BARRACKS, "set", &verb))
    };
    assert_eq!(unsubscribe(""), "bad-request/subid-required");
    house.subscribe(FRANCISCO);
    assert_eq!(named(&house.publish("3", PAYLOAD), &[&first, &second]), ["ab"], "none was added");
    assert_eq!(unsubscribe(&format!(" subid='{first}'")), "result");
    assert_eq!(client::parse_subids(&house.publish("4", PAYLOAD)[0]), [""; 0], "there is but one");
    assert_eq!(unsubscribe(""), "result");
}
