//! XEP-0060, sections 6.1.7, 13.2, 13.5, 13.6 and 13.19; XEP-0312: what depends on availability and on time.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use convoke_pubsub::{Clock, PubSubConfig, PubSubService};
use convoke_store::{MemoryStore, Store};
use convoke_xmpp::{Jid, Origin, Service, Stanza};

use crate::support::{House, NODE, domain, field_values, form, item_ids, open_config, verdict};

const BARRACKS: &str = "francisco@denmark.lit/barracks";
const WATCH: &str = "francisco@denmark.lit/watch";
const PAYLOAD: &str = "<a xmlns='urn:a'/>";
const OPTIONS: &str = "http://jabber.org/protocol/pubsub#subscribe_options";

/// A clock that the test moves on; the year is 2003.
struct Calendar {
    start: Instant,
    passed: Mutex<Duration>,
}

impl Calendar {
    fn pass(&self, seconds: u64) {
        *self.passed.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for Calendar {
    fn now(&self) -> Instant {
        self.start + *self.passed.lock().unwrap()
    }

    fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_071_359_917) + *self.passed.lock().unwrap()
    }
}

struct Stage {
    house: House,
    clock: Arc<Calendar>,
}

impl Stage {
    fn new(fields: &[(&str, &[&str])]) -> Self {
        let clock = Arc::new(Calendar { start: Instant::now(), passed: Mutex::default() });
        let service = PubSubService::new(Jid::new("pubsub.shakespeare.lit").unwrap(), open_config());
        let house = House::of(service.with_clock(clock.clone()));
        house.done("hamlet@denmark.lit/elsinore", "set", &format!("<create node='{NODE}'/>"));
        house.configure(fields);
        Self { house, clock }
    }

    fn available(&self, jid: &str, content: &str) -> Vec<Stanza> {
        self.house.send(&format!("<presence from='{jid}' to='pubsub.shakespeare.lit'>{content}</presence>"))
    }

    fn unavailable(&self, jid: &str) -> Vec<Stanza> {
        self.house.send(&format!("<presence type='unavailable' from='{jid}' to='pubsub.shakespeare.lit'/>"))
    }

    /// The router says that the way to the address is lost.
    fn lost(&self, jid: &str) -> Vec<Stanza> {
        let text = format!("<presence type='unavailable' from='{jid}' to='pubsub.shakespeare.lit'/>");
        let origin = Origin::RouteLost(domain("denmark.lit"));
        self.house.service.handle(Stanza::parse(&text).unwrap(), &origin, &self.house.router);
        self.house.router.take()
    }

    fn subscribe_with(&self, jid: &str, fields: &[(&str, &[&str])]) {
        let options = form(OPTIONS, fields);
        self.house.done(jid, "set", &format!("<subscribe node='{NODE}' jid='{jid}'/><options>{options}</options>"));
    }

    /// To whom a publication is told.
    fn hearers(&self, id: &str) -> Vec<String> {
        let told = self.house.publish(id, PAYLOAD);
        told.iter().map(|event| event.to().unwrap().as_str().to_owned()).collect()
    }

    /// What comes out once the clock has moved on.
    fn after(&self, seconds: u64) -> Vec<Stanza> {
        self.clock.pass(seconds);
        self.house.service.advance(&self.house.router);
        self.house.router.take()
    }

    fn items(&self) -> Vec<String> {
        let sent = self.house.request("hamlet@denmark.lit", "get", &format!("<items node='{NODE}'/>"));
        // What ends by itself is told ahead of the answer.
        item_ids(&sent[sent.len() - 1..])
    }
}

fn ids(told: &[Stanza]) -> Vec<String> {
    told.iter().filter_map(crate::support::published).collect()
}

/// Section 13.6 (`pubsub#presence_based_delivery`): a bare address is available with any of its resources.
#[test]
fn a_node_delivers_to_available_subscribers_alone_where_it_says_so() {
    let stage =
        Stage::new(&[("pubsub#presence_based_delivery", &["1"]), ("pubsub#send_last_published_item", &["never"])]);
    stage.house.subscribe("francisco@denmark.lit");
    stage.house.subscribe("bernardo@denmark.lit/post");
    assert!(stage.hearers("1").is_empty());
    stage.available(BARRACKS, "");
    stage.available(WATCH, "");
    assert_eq!(stage.hearers("2"), ["francisco@denmark.lit"]);
    stage.available("bernardo@denmark.lit/bed", "");
    assert_eq!(stage.hearers("3"), ["francisco@denmark.lit"], "another resource");
    stage.unavailable(BARRACKS);
    assert_eq!(stage.hearers("4"), ["francisco@denmark.lit"]);
    stage.unavailable(WATCH);
    assert!(stage.hearers("5").is_empty());
    stage.available(WATCH, "");
    stage.lost(WATCH);
    assert!(stage.hearers("6").is_empty(), "nobody is there to hear it");
}

