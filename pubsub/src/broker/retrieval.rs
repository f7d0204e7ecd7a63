//! What there is to see: items (XEP-0060, section 6.5) and discovery (5.2 to 5.5).

use super::access::{Access, owners};
use super::{
    Affiliation, Answer, Broker, Context, NodeId, NodeInfo, Outcome, Page, PageRequest, Refusal, Requester, Selection,
    SubscriptionState,
};
use crate::config::ItemReply;
use crate::state::{Node, Subscription};

impl Broker {
    pub(super) fn items(
        &self,
        requester: &Requester,
        id: NodeId,
        subid: Option<&str>,
        selection: &Selection,
        page: Option<&PageRequest>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(&id, &requester.jid, context)?.retrieval()?;
        let node = self.node(&id)?;
        self.check_subid(requester, node, subid)?;
        if !node.config().persist_items && !node.config().caches_last_item() {
            return Err(Refusal::ItemsNotPersistent);
        }
        let items = node.items();
        let selected = match selection {
            Selection::All => items.iter().cloned().collect(),
            Selection::Newest(limit) => items.iter().skip(items.len().saturating_sub(*limit)).cloned().collect(),
            Selection::Ids(ids) => ids.iter().filter_map(|id| items.get(id)).cloned().collect(),
        };
        let page = Page::of(selected, page, |item, id| item.id() == id)?;
        let names_publishers = node.config().item_reply == ItemReply::Publisher;
        Ok(Answer::Items { position: node.position(), node: id, names_publishers, page }.into())
    }

    pub(super) fn list_nodes(
        &self,
        requester: &Requester,
        page: Option<&PageRequest>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        let is_visible = |node: &&Node| Access::new(node, &requester.jid, context.contacts).subscription().is_ok();
        let visible = self.state.nodes().filter(is_visible);
        let entries = visible.map(|node| (node.id().clone(), node.config().title.clone())).collect();
        let page = Page::of(entries, page, |(node, _): &(NodeId, String), id| node.as_str() == id)?;
        Ok(Answer::Nodes { page }.into())
    }

    pub(super) fn list_items(
        &self,
        requester: &Requester,
        node: NodeId,
        page: Option<&PageRequest>,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(&node, &requester.jid, context)?.retrieval()?;
        let items = self.node(&node)?.items().iter().cloned().collect();
        let page = Page::of(items, page, |item, id| item.id() == id)?;
        Ok(Answer::ItemIds { node, page }.into())
    }

    /// That a node is there, everybody may know; more of it, who may subscribe (section 15.1).
    pub(super) fn describe(
        &self,
        requester: &Requester,
        node: NodeId,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        let may_know = self.access(&node, &requester.jid, context)?.subscription().is_ok();
        let entry = self.node(&node)?;
        let info = may_know.then(|| Box::new(NodeInfo::of(entry, self.config.max_items_per_node)));
        Ok(Answer::Described { node, info }.into())
    }
}

impl NodeInfo {
    fn of(node: &Node, max_items: usize) -> Self {
        let publishers = node.affiliations().filter(|(_, affiliation)| *affiliation == Affiliation::Publisher);
        let is_subscribed = |subscription: &Subscription| subscription.state == SubscriptionState::Subscribed;
        let subscribers = node.subscriptions().addresses().filter(|(_, own)| own.entries().iter().any(is_subscribed));
        Self {
            creator: node.creator().clone(),
            created: node.created(),
            owners: owners(node).cloned().collect(),
            publishers: publishers.map(|(jid, _)| jid.clone()).collect(),
            max_items: node.config().max_items.unwrap_or(max_items),
            subscribers: subscribers.count(),
            config: node.config().clone(),
        }
    }
}
