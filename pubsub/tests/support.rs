//! A service with a router that records what it is given.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use convoke_pubsub::{Clock, Creators, NodeConfig, PubSubConfig, PubSubService, client};
use convoke_xmpp::xml::Node;
use convoke_xmpp::{Condition, Domainpart, Element, Jid, Kind, Origin, Router, Service, Stanza, Undelivered};

/// Records stanzas; those for the domain `unreachable.example` it gives back.
#[derive(Default)]
pub(crate) struct Recorder {
    routed: Mutex<Vec<(Stanza, Origin)>>,
    pub(crate) undelivered: Mutex<Vec<Undelivered>>,
}

impl Router for Recorder {
    fn route(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        if stanza.to().is_some_and(|to| to.domain() == "unreachable.example") {
            return Err(Undelivered::new(stanza, Condition::RemoteServerNotFound));
        }
        self.routed.lock().unwrap().push((stanza, origin.clone()));
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        self.undelivered.lock().unwrap().push(undelivered);
    }
}

impl Recorder {
    /// What was routed since the last call; all of it by the service itself.
    pub(crate) fn take(&self) -> Vec<Stanza> {
        let routed = std::mem::take(&mut *self.routed.lock().unwrap());
        let local = |(stanza, origin)| {
            assert_eq!(origin, Origin::Local);
            stanza
        };
        routed.into_iter().map(local).collect()
    }
}

/// The service `pubsub.shakespeare.lit` of the examples, where everybody may create nodes.
pub(crate) struct House {
    pub(crate) service: PubSubService,
    pub(crate) router: Recorder,
}

pub(crate) const NODE: &str = "princely_musings";

impl House {
    pub(crate) fn new() -> Self {
        Self::with(open_config())
    }

    pub(crate) fn with(config: PubSubConfig) -> Self {
        let address = Jid::new("pubsub.shakespeare.lit").unwrap();
        Self::of(PubSubService::new(address, config))
    }

    pub(crate) fn of(service: PubSubService) -> Self {
        Self { service, router: Recorder::default() }
    }

    /// With the node of the examples, which `hamlet@denmark.lit` owns.
    pub(crate) fn with_node(config: PubSubConfig) -> Self {
        let house = Self::with(config);
        house.done("hamlet@denmark.lit/elsinore", "set", "<create node='princely_musings'/>");
        house
    }

    /// Hands a stanza in as if its sender's domain had sent it, and gives what comes out.
    pub(crate) fn send(&self, text: &str) -> Vec<Stanza> {
        let stanza = Stanza::parse(text).unwrap();
        let origin = stanza.from().map_or(Origin::Local, |from| Origin::Remote(domain(from.domain())));
        self.service.handle(stanza, &origin, &self.router);
        self.router.take()
    }

    /// "A sends, B receives": one stanza in, exactly these out, in this order.
    #[track_caller]
    pub(crate) fn exchange(&self, sent: &str, received: &[&str]) {
        let answers: Vec<_> = self.send(sent).iter().map(|stanza| canonical(&stanza.to_element())).collect();
        let expected: Vec<_> = received.iter().map(|text| canonical(&parse(text))).collect();
        assert_eq!(answers, expected, "\nanswers to {sent}");
    }

    /// Sends a request of the namespace `pubsub`.
    pub(crate) fn request(&self, from: &str, kind: &str, verb: &str) -> Vec<Stanza> {
        self.send(&request(from, kind, "http://jabber.org/protocol/pubsub", verb))
    }

    /// Sends a request of the namespace `pubsub#owner`.
    pub(crate) fn owner_request(&self, from: &str, kind: &str, verb: &str) -> Vec<Stanza> {
        self.send(&request(from, kind, "http://jabber.org/protocol/pubsub#owner", verb))
    }

    /// Sends a request that must succeed; gives what follows the result.
    #[track_caller]
    pub(crate) fn done(&self, from: &str, kind: &str, verb: &str) -> Vec<Stanza> {
        let mut answers = self.request(from, kind, verb);
        assert_eq!(answers[0].error(), None, "{verb}");
        answers.remove(0);
        answers
    }

    #[track_caller]
    pub(crate) fn publish(&self, id: &str, payload: &str) -> Vec<Stanza> {
        let item = format!("<publish node='{NODE}'><item id='{id}'>{payload}</item></publish>");
        self.done("hamlet@denmark.lit/blogbot", "set", &item)
    }

    /// Configures the node of the examples; gives what follows the result.
    #[track_caller]
    pub(crate) fn configure(&self, fields: &[(&str, &[&str])]) -> Vec<Stanza> {
        let form = form("http://jabber.org/protocol/pubsub#node_config", fields);
        let configure = format!("<configure node='{NODE}'>{form}</configure>");
        let mut answers = self.owner_request("hamlet@denmark.lit/elsinore", "set", &configure);
        assert_eq!(answers[0].error(), None, "{configure}");
        answers.remove(0);
        answers
    }

