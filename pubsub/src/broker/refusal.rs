//! Why an operation was not performed.

use thiserror::Error;

/// Why an operation was not performed; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum Refusal {
    #[error("the requester's affiliation does not allow it")]
    Forbidden,
    #[error("there is no such node")]
    NoSuchNode,
    #[error("there is no such item")]
    NoSuchItem,
    #[error("a node of this name exists")]
    NodeExists,
    #[error("the service has as many nodes as it may have")]
    TooManyNodes,
    #[error("the node has as many subscriptions as it may have")]
    TooManySubscriptions,
    #[error("the node has as many affiliations as it may have")]
    TooManyAffiliations,
    #[error("the address to subscribe is not the requester's")]
    JidMismatch,
    #[error("there is no such subscription")]
    NotSubscribed,
    #[error("the payload is larger than allowed")]
    PayloadTooBig,
    #[error("the node stores as much as it may store")]
    NodeFull,
    #[error("the service stores as much of this publisher as it may store")]
    PublisherFull,
    #[error("the service stores as much as it may store")]
    StorageFull,
    #[error("a node must keep an owner")]
    LastOwner,
    #[error("the system gives no random numbers")]
    NoRandomness,
}
