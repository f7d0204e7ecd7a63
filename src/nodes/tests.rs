//! Nodes as their followers see them, at a service that is played, and at the real one.

mod documented;
mod played;
mod real;

use std::borrow::Cow;

use convoke_xmpp::Element;

use super::{Fields, ItemError, NodeItem};

/// How busy a machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Load {
    machine: String,
    percent: u8,
}

fn load(machine: &str, percent: u8) -> Load {
    Load { machine: machine.to_owned(), percent }
}

impl NodeItem for Load {
    const NODE: &'static str = "loads";

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
