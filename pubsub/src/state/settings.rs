//! What is configured, as records hold it: fields by name, with their values.
//!
//! A field that is missing has its default, so that fields may be added without another format.

use super::{Damage, Reader, Stored, Writer};
use crate::config::{Configured, NodeConfig, SubscriptionOptions};

impl Stored for NodeConfig {
    fn write(&self, out: &mut Writer) {
        out.fields(self.values());
    }

    fn read(from: &mut Reader) -> Result<Self, Damage> {
        read(from)
    }
}

impl Stored for SubscriptionOptions {
    fn write(&self, out: &mut Writer) {
        out.fields(self.values());
    }

    fn read(from: &mut Reader) -> Result<Self, Damage> {
        read(from)
    }
}

fn read<T: Configured + Default>(from: &mut Reader) -> Result<T, Damage> {
    let mut configured = T::default();
    for (name, values) in from.fields()? {
        configured.set(&name, &values).map_err(|_| Damage)?;
    }
    Ok(configured)
}
