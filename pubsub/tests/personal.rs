//! Personal eventing: accounts as services at their own addresses (XEP-0163), and who follows their nodes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use convoke_pubsub::{Clock, Contacts, PubSubConfig, PubSubService};
use convoke_store::{MemoryStore, Store};
use convoke_xmpp::capabilities::Capabilities;
use convoke_xmpp::{Domainpart, Element, Jid, Origin, Service, Stanza, namespace};

use crate::support::{Recorder, field_values, form, item_ids, published, verdict};

pub(crate) const TUNE: &str = "http://jabber.org/protocol/tune";

pub(crate) const JULIET: &str = "juliet@capulet.lit";

/// Who sees Juliet's presence, and who is in her group `Friends`.
#[derive(Default)]
pub(crate) struct Roster {
    pub(crate) subscribed: Mutex<BTreeSet<&'static str>>,
    pub(crate) friends: Mutex<BTreeSet<&'static str>>,
}

impl Contacts for Roster {
    fn shares_presence(&self, owner: &Jid, contact: &Jid) -> bool {
        owner == contact || (owner.as_str() == JULIET && self.subscribed.lock().unwrap().contains(contact.as_str()))
    }

    fn is_in_group(&self, owner: &Jid, contact: &Jid, groups: &BTreeSet<String>) -> bool {
        owner.as_str() == JULIET
            && groups.contains("Friends")
            && self.friends.lock().unwrap().contains(contact.as_str())
    }
}

/// The domain `capulet.lit`, where Juliet has an account.
pub(crate) struct Capulet {
    service: PubSubService,
    router: Recorder,
    pub(crate) roster: Arc<Roster>,
}

impl Capulet {
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    pub(crate) fn with(store: Option<Arc<dyn Store>>) -> Self {
        let roster = Roster {
            subscribed: Mutex::new(BTreeSet::from(["romeo@montague.lit", "nurse@capulet.lit"])),
            friends: Mutex::new(BTreeSet::from(["nurse@capulet.lit"])),
        };
        let (roster, domain) = (Arc::new(roster), Jid::new("capulet.lit").unwrap());
        let service = PubSubService::personal(domain, PubSubConfig::personal(), store, roster.clone());
        Self { service, router: Recorder::default(), roster }
    }

    /// The same domain by this clock.
    pub(crate) fn timed(self, clock: Arc<dyn Clock>) -> Self {
        Self { service: self.service.with_clock(clock), ..self }
    }

    /// Lets the service do what is due; gives what comes out.
    pub(crate) fn advance(&self) -> Vec<Stanza> {
        self.service.advance(&self.router);
        self.router.take()
    }

    pub(crate) fn send(&self, text: &str) -> Vec<Stanza> {
        let stanza = Stanza::parse(text).unwrap();
        let domain = stanza.from().unwrap().domain().to_owned();
        let origin =
            if domain == "capulet.lit" { Origin::Local } else { Origin::Remote(Domainpart::new(&domain).unwrap()) };
        self.hand_in(stanza, &origin)
    }

    pub(crate) fn hand_in(&self, stanza: Stanza, origin: &Origin) -> Vec<Stanza> {
        self.service.handle(stanza, origin, &self.router);
        self.router.take()
    }

    pub(crate) fn request(&self, from: &str, kind: &str, verb: &str) -> Vec<Stanza> {
        self.send(&format!(
            "<iq type='{kind}' from='{from}' to='{JULIET}' id='r'><pubsub xmlns='{}'>{verb}</pubsub></iq>",
            namespace::PUBSUB
        ))
    }

    /// Juliet asks for something that owners ask for.
    fn manage(&self, verb: &str) -> Vec<Stanza> {
        self.send(&format!(
            "<iq type='set' from='{JULIET}/balcony' to='{JULIET}' id='r'><pubsub xmlns='{}'>{verb}</pubsub></iq>",
            namespace::PUBSUB_OWNER
        ))
    }

    /// Juliet publishes a tune; gives what follows the result.
    #[track_caller]
    pub(crate) fn plays(&self, id: &str) -> Vec<String> {
        self.plays_with(id, "")
    }

    #[track_caller]
    pub(crate) fn plays_with(&self, id: &str, options: &str) -> Vec<String> {
        let publish =
            format!("<publish node='{TUNE}'><item id='{id}'><tune xmlns='{TUNE}'/></item></publish>{options}");
        let mut answers = self.request("juliet@capulet.lit/balcony", "set", &publish);
        assert_eq!(verdict(&answers), "result");
        answers.remove(0);
        told(&answers)
    }

