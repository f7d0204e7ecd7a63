//! Leases that are in force.

use std::borrow::Cow;
use std::time::Duration;

use convoke_xmpp::{Element, Jid};

use super::KEEPS_ALL;
use crate::cloud::lease::{LeaseRef, NAMESPACE};
use crate::cloud::{parse_duration, write_duration};
use crate::nodes::{Fields, ItemError, NodeItem};

/// A lease that is in force; the item's id is the name of the lease. It is retracted when the lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lent {
    /// Its name and epoch.
    pub lease: LeaseRef,
    /// Who holds it.
    pub holder: Jid,
    /// How many nodes it still has.
    pub nodes: u64,
    /// How long it lives without renewal.
    pub ttl: Duration,
}

impl NodeItem for Lent {
    const NODE: &'static str = "urn:convoke:leases";
    const OPTIONS: &'static [(&'static str, &'static str)] = KEEPS_ALL;

    fn id(&self) -> Cow<'_, str> {
        (&*self.lease.id).into()
    }

    fn payload(&self) -> Element {
        Element::new("lease", NAMESPACE)
            .attr("id", &self.lease.id)
            .attr("epoch", self.lease.epoch)
            .attr("holder", &self.holder)
            .attr("nodes", self.nodes)
            .attr("ttl", write_duration(self.ttl))
    }

    fn read(id: &str, payload: &Element) -> Result<Self, ItemError> {
        let fields = Fields::of(payload, "lease", NAMESPACE)?;
        let lease = LeaseRef { id: fields.same_as_id("id", id)?.to_owned(), epoch: fields.value("epoch")? };
        Ok(Self {
            lease,
            holder: fields.value("holder")?,
            nodes: fields.value("nodes")?,
            ttl: fields.read("ttl", parse_duration)?,
        })
    }
}
