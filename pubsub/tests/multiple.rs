//! XEP-0060, section 6.1.6: several subscriptions of one address to a node, each with a SubID and options of its own.
//!
//! Transcripts have the SubIDs `123-abc` and `004-yyy` of the examples, in place of which those stand that the service
//! made: the older one and the newer one.

mod config;
mod model;
mod owner;
mod scene;

use convoke_pubsub::{PubSubConfig, client};
use convoke_xmpp::namespace;

use crate::support::{House, NODE, field_values, form, verdict};
use scene::*;

#[test]
fn each_request_makes_a_subscription_with_a_subid_of_its_own() {
    let scene = Scene::new();
    assert_ne!(scene.subids[0], scene.subids[1]);
    let both = "<subscription node='princely_musings' jid='francisco@denmark.lit' subscription='subscribed' subid='123-abc'/>
                <subscription node='princely_musings' jid='francisco@denmark.lit' subscription='subscribed' subid='004-yyy'/>";
    scene.is_answered("get", "<subscriptions/>", &format!("<subscriptions>{both}</subscriptions>"));
    let of_node = format!("<subscriptions node='princely_musings'>{both}</subscriptions>");
    scene.is_answered("get", "<subscriptions node='princely_musings'/>", &of_node);
}

#[test]
fn the_subscription_that_is_named_ends_and_no_other() {
    let scene = Scene::new();
    scene.is_answered(
        "set",
        "<unsubscribe node='princely_musings' jid='francisco@denmark.lit' subid='123-abc'/>",
        "<subscription node='princely_musings' jid='francisco@denmark.lit' subscription='none' subid='123-abc'/>",
    );
    assert_eq!(subids(&scene.house), scene.subids[1..]);
    assert_eq!(named(&scene.house.publish("1", PAYLOAD), &[]), [""], "it is clear by which");
    // The only one that is left need not be named.
    scene.is_answered(
        "set",
        "<unsubscribe node='princely_musings' jid='francisco@denmark.lit'/>",
        "<subscription node='princely_musings' jid='francisco@denmark.lit' subscription='none' subid='004-yyy'/>",
    );
    assert!(scene.house.publish("2", PAYLOAD).is_empty());
}

/// Examples 49, 53, 60, 61, 84 and 85.
#[test]
fn who_has_several_subscriptions_says_which_and_says_it_right() {
    let scene = Scene::new();
    let own = "node='princely_musings' jid='francisco@denmark.lit'";
    for (kind, element, content) in [
        ("set", format!("unsubscribe {own}"), String::new()),
        ("get", format!("options {own}"), String::new()),
        ("set", format!("options {own}"), form(OPTIONS, &[("pubsub#deliver", &["0"])])),
        ("get", "items node='princely_musings'".to_owned(), String::new()),
    ] {
        let verb = |subid: &str| {
            let name = element.split(' ').next().unwrap();
            format!("<{element}{subid}>{content}</{name}>")
        };
        scene.is_refused(kind, &verb(""), "bad-request", "subid-required");
        scene.is_refused(kind, &verb(" subid=''"), "bad-request", "subid-required");
        for wrong in ["991d7fd1616fd041015064133cd097a10030819e", "0", "123-abc0", " 123-abc"] {
            scene.is_refused(kind, &verb(&format!(" subid='{wrong}'")), "not-acceptable", "invalid-subid");
        }
    }
    assert_eq!(named(&scene.house.publish("1", PAYLOAD), &[&scene.subids[0], &scene.subids[1]]), ["ab"]);
}

/// The SubID of somebody else is none of one's own.
#[test]
fn a_subid_is_good_for_its_own_address_alone() {
    let scene = Scene::new();
    let own = subscribe(&scene.house, BARRACKS, &[]);
    let verb = |jid: &str, subid: &str| format!("<unsubscribe node='{NODE}' jid='{jid}' subid='{subid}'/>");
    let ask = |from: &str, verb: &str| verdict(&scene.house.request(from, "set", verb));
    assert_eq!(ask(BARRACKS, &verb(FRANCISCO, &own)), "not-acceptable/invalid-subid");
    assert_eq!(ask(BARRACKS, &verb(BARRACKS, &scene.subids[0])), "not-acceptable/invalid-subid");
    assert_eq!(ask("bernardo@denmark.lit", &verb(FRANCISCO, &scene.subids[0])), "forbidden");
    let foreign = verb("bernardo@denmark.lit", &scene.subids[0]);
    assert_eq!(ask("bernardo@denmark.lit", &foreign), "unexpected-request/not-subscribed");
}

