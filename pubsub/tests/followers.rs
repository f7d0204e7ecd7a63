//! Who follows the nodes of an account, and who does not: what XEP-0060, sections 6.5.1, 9 and 15.3, XEP-0163, sections
//! 4.3 and 7.1, and XEP-0115, sections 5.4 and 8.4, demand beyond the plain case.

use std::sync::Arc;
use std::time::Duration;

use convoke_xmpp::capabilities::Capabilities;
use convoke_xmpp::{Kind, Stanza, namespace};

use crate::personal::{Capulet, JULIET, TUNE, WANTS, info, told};
use crate::support::{ManualClock, form, verdict};

const ROMEO: &str = "romeo@montague.lit";
const ORCHARD: &str = "romeo@montague.lit/orchard";
const GARDEN: &str = "romeo@montague.lit/garden";
const CHAMBER: &str = "nurse@capulet.lit/chamber";

fn publish_options(fields: &[(&str, &[&str])]) -> String {
    let form = form("http://jabber.org/protocol/pubsub#publish-options", fields);
    format!("<publish-options>{form}</publish-options>")
}

/// XEP-0115, section 8.4: nobody expects capabilities in every presence.
#[test]
fn a_presence_without_capabilities_leaves_a_follower_what_it_is() {
    let capulet = Capulet::new();
    capulet.arrives_and_answers(ORCHARD, &WANTS);
    assert!(capulet.send(&format!("<presence from='{ORCHARD}' to='{JULIET}'><show>away</show></presence>")).is_empty());
    assert_eq!(capulet.plays("1"), [format!("{ORCHARD} 1")]);
}

/// XEP-0115, section 5.4: an answer that is wrong, or none, is no reason to leave all others deaf who show the same.
#[test]
fn another_who_shows_the_same_capabilities_is_asked_when_one_does_not_tell_them() {
    let capulet = Capulet::new();
    let first = capulet.arrives("romeo@montague.lit/garden", &WANTS);
    assert!(capulet.arrives(ORCHARD, &WANTS).is_empty());
    assert!(capulet.arrives(CHAMBER, &WANTS).is_empty());
    let second = capulet.answers(GARDEN, &first[0], &["urn:other"]);
    assert_eq!(second[0].to().unwrap().as_str(), CHAMBER);
    let third = capulet.send(&format!("<presence type='unavailable' from='{CHAMBER}' to='{JULIET}'/>"));
    assert_eq!(third[0].to().unwrap().as_str(), ORCHARD);
    capulet.answers(ORCHARD, &third[0], &WANTS);
    // They show what the one has told falsely, too: the hash stands for what was believed of another.
    assert_eq!(capulet.plays("1"), [format!("{GARDEN} 1"), format!("{ORCHARD} 1")]);
}

/// XEP-0115, section 5.4: a hash that cannot be checked is asked for, and its answer believed of that resource alone.
#[test]
fn a_hash_by_an_unknown_algorithm_stands_for_one_resource() {
    let capulet = Capulet::new();
    capulet.plays("1");
    let c = format!("<c xmlns='{}' hash='sha-512' node='urn:software' ver='v'/>", namespace::CAPABILITIES);
    let arrives = |who: &str| capulet.send(&format!("<presence from='{who}' to='{JULIET}'>{c}</presence>"));
    let asked = [ORCHARD, GARDEN].map(arrives);
    for (asked, who) in asked.iter().zip([ORCHARD, GARDEN]) {
        assert_eq!(asked[0].to().unwrap().as_str(), who);
        assert_eq!(asked[0].payload().unwrap().attribute("node"), Some("urn:software#v"));
    }
    assert!(capulet.answers(GARDEN, &asked[0][0], &WANTS).is_empty(), "it was not asked that");
    assert_eq!(told(&capulet.answers(ORCHARD, &asked[0][0], &WANTS)), [format!("{ORCHARD} 1")]);
    assert_eq!(capulet.plays("2"), [format!("{ORCHARD} 2")]);
    assert!(arrives(ORCHARD).is_empty(), "it has told");
    assert!(capulet.answers(GARDEN, &asked[1][0], &["urn:other"]).is_empty());
    assert_eq!(capulet.plays("3"), [format!("{ORCHARD} 3")]);
}

