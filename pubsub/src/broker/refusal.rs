//! Why an operation was not performed.

use thiserror::Error;

/// Why an operation was not performed; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum Refusal {
    #[error("the requester's affiliation does not allow it")]
    Forbidden,
    #[error("the requester owns no node at which subscriptions could wait")]
    NoApprover,
    #[error("the requester does not share presence with an owner")]
    PresenceSubscriptionRequired,
    #[error("the requester is in none of the roster groups")]
    NotInRosterGroup,
    #[error("the requester is not on the whitelist")]
    ClosedNode,
    #[error("only subscribers retrieve items")]
    SubscriptionRequired,
    #[error("an owner has not approved the subscription yet")]
    SubscriptionPending,
    #[error("there is no such node")]
    NoSuchNode,
    #[error("the node lives on at {uri}")]
    Moved { uri: String },
    #[error("there is no such item")]
    NoSuchItem,
    #[error("nobody creates nodes here")]
    CreationUnsupported,
    #[error("the service names no nodes")]
    NodeIdRequired,
    #[error("a node of this name exists")]
    NodeExists,
    #[error("the service has as many nodes as it may have")]
    TooManyNodes,
    #[error("the node has as many subscriptions as it may have")]
    TooManySubscriptions,
    #[error("the node takes no subscriptions")]
    SubscribingDisabled,
    #[error("the address to subscribe is not the requester's")]
    JidMismatch,
    #[error("there is no such subscription")]
    NotSubscribed,
    #[error("there is no such subscription to have options")]
    NoSuchSubscriber,
    #[error("the subscriber has several subscriptions, and the request does not say which")]
    SubIdRequired,
    #[error("the subscriber has no subscription of that SubID")]
    InvalidSubId,
    #[error("the options are not those of a subscription here")]
    InvalidOptions,
    #[error("the configuration is not one of a node here")]
    InvalidConfiguration,
    #[error("the access model is not supported")]
    UnsupportedAccessModel,
    #[error("there are no collections here")]
    Collections,
    #[error("the node is not configured as the publisher takes for granted")]
    PreconditionNotMet,
    #[error("the publisher takes for granted what no node has")]
    UnknownPublishOption,
    #[error("the node takes no publication without an item")]
    ItemRequired,
    #[error("the node takes no items")]
    ItemForbidden,
    #[error("the node takes no items without payload")]
    PayloadRequired,
    #[error("the payload is not of the namespace of the node")]
    InvalidPayload,
    #[error("the payload is larger than allowed")]
    PayloadTooBig,
    #[error("the node has as many items as it may have")]
    NodeFull,
    #[error("the node keeps no items")]
    ItemsNotPersistent,
    #[error("the node stores as much as it may store")]
    NodeStorageFull,
    #[error("the service stores as much of this publisher as it may store")]
    PublisherFull,
    #[error("the service stores as much as it may store")]
    StorageFull,
    #[error("the system gives no random numbers")]
    NoRandomness,
}
