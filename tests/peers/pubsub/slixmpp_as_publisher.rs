//! slixmpp's account publishes at its own server, and a component of ours hears of it there by its own capabilities
//! (XEP-0163), or asks for it.

use std::time::Duration;

use convoke::pubsub::client::{Change, Event, Item, items as all_items, parse_event, parse_items, subscribe};
use convoke::xmpp::{Element, Kind, PresenceType, Stanza};
use convoke::{About, Component};
use convoke_dev::peers::Software;
use serde_json::json;
use tokio::time::timeout;

use super::slixmpp_at_ours::given;
use super::{items, refused, set, tell};
use crate::peers::neighbours::{JULIET, Neighbours, jid, next};
use crate::support::slixmpp::Slixmpp;
use crate::support::{DEADLINE, within_deadline};

with_each_peer!(
    our_component_hears_of_the_tune_the_nick_and_the_avatar_of_slixmpp,
    our_component_is_sent_the_last_item_and_then_each_of_what_it_wants,
    our_component_reads_what_the_options_of_a_publication_open_to_it,
);

const TUNE: &str = "http://jabber.org/protocol/tune";
const NICK: &str = "http://jabber.org/protocol/nick";
const AVATAR: &str = "urn:xmpp:avatar:metadata";
const LOAD: &str = "urn:example:load";
/// A node that tells of nothing but itself.
const HELLO: &str = "urn:example:hello";
/// How long an item may take before the next one is published.
const MOMENT: Duration = Duration::from_millis(500);

/// A component that wants to hear of these nodes, and slixmpp at a peer that has personal eventing.
async fn watching<const N: usize>(software: Software, nodes: [&str; N]) -> (Neighbours, Component, Slixmpp) {
    let neighbours = Neighbours::eventing(software).await;
    let about = About::new("component", "generic", "watcher");
    let about = nodes.iter().chain([&HELLO]).fold(about, |about, node| about.feature(format!("{node}+notify")));
    let watcher = neighbours.ours.component_about("watcher", about).unwrap();
    watcher.available([]);
    let juliet = Slixmpp::login(&neighbours.peer, "juliet").await;
    (neighbours, watcher, juliet)
}

/// Each sees the presence of the other from now on: slixmpp grants what it is asked for, and asks in turn. And its server
/// knows what our component wants, which it shows by what it tells: what was published before it knew, ejabberd does not send.
async fn befriend(watcher: &mut Component, juliet: &mut Slixmpp) {
    watcher.presence(PresenceType::Subscribe, &jid(JULIET));
    while next(watcher).await.kind() != Kind::Presence(PresenceType::Subscribe) {}
    watcher.presence(PresenceType::Subscribed, &jid(JULIET));
    let hello = json!({ "node": HELLO, "id": "a", "payload": given("hello") });
    within_deadline("our component is told what it wants", async {
        loop {
            juliet.ask("tell_contacts", hello.clone()).await;
            if timeout(MOMENT, any_event(watcher)).await.is_ok() {
                return;
            }
        }
    })
    .await;
}

/// The next event but for greetings.
async fn event(watcher: &mut Component) -> Stanza {
    loop {
        let event = any_event(watcher).await;
        if !tell(&event).starts_with(HELLO) {
            return event;
        }
    }
}

/// The next event, whatever else comes.
async fn any_event(watcher: &mut Component) -> Stanza {
    loop {
        let stanza = next(watcher).await;
        if parse_event(&stanza).is_some() {
            assert_eq!(stanza.from().unwrap().as_str(), JULIET, "{stanza:?}");
            return stanza;
        }
    }
}

/// The item that the next event publishes, with its node.
async fn item(watcher: &mut Component) -> (String, Item) {
    let event = event(watcher).await;
    match parse_event(&event) {
        Some(Event::Items { node, mut changes }) => match changes.pop() {
            Some(Change::Published(item)) if changes.is_empty() => (node, item),
            change => panic!("{change:?}"),
        },
        event => panic!("{event:?}"),
    }
}

fn contents(payload: &Element, namespace: &str, names: [&str; 2]) -> [String; 2] {
    names.map(|name| payload.find(name, namespace).unwrap_or_else(|| panic!("{payload:?}")).content())
}

