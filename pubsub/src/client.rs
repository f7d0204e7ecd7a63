//! The other side: payloads of requests, what their results hold, and events read from notifications.
//!
//! Pure functions: whoever sends the iq gives it its type (`get` for what asks, `set` for what changes), addresses and
//! id. Forms are given as [`Fields`]: names of the standard, such as `pubsub#max_items`, each with its value; a name
//! that comes again has several.

mod event;
mod form;
mod owner;
mod page;
mod position;
mod publisher;
mod result;
mod subscriber;

use convoke_xmpp::Element;
use convoke_xmpp::namespace::{PUBSUB, PUBSUB_OWNER};

pub use event::{Change, Event, Item, parse_delay, parse_event, parse_subids};
pub use form::{Authorization, Fields, parse_authorization, parse_form};
pub use owner::{
    affiliations, configuration, configure, create, create_configured, create_instant, default_configuration, delete,
    delete_with_redirect, purge, set_affiliations, set_subscriptions, set_subscriptions_by_subid, subscriptions,
};
pub use page::{Page, PageNote, items_page, parse_page};
pub use position::{Position, parse_position};
pub use publisher::{publish, publish_with_options, retract, signal};
pub use result::{
    Affiliation, Subscription, created_node, parse_affiliations, parse_items, parse_subscription, parse_subscriptions,
    published_id,
};
pub use subscriber::{
    default_options, items, items_by_id, newest_items, options, own_affiliations, own_subscriptions, set_options,
    subscribe, subscribe_with_options, unsubscribe, with_subid,
};

fn pubsub(child: Element) -> Element {
    element("pubsub").child(child)
}

fn element(name: &'static str) -> Element {
    Element::new(name, PUBSUB)
}

fn of_owner(child: Element) -> Element {
    owner_element("pubsub").child(child)
}

fn owner_element(name: &'static str) -> Element {
    Element::new(name, PUBSUB_OWNER)
}
