//! The house in memory: entities of one process by presence and iq, without sockets.

use std::time::Duration;

use async_trait::async_trait;
use convoke_xmpp::capabilities::Capabilities;
use convoke_xmpp::dispatch::{Dispatcher, IqHandler, IqRequest};
use convoke_xmpp::payload::ping;
use convoke_xmpp::{Condition, Element, Jid, Kind, PresenceType, Stanza, StanzaError, namespace};

use crate::{Component, Domain, RequestError};

const SOON: Duration = Duration::from_secs(5);

async fn domain() -> Domain {
    Domain::builder("a.example").also_serve("b.example").start().await.unwrap()
}

async fn next(component: &mut Component) -> Stanza {
    tokio::time::timeout(SOON, component.receive()).await.expect("a stanza in time").expect("a running domain").0
}

fn jid(text: &str) -> Jid {
    Jid::new(text).unwrap()
}

#[tokio::test]
async fn the_domain_answers_ping_discovery_and_lists_its_components() {
    let domain = domain().await;
    let asker = domain.component("asker").unwrap();
    assert_eq!(asker.get(&jid("a.example"), ping(), SOON).await.unwrap(), None);
    let query = Element::new("query", namespace::DISCO_INFO);
    let info = asker.get(&jid("a.example"), query, SOON).await.unwrap().unwrap();
    assert_eq!(info.find("identity", namespace::DISCO_INFO).unwrap().attribute("category"), Some("server"));
    let query = Element::new("query", namespace::DISCO_ITEMS);
    let items = asker.get(&jid("a.example"), query, SOON).await.unwrap().unwrap();
    let listed: Vec<_> = items.children().filter_map(|item| item.attribute("jid")).collect();
    assert_eq!(listed, ["asker@a.example"]);
}

#[tokio::test]
async fn a_component_that_receives_answers_pings_and_one_that_hangs_does_not() {
    let domain = domain().await;
    let asker = domain.component("asker").unwrap();
    let mut alive = domain.component("alive").unwrap();
    let _hangs = domain.component("hangs").unwrap();
    let serving = tokio::spawn(async move { alive.receive().await });
    assert!(asker.get(&jid("alive@a.example"), ping(), SOON).await.is_ok());
    let error = asker.get(&jid("hangs@a.example"), ping(), Duration::from_millis(20)).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut { .. }), "{error}");
    serving.abort();
}

#[tokio::test]
async fn a_request_to_nobody_is_answered_at_once() {
    let domain = domain().await;
    let asker = domain.component("asker").unwrap();
    for (to, condition) in [
        ("nobody@a.example", Condition::ServiceUnavailable),
        ("nobody@b.example/x", Condition::ServiceUnavailable),
        ("c.example", Condition::RemoteServerNotFound),
    ] {
        let error = asker.get(&jid(to), ping(), SOON).await.unwrap_err();
        assert_eq!(error.stanza_error().unwrap().condition, condition, "{to}");
    }
}

#[tokio::test]
async fn a_session_that_dies_is_announced_to_whom_it_was_available() {
    let domain = domain().await;
    let mut monitor = domain.sibling("b.example").unwrap().component("monitor").unwrap();
    let volunteer = domain.session("alice", "desk").unwrap();
    volunteer.available_to(&jid("monitor@b.example"), [Element::new("node", "urn:convoke:offer:0")]);
    assert_eq!(next(&mut monitor).await.kind(), Kind::Presence(PresenceType::Available));
    drop(volunteer);
    let gone = next(&mut monitor).await;
    assert_eq!(gone.kind(), Kind::Presence(PresenceType::Unavailable));
    assert_eq!(gone.from().unwrap().as_str(), "alice@a.example/desk");
}

#[tokio::test]
async fn a_subscription_between_components_brings_presence_both_times_it_changes() {
    let domain = domain().await;
    let mut scheduler = domain.component("scheduler").unwrap();
    let mut resources = domain.sibling("b.example").unwrap().component("resources").unwrap();
    resources.available([]);
    scheduler.presence(PresenceType::Subscribe, &jid("resources@b.example"));
    assert_eq!(next(&mut resources).await.kind(), Kind::Presence(PresenceType::Subscribe));
    resources.presence(PresenceType::Subscribed, &jid("scheduler@a.example"));
    assert_eq!(next(&mut scheduler).await.kind(), Kind::Presence(PresenceType::Subscribed));
    assert_eq!(next(&mut scheduler).await.kind(), Kind::Presence(PresenceType::Available));
    drop(resources);
    assert_eq!(next(&mut scheduler).await.kind(), Kind::Presence(PresenceType::Unavailable));
}

