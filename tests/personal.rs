//! The nodes of an account, and who follows them from another domain (XEP-0163), over real sockets.

use std::time::Duration;

use convoke::pubsub::client::{self, Change, Event};
use convoke::xmpp::namespace::DATA_FORMS;
use convoke::xmpp::{Element, Jid, Kind, MessageType, PresenceType, Stanza};
use convoke::{About, Component};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::network::Site;
use crate::support::within_deadline;

const LOAD: &str = "urn:example:load";
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a presence of this kind.
async fn presence(entity: &mut Component, kind: PresenceType) {
    within_deadline("a presence", async { while entity.receive().await.unwrap().0.kind() != Kind::Presence(kind) {} })
        .await;
}

/// Lets an entity live, and tells the sender and the id of each item that it is notified of.
fn followed(mut entity: Component) -> UnboundedReceiver<(Jid, String)> {
    let (seen, items) = unbounded_channel();
    tokio::spawn(async move {
        while let Some((stanza, _)) = entity.receive().await {
            let Some(Event::Items { changes, .. }) = client::parse_event(&stanza) else { continue };
            for change in changes {
                if let Change::Published(item) = change {
                    let from = stanza.from().unwrap().to_owned();
                    seen.send((from, item.id)).unwrap();
                }
            }
        }
    });
    items
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_the_presence_of_an_account_follows_its_nodes_across_domains_until_it_does_not() {
    let site = Site::new().await;
    let (working, _before_working) = site.domain("a.lan").await;
    let (watching, _before_watching) = site.domain("b.lan").await;
    let mut alice = working.session("alice", "desk").unwrap();
    let account = alice.jid().to_bare();
    let about = About::new("component", "generic", "watcher").feature(format!("{LOAD}+notify"));
    let mut watcher = watching.component_about("watcher", about).unwrap();
    alice.available([]);
    watcher.available([]);
    watcher.presence(PresenceType::Subscribe, &account);
    presence(&mut alice, PresenceType::Subscribe).await;
    alice.presence(PresenceType::Subscribed, watcher.jid());
    alice.presence(PresenceType::Subscribe, watcher.jid());
    presence(&mut watcher, PresenceType::Subscribe).await;
    watcher.presence(PresenceType::Subscribed, &account);
    let (asker, mut seen) = (watcher.handle(), followed(watcher));
    let publish = async |id: &str| {
        let payload = client::publish(LOAD, Some(id), Element::new("load", LOAD).text("0.5"));
        alice.set(&account, payload, PATIENCE).await.unwrap();
    };
    // Whether its capabilities are known by then or not: it follows now, or is sent the last item when they are.
    publish("1").await;
    let next = within_deadline("the first item", seen.recv()).await;
    assert_eq!(next, Some((account.clone(), "1".to_owned())));
    publish("2").await;
    assert_eq!(within_deadline("the second item", seen.recv()).await, Some((account.clone(), "2".to_owned())));
    let items = client::parse_items(&asker.get(&account, client::items(LOAD), PATIENCE).await.unwrap().unwrap());
    assert_eq!(items.unwrap()[0].id, "2");
    alice.presence(PresenceType::Unsubscribed, asker.jid());
    let refused = asker.get(&account, client::items(LOAD), PATIENCE).await.unwrap_err();
    let specific = refused.stanza_error().unwrap().application.as_ref().unwrap();
    assert_eq!(specific.name(), "presence-subscription-required");
    publish("3").await;
    alice.presence(PresenceType::Subscribed, asker.jid());
    publish("4").await;
    // Who is let in again is sent what it did not see (XEP-0060, section 13.2), and then follows.
    for id in ["3", "4"] {
        assert_eq!(within_deadline("the next item", seen.recv()).await, Some((account.clone(), id.to_owned())));
    }
}

/// What an owner has to answer, as a form to be submitted (XEP-0060, section 8.6).
fn approval(node: &str, subscriber: &Jid) -> Element {
    let field = |name: &str, value: &str| {
        Element::new("field", DATA_FORMS).attr("var", name).child(Element::new("value", DATA_FORMS).text(value))
    };
    Element::new("x", DATA_FORMS)
        .attr("type", "submit")
        .child(field("FORM_TYPE", "http://jabber.org/protocol/pubsub#subscribe_authorization"))
        .child(field("pubsub#node", node))
        .child(field("pubsub#subscriber_jid", subscriber.as_str()))
        .child(field("pubsub#allow", "true"))
}

/// Waits for a request for approval.
async fn asked(entity: &mut Component) -> Element {
    within_deadline("a request for approval", async {
        loop {
            let (stanza, _) = entity.receive().await.unwrap();
            if stanza.has_payload("x", DATA_FORMS) {
                return stanza.payload().unwrap();
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_resource_of_an_account_is_asked_to_approve_a_subscriber_and_one_of_them_does() {
    let site = Site::new().await;
    let (working, _before_working) = site.domain("a.lan").await;
    let (watching, _before_watching) = site.domain("b.lan").await;
    let mut desk = working.session("alice", "desk").unwrap();
    let mut phone = working.session("alice", "phone").unwrap();
    let account = desk.jid().to_bare();
    desk.available([]);
    phone.available([]);
    let payload = Element::new("load", LOAD).text("0.5");
    let options = [("pubsub#access_model", "authorize")];
    desk.set(&account, client::publish_with_options(LOAD, Some("1"), payload, &options), PATIENCE).await.unwrap();
    let watcher = watching.component("watcher").unwrap();
    let subscriber = watcher.jid().clone();
    let (subscribing, mut seen) = (watcher.handle(), followed(watcher));
    subscribing.set(&account, client::subscribe(LOAD, &subscriber), PATIENCE).await.unwrap();
    for resource in [&mut desk, &mut phone] {
        assert_eq!(asked(resource).await.attribute("type"), Some("form"));
    }
    let refused = subscribing.get(&account, client::items(LOAD), PATIENCE).await.unwrap_err();
    assert!(refused.stanza_error().is_some());
    let approved = Stanza::message(MessageType::Normal).with_to(&account).with_payload(approval(LOAD, &subscriber));
    phone.send(approved).unwrap();
    assert_eq!(within_deadline("the last item", seen.recv()).await, Some((account, "1".to_owned())));
}
