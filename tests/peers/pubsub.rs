//! Publish-subscribe between domains: our service, and the nodes of our accounts, in the hands of slixmpp, which is logged in
//! to a peer; our components at the services of the peers, and as contacts of slixmpp's account; and two domains of ours at
//! each other's.

mod between_ours;
mod ours_at_theirs;
mod personal;
mod slixmpp_as_contact;
mod slixmpp_as_owner;
mod slixmpp_as_publisher;
mod slixmpp_at_our_account;
mod slixmpp_at_ours;
mod slixmpp_with_subids;

use std::collections::BTreeSet;

use convoke::pubsub::client::{Change, Event, Item, parse_event, parse_items};
use convoke::pubsub::{Creators, PubSubConfig};
use convoke::xmpp::{Domainpart, Element, Jid, Stanza};
use convoke::{Component, ComponentHandle, Domain};

use super::neighbours::next;
use crate::support::DEADLINE;

/// A payload that nobody but these tests knows.
const FIGURE: &str = "urn:example:figure";

fn figure(value: &str) -> Element {
    Element::new("figure", FIGURE).text(value)
}

/// Runs our service; entities of these domains may create nodes, also by a publication.
fn serve<const N: usize>(domain: &Domain, creators: [&str; N]) -> Jid {
    let creators: BTreeSet<_> = creators.map(|name| Domainpart::new(name).unwrap()).into();
    let creators = Creators::Domains(creators);
    domain.serve_pubsub(PubSubConfig { creators, auto_create: true, ..PubSubConfig::default() }).unwrap()
}

/// Creates a node with these settings, named without their common beginning (XEP-0060, section 8.1.3).
fn create_with(node: &str, settings: &[(&str, &str)]) -> Element {
    let field = |name: &str, value: &str| format!("<field var='{name}'><value>{value}</value></field>");
    let form_type = field("FORM_TYPE", "http://jabber.org/protocol/pubsub#node_config");
    let fields: String = settings.iter().map(|(name, value)| field(&format!("pubsub#{name}"), value)).collect();
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{form_type}{fields}</x>");
    let create = format!("<create node='{node}'/><configure>{form}</configure>");
    Element::parse(&format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{create}</pubsub>")).unwrap()
}

/// Asks for an action; the payload of the result, if it has one.
async fn set(entity: &ComponentHandle, service: &Jid, payload: Element) -> Option<Element> {
    entity.set(service, payload, DEADLINE).await.unwrap()
}

/// Asks for an action or for information and is refused: the answer as `type condition`, in the standard's words.
async fn refused(request: impl Future<Output = Result<Option<Element>, convoke::RequestError>>) -> String {
    let error = request.await.unwrap_err();
    let error = error.stanza_error().unwrap_or_else(|| panic!("no answer: {error}"));
    format!("{} {}", error.error_type.as_str(), error.condition.as_str())
}

/// Each item of a node as `id=value`, in the order of the answer.
async fn items(entity: &ComponentHandle, service: &Jid, payload: Element) -> Vec<String> {
    let answer = entity.get(service, payload, DEADLINE).await.unwrap().unwrap();
    parse_items(&answer).unwrap().iter().map(said).collect()
}

/// What the component is told next by this service, in a few characters.
async fn told(component: &mut Component, service: &Jid) -> String {
    let stanza = next(component).await;
    assert_eq!(stanza.from().unwrap().as_str(), service.as_str(), "{stanza:?}");
    tell(&stanza)
}

/// `node +id=value` for a published item, `node -id` for one that was retracted.
fn tell(stanza: &Stanza) -> String {
    match parse_event(stanza).unwrap_or_else(|| panic!("no event: {stanza:?}")) {
        Event::Items { node, changes } => {
            let changes: Vec<_> = changes.iter().map(change).collect();
            format!("{node} {}", changes.join(" "))
        }
        Event::Purged { node } => format!("{node} purged"),
        Event::Deleted { node, .. } => format!("{node} deleted"),
        other => panic!("an event that nobody waits for: {other:?}"),
    }
}

fn change(change: &Change) -> String {
    match change {
        Change::Published(item) => format!("+{}", said(item)),
        Change::Retracted(id) => format!("-{id}"),
        other => panic!("a change that nobody waits for: {other:?}"),
    }
}

fn said(item: &Item) -> String {
    let payload = item.payload.as_ref().filter(|payload| payload.is("figure", FIGURE));
    format!("{}={}", item.id, payload.map(Element::content).unwrap_or_default())
}