    /// Somebody becomes available to Juliet with these features.
    pub(crate) fn arrives(&self, who: &str, features: &[&str]) -> Vec<Stanza> {
        let c = Capabilities::of(&info(features), "urn:software").unwrap().to_element();
        self.send(&format!("<presence from='{who}' to='{JULIET}'>{c}</presence>"))
    }

    /// The same, and answers what it is asked.
    pub(crate) fn arrives_and_answers(&self, who: &str, features: &[&str]) -> Vec<String> {
        let asked = self.arrives(who, features);
        let [question] = &asked[..] else { panic!("{asked:?}") };
        told(&self.answers(who, question, features))
    }

    pub(crate) fn answers(&self, who: &str, question: &Stanza, features: &[&str]) -> Vec<Stanza> {
        let id = question.id().unwrap();
        let info = info(features);
        self.send(&format!("<iq type='result' from='{who}' to='{JULIET}' id='{id}'>{info}</iq>"))
    }
}

pub(crate) fn info(features: &[&str]) -> Element {
    let feature = |var: &&str| Element::new("feature", namespace::DISCO_INFO).attr("var", var);
    Element::new("query", namespace::DISCO_INFO).with_children(features.iter().map(feature))
}

/// Who was told of which item: `romeo@montague.lit/orchard 1`.
pub(crate) fn told(stanzas: &[Stanza]) -> Vec<String> {
    let one = |stanza: &Stanza| {
        assert_eq!(stanza.from().unwrap().as_str(), JULIET);
        format!("{} {}", stanza.to().unwrap().as_str(), published(stanza).unwrap_or_else(|| panic!("{stanza:?}")))
    };
    stanzas.iter().map(one).collect()
}

pub(crate) const WANTS: [&str; 2] = ["http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/tune+notify"];

/// XEP-0163, sections 3 and 4.3.
#[test]
fn contacts_hear_of_the_nodes_that_their_capabilities_name() {
    let capulet = Capulet::new();
    let asked = capulet.arrives("romeo@montague.lit/orchard", &WANTS);
    let question = asked[0].to_element();
    assert_eq!(
        (question.attribute("from"), question.attribute("to")),
        (Some(JULIET), Some("romeo@montague.lit/orchard"))
    );
    let ver = Capabilities::of(&info(&WANTS), "urn:software").unwrap().disco_node();
    assert_eq!(asked[0].payload().unwrap().attribute("node"), Some(ver.as_str()));
    assert!(capulet.answers("romeo@montague.lit/orchard", &asked[0], &WANTS).is_empty());
    assert!(capulet.arrives_and_answers("nurse@capulet.lit/chamber", &["urn:other"]).is_empty());
    assert_eq!(capulet.plays("1"), ["romeo@montague.lit/orchard 1"]);
}

/// XEP-0163, section 4.3.2: whoever comes is sent what was published last, and the same software is asked but once.
#[test]
fn who_comes_later_is_sent_the_last_item_at_once() {
    let capulet = Capulet::new();
    assert!(capulet.plays("1").is_empty());
    assert!(capulet.plays("2").is_empty());
    assert_eq!(capulet.arrives_and_answers("romeo@montague.lit/orchard", &WANTS), ["romeo@montague.lit/orchard 2"]);
    assert_eq!(told(&capulet.arrives("nurse@capulet.lit/chamber", &WANTS)), ["nurse@capulet.lit/chamber 2"]);
    // A presence that changes nothing is no arrival.
    assert!(capulet.arrives("nurse@capulet.lit/chamber", &WANTS).is_empty());
}

/// XEP-0163, section 4.3: the account's own resources follow it too.
#[test]
fn an_account_hears_of_its_own_nodes() {
    let capulet = Capulet::new();
    capulet.arrives_and_answers("juliet@capulet.lit/chamber", &WANTS);
    assert_eq!(capulet.plays("1"), ["juliet@capulet.lit/chamber 1"]);
}

