//! Requests of owners: the namespace `pubsub#owner` (XEP-0060, sections 8.2 to 8.9).

use std::collections::BTreeSet;

use convoke_xmpp::{Element, namespace};

use super::RequestError;
use super::feature::Feature;
use super::form::submission;
use super::request::{required_jid, required_node, subscription};
use super::rsm;
use crate::broker::{Affiliation, Operation, SubscriptionState};
use crate::config::{Configured, NodeConfig};

const UNKNOWN: RequestError = RequestError::Malformed("no request of a node's owner");

/// Reads what the element `pubsub` asks for.
pub(super) fn read(pubsub: &Element, is_set: bool) -> Result<Operation, RequestError> {
    let verb = pubsub.children().next().filter(|verb| verb.namespace() == namespace::PUBSUB_OWNER).ok_or(UNKNOWN)?;
    match (verb.name(), is_set) {
        ("configure", false) => Ok(Operation::Configuration { node: required_node(verb)? }),
        ("configure", true) => configure(verb),
        ("default", false) => default(verb),
        ("delete", true) => delete(verb),
        ("purge", true) => Ok(Operation::Purge { node: required_node(verb)? }),
        ("subscriptions", false) => {
            Ok(Operation::Subscriptions { node: required_node(verb)?, page: rsm::read(pubsub)? })
        }
        ("subscriptions", true) => change_subscriptions(verb),
        ("affiliations", false) => Ok(Operation::Affiliations { node: required_node(verb)?, page: rsm::read(pubsub)? }),
        ("affiliations", true) => change_affiliations(verb),
        _ => Err(UNKNOWN),
    }
}

fn configure(configure: &Element) -> Result<Operation, RequestError> {
    let node = required_node(configure)?;
    let config = submission(configure, NodeConfig::FORM_TYPE)?;
    Ok(Operation::Configure { node, config: config.ok_or(RequestError::Malformed("configure holds a form"))? })
}

/// The default of leaves; there are no other nodes (section 8.3.2).
fn default(default: &Element) -> Result<Operation, RequestError> {
    match default.attribute("type") {
        None | Some("" | "leaf") => Ok(Operation::DefaultConfiguration),
        Some(_) => Err(RequestError::Unsupported(Feature::Collections)),
    }
}

fn delete(delete: &Element) -> Result<Operation, RequestError> {
    let redirect = delete.find("redirect", namespace::PUBSUB_OWNER).map(redirect).transpose()?;
    Ok(Operation::Delete { node: required_node(delete)?, redirect })
}

/// The bytes of a redirection: of an address of XMPP with all its parts and a node, however they are escaped, there is
/// room for most.
const MAX_URI_BYTES: usize = 4_096;

/// Where the node lives on. It goes into errors, where only a URI may stand (RFC 6120, section 8.3.3.5).
fn redirect(redirect: &Element) -> Result<String, RequestError> {
    let uri = redirect.attribute("uri").unwrap_or_default();
    if uri.len() > MAX_URI_BYTES || !is_uri(uri) {
        return Err(RequestError::Malformed("a redirection is to a URI"));
    }
    Ok(uri.to_owned())
}

/// Whether the text begins with a scheme (RFC 3986, section 3.1) and goes on without white space.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let is_of_scheme = |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.');
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.chars().all(is_of_scheme);
    is_scheme
        && !rest.is_empty()
        && !rest.contains(|character: char| character.is_whitespace() || character.is_control())
}

fn change_subscriptions(subscriptions: &Element) -> Result<Operation, RequestError> {
    let node = required_node(subscriptions)?;
    let entries = changed(subscriptions, "subscription");
    let changes = entries.map(|(entry, state)| Ok((subscription(entry)?, subscription_state(state)?)));
    Ok(Operation::ChangeSubscriptions { node, changes: distinct(changes.collect::<Result<_, RequestError>>()?)? })
}

fn subscription_state(text: &str) -> Result<Option<SubscriptionState>, RequestError> {
    match text {
        "none" => Ok(None),
        "subscribed" => Ok(Some(SubscriptionState::Subscribed)),
        // No subscription here is unconfigured: it is refused like a pending one, with what it was.
        "pending" | "unconfigured" => Ok(Some(SubscriptionState::Pending)),
        _ => Err(RequestError::Malformed("no state of a subscription")),
    }
}

fn change_affiliations(affiliations: &Element) -> Result<Operation, RequestError> {
    let node = required_node(affiliations)?;
    let entries = changed(affiliations, "affiliation");
    let changes = entries.map(|(entry, affiliation)| {
        let affiliation = Affiliation::parse(affiliation);
        let affiliation = affiliation.ok_or(RequestError::Malformed("no affiliation of publish-subscribe"))?;
        Ok((required_jid(entry)?.to_bare(), affiliation))
    });
    Ok(Operation::ChangeAffiliations { node, changes: distinct(changes.collect::<Result<_, RequestError>>()?)? })
}

/// The entries with what they are to become; one that does not say changes nothing (sections 8.8.2.1 and 8.9.2.1).
fn changed<'a>(list: &'a Element, name: &'static str) -> impl Iterator<Item = (&'a Element, &'a str)> {
    let entries = list.children().filter(move |entry| entry.is(name, namespace::PUBSUB_OWNER));
    entries.filter_map(move |entry| Some((entry, entry.attribute(name)?)))
}

/// Refuses two changes of one thing (sections 8.8.2.4 and 8.9.2.4).
fn distinct<K: Ord, T>(changes: Vec<(K, T)>) -> Result<Vec<(K, T)>, RequestError> {
    let changed: BTreeSet<&K> = changes.iter().map(|(key, _)| key).collect();
    if changed.len() == changes.len() {
        return Ok(changes);
    }
    Err(RequestError::Malformed("two changes of one address or of one subscription"))
}