/// XEP-0163, section 4.3.2: what one resource subscribes to by its full address is for that one.
#[test]
fn the_subscription_of_one_resource_silences_no_other() {
    let capulet = Capulet::new();
    capulet.plays("1");
    capulet.arrives_and_answers(ORCHARD, &WANTS);
    capulet.arrives(GARDEN, &WANTS);
    capulet.request(GARDEN, "set", &format!("<subscribe node='{TUNE}' jid='{GARDEN}'/>"));
    let mut heard = capulet.plays("2");
    heard.sort();
    assert_eq!(heard, [format!("{GARDEN} 2"), format!("{ORCHARD} 2")]);
}

/// Has Romeo subscribe by this address, with these options if there are any.
fn subscribe(capulet: &Capulet, jid: &str, options: &[(&str, &[&str])]) -> Vec<String> {
    let form = form("http://jabber.org/protocol/pubsub#subscribe_options", options);
    let verb = format!("<subscribe node='{TUNE}' jid='{jid}'/><options>{form}</options>");
    let answers = capulet.request(ORCHARD, "set", &verb);
    assert_eq!(verdict(&answers), "result");
    told(&answers[1..])
}

/// Has somebody arrive whose capabilities nobody knows, and answer: what it is sent.
fn arrives_unknown(capulet: &Capulet, who: &str) -> Vec<String> {
    let (asked, mut sent): (Vec<_>, Vec<_>) =
        capulet.arrives(who, &WANTS).into_iter().partition(|stanza| matches!(stanza.kind(), Kind::Iq(_)));
    sent.extend(capulet.answers(who, &asked[0], &WANTS));
    told(&sent)
}

fn in_order(mut told: Vec<String>) -> Vec<String> {
    told.sort();
    told
}

/// XEP-0163, section 4.3.2: who wants to hear is known, so nobody else is told, and nobody twice.
#[test]
fn a_bare_address_that_is_subscribed_is_told_at_its_resources_that_want_to_hear() {
    let capulet = Capulet::new();
    capulet.plays("1");
    assert_eq!(subscribe(&capulet, ROMEO, &[]), ["romeo@montague.lit 1"]);
    assert_eq!(capulet.plays("2"), ["romeo@montague.lit 2"], "nothing is known of it");
    assert_eq!(arrives_unknown(&capulet, ORCHARD), [format!("{ORCHARD} 2")]);
    assert_eq!(told(&capulet.arrives(GARDEN, &WANTS)), [format!("{GARDEN} 2")]);
    capulet.send(&format!("<presence from='romeo@montague.lit/hall' to='{JULIET}'/>"));
    assert_eq!(in_order(capulet.plays("3")), [format!("{GARDEN} 3"), format!("{ORCHARD} 3")]);
    subscribe(&capulet, GARDEN, &[]);
    assert_eq!(in_order(capulet.plays("4")), [format!("{GARDEN} 4"), format!("{ORCHARD} 4")]);
    for gone in [ORCHARD, GARDEN] {
        capulet.send(&format!("<presence type='unavailable' from='{gone}' to='{JULIET}'/>"));
    }
    assert_eq!(in_order(capulet.plays("5")), ["romeo@montague.lit 5".to_owned(), format!("{GARDEN} 5")]);
}

/// Section 4.3.2 of XEP-0163 for what is told besides publications: the last item, and the end of the node.
#[test]
fn what_a_bare_address_is_told_at_its_resources_is_all_of_it() {
    let capulet = Capulet::new();
    capulet.plays("1");
    arrives_unknown(&capulet, ORCHARD);
    assert_eq!(subscribe(&capulet, ROMEO, &[]), [format!("{ORCHARD} 1")]);
    let delete = format!(
        "<iq type='set' from='{JULIET}/balcony' to='{JULIET}' id='r'><pubsub xmlns='{}'><delete node='{TUNE}'/></pubsub></iq>",
        namespace::PUBSUB_OWNER
    );
    let told = capulet.send(&delete);
    let [_, end] = &told[..] else { panic!("{told:?}") };
    assert_eq!(end.to().unwrap().as_str(), ORCHARD);
}