/// XEP-0115, sections 4 and 6.2.
#[tokio::test]
async fn presence_shows_the_capabilities_that_discovery_tells() {
    let domain = domain().await;
    let mut monitor = domain.component("monitor").unwrap();
    let mut node = domain.session("alice", "desk").unwrap();
    node.available_to(monitor.jid(), [Element::new("offer", "urn:x")]);
    let presence = next(&mut monitor).await;
    assert!(presence.has_payload("offer", "urn:x"));
    let shown = Capabilities::read(&presence).unwrap();
    tokio::spawn(async move { while node.receive().await.is_some() {} });
    let ask = |node: String| Element::new("query", namespace::DISCO_INFO).attr("node", node);
    let told = monitor.get(&jid("alice@a.example/desk"), ask(shown.disco_node()), SOON).await.unwrap().unwrap();
    assert!(shown.is_hash_of(&told));
    assert_eq!(told.attribute("node"), Some(shown.disco_node().as_str()));
    let refused = monitor.get(&jid("alice@a.example/desk"), ask("else".to_owned()), SOON).await.unwrap_err();
    assert_eq!(refused.stanza_error().unwrap().condition, Condition::ItemNotFound);
}

#[tokio::test]
async fn a_message_to_a_bare_address_reaches_an_available_session() {
    let domain = domain().await;
    let sender = domain.component("sender").unwrap();
    let mut session = domain.session("alice", "desk").unwrap();
    session.available([]);
    let message = Stanza::parse("<message to='alice@a.example'><body>x</body></message>").unwrap();
    sender.send(message).unwrap();
    assert_eq!(next(&mut session).await.from().unwrap().as_str(), "sender@a.example");
}

fn with_priority(priority: i8) -> [Element; 1] {
    [Element::new("priority", namespace::CLIENT).text(priority.to_string())]
}

/// RFC 6121, sections 8.5.2.1.1, 8.5.2.2.1 and 8.5.3.2.1.
#[tokio::test]
async fn no_message_for_an_account_goes_to_a_resource_of_negative_priority() {
    let domain = domain().await;
    let sender = domain.component("sender").unwrap();
    let mut session = domain.session("alice", "desk").unwrap();
    session.available(with_priority(-1));
    for text in ["<message to='alice@a.example'/>", "<message type='chat' to='alice@a.example/other'/>"] {
        let undelivered = sender.send(Stanza::parse(text).unwrap()).unwrap_err();
        assert_eq!(undelivered.error.condition, Condition::ServiceUnavailable, "{text}");
    }
    sender.send(Stanza::parse("<message type='headline' to='alice@a.example'/>").unwrap()).unwrap();
    let stranger = Stanza::parse("<message type='headline' to='nobody@a.example'/>").unwrap();
    assert_eq!(sender.send(stranger).unwrap_err().error.condition, Condition::ServiceUnavailable);
    // What names the resource, or is presence, reaches it: the first thing that does.
    sender.available_to(&jid("alice@a.example"), []);
    let presence = next(&mut session).await;
    assert_eq!(
        (presence.kind(), presence.to()),
        (Kind::Presence(PresenceType::Available), Some(jid("alice@a.example").as_ref()))
    );
    sender.send(Stanza::parse("<message id='1' to='alice@a.example/desk'/>").unwrap()).unwrap();
    assert_eq!(next(&mut session).await.id(), Some("1"));
}

/// RFC 6121, section 8.5.2.1.1.
#[tokio::test]
async fn a_message_for_an_account_goes_to_its_most_available_resource_and_a_headline_to_each() {
    let domain = domain().await;
    let sender = domain.component("sender").unwrap();
    let sessions = ["attic", "desk", "shed"].map(|resource| domain.session("alice", resource).unwrap());
    let [mut attic, mut desk, shed] = sessions;
    for (session, priority) in [(&attic, 0), (&desk, 5), (&shed, -5)] {
        session.available(with_priority(priority));
    }
    for (id, kind) in [("1", "normal"), ("2", "headline"), ("3", "chat")] {
        let text = format!("<message id='{id}' type='{kind}' to='alice@a.example'/>");
        sender.send(Stanza::parse(&text).unwrap()).unwrap();
    }
    for id in ["1", "2", "3"] {
        assert_eq!(next(&mut desk).await.id(), Some(id));
    }
    attic.available(with_priority(7));
    sender.send(Stanza::parse("<message id='4' to='alice@a.example'/>").unwrap()).unwrap();
    for id in ["2", "4"] {
        let message = next(&mut attic).await;
        assert_eq!((message.id(), message.to()), (Some(id), Some(jid("alice@a.example").as_ref())));
    }
}

#[tokio::test]
async fn a_message_that_is_for_one_resource_or_for_a_room_goes_to_no_other() {
    let domain = domain().await;
    let mut sender = domain.component("sender").unwrap();
    let mut session = domain.session("alice", "desk").unwrap();
    session.available([]);
    for text in [
        "<message type='groupchat' to='alice@a.example'/>",
        "<message to='alice@a.example/other'/>",
        "<message type='headline' to='alice@a.example/other'/>",
    ] {
        let undelivered = sender.send(Stanza::parse(text).unwrap()).unwrap_err();
        assert_eq!(undelivered.error.condition, Condition::ServiceUnavailable, "{text}");
    }
    sender.send(Stanza::parse("<message type='chat' id='1' to='alice@a.example/other'/>").unwrap()).unwrap();
    assert_eq!(next(&mut session).await.id(), Some("1"));
    sender.send(Stanza::parse("<message id='2' to='sender@a.example'/>").unwrap()).unwrap();
    assert_eq!(next(&mut sender).await.id(), Some("2"));
}

