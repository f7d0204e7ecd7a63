//! What an operation needs from outside the broker.

use std::time::SystemTime;

use crate::contacts::Contacts;
use crate::ids::IdSource;

/// What an operation needs from outside the broker.
pub(crate) struct Context<'a> {
    /// The present moment.
    pub(crate) now: SystemTime,
    /// Where names of instant nodes and items come from.
    pub(crate) ids: &'a mut dyn IdSource,
    /// Whom owners know.
    pub(crate) contacts: &'a dyn Contacts,
}
