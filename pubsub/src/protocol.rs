//! What stanzas mean as operations, and what answers, refusals and events look like (XEP-0060).

mod answer;
mod approval;
mod command;
mod discovery;
mod error;
mod event;
mod feature;
mod form;
mod list;
mod owner;
mod participant;
mod presence;
mod publication;
mod request;
mod rsm;
mod shim;

pub(crate) use answer::{answer, position_element};
pub use approval::is_approval;
pub(crate) use approval::read_approval;
pub(crate) use discovery::account_info;
pub use discovery::{personal_features, personal_identity};
pub(crate) use error::RequestError;
pub(crate) use event::{delay, event, message_type};
pub(crate) use form::AUTHORIZATION;
pub(crate) use presence::read_presence;
pub(crate) use request::{Request, read};
pub(crate) use rsm::RSM;
pub(crate) use shim::{headers as subid_headers, subids};