/// Section 6.5.9: the subscriptions of the requesting address count, or else those of its bare address; the SubID of
/// another one of its own is not wrong.
#[test]
fn items_are_asked_for_on_behalf_of_a_subscription() {
    let scene = Scene::new();
    scene.house.publish("1", PAYLOAD);
    let ask = |from: &str, subid: &str| {
        let subid = if subid.is_empty() { String::new() } else { format!(" subid='{subid}'") };
        verdict(&scene.house.request(from, "get", &format!("<items node='princely_musings'{subid}/>")))
    };
    let items = "<items node='princely_musings'><item id='1'><a xmlns='urn:a'/></item></items>";
    scene.is_answered("get", "<items node='princely_musings' subid='123-abc'/>", items);
    assert_eq!(ask("bernardo@denmark.lit", &scene.subids[0]), "result", "who has not subscribed has no SubID");
    let own = subscribe(&scene.house, BARRACKS, &[]);
    assert_eq!(ask(BARRACKS, ""), "result", "this address has one");
    assert_eq!(ask(BARRACKS, &own), "result");
    assert_eq!(ask(BARRACKS, &scene.subids[1]), "result");
    assert_eq!(ask(FRANCISCO, ""), "bad-request/subid-required");
    assert_eq!(ask("francisco@denmark.lit/watch", ""), "bad-request/subid-required");
    let foreign = "<subscribe node='princely_musings' jid='bernardo@denmark.lit'/>";
    scene.house.done("bernardo@denmark.lit", "set", foreign);
    assert_eq!(ask("bernardo@denmark.lit", &scene.subids[0]), "not-acceptable/invalid-subid");
}

/// Examples 104 and 118; the type is that of all notifications here.
#[test]
fn one_notification_of_an_item_names_all_subscriptions_of_its_recipient() {
    let scene = Scene::new();
    let answered = "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='x'";
    let sent = |verb: &str| {
        format!(
            "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='x'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub'>{verb}</pubsub>
             </iq>"
        )
    };
    let told = |change: &str| {
        format!(
            "<message type='headline' from='pubsub.shakespeare.lit' to='francisco@denmark.lit'>
               <event xmlns='http://jabber.org/protocol/pubsub#event'>
                 <items node='princely_musings'>{change}</items>
               </event>
               <headers xmlns='http://jabber.org/protocol/shim'>
                 <header name='SubID'>123-abc</header>
                 <header name='SubID'>004-yyy</header>
               </headers>
             </message>"
        )
    };
    let item = "<item id='ae890ac52d0df67ed7cfdf51b644e901'><a xmlns='urn:a'/></item>";
    scene.exchange(
        &sent(&format!("<publish node='princely_musings'>{item}</publish>")),
        &[
            &format!(
                "{answered}>
                   <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='princely_musings'/></pubsub>
                 </iq>"
            ),
            &told(item),
        ],
    );
    let gone = "<item id='ae890ac52d0df67ed7cfdf51b644e901'/>";
    scene.exchange(
        &sent(&format!("<retract node='princely_musings'>{gone}</retract>")),
        &[&format!("{answered}/>"), &told("<retract id='ae890ac52d0df67ed7cfdf51b644e901'/>")],
    );
}

/// Section 13.16: such a notification is the same for every subscription.
#[test]
fn what_is_told_of_the_node_itself_names_no_subscription() {
    let scene = Scene::new();
    let told = scene.house.configure(&[("pubsub#notify_config", &["1"])]);
    assert_eq!(named(&told, &[]), [""], "configured");
    for verb in ["purge", "delete"] {
        let told = scene.house.owner_request(HAMLET, "set", &format!("<{verb} node='{NODE}'/>"));
        assert_eq!(named(&told[1..], &[]), [""], "{verb}");
    }
}

/// Section 6.1.6: addresses are what they are, however much they look like each other.
#[test]
fn a_bare_address_and_its_resource_are_told_apart_from_each_other() {
    let scene = Scene::new();
    let [one, other] = &scene.subids;
    let third = subscribe(&scene.house, BARRACKS, &[]);
    let told = scene.house.publish("1", PAYLOAD);
    assert_eq!(named(&told, &[one, other]), ["ab", ""]);
    assert_eq!(told[1].to().unwrap().as_str(), BARRACKS);
    let fourth = subscribe(&scene.house, BARRACKS, &[]);
    assert_eq!(named(&scene.house.publish("2", PAYLOAD), &[one, other, &third, &fourth]), ["ab", "cd"]);
}

