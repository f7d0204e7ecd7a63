//! Subscriptions that wait for an owner's approval (XEP-0060, sections 8.6 and 8.7).

use convoke_xmpp::Jid;

use super::notice::notice;
use super::{
    Answer, Broker, Change, Context, NodeId, Outcome, Refusal, Requester, SubId, SubscriptionName, SubscriptionState,
};
use crate::state::{Node, Subscription};

impl Broker {
    /// An owner's word about a subscription. The first one counts: what waits no longer stays as it is.
    pub(super) fn authorize(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        name: &SubscriptionName,
        is_allowed: bool,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(node, &requester.jid, context)?.ownership()?;
        let Some(subid) = self.waiting(node, name)? else { return Ok(Answer::Done.into()) };
        let told = match is_allowed {
            true => self.approve(node, &name.jid, subid, context)?,
            false => self.end_subscription(node, &name.jid, subid)?,
        };
        Ok(Outcome::done(told))
    }

    /// The subscription that waits and is meant by an owner's word, which need not say its SubID: one of an address waits
    /// at a time.
    fn waiting(&self, node: &NodeId, name: &SubscriptionName) -> Result<Option<SubId>, Refusal> {
        let said = name.subid.as_deref().filter(|_| self.config.multi_subscribe);
        let mut waiting = pending(self.node(node)?).filter(|(jid, _)| **jid == name.jid);
        let meant = waiting.find(|(_, subscription)| said.is_none_or(|subid| subscription.subid.is(subid)));
        Ok(meant.map(|(_, subscription)| subscription.subid))
    }

    /// The nodes of an owner at which subscriptions wait (section 8.7.2).
    pub(super) fn pending_nodes(&self, requester: &Requester, context: &Context<'_>) -> Result<Outcome, Refusal> {
        let is_own =
            |node: &&Node| self.access(node.id(), &requester.jid, context).is_ok_and(|a| a.ownership().is_ok());
        let own: Vec<&Node> = self.state.nodes().filter(is_own).collect();
        if own.is_empty() {
            return Err(Refusal::NoApprover);
        }
        let waiting = own.into_iter().filter(|node| pending(node).next().is_some());
        Ok(Answer::PendingNodes { nodes: waiting.map(|node| node.id().clone()).collect() }.into())
    }

    /// Sends an owner the requests that wait at a node once more (section 8.7.4).
    pub(super) fn send_pending(
        &self,
        requester: &Requester,
        node: &NodeId,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(node, &requester.jid, context)?.ownership().map_err(|_| Refusal::NoApprover)?;
        let entry = self.node(node)?;
        let request = |(jid, subscription)| {
            let subscription = self.subids().info(entry, jid, subscription);
            notice(entry, &requester.jid, Change::Authorization { subscription })
        };
        Ok(Outcome { answer: Answer::PendingSent, notifications: pending(entry).map(request).collect() })
    }
}

fn pending(node: &Node) -> impl Iterator<Item = (&Jid, &Subscription)> {
    node.subscriptions().iter().filter(|(_, subscription)| subscription.state == SubscriptionState::Pending)
}
