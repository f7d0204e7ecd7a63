//! Requests of owners: the namespace `pubsub#owner` (XEP-0060, sections 8.2 to 8.9).

use convoke_xmpp::{Element, Jid, namespace};

use super::RequestError;
use super::feature::Feature;
use super::request::{required_jid, required_node};
use crate::broker::{Affiliation, Operation};

const UNKNOWN: RequestError = RequestError::Malformed("no request of a node's owner");

/// Reads what the element `pubsub` asks for.
pub(super) fn read(pubsub: &Element, is_set: bool) -> Result<Operation, RequestError> {
    let verb = pubsub.children().next().filter(|verb| verb.namespace() == namespace::PUBSUB_OWNER).ok_or(UNKNOWN)?;
    match (verb.name(), is_set) {
        ("delete", true) => delete(verb),
        ("affiliations", false) => Ok(Operation::Affiliations { node: required_node(verb)? }),
        ("affiliations", true) => change_affiliations(verb),
        ("configure", _) | ("default", false) => Err(RequestError::Unsupported(Feature::ConfigNode)),
        ("purge", true) => Err(RequestError::Unsupported(Feature::PurgeNodes)),
        ("subscriptions", _) => Err(RequestError::Unsupported(Feature::ManageSubscriptions)),
        _ => Err(UNKNOWN),
    }
}

fn delete(delete: &Element) -> Result<Operation, RequestError> {
    let redirect = delete.find("redirect", namespace::PUBSUB_OWNER).and_then(|redirect| redirect.attribute("uri"));
    Ok(Operation::Delete { node: required_node(delete)?, redirect: redirect.map(str::to_owned) })
}

fn change_affiliations(affiliations: &Element) -> Result<Operation, RequestError> {
    let entries = affiliations.children().filter(|entry| entry.is("affiliation", namespace::PUBSUB_OWNER));
    // An entry without the attribute changes nothing (section 8.9.2.1).
    let changes = entries.filter(|entry| entry.attribute("affiliation").is_some()).map(change);
    Ok(Operation::ChangeAffiliations {
        node: required_node(affiliations)?,
        changes: changes.collect::<Result<_, _>>()?,
    })
}

fn change(entry: &Element) -> Result<(Jid, Affiliation), RequestError> {
    let affiliation = entry.attribute("affiliation").and_then(Affiliation::parse);
    let affiliation = affiliation.ok_or(RequestError::Malformed("no affiliation of publish-subscribe"))?;
    Ok((required_jid(entry)?, affiliation))
}
