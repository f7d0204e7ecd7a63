//! Affiliations: one's own (XEP-0060, section 5.7), and those that an owner manages (8.9).

use std::cmp::Reverse;

use convoke_xmpp::Jid;

use super::access::owners;
use super::notice::notice;
use super::{
    Affiliation, AffiliationInfo, Answer, Broker, Change, Context, NodeId, Outcome, Page, PageRequest, Refusal,
    Requester,
};
use crate::state::Node;

impl Broker {
    pub(super) fn own_affiliations(&self, requester: &Requester, node: Option<NodeId>) -> Result<Outcome, Refusal> {
        let bare = requester.jid.to_bare();
        let nodes = self.nodes_or(node.as_ref())?;
        let entries = nodes.into_iter().map(|node| AffiliationInfo::new(node, &bare, node.affiliation(bare.as_str())));
        let entries = entries.filter(|entry| entry.affiliation != Affiliation::None).collect();
        Ok(Answer::OwnAffiliations { node, page: Page::whole(entries) }.into())
    }

    pub(super) fn affiliations(
        &self,
        requester: &Requester,
        node: NodeId,
        page: Option<&PageRequest>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(&node, &requester.jid, context)?.ownership()?;
        let entry = self.node(&node)?;
        let entries =
            entry.affiliations().map(|(jid, affiliation)| AffiliationInfo::new(entry, jid, affiliation)).collect();
        let page = Page::of(entries, page, |entry: &AffiliationInfo, id| entry.jid.as_str() == id)?;
        Ok(Answer::Affiliations { node, page }.into())
    }

    /// Changes affiliations; those that cannot be are told, the others are changed (section 8.9.2.4).
    pub(super) fn change_affiliations(
        &mut self,
        requester: &Requester,
        node: NodeId,
        mut changes: Vec<(Jid, Affiliation)>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(&node, &requester.jid, context)?.ownership()?;
        // New owners first: an owner may resign in favour of another one in any order.
        changes.sort_by_key(|(_, affiliation)| Reverse(*affiliation == Affiliation::Owner));
        let mut refused = Vec::new();
        let notifications = self.greet_newcomers(&node, context, |broker| {
            let changed = broker.affiliate_all(&node, changes, &mut refused)?;
            let mut notifications = broker.settle(&node, context)?;
            let entry = broker.node(&node)?;
            let tell = |(jid, affiliation): (Jid, Affiliation)| {
                notice(entry, &jid, Change::Affiliation { jid: jid.clone(), affiliation })
            };
            notifications.extend(changed.into_iter().map(tell));
            Ok(notifications)
        })?;
        let answer =
            if refused.is_empty() { Answer::Done } else { Answer::AffiliationsRefused { node, entries: refused } };
        Ok(Outcome { answer, notifications })
    }

    /// Changes the affiliations that can be changed so, and gives them; the others stay as they are and are `refused`.
    fn affiliate_all(
        &mut self,
        node: &NodeId,
        changes: Vec<(Jid, Affiliation)>,
        refused: &mut Vec<AffiliationInfo>,
    ) -> Result<Vec<(Jid, Affiliation)>, Refusal> {
        let mut changed = Vec::new();
        for (jid, affiliation) in changes {
            let entry = self.node(node)?;
            let before = entry.affiliation(jid.bare());
            match may_become(before, affiliation) && self.has_place(entry, before, affiliation) {
                true if before == affiliation => {}
                true => {
                    self.edit(node)?.affiliate(jid.to_bare(), affiliation);
                    changed.push((jid.to_bare(), affiliation));
                }
                false => refused.push(AffiliationInfo::new(entry, &jid, before)),
            }
        }
        Ok(changed)
    }

    /// Whether the node keeps an owner, and within the limit, when an affiliation changes so.
    fn has_place(&self, node: &Node, before: Affiliation, after: Affiliation) -> bool {
        let leaves_owner = before != Affiliation::Owner || after == Affiliation::Owner || owners(node).nth(1).is_some();
        let is_new = before == Affiliation::None && after != Affiliation::None;
        leaves_owner && !(is_new && node.affiliations().len() >= self.config.max_affiliations_per_node)
    }
}

/// The state chart of section 4.1, which names all changes of an affiliation that there are: an owner resigns before
/// being anything else, and a publisher becomes no member.
fn may_become(before: Affiliation, after: Affiliation) -> bool {
    match before {
        Affiliation::Owner => matches!(after, Affiliation::Owner | Affiliation::None),
        Affiliation::Publisher => after != Affiliation::Member,
        Affiliation::PublishOnly | Affiliation::Member | Affiliation::None | Affiliation::Outcast => true,
    }
}
