//! XEP-0060, sections 6.1.7, 6.5.5 and 13.10: the last item of nodes that keep none.

use std::sync::Arc;
use std::time::Duration;

use convoke_pubsub::{PubSubConfig, PubSubService};
use convoke_store::{MemoryStore, Store};
use convoke_xmpp::{Jid, Stanza};

use crate::support::{House, ManualClock, NODE, item_ids, open_config, published, verdict};

const HAMLET: &str = "hamlet@denmark.lit/elsinore";
const BARRACKS: &str = "francisco@denmark.lit/barracks";
const PAYLOAD: &str = "<a xmlns='urn:a'/>";

fn transient(fields: &[(&str, &[&str])]) -> House {
    transient_of(open_config(), fields)
}

fn transient_of(config: PubSubConfig, fields: &[(&str, &[&str])]) -> House {
    let house = House::with_node(config);
    house.configure(&[("pubsub#persist_items", &["0"])]);
    house.configure(fields);
    house
}

fn items(house: &House) -> Vec<String> {
    item_ids(&house.request(HAMLET, "get", &format!("<items node='{NODE}'/>")))
}

fn ids(told: &[Stanza]) -> Vec<String> {
    told.iter().filter_map(published).collect()
}

/// Example 77.
#[test]
fn a_transient_node_returns_the_last_published_item() {
    let house = transient(&[]);
    assert!(items(&house).is_empty());
    house.publish("368866411b877c30064a5f62b917cffe", "<entry xmlns='http://www.w3.org/2005/Atom'/>");
    house.publish(
        "ae890ac52d0df67ed7cfdf51b644e901",
        "<entry xmlns='http://www.w3.org/2005/Atom'><title>Soliloquy</title></entry>",
    );
    house.exchange(
        "<iq type='get' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='items1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='princely_musings'/></pubsub>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='items1'>
             <pubsub xmlns='http://jabber.org/protocol/pubsub'>
               <items node='princely_musings'>
                 <item id='ae890ac52d0df67ed7cfdf51b644e901'>
                   <entry xmlns='http://www.w3.org/2005/Atom'><title>Soliloquy</title></entry>
                 </item>
               </items>
             </pubsub>
           </iq>"],
    );
}

/// Section 6.1.7: who subscribes, and who comes, as the node is configured.
#[test]
fn the_last_item_of_a_transient_node_is_sent_when_the_node_says_so() {
    for (setting, on_subscription, on_presence) in
        [("never", false, false), ("on_sub", true, false), ("on_sub_and_presence", true, true)]
    {
        let house = transient(&[("pubsub#send_last_published_item", &[setting])]);
        house.publish("older", PAYLOAD);
        house.publish("newest", PAYLOAD);
        let expected = |is_sent: bool| if is_sent { vec!["newest"] } else { Vec::new() };
        let told = house.subscribe(BARRACKS);
        assert_eq!(ids(&told), expected(on_subscription), "{setting}");
        for late in &told {
            assert!(late.to_element().find("delay", "urn:xmpp:delay").is_some());
        }
        let told = house.send(&format!("<presence from='{BARRACKS}' to='pubsub.shakespeare.lit'/>"));
        assert_eq!(ids(&told), expected(on_presence), "{setting}");
    }
}

/// Nobody was told that a transient node had it, so nobody is told that it has not: what takes its place, what ends its
/// time, what changes the node.
#[test]
fn the_last_item_of_a_transient_node_goes_in_silence() {
    let house = transient(&[("pubsub#notify_retract", &["1"]), ("pubsub#publish_node_full", &["reject"])]);
    house.subscribe(BARRACKS);
    house.publish("1", PAYLOAD);
    assert_eq!(ids(&house.publish("2", PAYLOAD)), ["2"]);
    assert_eq!(items(&house), ["2"]);
    for fields in [
        [("pubsub#send_last_published_item", "never"), ("pubsub#send_last_published_item", "on_sub")],
        [("pubsub#deliver_payloads", "0"), ("pubsub#deliver_payloads", "1")],
        [("pubsub#persist_items", "1"), ("pubsub#persist_items", "0")],
    ] {
        house.publish("3", PAYLOAD);
        for (name, value) in fields {
            assert!(house.configure(&[(name, &[value])]).is_empty(), "{name} {value}");
        }
        assert!(items(&house).is_empty(), "{fields:?}");
    }
}

