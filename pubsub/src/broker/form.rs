//! What a form says is configured: fields become a configuration, or are refused.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use super::Refusal;
use crate::config::{Configured, Expiry, FieldError, NodeConfig, PubSubConfig, SubscriptionOptions};
use crate::form::Fields;

/// What is done with a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Submission {
    /// Nothing: everything stays as it is.
    Cancelled,
    /// These fields get these values.
    Fields(Fields),
}

/// A configuration with these fields changed, within the limits of the service; fields that are not known are ignored
/// (XEP-0004, section 3.2).
pub(super) fn configure(before: &NodeConfig, fields: &Fields, limits: &PubSubConfig) -> Result<NodeConfig, Refusal> {
    let mut config = before.clone();
    for (name, values) in fields {
        match name.as_str() {
            NODE_TYPE => check_node_type(values)?,
            name if COLLECTIONS.contains(&name) => check_empty(values)?,
            name => set(&mut config, name, values)?,
        }
    }
    check_limits(before, &config, limits)?;
    Ok(config)
}

const NODE_TYPE: &str = "pubsub#node_type";
const ACCESS_MODEL: &str = "pubsub#access_model";
/// What only collections have (XEP-0248).
const COLLECTIONS: [&str; 2] = ["pubsub#collection", "pubsub#children"];

fn check_node_type(values: &[String]) -> Result<(), Refusal> {
    match values {
        [] => Ok(()),
        [leaf] if leaf == "leaf" => Ok(()),
        _ => Err(Refusal::Collections),
    }
}

fn check_empty(values: &[String]) -> Result<(), Refusal> {
    if values.iter().all(String::is_empty) { Ok(()) } else { Err(Refusal::Collections) }
}

fn set(config: &mut NodeConfig, name: &str, values: &[String]) -> Result<(), Refusal> {
    match config.set(name, values) {
        Ok(()) | Err(FieldError::Unknown) => Ok(()),
        Err(FieldError::Invalid) if name == ACCESS_MODEL => Err(Refusal::UnsupportedAccessModel),
        Err(FieldError::Invalid) => Err(Refusal::InvalidConfiguration),
    }
}

/// A limit that was above that of the service before may stay.
fn check_limits(before: &NodeConfig, config: &NodeConfig, limits: &PubSubConfig) -> Result<(), Refusal> {
    let items_fit = config.max_items.is_none_or(|max| max <= limits.max_items_per_node.max(1));
    let payload_fits = config.max_payload_size <= limits.max_payload_bytes;
    if (items_fit || config.max_items == before.max_items)
        && (payload_fits || config.max_payload_size == before.max_payload_size)
    {
        Ok(())
    } else {
        Err(Refusal::InvalidConfiguration)
    }
}

/// Whether a node is configured as a publisher takes for granted (section 7.1.5).
pub(super) fn check_preconditions(config: &NodeConfig, fields: &Fields) -> Result<(), Refusal> {
    for (name, values) in fields {
        let mut wanted = config.clone();
        match wanted.set(name, values) {
            Err(FieldError::Unknown) if name == NODE_TYPE => check_node_type(values)?,
            Err(FieldError::Unknown) => return Err(Refusal::UnknownPublishOption),
            Ok(()) if wanted == *config => {}
            Ok(()) | Err(FieldError::Invalid) => return Err(Refusal::PreconditionNotMet),
        }
    }
    Ok(())
}

/// Refuses fields that are no fields of a node (section 7.1.5).
pub(super) fn check_known(fields: &Fields) -> Result<(), Refusal> {
    let is_known = |name: &str| name == NODE_TYPE || NodeConfig::field(name).is_some();
    if fields.iter().all(|(name, _)| is_known(name)) { Ok(()) } else { Err(Refusal::UnknownPublishOption) }
}

/// The pauses between two digests that a subscriber may ask for, in milliseconds: from what spares nobody anything to a
/// day.
const DIGEST_FREQUENCY: RangeInclusive<usize> = 100..=86_400_000;

/// Options with these fields changed; what a subscription here cannot be is refused.
pub(super) fn choose(
    before: &SubscriptionOptions,
    fields: &Fields,
    now: SystemTime,
) -> Result<SubscriptionOptions, Refusal> {
    let mut options = before.clone();
    for (name, values) in fields {
        match name.as_str() {
            // Not offered, and so off; a client that fills in every registered field says so.
            "pubsub#include_body" if is_false(values) => {}
            "pubsub#subscription_type" if *values == ["items"] => {}
            "pubsub#subscription_type" | "pubsub#subscription_depth" => return Err(Refusal::Collections),
            "pubsub#include_body" => return Err(Refusal::InvalidOptions),
            name => match options.set(name, values) {
                Ok(()) | Err(FieldError::Unknown) => {}
                Err(FieldError::Invalid) => return Err(Refusal::InvalidOptions),
            },
        }
    }
    let is_over = matches!(options.expire, Expiry::At(moment) if moment <= now);
    let is_valid = !is_over && DIGEST_FREQUENCY.contains(&options.digest_frequency) && !options.show_values.is_empty();
    if is_valid { Ok(options) } else { Err(Refusal::InvalidOptions) }
}

fn is_false(values: &[String]) -> bool {
    matches!(values.first().map(String::as_str), None | Some("" | "0" | "false"))
}