/// The options of the subscription are for the resources that are told by it, too.
#[test]
fn the_options_of_a_bare_address_hold_for_its_resources() {
    for (show, expected) in [("chat", vec![]), ("online", vec![format!("{ORCHARD} 1")])] {
        let capulet = Capulet::new();
        capulet.plays("0");
        arrives_unknown(&capulet, ORCHARD);
        subscribe(&capulet, ROMEO, &[("pubsub#show-values", &[show])]);
        // It would be told for the sake of this resource, which does not want to hear.
        let hall = "romeo@montague.lit/hall";
        capulet.send(&format!("<presence from='{hall}' to='{JULIET}'><show>chat</show></presence>"));
        assert_eq!(capulet.plays("1"), expected, "{show}");
    }
    let capulet = Capulet::new();
    capulet.plays("0");
    arrives_unknown(&capulet, ORCHARD);
    subscribe(&capulet, ROMEO, &[("pubsub#deliver", &["0"])]);
    assert!(capulet.plays("1").is_empty());
}

/// What is collected for a resource by the subscription of its bare address ends with that.
#[test]
fn a_digest_of_a_bare_address_is_for_its_resources() {
    let clock = Arc::new(ManualClock::new());
    let capulet = Capulet::new().timed(clock.clone());
    let minute = Duration::from_secs(60);
    let pass = || -> Vec<Stanza> {
        clock.pass(minute);
        capulet.advance()
    };
    capulet.plays("0");
    arrives_unknown(&capulet, ORCHARD);
    subscribe(&capulet, ROMEO, &[("pubsub#digest", &["1"]), ("pubsub#digest_frequency", &["60000"])]);
    assert!(capulet.plays("1").is_empty());
    assert_eq!(told(&pass()), [format!("{ORCHARD} 1")]);
    assert!(capulet.plays("2").is_empty());
    capulet.request(ORCHARD, "set", &format!("<unsubscribe node='{TUNE}' jid='{ROMEO}'/>"));
    assert!(pass().is_empty());
    assert_eq!(capulet.plays("3"), [format!("{ORCHARD} 3")]);
}

/// Section 6.5.1: subscribed to the owner's presence, and in the group.
#[test]
fn whom_a_group_holds_but_the_presence_is_not_for_is_not_admitted() {
    let capulet = Capulet::new();
    capulet.roster.friends.lock().unwrap().insert("paris@montague.lit");
    capulet.arrives_and_answers("paris@montague.lit/hall", &WANTS);
    let options = [("pubsub#access_model", &["roster"][..]), ("pubsub#roster_groups_allowed", &["Friends"])];
    assert!(capulet.plays_with("1", &publish_options(&options)).is_empty());
    let items = format!("<items node='{TUNE}'/>");
    let answers = capulet.request("paris@montague.lit/hall", "get", &items);
    assert_eq!(verdict(&answers), "not-authorized/not-in-roster-group");
    assert_eq!(verdict(&capulet.request(CHAMBER, "get", &items)), "result");
}

/// Section 15.3: a subscription is worth nothing to whom the access model does not admit any more.
#[test]
fn who_is_not_admitted_any_more_does_not_publish_as_a_subscriber() {
    let capulet = Capulet::new();
    capulet.plays_with("1", &publish_options(&[("pubsub#publish_model", &["subscribers"])]));
    capulet.request(ORCHARD, "set", &format!("<subscribe node='{TUNE}' jid='{ORCHARD}'/>"));
    let publish = format!("<publish node='{TUNE}'><item id='2'><tune xmlns='{TUNE}'/></item></publish>");
    assert_eq!(verdict(&capulet.request(ORCHARD, "set", &publish)), "result");
    capulet.roster.subscribed.lock().unwrap().remove("romeo@montague.lit");
    assert_eq!(verdict(&capulet.request(ORCHARD, "set", &publish)), "forbidden");
}