async fn our_component_hears_of_the_tune_the_nick_and_the_avatar_of_slixmpp(software: Software) {
    let (_neighbours, mut watcher, mut juliet) = watching(software, [TUNE, NICK, AVATAR]).await;
    befriend(&mut watcher, &mut juliet).await;
    juliet.ask("tune", json!({ "artist": "Yes", "title": "Roundabout" })).await;
    let (node, tune) = item(&mut watcher).await;
    assert_eq!(node, TUNE);
    assert_eq!(contents(&tune.payload.unwrap(), TUNE, ["artist", "title"]), ["Yes", "Roundabout"]);
    juliet.ask("nick", json!({ "nick": "Jule" })).await;
    let (node, nick) = item(&mut watcher).await;
    assert_eq!((node.as_str(), nick.payload.unwrap().content().as_str()), (NICK, "Jule"));
    juliet.ask("avatar", json!({ "id": "abc", "type": "image/png", "bytes": 123 })).await;
    let (node, avatar) = item(&mut watcher).await;
    assert_eq!((node.as_str(), avatar.id.as_str()), (AVATAR, "abc"));
    let metadata = avatar.payload.unwrap();
    let info = metadata.find("info", AVATAR).unwrap();
    assert_eq!((info.attribute("type"), info.attribute("bytes")), (Some("image/png"), Some("123")));
    juliet.ask("no_tune", json!({})).await;
    let (node, tune) = item(&mut watcher).await;
    assert_eq!((node.as_str(), tune.payload.unwrap().children().count()), (TUNE, 0));

    let kept = watcher.get(&jid(JULIET), all_items(NICK), DEADLINE).await.unwrap().unwrap();
    let kept = parse_items(&kept).unwrap();
    assert_eq!(kept.into_iter().map(|item| item.payload.unwrap().content()).collect::<Vec<_>>(), ["Jule"]);
}

async fn our_component_is_sent_the_last_item_and_then_each_of_what_it_wants(software: Software) {
    let (_neighbours, mut watcher, mut juliet) = watching(software, [LOAD]).await;
    let load = |value: &str| json!({ "node": LOAD, "id": "a", "payload": given(value) });
    befriend(&mut watcher, &mut juliet).await;
    juliet.ask("tell_contacts", load("1")).await;
    assert_eq!(tell(&event(&mut watcher).await), format!("{LOAD} +a=1"));
    juliet.ask("tell_contacts", json!({ "node": "unwanted", "id": "a", "payload": given("x") })).await;
    juliet.ask("tell_contacts", load("2")).await;
    assert_eq!(tell(&event(&mut watcher).await), format!("{LOAD} +a=2"));
    assert_eq!(items(&watcher, &jid(JULIET), all_items(LOAD)).await, ["a=2"]);
    if software == Software::Prosody {
        // It is told of the last item when it comes again; a contact of another domain is not at ejabberd.
        watcher.unavailable([]);
        watcher.available([]);
        assert_eq!(tell(&event(&mut watcher).await), format!("{LOAD} +a=2"));
    }
}

async fn our_component_reads_what_the_options_of_a_publication_open_to_it(software: Software) {
    let closed = if software == Software::Prosody { "auth forbidden" } else { "auth not-authorized" };
    let (_neighbours, mut watcher, mut juliet) = watching(software, []).await;
    let to = |node: &str, value: &str| json!({ "node": node, "id": "a", "payload": given(value) });
    let mut open = to("open", "1");
    open["options"] = json!({ "pubsub#access_model": "open" });
    juliet.ask("tell_contacts", open.clone()).await;
    juliet.ask("tell_contacts", to("closed", "1")).await;
    let juliets = jid(JULIET);
    assert_eq!(items(&watcher, &juliets, all_items("open")).await, ["a=1"]);
    assert_eq!(refused(watcher.get(&juliets, all_items("closed"), DEADLINE)).await, closed);
    // The same options are met by the node that they have made, and others are not.
    open["payload"] = json!(given("2"));
    juliet.ask("tell_contacts", open.clone()).await;
    assert_eq!(items(&watcher, &juliets, all_items("open")).await, ["a=2"]);
    open["options"]["pubsub#access_model"] = json!("whitelist");
    let unmet = juliet.refused("tell_contacts", open).await;
    assert!(unmet.starts_with("cancel conflict"), "{unmet}");
    if software == Software::Prosody {
        // ejabberd delivers to no subscriber whose presence it does not see.
        set(&watcher, &juliets, subscribe("open", watcher.jid())).await;
        juliet.ask("tell_contacts", to("open", "3")).await;
        while tell(&any_event(&mut watcher).await) != "open +a=3" {}
    }
}
