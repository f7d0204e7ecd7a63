//! The nodes of a domain and what each offers.

use std::borrow::Cow;

use convoke_xmpp::{Element, Jid};

use super::KEEPS_ALL;
use crate::cloud::{OFFER_NAMESPACE, Offer};
use crate::nodes::{Fields, ItemError, NodeItem};

/// A volunteer's node as its resource manager knows it; the item's id is its full JID.
///
/// It is retracted when the node is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The full JID of the node.
    pub node: Jid,
    /// Counts how often the node has started.
    pub incarnation: u64,
    /// What it offers.
    pub offer: Offer,
    /// Whether it can be borrowed.
    pub availability: Availability,
}

/// Whether a node can be borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Availability {
    /// Nobody holds it.
    Free,
    /// It is lent.
    Lent,
    /// It does not answer.
    Suspect,
}

impl Availability {
    const ALL: [Self; 3] = [Self::Free, Self::Lent, Self::Suspect];

    /// As it goes to the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Lent => "lent",
            Self::Suspect => "suspect",
        }
    }

    /// Reads what [`Availability::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl NodeItem for Offered {
    const NODE: &'static str = "urn:convoke:offers";
    const OPTIONS: &'static [(&'static str, &'static str)] = KEEPS_ALL;

    fn id(&self) -> Cow<'_, str> {
        self.node.as_str().into()
    }

    fn payload(&self) -> Element {
        Element::new("offer", OFFER_NAMESPACE)
            .attr("node", &self.node)
            .attr("inc", self.incarnation)
            .attr("state", self.availability.as_str())
            .attr("cores", self.offer.cores)
            .attr("mem", self.offer.memory)
    }

    fn read(id: &str, payload: &Element) -> Result<Self, ItemError> {
        let fields = Fields::of(payload, "offer", OFFER_NAMESPACE)?;
        fields.same_as_id("node", id)?;
        Ok(Self {
            node: fields.value("node")?,
            incarnation: fields.value("inc")?,
            offer: Offer { cores: fields.value("cores")?, memory: fields.value("mem")? },
            availability: fields.read("state", Availability::parse)?,
        })
    }
}
