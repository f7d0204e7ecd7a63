//! The name of a node, and what everybody may know of it.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use convoke_xmpp::{AddressError, Jid};

use crate::config::NodeConfig;

/// The name of a node, normalised as a resourcepart (XEP-0060, section 4.6.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(Arc<str>);

impl NodeId {
    /// Normalises a name of 1 to 1,023 bytes.
    pub(crate) fn new(text: &str) -> Result<Self, AddressError> {
        // A resourcepart is normalised as part of an address; which one is of no consequence.
        let address = Jid::from_parts(None, "node.invalid", Some(text))?;
        Ok(Self(address.resource().unwrap_or_default().into()))
    }

    /// A name that an `IdSource` made.
    pub(super) fn from_generated(text: String) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What those may know of a node who may subscribe to it (XEP-0060, section 5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeInfo {
    pub(crate) creator: Jid,
    pub(crate) created: SystemTime,
    pub(crate) owners: Vec<Jid>,
    pub(crate) publishers: Vec<Jid>,
    pub(crate) max_items: usize,
    pub(crate) subscribers: usize,
    pub(crate) config: NodeConfig,
}
