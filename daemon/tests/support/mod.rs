//! Running the binary: a directory with everything that a daemon needs, the commands, and daemons under way.

mod http;
mod served;
mod site;

pub(crate) use http::{Connection, request};
pub(crate) use served::Served;
pub(crate) use site::{Site, configuration, convoke};

use std::time::Duration;

/// Longer than anything takes that a test waits for; only a failure waits as long.
pub(crate) const SOON: Duration = Duration::from_secs(30);
