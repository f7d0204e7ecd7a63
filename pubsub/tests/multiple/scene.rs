//! Francisco, who has two subscriptions to the node of the examples.

use convoke_pubsub::{PubSubConfig, client};
use convoke_xmpp::Stanza;

use crate::support::{House, NODE, form, open_config};

pub(super) const HAMLET: &str = "hamlet@denmark.lit/elsinore";
pub(super) const BARRACKS: &str = "francisco@denmark.lit/barracks";
pub(super) const FRANCISCO: &str = "francisco@denmark.lit";
pub(super) const OPTIONS: &str = "http://jabber.org/protocol/pubsub#subscribe_options";
pub(super) const PAYLOAD: &str = "<a xmlns='urn:a'/>";

pub(super) fn multiple() -> PubSubConfig {
    PubSubConfig { multi_subscribe: true, ..open_config() }
}

/// Subscribes an address of Francisco's to the node of the examples, with these options; gives the SubID.
pub(super) fn subscribe(house: &House, jid: &str, fields: &[(&str, &[&str])]) -> String {
    let form = form(OPTIONS, fields);
    let verb = format!("<subscribe node='{NODE}' jid='{jid}'/><options>{form}</options>");
    let answers = house.request(BARRACKS, "set", &verb);
    let subscription = client::parse_subscription(&answers[0].payload().unwrap()).unwrap();
    subscription.subid.expect("each has a SubID")
}

/// The SubIDs of Francisco's subscriptions, as the service lists them.
pub(super) fn subids(house: &House) -> Vec<String> {
    let list = house.request(BARRACKS, "get", "<subscriptions/>")[0].payload().unwrap();
    let entries = client::parse_subscriptions(&list).unwrap();
    entries.into_iter().map(|entry| entry.subid.expect("each has a SubID")).collect()
}

/// Francisco with two subscriptions.
pub(super) struct Scene {
    pub(super) house: House,
    pub(super) subids: [String; 2],
}

impl Scene {
    pub(super) fn new() -> Self {
        let house = House::with_node(multiple());
        let subids = [subscribe(&house, FRANCISCO, &[]), subscribe(&house, FRANCISCO, &[])];
        Self { house, subids }
    }

    /// A text with the SubIDs of the service.
    pub(super) fn named(&self, text: &str) -> String {
        text.replace("123-abc", &self.subids[0]).replace("004-yyy", &self.subids[1])
    }

    #[track_caller]
    pub(super) fn exchange(&self, sent: &str, received: &[&str]) {
        let received: Vec<_> = received.iter().map(|text| self.named(text)).collect();
        self.house.exchange(&self.named(sent), &received.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// "Francisco asks, the service answers".
    #[track_caller]
    pub(super) fn asks(&self, kind: &str, verb: &str, answer: &str) {
        let sent = format!(
            "<iq type='{kind}' from='{BARRACKS}' to='pubsub.shakespeare.lit' id='x'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub'>{verb}</pubsub>
             </iq>"
        );
        self.exchange(&sent, &[&format!("<iq {answer}</iq>")]);
    }

    #[track_caller]
    pub(super) fn is_answered(&self, kind: &str, verb: &str, payload: &str) {
        let address = format!("from='pubsub.shakespeare.lit' to='{BARRACKS}' id='x'");
        let payload = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{payload}</pubsub>");
        self.asks(kind, verb, &format!("type='result' {address}>{payload}"));
    }

    #[track_caller]
    pub(super) fn is_refused(&self, kind: &str, verb: &str, condition: &str, specific: &str) {
        let address = format!("from='pubsub.shakespeare.lit' to='{BARRACKS}' id='x'");
        let error = format!(
            "<error type='modify'>
               <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
               <{specific} xmlns='http://jabber.org/protocol/pubsub#errors'/>
             </error>"
        );
        self.asks(kind, verb, &format!("type='error' {address}>{error}"));
    }
}

/// The SubIDs that each notification names, oldest first, by the letters of these: `a` for the first.
pub(super) fn named(notifications: &[Stanza], subids: &[&String]) -> Vec<String> {
    let letter = |subid: String| {
        let place = subids.iter().position(|known| **known == subid).expect("a SubID that was given");
        char::from(b'a' + u8::try_from(place).unwrap())
    };
    notifications.iter().map(|message| client::parse_subids(message).into_iter().map(letter).collect()).collect()
}