/// Subscriptions to presence come and go, and so does what follows from them.
#[test]
fn who_does_not_see_the_presence_hears_nothing_whatever_it_wants() {
    let capulet = Capulet::new();
    capulet.arrives_and_answers("paris@montague.lit/hall", &WANTS);
    assert!(capulet.plays("1").is_empty());
    let items = format!("<items node='{TUNE}'/>");
    assert_eq!(
        verdict(&capulet.request("paris@montague.lit/hall", "get", &items)),
        "not-authorized/presence-subscription-required"
    );
    capulet.roster.subscribed.lock().unwrap().insert("paris@montague.lit");
    assert_eq!(capulet.plays("2"), ["paris@montague.lit/hall 2"]);
    assert_eq!(item_ids(&capulet.request("paris@montague.lit/hall", "get", &items)), ["2"]);
    capulet.roster.subscribed.lock().unwrap().remove("paris@montague.lit");
    assert!(capulet.plays("3").is_empty());
}

#[test]
fn who_is_gone_or_out_of_reach_hears_nothing_until_it_is_back() {
    let capulet = Capulet::new();
    let romeo = "romeo@montague.lit/orchard";
    capulet.arrives_and_answers(romeo, &WANTS);
    capulet.send(&format!("<presence type='unavailable' from='{romeo}' to='{JULIET}'/>"));
    assert!(capulet.plays("1").is_empty());
    assert_eq!(told(&capulet.arrives(romeo, &WANTS)), ["romeo@montague.lit/orchard 1"]);
    let lost = Stanza::parse(&format!("<presence type='unavailable' from='{romeo}' to='{JULIET}'/>")).unwrap();
    capulet.hand_in(lost, &Origin::RouteLost(Domainpart::new("montague.lit").unwrap()));
    assert!(capulet.plays("2").is_empty());
    assert_eq!(told(&capulet.arrives(romeo, &WANTS)), ["romeo@montague.lit/orchard 2"]);
}

/// XEP-0060, section 4.5: the other access models, by publish-options (XEP-0223).
#[test]
fn the_access_model_of_a_node_decides_who_may_follow_it() {
    for (model, expected) in [
        ("open", vec!["nurse@capulet.lit/chamber 1", "paris@montague.lit/hall 1", "romeo@montague.lit/orchard 1"]),
        ("presence", vec!["nurse@capulet.lit/chamber 1", "romeo@montague.lit/orchard 1"]),
        ("roster", vec!["nurse@capulet.lit/chamber 1"]),
        ("whitelist", vec![]),
        ("authorize", vec![]),
    ] {
        let capulet = Capulet::new();
        capulet.arrives_and_answers("romeo@montague.lit/orchard", &WANTS);
        capulet.arrives("paris@montague.lit/hall", &WANTS);
        capulet.arrives("nurse@capulet.lit/chamber", &WANTS);
        let options = crate::support::form(
            "http://jabber.org/protocol/pubsub#publish-options",
            &[("pubsub#access_model", &[model]), ("pubsub#roster_groups_allowed", &["Friends"])],
        );
        let mut heard = capulet.plays_with("1", &format!("<publish-options>{options}</publish-options>"));
        heard.sort();
        assert_eq!(heard, expected, "{model}");
    }
}

/// Section 13.2: who is let in by a change of the node is sent what it has not seen, and those who were there before are
/// not.
#[test]
fn who_is_admitted_by_a_change_of_the_node_is_sent_the_last_item() {
    let config = "http://jabber.org/protocol/pubsub#node_config";
    let configure = |model: &str| {
        let fields: &[(&str, &[&str])] =
            &[("pubsub#access_model", &[model]), ("pubsub#roster_groups_allowed", &["Friends"])];
        format!("<configure node='{TUNE}'>{}</configure>", crate::support::form(config, fields))
    };
    let affiliate = |affiliation: &str| {
        format!(
            "<affiliations node='{TUNE}'>\
             <affiliation jid='paris@montague.lit' affiliation='{affiliation}'/></affiliations>"
        )
    };
    let capulet = Capulet::new();
    capulet.arrives_and_answers("romeo@montague.lit/orchard", &WANTS);
    capulet.arrives("paris@montague.lit/hall", &WANTS);
    capulet.arrives("nurse@capulet.lit/chamber", &WANTS);
    capulet.plays("1");
    let (romeo, paris, nurse) =
        ("romeo@montague.lit/orchard 1", "paris@montague.lit/hall 1", "nurse@capulet.lit/chamber 1");
    for (change, expected) in [
        (configure("roster"), vec![]),
        (configure("presence"), vec![romeo]),
        (configure("open"), vec![paris]),
        (configure("whitelist"), vec![]),
        (affiliate("member"), vec![paris]),
        (configure("roster"), vec![nurse]),
        (affiliate("outcast"), vec![]),
        (configure("open"), vec![romeo]),
        (affiliate("none"), vec![paris]),
    ] {
        let mut answers = capulet.manage(&change);
        assert_eq!(verdict(&answers), "result");
        answers.remove(0);
        // A word to whoever has another affiliation is not about items.
        answers.retain(|told| published(told).is_some());
        assert_eq!(told(&answers), expected, "{change}");
    }
}

