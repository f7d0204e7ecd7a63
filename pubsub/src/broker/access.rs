//! Who may do what with a node: affiliations (XEP-0060, section 4.1), access models (4.5) and publish models.

use convoke_xmpp::Jid;

use super::{Affiliation, Refusal, SubscriptionState};
use crate::config::{AccessModel, PublishModel};
use crate::contacts::Contacts;
use crate::state::Node;

/// One entity before one node.
#[derive(Clone, Copy)]
pub(super) struct Access<'a> {
    node: &'a Node,
    /// The entity: its bare address counts.
    entity: &'a Jid,
    contacts: &'a dyn Contacts,
}

/// Under which condition an entity may subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Under none.
    Granted,
    /// An owner has to approve it.
    NeedsApproval,
}

impl<'a> Access<'a> {
    /// The entity with this address before this node.
    pub(super) fn new(node: &'a Node, entity: &'a Jid, contacts: &'a dyn Contacts) -> Self {
        Self { node, entity, contacts }
    }

    fn affiliation(self) -> Affiliation {
        self.node.affiliation(self.entity.bare())
    }

    /// Whether the entity may know what becomes of the node: who may subscribe, and who publishes there without that.
    pub(super) fn is_welcome(self) -> bool {
        self.affiliation() == Affiliation::PublishOnly || self.subscription().is_ok()
    }

    /// Whether the entity may do what only owners do.
    pub(super) fn ownership(self) -> Result<(), Refusal> {
        if self.affiliation() == Affiliation::Owner { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    /// Whether the entity may subscribe (sections 6.1.3 and 6.1.4). Whoever an owner has named need not ask.
    pub(super) fn subscription(self) -> Result<Admission, Refusal> {
        match self.affiliation() {
            Affiliation::Outcast | Affiliation::PublishOnly => Err(Refusal::Forbidden),
            Affiliation::Owner | Affiliation::Publisher | Affiliation::Member => Ok(Admission::Granted),
            Affiliation::None => match self.node.config().access_model {
                AccessModel::Authorize => Ok(Admission::NeedsApproval),
                model => self.admitted_by(model).map(|()| Admission::Granted),
            },
        }
    }

    /// Whether the entity may retrieve items (section 6.5.1).
    pub(super) fn retrieval(self) -> Result<(), Refusal> {
        let model = self.node.config().access_model;
        match (self.affiliation(), model) {
            (Affiliation::Outcast | Affiliation::PublishOnly, _) => Err(Refusal::Forbidden),
            (Affiliation::Owner | Affiliation::Publisher, _) => Ok(()),
            (Affiliation::None, AccessModel::Whitelist) => Err(Refusal::ClosedNode),
            (_, AccessModel::Authorize | AccessModel::Whitelist) if !self.is_subscribed() => {
                Err(Refusal::SubscriptionRequired)
            }
            (Affiliation::Member, _) | (_, AccessModel::Authorize) => Ok(()),
            (Affiliation::None, model) => self.admitted_by(model),
        }
    }

    /// Whether the entity may publish, and retract what it has published (sections 7.1.3.1 and 7.2.3.1).
    pub(super) fn publication(self) -> Result<(), Refusal> {
        let may = match self.affiliation() {
            Affiliation::Outcast => false,
            Affiliation::Owner | Affiliation::Publisher | Affiliation::PublishOnly => true,
            Affiliation::Member | Affiliation::None => match self.node.config().publish_model {
                PublishModel::Publishers => false,
                // A subscription that would not be made today counts no more.
                PublishModel::Subscribers => self.is_subscribed() && self.subscription().is_ok(),
                PublishModel::Open => true,
            },
        };
        if may { Ok(()) } else { Err(Refusal::Forbidden) }
    }

    fn admitted_by(self, model: AccessModel) -> Result<(), Refusal> {
        match model {
            AccessModel::Open | AccessModel::Authorize => Ok(()),
            AccessModel::Whitelist => Err(Refusal::ClosedNode),
            AccessModel::Presence if self.shares_presence() => Ok(()),
            AccessModel::Presence => Err(Refusal::PresenceSubscriptionRequired),
            AccessModel::Roster if self.shares_presence() && self.is_in_group() => Ok(()),
            AccessModel::Roster => Err(Refusal::NotInRosterGroup),
        }
    }

    fn shares_presence(self) -> bool {
        let entity = self.entity.to_bare();
        owners(self.node).any(|owner| self.contacts.shares_presence(owner, &entity))
    }

    fn is_in_group(self) -> bool {
        let (entity, groups) = (self.entity.to_bare(), &self.node.config().roster_groups_allowed);
        owners(self.node).any(|owner| self.contacts.is_in_group(owner, &entity, groups))
    }

    fn is_subscribed(self) -> bool {
        let mut own = self.node.subscriptions().of_bare(self.entity.bare());
        own.any(|(_, subscription)| subscription.state == SubscriptionState::Subscribed)
    }
}

/// The owners of a node.
pub(super) fn owners(node: &Node) -> impl Iterator<Item = &Jid> {
    let owners = node.affiliations().filter(|(_, affiliation)| *affiliation == Affiliation::Owner);
    owners.map(|(jid, _)| jid)
}
