//! What an operation needs from outside the broker.

use std::time::SystemTime;

use convoke_xmpp::Jid;

use super::NodeId;
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
    /// Who hears of nodes without having subscribed.
    pub(crate) followers: &'a dyn Followers,
}

/// Who has shown an interest in a node by its capabilities (XEP-0060, section 9.2).
pub(crate) trait Followers {
    /// The full addresses of those; whether they may hear of it is not decided here.
    fn of(&self, node: &NodeId) -> Vec<Jid>;
}

/// Nobody.
pub(crate) struct NoFollowers;

impl Followers for NoFollowers {
    fn of(&self, _: &NodeId) -> Vec<Jid> {
        Vec::new()
    }
}
