//! Without publish-subscribe nothing is published.

use std::marker::PhantomData;

use convoke_xmpp::Jid;

use crate::component::ComponentHandle;
use crate::nodes::NodeItem;

/// Publishes nothing.
pub(crate) struct Posts;

/// Holds nothing.
pub(crate) struct Mirror<T>(PhantomData<fn() -> T>);

impl<T> Default for Mirror<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Mirror<T> {
    pub(crate) fn refresh(&mut self) {}
}

impl Posts {
    pub(crate) fn new(_component: ComponentHandle, _service: Option<Jid>) -> Self {
        Self
    }

    pub(crate) fn is_active(&self) -> bool {
        false
    }

    pub(crate) fn create<T: NodeItem>(&mut self) {}

    pub(crate) fn create_part<T: NodeItem>(&mut self, _part: &str) {}

    pub(crate) fn keep_part<T: NodeItem>(&mut self, _part: &str) {}

    pub(crate) fn publish<T: NodeItem>(&mut self, _item: &T) {}

    pub(crate) fn publish_part<T: NodeItem>(&mut self, _part: &str, _item: impl FnOnce() -> T) {}

    pub(crate) fn delete_part<T: NodeItem>(&mut self, _part: &str) {}

    pub(crate) fn owned(&self) -> impl Future<Output = Vec<String>> + Send + use<> {
        std::future::ready(Vec::new())
    }

    pub(crate) fn mirror<T: NodeItem>(&mut self, _mirror: &mut Mirror<T>, _items: impl Iterator<Item = T>) {}

    pub(crate) async fn progress(&mut self) {
        std::future::pending().await
    }
}
