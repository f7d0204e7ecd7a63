//! How much may be stored.

use super::Refusal;
use crate::PubSubConfig;
use crate::state::{Item, NewItem, Node, State, Usage};

/// How many items the node has at most.
pub(super) fn capacity(config: &PubSubConfig, node: &Node) -> usize {
    if !node.config().persist_items {
        return usize::from(node.config().caches_last_item());
    }
    let of_node = node.config().max_items.unwrap_or(usize::MAX);
    of_node.min(config.max_items_per_node).max(1)
}

/// Refuses an item for which there is no room once those that it displaces are gone.
pub(super) fn check(
    state: &State,
    config: &PubSubConfig,
    node: &Node,
    new: &NewItem,
    displaced: &[&Item],
) -> Result<(), Refusal> {
    let own = displaced.iter().copied().filter(|item| *item.publisher() == new.publisher);
    let node = after(node.items().usage(), new, displaced.iter().copied());
    let publisher = after(state.usage_of(&new.publisher), new, own);
    let service = after(state.usage(), new, displaced.iter().copied());
    if node.bytes > config.max_bytes_per_node {
        return Err(Refusal::NodeStorageFull);
    }
    if publisher.items > config.max_items_per_publisher || publisher.bytes > config.max_bytes_per_publisher {
        return Err(Refusal::PublisherFull);
    }
    if service.items > config.max_stored_items || service.bytes > config.max_stored_bytes {
        return Err(Refusal::StorageFull);
    }
    Ok(())
}

fn after<'a>(before: Usage, new: &NewItem, displaced: impl Iterator<Item = &'a Item>) -> Usage {
    let mut usage = Usage { items: before.items + 1, bytes: before.bytes + new.bytes() };
    for item in displaced {
        usage.items -= 1;
        usage.bytes -= item.bytes();
    }
    usage
}