/// Section 7.2.2.1: also of what goes with the account itself.
#[test]
fn followers_hear_of_items_that_go_when_the_account_does() {
    let capulet = Capulet::new();
    capulet.arrives_and_answers(ORCHARD, &WANTS);
    let balcony = "juliet@capulet.lit/balcony";
    let plain = Capabilities::of(&info(&["urn:other"]), "urn:software").unwrap().to_element();
    capulet.send(&format!("<presence from='{balcony}' to='{JULIET}'>{plain}</presence>"));
    let options = publish_options(&[("pubsub#purge_offline", &["1"]), ("pubsub#notify_retract", &["1"])]);
    assert_eq!(capulet.plays_with("1", &options), [format!("{ORCHARD} 1")]);
    let gone = capulet.send(&format!("<presence type='unavailable' from='{balcony}' to='{JULIET}'/>"));
    let [event] = &gone[..] else { panic!("{gone:?}") };
    assert_eq!(event.to().unwrap().as_str(), ORCHARD);
    assert!(event.text().contains("<retract id='1'/>"), "{event:?}");
}

/// RFC 6121, section 4.3.2: unavailable from a bare address stands for all its resources.
#[test]
fn an_account_whose_bare_address_is_unavailable_is_gone_with_all_its_resources() {
    let capulet = Capulet::new();
    capulet.plays("1");
    let options = form("http://jabber.org/protocol/pubsub#subscribe_options", &[("pubsub#expire", &["presence"])]);
    capulet.send(&format!("<presence from='{ORCHARD}' to='{JULIET}'/>"));
    let subscribe = format!("<subscribe node='{TUNE}' jid='romeo@montague.lit'/><options>{options}</options>");
    assert_eq!(told(&capulet.request(ORCHARD, "set", &subscribe)[1..]), ["romeo@montague.lit 1"]);
    let gone = capulet.send(&format!("<presence type='unavailable' from='romeo@montague.lit' to='{JULIET}'/>"));
    assert!(gone[0].text().contains("subscription='none'"), "{gone:?}");
}

/// Section 9: without it nobody may take an account for a service.
#[test]
fn an_account_says_that_it_is_a_service() {
    let capulet = Capulet::new();
    let query = format!("<query xmlns='{}'/>", namespace::DISCO_INFO);
    let answers = capulet.send(&format!("<iq type='get' from='{CHAMBER}' to='{JULIET}' id='r'>{query}</iq>"));
    let feature = "<feature var='http://jabber.org/protocol/pubsub#pubsub-on-a-jid'/>";
    assert!(answers[0].text().contains(feature), "{answers:?}");
}

/// XEP-0163, section 7.1: it does not come back with the presence that it hung on.
#[test]
fn a_subscription_of_whom_the_roster_does_not_admit_any_more_ends() {
    let capulet = Capulet::new();
    capulet.plays("1");
    capulet.request(ORCHARD, "set", &format!("<subscribe node='{TUNE}' jid='romeo@montague.lit'/>"));
    capulet.roster.subscribed.lock().unwrap().remove("romeo@montague.lit");
    let publish = format!("<publish node='{TUNE}'><item id='2'><tune xmlns='{TUNE}'/></item></publish>");
    let told = capulet.request("juliet@capulet.lit/balcony", "set", &publish);
    let [_, ended] = &told[..] else { panic!("{told:?}") };
    assert_eq!(ended.to().unwrap().as_str(), "romeo@montague.lit");
    assert!(ended.text().contains("subscription='none'"), "{ended:?}");
    capulet.roster.subscribed.lock().unwrap().insert("romeo@montague.lit");
    assert!(capulet.plays("3").is_empty());
}
