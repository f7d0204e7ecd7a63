//! What a domain has in all: one item instead of one for each of its nodes.

use std::borrow::Cow;

use convoke_xmpp::{Domainpart, Element};

use super::KEEPS_ALL;
use crate::cloud::OFFER_NAMESPACE;
use crate::nodes::{Fields, ItemError, NodeItem};

/// The nodes of a domain, added up; the item's id is the domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainTotals {
    /// The domain.
    pub domain: Domainpart,
    /// Nodes that are there.
    pub nodes: u64,
    /// Nodes that are lent.
    pub lent: u64,
    /// Processor cores of all nodes.
    pub cores: u64,
    /// Memory of all nodes, in bytes.
    pub memory: u64,
}

impl NodeItem for DomainTotals {
    const NODE: &'static str = "urn:convoke:domains";
    const OPTIONS: &'static [(&'static str, &'static str)] = KEEPS_ALL;

    fn id(&self) -> Cow<'_, str> {
        self.domain.as_str().into()
    }

    fn payload(&self) -> Element {
        Element::new("domain", OFFER_NAMESPACE)
            .attr("name", &self.domain)
            .attr("nodes", self.nodes)
            .attr("lent", self.lent)
            .attr("cores", self.cores)
            .attr("mem", self.memory)
    }

    fn read(id: &str, payload: &Element) -> Result<Self, ItemError> {
        let fields = Fields::of(payload, "domain", OFFER_NAMESPACE)?;
        fields.same_as_id("name", id)?;
        Ok(Self {
            domain: fields.value("name")?,
            nodes: fields.value("nodes")?,
            lent: fields.value("lent")?,
            cores: fields.value("cores")?,
            memory: fields.value("mem")?,
        })
    }
}