/// Section 13.2: rosters change without a request to the service.
#[test]
fn who_is_admitted_by_a_change_of_the_roster_is_sent_the_last_item() {
    let capulet = Capulet::new();
    capulet.arrives_and_answers("paris@montague.lit/hall", &WANTS);
    capulet.arrives("paris@montague.lit/garden", &WANTS);
    capulet.plays("1");
    let admission = |to: &str, item: &str| {
        capulet.send(&format!("<presence type='subscribed' from='{JULIET}/balcony' to='{to}'>{item}</presence>"))
    };
    let group = "<item xmlns='jabber:iq:roster' jid='paris@montague.lit'/>";
    assert!(admission("paris@montague.lit", "").is_empty(), "it is not admitted");
    capulet.roster.subscribed.lock().unwrap().insert("paris@montague.lit");
    let both = ["paris@montague.lit/garden 1", "paris@montague.lit/hall 1"];
    assert_eq!(told(&admission("paris@montague.lit", "")), both);
    assert!(admission("paris@montague.lit", group).is_empty(), "the node admits by presence");
    assert!(admission("romeo@montague.lit", "").is_empty(), "it is not there");
    let fields: &[(&str, &[&str])] =
        &[("pubsub#access_model", &["roster"]), ("pubsub#roster_groups_allowed", &["Friends"])];
    let form = crate::support::form("http://jabber.org/protocol/pubsub#node_config", fields);
    capulet.manage(&format!("<configure node='{TUNE}'>{form}</configure>"));
    assert!(admission("paris@montague.lit", group).is_empty());
    capulet.roster.friends.lock().unwrap().insert("paris@montague.lit");
    assert_eq!(told(&admission("paris@montague.lit", group)), both);
    // Who is admitted when it says what it wants is sent that, and not once more by the word of its admission.
    capulet.roster.subscribed.lock().unwrap().insert("romeo@montague.lit");
    capulet.roster.friends.lock().unwrap().insert("romeo@montague.lit");
    assert_eq!(told(&capulet.arrives("romeo@montague.lit/orchard", &WANTS)), ["romeo@montague.lit/orchard 1"]);
    assert!(admission("romeo@montague.lit", "").is_empty());
    // Nobody else tells whom an account admits.
    let forged = format!("<presence type='subscribed' from='{JULIET}' to='paris@montague.lit'>{group}</presence>");
    let origin = Origin::Remote(Domainpart::new("capulet.lit").unwrap());
    assert!(capulet.hand_in(Stanza::parse(&forged).unwrap(), &origin).is_empty());
}

/// XEP-0163, section 7.1: the service looks again at who has access when a roster changes.
#[test]
fn a_subscription_ends_with_the_access_that_it_needs() {
    let capulet = Capulet::new();
    capulet.plays("1");
    let fields: &[(&str, &[&str])] =
        &[("pubsub#access_model", &["roster"]), ("pubsub#roster_groups_allowed", &["Friends"])];
    let form = crate::support::form("http://jabber.org/protocol/pubsub#node_config", fields);
    capulet.manage(&format!("<configure node='{TUNE}'>{form}</configure>"));
    let nurse = "nurse@capulet.lit";
    let subscribe = format!("<subscribe node='{TUNE}' jid='{nurse}'/>");
    assert_eq!(verdict(&capulet.request("nurse@capulet.lit/chamber", "set", &subscribe)), "result");
    let changed = |kind: &str, content: &str| {
        capulet.send(&format!("<presence type='{kind}' from='{JULIET}' to='{nurse}'>{content}</presence>"))
    };
    let regrouped = || changed("subscribed", &format!("<item xmlns='jabber:iq:roster' jid='{nurse}'/>"));
    assert!(regrouped().is_empty(), "it is in the group as before");
    assert_eq!(capulet.plays("2"), ["nurse@capulet.lit 2"]);
    let ended = |told: &[Stanza]| told.len() == 1 && told[0].to_element().to_string().contains("subscription='none'");
    capulet.roster.friends.lock().unwrap().remove(nurse);
    assert!(ended(&regrouped()));
    assert!(capulet.plays("3").is_empty());
    // Back in the group, it may subscribe again, and has to.
    capulet.roster.friends.lock().unwrap().insert(nurse);
    assert!(regrouped().is_empty());
    assert!(capulet.plays("4").is_empty());
    assert_eq!(verdict(&capulet.request("nurse@capulet.lit/chamber", "set", &subscribe)), "result");
    capulet.roster.subscribed.lock().unwrap().remove(nurse);
    assert!(ended(&changed("unsubscribed", "")));
}

