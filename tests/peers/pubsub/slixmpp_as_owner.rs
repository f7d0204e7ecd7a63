//! slixmpp as owner of nodes at our service: their configuration, affiliations, pages of items; and as a subscriber with
//! options.

use convoke::pubsub::client::{create, publish, subscribe};
use convoke::xmpp::Jid;
use convoke_dev::peers::Software;
use serde_json::{Value, json};

use super::slixmpp_at_ours::{at_ours, given, shown};
use super::{create_with, figure, refused, set, told};
use crate::peers::neighbours::{JULIET, OURS, next};
use crate::support::DEADLINE;

with_each_peer!(
    slixmpp_configures_a_node_and_purges_it,
    slixmpp_reads_and_sets_the_options_of_its_subscription,
    slixmpp_understands_a_digest,
    slixmpp_decides_who_publishes,
    slixmpp_pages_through_a_node_and_publishes_with_options,
    slixmpp_discovers_the_service_and_its_nodes,
);

/// A request about this node, with more.
fn about(service: &Jid, node: &str, more: Value) -> Value {
    let mut with = json!({ "service": service.as_str(), "node": node });
    with.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    with
}

async fn slixmpp_configures_a_node_and_purges_it(software: Software) {
    let (neighbours, mut juliet, service) = at_ours(software).await;
    let mut member = neighbours.ours.component("member").unwrap();
    let load = |more: Value| about(&service, "load", more);
    let closed = json!({ "pubsub#access_model": "whitelist", "pubsub#max_items": "2", "pubsub#title": "Load" });
    juliet.ask("create", load(json!({ "config": closed }))).await;
    let configuration = juliet.ask("configuration", load(json!({}))).await;
    assert_eq!(configuration["pubsub#access_model"], "whitelist", "{configuration}");
    assert_eq!((&configuration["pubsub#max_items"], &configuration["pubsub#title"]), (&json!("2"), &json!("Load")));
    let defaults = juliet.ask("configuration", json!({ "service": service.as_str() })).await;
    assert_eq!(defaults["pubsub#access_model"], "open", "{defaults}");

    let subscribing = subscribe("load", member.jid());
    assert_eq!(refused(member.set(&service, subscribing.clone(), DEADLINE)).await, "cancel not-allowed");
    let open = json!({ "pubsub#access_model": "open", "pubsub#notify_config": "1" });
    juliet.ask("configure", load(json!({ "config": open }))).await;
    assert_eq!(juliet.ask("configuration", load(json!({}))).await["pubsub#max_items"], "2", "what was not named stays");
    set(&member, &service, subscribing).await;
    juliet.ask("subscribe", load(json!({}))).await;
    juliet.ask("configure", load(json!({ "config": { "pubsub#title": "Loads" } }))).await;
    assert_eq!(juliet.event().await, about_event(&service, "configured"));
    next(&mut member).await;

    for value in ["1", "2", "3"] {
        juliet.ask("publish", load(json!({ "id": value, "payload": given(value) }))).await;
    }
    // The third has no room, and takes that of the first.
    for event in ["load +1=1", "load +2=2", "load -1", "load +3=3"] {
        assert_eq!(told(&mut member, &service).await, event);
        assert_eq!(short(&juliet.event().await), event);
    }
    let kept = json!([{ "id": "2", "payload": shown("2") }, { "id": "3", "payload": shown("3") }]);
    assert_eq!(juliet.ask("items", load(json!({}))).await, kept);
    juliet.ask("purge", load(json!({}))).await;
    assert_eq!(juliet.event().await, about_event(&service, "purged"));
    assert_eq!(told(&mut member, &service).await, "load purged");
    assert_eq!(juliet.ask("items", load(json!({}))).await, json!([]));
}

/// An event of one change, as it is told of what our component hears.
fn short(event: &Value) -> String {
    let (node, change) = (event["node"].as_str().unwrap(), &event["items"][0]);
    match change["retracted"].as_str() {
        Some(id) => format!("{node} -{id}"),
        None => {
            let (id, value) = (change["published"].as_str().unwrap(), change["payload"]["text"].as_str().unwrap());
            format!("{node} +{id}={value}")
        }
    }
}

/// What slixmpp tells of something that happened to the node as a whole.
fn about_event(service: &Jid, what: &str) -> Value {
    let mut event = json!({ "from": service.as_str(), "node": "load" });
    event[what] = json!(true);
    event
}

async fn slixmpp_reads_and_sets_the_options_of_its_subscription(software: Software) {
    let (neighbours, mut juliet, service) = at_ours(software).await;
    let member = neighbours.ours.component("member").unwrap();
    let load = |more: Value| about(&service, "load", more);
    set(&member, &service, create("load")).await;
    juliet.ask("subscribe", load(json!({}))).await;
    let options = juliet.ask("options", load(json!({}))).await;
    assert_eq!((&options["pubsub#deliver"], &options["pubsub#digest"]), (&json!(true), &json!(false)), "{options}");
    juliet.ask("set_options", load(json!({ "options": { "pubsub#deliver": "0" } }))).await;
    assert_eq!(juliet.ask("options", load(json!({}))).await["pubsub#deliver"], false);
    set(&member, &service, publish("load", Some("a"), figure("unheard"))).await;
    juliet.ask("set_options", load(json!({ "options": { "pubsub#deliver": "1" } }))).await;
    set(&member, &service, publish("load", Some("a"), figure("heard"))).await;
    let items = json!([{ "published": "a", "payload": shown("heard") }]);
    assert_eq!(juliet.event().await["items"], items, "nothing came while it wanted nothing");
    let wrong = load(json!({ "options": { "pubsub#deliver": "perhaps" } }));
    assert_eq!(juliet.refused("set_options", wrong).await, "modify bad-request invalid-options");
}

