//! Accounts and their store: what it alone has is read back, and what it did not keep is done again.

use std::sync::Arc;
use std::time::Duration;

use convoke_store::{MemoryStore, Store};
use convoke_xmpp::capabilities::Capabilities;
use convoke_xmpp::{Kind, Stanza};

use crate::commit::{HeldStore, full_disk};
use crate::personal::{Capulet, JULIET, TUNE, WANTS, info, told};
use crate::support::{ManualClock, form, verdict};

const GARDEN: &str = "romeo@montague.lit/garden";
const ORCHARD: &str = "romeo@montague.lit/orchard";

/// An account that has the node with one item, to which Romeo is subscribed, after the service was started again.
fn restarted(options: &[(&str, &[&str])]) -> Capulet {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let capulet = Capulet::with(Some(store.clone()));
    let form = form("http://jabber.org/protocol/pubsub#publish-options", options);
    capulet.plays_with("1", &format!("<publish-options>{form}</publish-options>"));
    let subscribe = format!("<subscribe node='{TUNE}' jid='romeo@montague.lit'/>");
    assert_eq!(verdict(&capulet.request(ORCHARD, "set", &subscribe)), "result");
    drop(capulet);
    Capulet::with(Some(store))
}

/// XEP-0163, section 4.3.4: also where nobody has asked the account for anything since.
#[test]
fn who_has_subscribed_is_sent_the_last_item_by_an_account_that_the_store_alone_has() {
    let capulet = restarted(&[]);
    let presence = format!("<presence from='{ORCHARD}' to='{JULIET}'/>");
    assert_eq!(told(&capulet.send(&presence)), [format!("{ORCHARD} 1")]);
    assert!(capulet.send(&presence).is_empty());
}

/// XEP-0060, section 13.5.
#[test]
fn who_has_shown_its_presence_to_an_account_that_the_store_alone_has_is_available() {
    let options: &[(&str, &[&str])] =
        &[("pubsub#presence_based_delivery", &["1"]), ("pubsub#send_last_published_item", &["never"])];
    let capulet = restarted(options);
    assert!(capulet.send(&format!("<presence from='{ORCHARD}' to='{JULIET}'/>")).is_empty());
    assert_eq!(capulet.plays("2"), ["romeo@montague.lit 2"]);
    capulet.send(&gone(ORCHARD));
    assert!(capulet.plays("3").is_empty());
}

/// Juliet's domain with a store that keeps what the test lets it, and a node with one item.
struct Held {
    capulet: Capulet,
    store: Arc<HeldStore>,
    clock: Arc<ManualClock>,
}

impl Held {
    fn new() -> Self {
        let (store, clock) = (Arc::new(HeldStore::default()), Arc::new(ManualClock::new()));
        let capulet = Capulet::with(Some(store.clone())).timed(clock.clone());
        let held = Self { capulet, store, clock };
        held.publish("1");
        held.store.complete();
        held.capulet.advance();
        held
    }

    fn publish(&self, id: &str) {
        let publish = format!("<publish node='{TUNE}'><item id='{id}'><tune xmlns='{TUNE}'/></item></publish>");
        assert!(self.capulet.request("juliet@capulet.lit/balcony", "set", &publish).is_empty());
    }

    /// Has all of this served in one group that the store fails to keep, and then again.
    fn fails_with(&self, stanzas: &[String]) -> Vec<Stanza> {
        self.publish("2");
        self.publish("3");
        for stanza in stanzas {
            assert!(self.capulet.send(stanza).is_empty());
        }
        self.store.complete();
        let served = self.capulet.advance();
        assert!(served.iter().all(|stanza| stanza.to().unwrap().bare() == JULIET), "{served:?}");
        self.store.fail(full_disk());
        let refused = self.capulet.advance();
        assert_eq!(refused.len(), 1, "the publication alone is refused: {refused:?}");
        self.clock.pass(Duration::from_secs(1));
        self.capulet.advance()
    }

    /// Several arrive who show the same, the first of whom is asked: the question.
    fn arrive(&self, who: &[&str]) -> Stanza {
        let mut sent: Vec<_> = who.iter().flat_map(|who| self.capulet.arrives(who, &WANTS)).collect();
        assert_eq!(sent.len(), 1);
        sent.remove(0)
    }
}

fn answer(from: &str, question: &Stanza, features: &[&str]) -> String {
    let id = question.id().unwrap();
    format!("<iq type='result' from='{from}' to='{JULIET}' id='{id}'>{}</iq>", info(features))
}

fn error(from: &str, question: &Stanza) -> String {
    let id = question.id().unwrap();
    let condition = "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
    format!("<iq type='error' from='{from}' to='{JULIET}' id='{id}'><error type='cancel'>{condition}</error></iq>")
}

fn gone(who: &str) -> String {
    format!("<presence type='unavailable' from='{who}' to='{JULIET}'/>")
}

/// Who is asked, and under which identifier.
#[track_caller]
fn only_question(sent: &[Stanza]) -> &Stanza {
    let [question] = sent else { panic!("{sent:?}") };
    assert!(matches!(question.kind(), Kind::Iq(_)), "{question:?}");
    question
}

#[test]
fn what_somebody_wants_to_hear_is_not_lost_with_a_group_that_the_store_did_not_keep() {
    let held = Held::new();
    let question = held.arrive(&[GARDEN, ORCHARD]);
    let sent = held.fails_with(&[answer(GARDEN, &question, &WANTS)]);
    assert_eq!(told(&sent), [format!("{GARDEN} 2"), format!("{ORCHARD} 2")]);
}

#[test]
fn a_resource_that_says_what_it_wants_and_shows_itself_again_is_heard_though_the_store_fails() {
    let held = Held::new();
    let question = held.arrive(&[GARDEN]);
    let c = Capabilities::of(&info(&WANTS), "urn:software").unwrap().to_element();
    let away = format!("<presence from='{GARDEN}' to='{JULIET}'><show>away</show>{c}</presence>");
    let sent = held.fails_with(&[answer(GARDEN, &question, &WANTS), away]);
    let again = match &sent[..] {
        [sent] if matches!(sent.kind(), Kind::Iq(_)) => held.capulet.send(&answer(GARDEN, sent, &WANTS)),
        _ => sent,
    };
    assert_eq!(told(&again), [format!("{GARDEN} 2")]);
}

/// XEP-0115, section 5.4: whoever is asked instead is asked, though the store failed at first.
#[test]
fn a_question_to_somebody_else_is_not_lost_with_a_group_that_the_store_did_not_keep() {
    type Cause = fn(&Stanza) -> String;
    let causes: [Cause; 3] =
        [|question| answer(GARDEN, question, &["urn:other"]), |question| error(GARDEN, question), |_| gone(GARDEN)];
    for cause in causes {
        let held = Held::new();
        let question = held.arrive(&[GARDEN, ORCHARD]);
        let sent = held.fails_with(&[cause(&question)]);
        let question = only_question(&sent);
        assert_eq!(question.to().unwrap().as_str(), ORCHARD);
        let heard = told(&held.capulet.send(&answer(ORCHARD, question, &WANTS)));
        assert!(heard.contains(&format!("{ORCHARD} 2")), "{heard:?}");
    }
}

#[test]
fn whoever_is_left_is_asked_when_all_others_were_lost_with_the_group() {
    let held = Held::new();
    let chamber = "nurse@capulet.lit/chamber";
    let question = held.arrive(&[chamber, GARDEN, ORCHARD]);
    let sent = held.fails_with(&[error(chamber, &question), gone(GARDEN)]);
    assert_eq!(only_question(&sent).to().unwrap().as_str(), ORCHARD);
}