/// XEP-0163, section 3: a node is made by publishing to it, by the account alone.
#[test]
fn nobody_else_publishes_for_an_account_or_makes_nodes_there() {
    let capulet = Capulet::new();
    let publish = format!("<publish node='{TUNE}'><item><tune xmlns='{TUNE}'/></item></publish>");
    assert_eq!(verdict(&capulet.request("romeo@montague.lit/orchard", "set", &publish)), "service-unavailable");
    capulet.plays("1");
    assert_eq!(verdict(&capulet.request("romeo@montague.lit/orchard", "set", &publish)), "forbidden");
    assert_eq!(verdict(&capulet.request("romeo@montague.lit/orchard", "set", "<create node='mood'/>")), "forbidden");
    // An address of ours that comes from elsewhere is not ours.
    let forged = Stanza::parse(&format!(
        "<iq type='set' from='nurse@capulet.lit/x' to='nurse@capulet.lit' id='r'><pubsub xmlns='{}'>{publish}</pubsub></iq>",
        namespace::PUBSUB
    ))
    .unwrap();
    let answers = capulet.hand_in(forged, &Origin::Remote(Domainpart::new("capulet.lit").unwrap()));
    assert_eq!(verdict(&answers), "service-unavailable");
}

/// XEP-0163, section 6.1.
#[test]
fn an_account_tells_its_contacts_what_it_is() {
    let capulet = Capulet::new();
    let ask = |from: &str| {
        let query = format!("<query xmlns='{}'/>", namespace::DISCO_INFO);
        capulet.send(&format!("<iq type='get' from='{from}' to='{JULIET}' id='r'>{query}</iq>"))
    };
    let answers = ask("romeo@montague.lit/orchard");
    let info = answers[0].payload().unwrap();
    let identity = |category: &str, kind: &str| {
        info.children()
            .any(|child| child.attribute("category") == Some(category) && child.attribute("type") == Some(kind))
    };
    assert!(identity("pubsub", "pep") && identity("account", "registered"));
    for feature in ["auto-create", "auto-subscribe", "filtered-notifications", "access-presence", "last-published"] {
        let name = format!("http://jabber.org/protocol/pubsub#{feature}");
        assert!(info.children().any(|child| child.attribute("var") == Some(&name)), "{feature}");
    }
    assert_eq!(verdict(&ask("paris@montague.lit/hall")), "service-unavailable");
}

#[test]
fn the_nodes_of_an_account_survive_in_the_store_and_apart_from_those_of_others() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let capulet = Capulet::with(Some(store.clone()));
    capulet.plays("1");
    drop(capulet);
    let capulet = Capulet::with(Some(store));
    assert_eq!(capulet.arrives_and_answers("romeo@montague.lit/orchard", &WANTS), ["romeo@montague.lit/orchard 1"]);
    let of_nurse = format!(
        "<iq type='get' from='romeo@montague.lit/orchard' to='nurse@capulet.lit' id='r'>\
         <pubsub xmlns='{}'><items node='{TUNE}'/></pubsub></iq>",
        namespace::PUBSUB
    );
    assert_eq!(verdict(&capulet.send(&of_nurse)), "service-unavailable");
}

/// XEP-0115, section 8.1: what does not fit the hash is believed of nobody.
#[test]
fn a_false_answer_makes_nobody_a_follower() {
    let capulet = Capulet::new();
    let asked = capulet.arrives("romeo@montague.lit/orchard", &["urn:other"]);
    assert!(capulet.answers("romeo@montague.lit/orchard", &asked[0], &WANTS).is_empty());
    assert!(capulet.plays("1").is_empty());
}