/// Strangers that fill the service with their presence silence nobody.
#[test]
fn a_service_that_cannot_know_who_is_available_delivers_to_everybody_else() {
    let config = PubSubConfig { max_available: 2, ..open_config() };
    let house = House::with_node(config);
    house.configure(&[("pubsub#presence_based_delivery", &["1"])]);
    house.subscribe(BARRACKS);
    let available = |jid: &str| house.send(&format!("<presence from='{jid}' to='pubsub.shakespeare.lit'/>"));
    available("stranger@far.example/1");
    assert!(house.publish("1", PAYLOAD).is_empty());
    available("stranger@far.example/2");
    available("stranger@far.example/3");
    assert_eq!(house.publish("2", PAYLOAD).len(), 1);
    house.send("<presence type='unavailable' from='stranger@far.example/2' to='pubsub.shakespeare.lit'/>");
    assert!(house.publish("3", PAYLOAD).is_empty());
}

/// Section 6.3 (`pubsub#show-values`).
#[test]
fn a_subscriber_hears_in_the_states_that_it_has_chosen() {
    let stage = Stage::new(&[("pubsub#send_last_published_item", &["never"])]);
    stage.subscribe_with(BARRACKS, &[("pubsub#show-values", &["chat", "online"])]);
    for (presence, hears) in [
        ("", true),
        ("<show>dnd</show>", false),
        ("<show>chat</show>", true),
        ("<show>away</show>", false),
        ("<show>xa</show>", false),
        ("<show>unheard of</show>", true),
    ] {
        stage.available(BARRACKS, presence);
        assert_eq!(!stage.hearers("1").is_empty(), hears, "{presence}");
    }
}

/// Section 6.1.7 and example 46: the last item of each node, once for each time that somebody comes, with its delay.
#[test]
fn the_last_item_is_sent_to_a_subscriber_that_becomes_available() {
    let stage = Stage::new(&[("pubsub#send_last_published_item", &["on_sub_and_presence"])]);
    stage.house.publish("older", PAYLOAD);
    stage.house.publish("newest", PAYLOAD);
    stage.house.subscribe("francisco@denmark.lit");
    let told = stage.available(BARRACKS, "");
    assert_eq!(ids(&told), ["newest"]);
    assert_eq!(told[0].to().unwrap().as_str(), BARRACKS);
    let delay = told[0].to_element().find("delay", "urn:xmpp:delay").unwrap().clone();
    assert_eq!(delay.attribute("stamp"), Some("2003-12-13T23:58:37Z"));
    assert!(stage.available(BARRACKS, "<show>away</show>").is_empty(), "it was there already");
    stage.unavailable(BARRACKS);
    assert_eq!(ids(&stage.available(BARRACKS, "")), ["newest"]);
    for setting in ["on_sub", "never"] {
        let stage = Stage::new(&[("pubsub#send_last_published_item", &[setting])]);
        stage.house.publish("newest", PAYLOAD);
        stage.house.subscribe("francisco@denmark.lit");
        assert!(stage.available(BARRACKS, "").is_empty(), "{setting}");
    }
}

/// XEP-0312: a subscriber that says for how long it was away is sent what it has missed.
#[test]
fn a_subscriber_that_comes_back_is_sent_what_it_has_missed() {
    let stage = Stage::new(&[("pubsub#presence_based_delivery", &["1"])]);
    stage.house.subscribe(BARRACKS);
    for id in ["long ago", "missed", "missed too"] {
        stage.house.publish(id, PAYLOAD);
        stage.clock.pass(60);
    }
    let told = stage.available(BARRACKS, "<ago xmlns='urn:xmpp:ago:0' secs='125'/>");
    assert_eq!(ids(&told), ["missed", "missed too"]);
    assert!(stage.available(BARRACKS, "<ago xmlns='urn:xmpp:ago:0' secs='125'/>").is_empty(), "not initial presence");
}

/// Examples 222 and 223, section 13.5: the subscription ends with the presence of its subscriber, and only so.
#[test]
fn a_temporary_subscription_ends_with_the_presence_of_the_subscriber() {
    let by_option = Stage::new(&[("pubsub#send_last_published_item", &["never"])]);
    by_option.subscribe_with(BARRACKS, &[("pubsub#expire", &["presence"])]);
    // The owner makes all subscriptions temporary.
    let by_node = Stage::new(&[("pubsub#tempsub", &["1"]), ("pubsub#send_last_published_item", &["never"])]);
    by_node.house.subscribe(BARRACKS);
    for stage in [by_option, by_node] {
        stage.available(BARRACKS, "");
        assert_eq!(stage.hearers("1"), [BARRACKS]);
        assert!(stage.lost(BARRACKS).is_empty(), "a lost way ends nothing");
        stage.available(BARRACKS, "");
        assert!(stage.unavailable(WATCH).is_empty());
        let told = stage.unavailable(BARRACKS);
        assert_eq!(told.len(), 1);
        assert!(told[0].text().contains("subscription='none'"));
        stage.available(BARRACKS, "");
        assert!(stage.hearers("2").is_empty());
    }
}

