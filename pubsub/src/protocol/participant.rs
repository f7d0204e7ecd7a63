//! Requests of subscribers, publishers and creators: the namespace `pubsub` (XEP-0060, sections 5 to 7 and 8.1).

use convoke_xmpp::{Element, namespace};

use super::RequestError;
use super::form::submission;
use super::publication;
use super::request::{optional_node, required_jid, required_node, subid, subscription};
use super::rsm;
use crate::broker::{Operation, Selection, Submission};
use crate::config::{Configured, NodeConfig, SubscriptionOptions};

pub(super) const UNKNOWN: RequestError = RequestError::Malformed("no request of publish-subscribe");

/// Reads what the element `pubsub` asks for.
pub(super) fn read(mut pubsub: Element, is_set: bool) -> Result<Operation, RequestError> {
    let verb = pubsub.children().next().filter(|verb| verb.namespace() == namespace::PUBSUB).ok_or(UNKNOWN)?;
    match (verb.name(), is_set) {
        ("create", true) => create(&pubsub, verb),
        ("configure", true) => Err(RequestError::Malformed("configure must follow create")),
        ("subscribe", true) => subscribe(&pubsub, verb),
        ("unsubscribe", true) => unsubscribe(verb),
        ("options", true) => set_options(&pubsub, verb),
        ("options", false) => Ok(Operation::Options { node: required_node(verb)?, subscription: subscription(verb)? }),
        ("default", false) => Ok(Operation::DefaultOptions { node: optional_node(verb)? }),
        ("items", false) => items(&pubsub, verb),
        ("publish", true) => publication::publish(&mut pubsub),
        ("retract", true) => publication::retract(verb),
        ("subscriptions", false) => Ok(Operation::OwnSubscriptions { node: optional_node(verb)? }),
        ("affiliations", false) => Ok(Operation::OwnAffiliations { node: optional_node(verb)? }),
        _ => Err(UNKNOWN),
    }
}

fn create(pubsub: &Element, create: &Element) -> Result<Operation, RequestError> {
    let config = match pubsub.find("configure", namespace::PUBSUB) {
        Some(configure) if configure.attribute("node").is_some() => {
            return Err(RequestError::Malformed("configure names no node beside create"));
        }
        Some(configure) => submission(configure, NodeConfig::FORM_TYPE)?,
        None => None,
    };
    Ok(Operation::Create { node: optional_node(create)?, config })
}

/// The options go with the subscription: they name neither node nor address, and follow it (section 6.3.7).
fn subscribe(pubsub: &Element, subscribe: &Element) -> Result<Operation, RequestError> {
    let options = match pubsub.find("options", namespace::PUBSUB) {
        Some(options) if options.attribute("node").is_some() || options.attribute("jid").is_some() => {
            return Err(RequestError::Malformed("options name nothing beside subscribe"));
        }
        Some(options) => options_form(options)?,
        None => None,
    };
    Ok(Operation::Subscribe { node: required_node(subscribe)?, jid: required_jid(subscribe)?, options })
}

fn unsubscribe(unsubscribe: &Element) -> Result<Operation, RequestError> {
    Ok(Operation::Unsubscribe { node: required_node(unsubscribe)?, subscription: subscription(unsubscribe)? })
}

fn set_options(pubsub: &Element, options: &Element) -> Result<Operation, RequestError> {
    if pubsub.find("subscribe", namespace::PUBSUB).is_some() {
        return Err(RequestError::Malformed("options must follow subscribe"));
    }
    let (node, subscription) = (required_node(options)?, subscription(options)?);
    let options = options_form(options)?.ok_or(RequestError::InvalidOptions)?;
    Ok(Operation::SetOptions { node, subscription, options })
}

fn options_form(options: &Element) -> Result<Option<Submission>, RequestError> {
    submission(options, SubscriptionOptions::FORM_TYPE).map_err(|_| RequestError::InvalidOptions)
}

fn items(pubsub: &Element, items: &Element) -> Result<Operation, RequestError> {
    let ids = publication::items_within(items).map(|item| item.attribute("id").map(str::to_owned));
    let ids: Option<Vec<_>> = ids.collect();
    let ids = ids.ok_or(RequestError::ItemRequired)?;
    let newest = items.attribute("max_items").map(positive).transpose()?;
    let selection = match newest {
        _ if !ids.is_empty() => Selection::Ids(ids),
        Some(limit) => Selection::Newest(limit),
        None => Selection::All,
    };
    let (node, subid) = (required_node(items)?, subid(items));
    Ok(Operation::Items { node, subid, selection, page: rsm::read(pubsub)? })
}

fn positive(text: &str) -> Result<usize, RequestError> {
    let number = text.parse::<usize>().ok().filter(|number| *number > 0);
    number.ok_or(RequestError::Malformed("max_items is a positive integer"))
}
