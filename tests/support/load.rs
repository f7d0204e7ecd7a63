//! What is published where it does not matter what it is.

use std::borrow::Cow;

use convoke::nodes::{Fields, ItemError, NodeItem};
use convoke::xmpp::Element;

/// How busy a machine is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    pub(crate) machine: String,
    pub(crate) percent: u32,
}

impl NodeItem for Load {
    const NODE: &'static str = "loads";
    const OPTIONS: &'static [(&'static str, &'static str)] =
        &[("pubsub#persist_items", "1"), ("pubsub#max_items", "250"), ("pubsub#notify_retract", "1")];

    fn id(&self) -> Cow<'_, str> {
        (&*self.machine).into()
    }

    fn payload(&self) -> Element {
        Element::new("load", "urn:example:load").attr("percent", self.percent)
    }

    fn read(id: &str, payload: &Element) -> Result<Self, ItemError> {
        let fields = Fields::of(payload, "load", "urn:example:load")?;
        Ok(Self { machine: id.to_owned(), percent: fields.value("percent")? })
    }
}

pub(crate) fn load(machine: &str, percent: u32) -> Load {
    Load { machine: machine.to_owned(), percent }
}