#[tokio::test]
async fn a_component_that_ends_does_not_end_a_session_of_the_same_name() {
    let domain = domain().await;
    let mut monitor = domain.component("monitor").unwrap();
    let component = domain.component("alice").unwrap();
    let session = domain.session("alice", "desk").unwrap();
    component.available_to(monitor.jid(), []);
    session.available_to(monitor.jid(), []);
    for _ in 0..2 {
        assert_eq!(next(&mut monitor).await.kind(), Kind::Presence(PresenceType::Available));
    }
    drop(component);
    assert_eq!(next(&mut monitor).await.from().unwrap().as_str(), "alice@a.example");
    drop(session);
    assert_eq!(next(&mut monitor).await.from().unwrap().as_str(), "alice@a.example/desk");
}

#[tokio::test]
async fn a_domain_without_a_name_is_refused() {
    assert!(matches!(crate::DomainBuilder::default().start().await, Err(crate::DomainError::Nameless)));
}

#[tokio::test]
async fn an_address_is_given_once_and_free_again_after_its_end() {
    let domain = domain().await;
    let first = domain.component("x").unwrap();
    assert!(domain.component("x").is_err());
    drop(first);
    assert!(domain.component("x").is_ok());
}

/// Doubles a number, and panics on zero.
struct Double;

#[async_trait]
impl IqHandler for Double {
    async fn handle(&self, request: IqRequest) -> Result<Option<Element>, StanzaError> {
        let number: u64 = request.payload.content().parse().map_err(|_| Condition::BadRequest)?;
        assert_ne!(number, 0, "on purpose");
        Ok(Some(Element::new("double", "urn:test").text((2 * number).to_string())))
    }
}

#[tokio::test]
async fn every_request_gets_exactly_one_answer_whatever_its_handler_does() {
    let domain = domain().await;
    let asker = domain.component("asker").unwrap();
    let served = domain.component("served").unwrap();
    let serving = tokio::spawn(served.serve(Dispatcher::new().on("double", "urn:test", Double)));
    let to = jid("served@a.example");
    let ask = |name: &'static str, text: &str| asker.get(&to, Element::new(name, "urn:test").text(text), SOON);
    assert_eq!(ask("double", "4").await.unwrap().unwrap().content(), "8");
    for (name, text, condition) in [
        ("double", "x", Condition::BadRequest),
        ("double", "0", Condition::InternalServerError),
        ("other", "4", Condition::ServiceUnavailable),
    ] {
        let error = ask(name, text).await.unwrap_err();
        assert_eq!(error.stanza_error().unwrap().condition, condition, "{name} {text}");
    }
    assert!(asker.get(&to, ping(), SOON).await.is_ok());
    domain.shutdown(SOON).await;
    tokio::time::timeout(SOON, serving).await.unwrap().unwrap();
}

/// Never answers.
struct Hangs;

#[async_trait]
impl IqHandler for Hangs {
    async fn handle(&self, _: IqRequest) -> Result<Option<Element>, StanzaError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_keeps_nobody_else_waiting_for_ever() {
    let domain = domain().await;
    let asker = domain.component("asker").unwrap();
    let served = domain.component("served").unwrap();
    let to = served.jid().clone();
    let serving = tokio::spawn(served.serve(Dispatcher::new().on("hang", "urn:test", Hangs)));
    let error = asker.get(&to, Element::new("hang", "urn:test"), Duration::from_secs(3600)).await.unwrap_err();
    assert_eq!(error.stanza_error().unwrap().condition, Condition::ResourceConstraint);
    serving.abort();
}

#[tokio::test]
async fn shutdown_ends_every_entity() {
    let domain = domain().await;
    let mut component = domain.component("x").unwrap();
    domain.shutdown(SOON).await;
    assert!(component.receive().await.is_none());
}

#[tokio::test]
async fn a_request_is_on_its_way_before_its_answer_is_awaited() {
    let domain = domain().await;
    let asker = domain.component("asker").unwrap();
    let mut asked = domain.component("asked").unwrap();
    let first = asker.get(asked.jid(), Element::new("first", "urn:x"), SOON);
    let second = asker.get(asked.jid(), Element::new("second", "urn:x"), SOON);
    for name in ["first", "second"] {
        let request = next(&mut asked).await;
        assert_eq!(request.payload_name(), Some((name, "urn:x")));
        asked.reply(&request, Ok(request.payload()));
    }
    assert!(second.await.unwrap().unwrap().is("second", "urn:x"));
    assert!(first.await.unwrap().unwrap().is("first", "urn:x"));
}