#[test]
fn each_subscription_has_options_of_its_own() {
    let house = House::with_node(multiple());
    let silent = subscribe(&house, FRANCISCO, &[("pubsub#deliver", &["0"])]);
    let away = subscribe(&house, FRANCISCO, &[("pubsub#show-values", &["away"])]);
    let always = subscribe(&house, FRANCISCO, &[]);
    let all = [&silent, &away, &always];
    assert_eq!(named(&house.publish("1", PAYLOAD), &all), ["c"]);
    house.send(&format!("<presence from='{BARRACKS}' to='pubsub.shakespeare.lit'><show>away</show></presence>"));
    assert_eq!(named(&house.publish("2", PAYLOAD), &all), ["bc"]);

    let deliver = |subid: &str| {
        let verb = format!("<options node='{NODE}' jid='{FRANCISCO}' subid='{subid}'/>");
        let answers = house.request(BARRACKS, "get", &verb);
        let options = answers[0].payload().unwrap().find("options", namespace::PUBSUB).unwrap().clone();
        assert_eq!(options.attribute("subid"), Some(subid));
        field_values(&answers[0], "pubsub#deliver")
    };
    assert_eq!([deliver(&silent), deliver(&away)], ["0", "1"]);
    for (subid, value) in [(&silent, "1"), (&always, "0")] {
        let form = form(OPTIONS, &[("pubsub#deliver", &[value])]);
        house.done(
            BARRACKS,
            "set",
            &format!("<options node='{NODE}' jid='{FRANCISCO}' subid='{subid}'>{form}</options>"),
        );
    }
    assert_eq!(named(&house.publish("3", PAYLOAD), &all), ["ab"]);
}

/// Section 6.1.7: the others have had it.
#[test]
fn the_last_item_is_sent_for_the_new_subscription() {
    let house = House::with_node(multiple());
    house.publish("1", PAYLOAD);
    let verb = format!("<subscribe node='{NODE}' jid='{FRANCISCO}'/>");
    let mut subids = Vec::new();
    for expected in ["", "b"] {
        let answers = house.request(BARRACKS, "set", &verb);
        subids.extend(client::parse_subscription(&answers[0].payload().unwrap()).unwrap().subid);
        assert_eq!(named(&answers[1..], &subids.iter().collect::<Vec<_>>()), [expected]);
    }
    let told = house.send(&format!("<presence from='{BARRACKS}' to='pubsub.shakespeare.lit'/>"));
    assert_eq!(named(&told, &[&subids[0], &subids[1]]), ["ab"], "once for both when it becomes available");
}

/// Section 6.1.3.9; each of them counts, and an address has 16 at most.
#[test]
fn an_address_has_no_more_subscriptions_than_allowed() {
    let one = format!("<subscribe node='{NODE}' jid='{FRANCISCO}'/>");
    for (limit, expected) in [(10_000, 16), (3, 3)] {
        let house = House::with_node(PubSubConfig { max_subscriptions_per_node: limit, ..multiple() });
        let granted = (0..17).take_while(|_| verdict(&house.request(BARRACKS, "set", &one)) == "result").count();
        assert_eq!(granted, expected);
        assert_eq!(verdict(&house.request(BARRACKS, "set", &one)), "policy-violation/too-many-subscriptions");
        assert_eq!(client::parse_subids(&house.publish("1", PAYLOAD)[0]).len(), expected);
    }
}

/// Section 13.19: each of them has a time of its own, and so has each for the time of a presence (13.5).
#[test]
fn a_subscription_that_ends_by_itself_leaves_the_others() {
    let house = House::with_node(multiple());
    let present = subscribe(&house, FRANCISCO, &[("pubsub#expire", &["presence"])]);
    let always = [subscribe(&house, FRANCISCO, &[]), subscribe(&house, FRANCISCO, &[])];
    let all = [&present, &always[0], &always[1]];
    house.send(&format!("<presence from='{BARRACKS}' to='pubsub.shakespeare.lit'/>"));
    assert_eq!(named(&house.publish("1", PAYLOAD), &all), ["abc"]);
    let told = house.send(&format!("<presence type='unavailable' from='{BARRACKS}' to='pubsub.shakespeare.lit'/>"));
    let Some(client::Event::Subscription { subscription, .. }) = client::parse_event(&told[0]) else {
        panic!("{told:?}")
    };
    assert_eq!((subscription.state.as_str(), subscription.subid), ("none", Some(present.clone())));
    assert_eq!(told.len(), 1);
    assert_eq!(named(&house.publish("2", PAYLOAD), &all), ["bc"]);
}
