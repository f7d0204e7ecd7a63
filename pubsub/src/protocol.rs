//! What stanzas mean as operations, and what answers, refusals and events look like (XEP-0060).

mod answer;
mod discovery;
mod error;
mod event;
mod feature;
mod owner;
mod participant;
mod request;

pub(crate) use answer::answer;
pub(crate) use error::RequestError;
pub(crate) use event::event;
pub(crate) use request::{Request, read};

/// Result Set Management (XEP-0059).
const RSM: &str = "http://jabber.org/protocol/rsm";