/// Section 8.2 (`pubsub#purge_offline`).
#[test]
fn the_items_of_a_publisher_go_when_it_does_where_the_node_says_so() {
    let stage = Stage::new(&[("pubsub#purge_offline", &["1"])]);
    stage.house.affiliate("bard@shakespeare.lit", "publisher");
    let publish = format!("<publish node='{NODE}'><item id='his'>{PAYLOAD}</item></publish>");
    stage.house.done("bard@shakespeare.lit/globe", "set", &publish);
    stage.house.publish("ours", PAYLOAD);
    stage.house.subscribe("francisco@denmark.lit");
    stage.available("bard@shakespeare.lit/globe", "");
    stage.available("bard@shakespeare.lit/stratford", "");
    stage.unavailable("bard@shakespeare.lit/stratford");
    assert_eq!(stage.items(), ["his", "ours"]);
    let told = stage.unavailable("bard@shakespeare.lit/globe");
    assert_eq!(stage.items(), ["ours"]);
    assert!(told[0].text().contains("<retract id='his'/>"), "{told:?}");
}

/// Section 8.2 (`pubsub#item_expire`): what is over is retracted by itself, at its time.
#[test]
fn items_expire_after_their_time() {
    let stage = Stage::new(&[("pubsub#item_expire", &["60"])]);
    stage.house.subscribe("francisco@denmark.lit");
    stage.house.publish("a", PAYLOAD);
    stage.clock.pass(30);
    stage.house.publish("b", PAYLOAD);
    let pause = stage.house.service.next_deadline().unwrap() - stage.clock.now();
    assert_eq!(pause.as_secs(), 30);
    assert!(stage.after(29).is_empty());
    let told = stage.after(1);
    assert_eq!(told.len(), 1);
    assert!(told[0].text().contains("<retract id='a'/>"));
    assert_eq!(stage.items(), ["b"]);
    stage.clock.pass(30);
    assert!(stage.items().is_empty(), "nobody sees what is over, even before the service is called");
    stage.after(1);
    assert_eq!(stage.house.service.next_deadline(), None);
}

/// Example 227 and section 13.19: a lease.
#[test]
fn a_subscription_ends_when_its_lease_does() {
    let stage = Stage::new(&[]);
    stage.subscribe_with(BARRACKS, &[("pubsub#expire", &["2003-12-14T00:00:37Z"])]);
    let options = stage.house.request(BARRACKS, "get", &format!("<options node='{NODE}' jid='{BARRACKS}'/>"));
    assert_eq!(field_values(&options[0], "pubsub#expire"), "2003-12-14T00:00:37Z");
    assert_eq!(stage.hearers("1"), [BARRACKS]);
    let told = stage.after(120);
    assert_eq!(told.len(), 1);
    assert!(told[0].text().contains("subscription='none'"));
    assert!(stage.hearers("2").is_empty());
    let renewed = format!("<options node='{NODE}' jid='{BARRACKS}'>{}</options>", form(OPTIONS, &[]));
    assert_eq!(verdict(&stage.house.request(BARRACKS, "set", &renewed)), "unexpected-request/not-subscribed");
}

/// What a service does not know when it starts, it reads from its store.
#[test]
fn what_ends_by_itself_ends_after_a_restart_too() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let clock = Arc::new(Calendar { start: Instant::now(), passed: Mutex::default() });
    let start = || {
        let address = Jid::new("pubsub.shakespeare.lit").unwrap();
        let service = PubSubService::open(address, open_config(), store.clone()).unwrap();
        Stage { house: House::of(service.with_clock(clock.clone())), clock: clock.clone() }
    };
    let before = start();
    before.house.done("hamlet@denmark.lit/elsinore", "set", &format!("<create node='{NODE}'/>"));
    before.house.configure(&[("pubsub#item_expire", &["60"])]);
    before.house.publish("a", PAYLOAD);
    before.subscribe_with(BARRACKS, &[("pubsub#expire", &["2003-12-14T00:00:37Z"])]);
    drop(before);
    let after = start();
    assert_eq!(after.items(), ["a"]);
    assert_eq!(after.after(60).len(), 1, "the retraction");
    assert!(after.items().is_empty());
    let told = after.after(60);
    assert!(told[0].text().contains("subscription='none'"), "{told:?}");
}