/// Offers of nodes that are gone are worth nothing (`pubsub#purge_offline`).
#[test]
fn items_for_as_long_as_the_account_is_there_go_with_it() {
    let capulet = Capulet::new();
    capulet.arrives_and_answers("juliet@capulet.lit/balcony", &["urn:other"]);
    let options =
        crate::support::form("http://jabber.org/protocol/pubsub#publish-options", &[("pubsub#purge_offline", &["1"])]);
    capulet.plays_with("1", &format!("<publish-options>{options}</publish-options>"));
    let items = format!("<items node='{TUNE}'/>");
    assert_eq!(item_ids(&capulet.request("romeo@montague.lit/orchard", "get", &items)), ["1"]);
    capulet.send(&format!("<presence type='unavailable' from='juliet@capulet.lit/balcony' to='{JULIET}'/>"));
    assert!(item_ids(&capulet.request("romeo@montague.lit/orchard", "get", &items)).is_empty());
}

/// XEP-0060, section 8.6, at an account: its owner is asked wherever it is, or at its bare address where it is nowhere.
#[test]
fn the_resources_of_an_account_are_asked_to_approve_and_its_owner_alone_may() {
    const AUTHORIZATION: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";
    let capulet = Capulet::new();
    let options = form("http://jabber.org/protocol/pubsub#publish-options", &[("pubsub#access_model", &["authorize"])]);
    capulet.plays_with("1", &format!("<publish-options>{options}</publish-options>"));
    let subscribe = |who: &str| {
        let answers = capulet.request(who, "set", &format!("<subscribe node='{TUNE}' jid='{who}'/>"));
        assert_eq!(verdict(&answers), "result");
        let asked = answers[1..].iter().map(|stanza| {
            assert_eq!(field_values(stanza, "pubsub#subscriber_jid"), who);
            assert_eq!(stanza.from().unwrap().as_str(), JULIET);
            stanza.to().unwrap().as_str().to_owned()
        });
        asked.collect::<Vec<_>>()
    };
    assert_eq!(subscribe("paris@montague.lit"), [JULIET]);
    capulet.arrives("juliet@capulet.lit/balcony", &WANTS);
    capulet.send(&format!("<presence from='juliet@capulet.lit/chamber' to='{JULIET}'/>"));
    assert_eq!(subscribe("romeo@montague.lit"), ["juliet@capulet.lit/balcony", "juliet@capulet.lit/chamber"]);
    let decide = |from: &str, who: &str| {
        let fields: &[(&str, &[&str])] =
            &[("pubsub#node", &[TUNE]), ("pubsub#subscriber_jid", &[who]), ("pubsub#allow", &["true"])];
        capulet.send(&format!("<message from='{from}' to='{JULIET}' id='d'>{}</message>", form(AUTHORIZATION, fields)))
    };
    assert_eq!(verdict(&decide("romeo@montague.lit/orchard", "romeo@montague.lit")), "forbidden");
    let decided = decide("juliet@capulet.lit/chamber", "romeo@montague.lit");
    let told: Vec<_> = decided.iter().map(|stanza| stanza.to().unwrap().as_str()).collect();
    assert_eq!(told, ["romeo@montague.lit", "romeo@montague.lit"], "that it is subscribed, and the last item");
    assert_eq!(capulet.plays("2"), ["romeo@montague.lit 2"]);
}

/// XEP-0060, section 8.6: what an owner submits is an answer, what a service asks is none.
#[test]
fn an_answer_to_a_request_for_approval_is_told_from_the_request() {
    const AUTHORIZATION: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";
    let form = |kind: &str, purpose: &str| form(purpose, &[]).replace("type='submit'", &format!("type='{kind}'"));
    for (content, expected) in [
        (form("submit", AUTHORIZATION), true),
        (form("cancel", AUTHORIZATION), true),
        (form("form", AUTHORIZATION), false),
        (form("submit", "urn:other"), false),
        ("<body>hello</body>".to_owned(), false),
        (String::new(), false),
    ] {
        let message = Stanza::parse(&format!("<message to='{JULIET}'>{content}</message>")).unwrap();
        assert_eq!(convoke_pubsub::is_approval(&message), expected, "{content}");
    }
}