async fn slixmpp_understands_a_digest(software: Software) {
    const COUNT: usize = 20;
    let (neighbours, mut juliet, service) = at_ours(software).await;
    let member = neighbours.ours.component("member").unwrap();
    set(&member, &service, create_with("load", &[("max_items", "100")])).await;
    let digest = json!({ "pubsub#digest": "1", "pubsub#digest_frequency": "2000" });
    juliet.ask("subscribe", about(&service, "load", json!({ "options": digest }))).await;
    let options = juliet.ask("options", about(&service, "load", json!({}))).await;
    assert_eq!((&options["pubsub#digest"], &options["pubsub#digest_frequency"]), (&json!(true), &json!("2000")));
    let published: Vec<_> = (0..COUNT).map(|number| number.to_string()).collect();
    for id in &published {
        set(&member, &service, publish("load", Some(id), figure("x"))).await;
    }
    let (mut messages, mut heard) = (0, Vec::new());
    while heard.len() < COUNT {
        let event = juliet.event().await;
        messages += 1;
        heard.extend(
            event["items"].as_array().unwrap().iter().map(|item| item["published"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(heard, published, "every item, in order");
    assert!(messages < COUNT, "{messages} messages");
}

async fn slixmpp_decides_who_publishes(software: Software) {
    let (neighbours, mut juliet, service) = at_ours(software).await;
    let member = neighbours.ours.component("member").unwrap();
    let load = |more: Value| about(&service, "load", more);
    let name = format!("member@{OURS}");
    juliet.ask("create", load(json!({}))).await;
    juliet.ask("subscribe", load(json!({}))).await;
    let listed = json!([{ "node": "load", "jid": JULIET, "subscription": "subscribed" }]);
    assert_eq!(juliet.ask("subscriptions", json!({ "service": service.as_str() })).await, listed);
    assert_eq!(juliet.ask("affiliations", json!({ "service": service.as_str() })).await, json!({ "load": "owner" }));
    assert_eq!(juliet.ask("subscribers", load(json!({}))).await, json!({ JULIET: "subscribed" }));

    let publish = publish("load", Some("a"), figure("1"));
    assert_eq!(refused(member.set(&service, publish.clone(), DEADLINE)).await, "auth forbidden");
    juliet.ask("affiliate", load(json!({ "affiliations": { &name: "publisher" } }))).await;
    assert_eq!(juliet.ask("members", load(json!({}))).await, json!({ JULIET: "owner", &name: "publisher" }));
    set(&member, &service, publish).await;
    assert_eq!(juliet.event().await["items"], json!([{ "published": "a", "payload": shown("1") }]));
    juliet.ask("affiliate", load(json!({ "affiliations": { &name: "outcast" } }))).await;
    let subscribe = member.set(&service, subscribe("load", member.jid()), DEADLINE);
    assert_eq!(refused(subscribe).await, "auth forbidden");
    juliet.ask("unsubscribe", load(json!({}))).await;
    assert_eq!(juliet.ask("subscriptions", json!({ "service": service.as_str() })).await, json!([]));
}

async fn slixmpp_pages_through_a_node_and_publishes_with_options(software: Software) {
    const COUNT: usize = 25;
    let (neighbours, mut juliet, service) = at_ours(software).await;
    let member = neighbours.ours.component("member").unwrap();
    set(&member, &service, create_with("many", &[("max_items", "100")])).await;
    for number in 0..COUNT {
        set(&member, &service, publish("many", Some(&number.to_string()), figure("x"))).await;
    }
    let pages = juliet.ask("pages", about(&service, "many", json!({ "size": 10 }))).await;
    let pages: Vec<Vec<_>> = pages.as_array().unwrap().iter().map(ids).collect();
    let expected: Vec<_> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(pages.concat(), expected);

    // The node is made by the publication, as the options say, and the next publication may insist on them.
    let publish = |model: &str| {
        let options = json!({ "pubsub#access_model": model });
        about(&service, "made", json!({ "id": "a", "payload": given("1"), "options": options }))
    };
    juliet.ask("publish", publish("whitelist")).await;
    let configuration = juliet.ask("configuration", about(&service, "made", json!({}))).await;
    assert_eq!(configuration["pubsub#access_model"], "whitelist", "{configuration}");
    juliet.ask("publish", publish("whitelist")).await;
    assert_eq!(juliet.refused("publish", publish("open")).await, "cancel conflict");
}

fn ids(page: &Value) -> Vec<String> {
    page.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn slixmpp_discovers_the_service_and_its_nodes(software: Software) {
    let (_neighbours, mut juliet, service) = at_ours(software).await;
    for node in ["load", "health"] {
        juliet.ask("create", about(&service, node, json!({}))).await;
    }
    assert_eq!(juliet.ask("nodes", json!({ "service": service.as_str() })).await, json!(["health", "load"]));
    let told = juliet.ask("about", json!({ "service": service.as_str() })).await;
    assert_eq!(told["identities"], json!([["pubsub", "service"]]));
    let features: Vec<_> = told["features"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for feature in ["config-node", "publish", "purge-nodes", "subscribe", "subscription-options"] {
        let feature = format!("http://jabber.org/protocol/pubsub#{feature}");
        assert!(features.contains(&feature.as_str()), "{feature} is not in {features:?}");
    }
    let told = juliet.ask("about", about(&service, "load", json!({}))).await;
    assert_eq!(told["identities"], json!([["pubsub", "leaf"]]));
}