    #[track_caller]
    pub(crate) fn subscribe(&self, jid: &str) -> Vec<Stanza> {
        self.done(jid, "set", &format!("<subscribe node='{NODE}' jid='{jid}'/>"))
    }

    #[track_caller]
    pub(crate) fn affiliate(&self, jid: &str, affiliation: &str) {
        let change = format!(
            "<affiliations node='{NODE}'><affiliation jid='{jid}' affiliation='{affiliation}'/></affiliations>"
        );
        let answers = self.owner_request("hamlet@denmark.lit/elsinore", "set", &change);
        assert_eq!(answers[0].error(), None);
    }
}

/// A clock that the test moves on.
pub(crate) struct ManualClock {
    start: Instant,
    passed: Mutex<Duration>,
}

impl ManualClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), passed: Mutex::default() }
    }

    pub(crate) fn pass(&self, time: Duration) {
        *self.passed.lock().unwrap() += time;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + *self.passed.lock().unwrap()
    }

    fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + *self.passed.lock().unwrap()
    }
}

pub(crate) fn open_config() -> PubSubConfig {
    PubSubConfig { creators: Creators::Anyone, ..PubSubConfig::default() }
}

pub(crate) fn with_node_config(node: NodeConfig) -> PubSubConfig {
    PubSubConfig { node, ..open_config() }
}

/// A form that submits these fields.
pub(crate) fn form(form_type: &str, fields: &[(&str, &[&str])]) -> String {
    let value = |value: &&str| format!("<value>{value}</value>");
    let field = |(name, values): &(&str, &[&str])| {
        format!("<field var='{name}'>{}</field>", values.iter().map(value).collect::<String>())
    };
    format!(
        "<x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE' type='hidden'><value>{form_type}</value></field>{}</x>",
        fields.iter().map(field).collect::<String>()
    )
}

/// The values of a field of the form that a stanza carries, however deep.
pub(crate) fn field_values(stanza: &Stanza, name: &str) -> String {
    let field = find_field(&stanza.to_element(), name);
    let field = field.unwrap_or_else(|| panic!("no {name} in {stanza:?}"));
    let values = field.children().filter(|child| child.name() == "value").map(Element::content);
    values.collect::<Vec<_>>().join(" ")
}

fn find_field(element: &Element, name: &str) -> Option<Element> {
    if element.name() == "field" && element.attribute("var") == Some(name) {
        return Some(element.clone());
    }
    element.children().find_map(|child| find_field(child, name))
}

pub(crate) fn request(from: &str, kind: &str, namespace: &str, verb: &str) -> String {
    format!(
        "<iq type='{kind}' from='{from}' to='pubsub.shakespeare.lit' id='r'><pubsub xmlns='{namespace}'>{verb}</pubsub></iq>"
    )
}

pub(crate) fn domain(text: &str) -> Domainpart {
    Domainpart::new(text).unwrap()
}

/// The conditions of an error, general and specific, and the feature: `bad-request/nodeid-required`; or `result`.
pub(crate) fn verdict(answers: &[Stanza]) -> String {
    let Some(error) = answers[0].error() else { return "result".to_owned() };
    let Some(specific) = error.application else { return error.condition.as_str().to_owned() };
    let feature = specific.attribute("feature").map(|feature| format!(" {feature}")).unwrap_or_default();
    format!("{}/{}{feature}", error.condition.as_str(), specific.name())
}

/// The id of the item that an event tells of as published.
pub(crate) fn published(event: &Stanza) -> Option<String> {
    match client::parse_event(event)? {
        client::Event::Items { changes, .. } => changes.into_iter().find_map(|change| match change {
            client::Change::Published(item) => Some(item.id),
            _ => None,
        }),
        _ => None,
    }
}

/// The ids of the items in an answer.
pub(crate) fn item_ids(answers: &[Stanza]) -> Vec<String> {
    let items = convoke_pubsub::client::parse_items(&answers[0].payload().unwrap()).unwrap();
    items.into_iter().map(|item| item.id).collect()
}

fn parse(text: &str) -> Element {
    Stanza::parse(text).unwrap().to_element()
}

/// A tree as text in which the order of attributes and the white space around elements make no difference.
fn canonical(element: &Element) -> String {
    let is_message = Stanza::from_element(element.clone()).is_ok_and(|s| matches!(s.kind(), Kind::Message(_)));
    let mut attributes: Vec<_> = element.attributes().filter(|(name, _)| !(is_message && *name == "id")).collect();
    attributes.sort();
    // These differ from run to run; tests of their own look at them.
    let varies = |node: &&Node| matches!(node, Node::Element(child) if matches!(child.name(), "position" | "delay"));
    let children = element.nodes().iter().filter(|node| !varies(node)).map(|node| match node {
        Node::Element(child) => canonical(child),
        Node::Text(text) => text.trim().to_owned(),
    });
    let children: Vec<_> = children.filter(|child| !child.is_empty()).collect();
    format!("\n<{{{}}}{} {attributes:?}>{}", element.namespace(), element.name(), children.concat())
}

/// Numbers that look random and are the same for the same seed (xorshift).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
