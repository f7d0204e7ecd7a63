//! The verdicts of a monitor.

use std::borrow::Cow;

use convoke_xmpp::{Element, Jid};

use super::KEEPS_ALL;
use crate::cloud::{Departure, OFFER_NAMESPACE};
use crate::nodes::{Fields, ItemError, NodeItem};

/// What a monitor thinks of an entity; the item's id is the full JID of that entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Who it is about.
    pub node: Jid,
    /// What the monitor thinks.
    pub verdict: HealthVerdict,
}

/// What a monitor thinks of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HealthVerdict {
    /// It is well again.
    Ok,
    /// It does not answer, or is out of reach.
    Suspect(Departure),
    /// It is gone.
    Lost(Departure),
}

impl HealthVerdict {
    /// The verdict alone, as it goes to the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Suspect(_) => "suspect",
            Self::Lost(_) => "lost",
        }
    }

    /// The reason, as it goes to the wire.
    pub fn why(self) -> &'static str {
        match self {
            Self::Ok => RECOVERED,
            Self::Suspect(why) | Self::Lost(why) => why.as_str(),
        }
    }
}

const RECOVERED: &str = "recovered";

impl NodeItem for Health {
    const NODE: &'static str = "urn:convoke:health";
    const OPTIONS: &'static [(&'static str, &'static str)] = KEEPS_ALL;

    fn id(&self) -> Cow<'_, str> {
        self.node.as_str().into()
    }

    fn payload(&self) -> Element {
        Element::new("health", OFFER_NAMESPACE)
            .attr("node", &self.node)
            .attr("verdict", self.verdict.as_str())
            .attr("why", self.verdict.why())
    }

    fn read(id: &str, payload: &Element) -> Result<Self, ItemError> {
        let fields = Fields::of(payload, "health", OFFER_NAMESPACE)?;
        let why = || fields.read("why", Departure::parse);
        let verdict = match fields.text("verdict")? {
            "ok" => HealthVerdict::Ok,
            "suspect" => HealthVerdict::Suspect(why()?),
            "lost" => HealthVerdict::Lost(why()?),
            other => return Err(ItemError::Invalid { attribute: "verdict", value: other.to_owned() }),
        };
        fields.same_as_id("node", id)?;
        Ok(Self { node: fields.value("node")?, verdict })
    }
}
