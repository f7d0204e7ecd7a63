//! What the service knows of its owners' contacts.

use std::collections::BTreeSet;

use convoke_xmpp::Jid;

/// Whom an owner of nodes knows: what the access models `presence` and `roster` ask for (XEP-0060, section 4.5).
///
/// All addresses are bare. Must not block: it is asked in the midst of an operation.
pub trait Contacts: Send + Sync {
    /// Whether the contact is subscribed to the owner's presence (`from` or `both` in the owner's roster).
    fn shares_presence(&self, owner: &Jid, contact: &Jid) -> bool;

    /// Whether the owner's roster has the contact in one of these groups.
    fn is_in_group(&self, owner: &Jid, contact: &Jid, groups: &BTreeSet<String>) -> bool;
}

/// Of a service that sees nobody's roster: nobody is known to anybody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoContacts;

impl Contacts for NoContacts {
    fn shares_presence(&self, _: &Jid, _: &Jid) -> bool {
        false
    }

    fn is_in_group(&self, _: &Jid, _: &Jid, _: &BTreeSet<String>) -> bool {
        false
    }
}