#[test]
fn an_announcement_is_newer_than_the_last_item() {
    let house = transient(&[]);
    house.publish("1", PAYLOAD);
    house.configure(&[("pubsub#deliver_payloads", &["0"])]);
    house.done(HAMLET, "set", &format!("<publish node='{NODE}'/>"));
    house.configure(&[("pubsub#deliver_payloads", &["1"])]);
    assert!(items(&house).is_empty());
    assert!(house.subscribe(BARRACKS).is_empty());
}

/// What there is no room for is told to those who listen, and not kept for others.
#[test]
fn the_last_item_counts_as_stored_and_no_publication_is_refused_for_it() {
    let house = transient_of(PubSubConfig { max_stored_bytes: 200, ..open_config() }, &[]);
    house.subscribe(BARRACKS);
    house.done(HAMLET, "set", "<create node='persistent'/>");
    let large = format!("<a xmlns='urn:a'>{}</a>", "x".repeat(120));
    house.publish("1", &large);
    let publish = format!("<publish node='persistent'><item id='1'>{large}</item></publish>");
    assert_eq!(verdict(&house.request(HAMLET, "set", &publish)), "resource-constraint");
    let larger = format!("<a xmlns='urn:a'>{}</a>", "x".repeat(200));
    assert_eq!(ids(&house.publish("2", &larger)), ["2"]);
    assert!(items(&house).is_empty());
    assert_eq!(verdict(&house.request(HAMLET, "set", &publish)), "result");
}

/// Sections 8.2 (`pubsub#item_expire`, `pubsub#purge_offline`).
#[test]
fn the_last_item_of_a_transient_node_lasts_as_long_as_items_do() {
    let clock = Arc::new(ManualClock::new());
    let service = PubSubService::new(Jid::new("pubsub.shakespeare.lit").unwrap(), open_config());
    let house = House::of(service.with_clock(clock.clone()));
    house.done(HAMLET, "set", &format!("<create node='{NODE}'/>"));
    house.configure(&[("pubsub#persist_items", &["0"]), ("pubsub#item_expire", &["60"])]);
    house.subscribe(BARRACKS);
    house.publish("1", PAYLOAD);
    clock.pass(Duration::from_secs(61));
    house.service.advance(&house.router);
    assert!(house.router.take().is_empty());
    assert!(items(&house).is_empty());
    house.configure(&[("pubsub#purge_offline", &["1"])]);
    house.publish("2", PAYLOAD);
    assert_eq!(items(&house), ["2"]);
    let left = "<presence type='unavailable' from='hamlet@denmark.lit/blogbot' to='pubsub.shakespeare.lit'/>";
    assert!(house.send(left).is_empty());
    assert!(items(&house).is_empty());
}

#[test]
fn the_last_item_of_a_transient_node_ends_with_the_process() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let start = || {
        let address = Jid::new("pubsub.shakespeare.lit").unwrap();
        House::of(PubSubService::open(address, open_config(), store.clone()).unwrap())
    };
    let before = start();
    before.done(HAMLET, "set", &format!("<create node='{NODE}'/>"));
    before.configure(&[("pubsub#persist_items", &["0"])]);
    before.publish("1", PAYLOAD);
    assert_eq!(items(&before), ["1"]);
    drop(before);
    let after = start();
    assert!(items(&after).is_empty());
    assert!(after.subscribe(BARRACKS).is_empty());
}
