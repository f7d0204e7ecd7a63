//! The configuration of a node (XEP-0060, sections 8.2 and 8.3).

use super::form::{self, Submission};
use super::{Answer, Audience, Broker, Change, Context, NodeId, Notification, Outcome, Refusal, Requester, quota};
use crate::config::NodeConfig;

impl Broker {
    pub(super) fn configuration(
        &self,
        requester: &Requester,
        node: NodeId,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(&node, &requester.jid, context)?.ownership()?;
        let config = Box::new(self.node(&node)?.config().clone());
        Ok(Answer::Configuration { node, config }.into())
    }

    pub(super) fn default_configuration(&self) -> Outcome {
        Answer::DefaultConfiguration { config: Box::new(self.default_config()) }.into()
    }

    pub(super) fn configure(
        &mut self,
        requester: &Requester,
        node: &NodeId,
        submission: Submission,
        context: &Context<'_>,
    ) -> Result<Outcome, Refusal> {
        self.access(node, &requester.jid, context)?.ownership()?;
        let Submission::Fields(fields) = submission else { return Ok(Answer::Done.into()) };
        let before = self.node(node)?.config().clone();
        let config = form::configure(&before, &fields, &self.config)?;
        if config == before {
            return Ok(Answer::Done.into());
        }
        let told = self.greet_newcomers(node, context, |broker| broker.reconfigure(node, &config, context))?;
        Ok(Outcome::done(told))
    }

    fn reconfigure(
        &mut self,
        node: &NodeId,
        config: &NodeConfig,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        self.edit(node)?.configure(config.clone());
        self.expiries.note(config.item_expire, std::time::UNIX_EPOCH);
        // Whom the node shuts out by this hears no more of it than that.
        let mut notifications = self.settle(node, context)?;
        notifications.extend(self.tell_configured(node, config, context)?);
        notifications.extend(self.fit_items(node, config, context)?);
        Ok(notifications)
    }

    /// Section 8.2.5.3.
    fn tell_configured(
        &mut self,
        node: &NodeId,
        config: &NodeConfig,
        context: &Context<'_>,
    ) -> Result<Option<Notification>, Refusal> {
        if !config.notify_config {
            return Ok(None);
        }
        let config = config.deliver_payloads.then(|| Box::new(config.clone()));
        self.tell(node, Change::Configured { config }, Audience::Subscribers, context)
    }

    /// Removes the items that the node does not keep any more: the oldest, or all of them if it keeps items in another way
    /// than before.
    fn fit_items(
        &mut self,
        node: &NodeId,
        config: &NodeConfig,
        context: &Context<'_>,
    ) -> Result<Vec<Notification>, Refusal> {
        let entry = self.node(node)?;
        let items = entry.items();
        let are_kept = items.iter().all(|item| item.is_persistent() == config.persist_items);
        let capacity = if are_kept { quota::capacity(&self.config, entry) } else { 0 };
        let surplus: Vec<_> = items.iter().take(items.len().saturating_sub(capacity)).cloned().collect();
        self.drop_items(node, &surplus, false, context)
    }
}
