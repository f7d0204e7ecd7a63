//! Readers, router and relay: `cargo xtask bench core`.

use convoke_benches::report::Report;
use convoke_benches::{Effort, Error, readers, relay, routing};

fn main() -> Result<(), Error> {
    let effort = Effort::from_arguments();
    let mut report = Report::new("time, medians of alternate rounds");
    readers::measure(effort, &mut report)?;
    routing::measure_time(effort, &mut report)?;
    relay::measure(effort, &mut report)?;
    report.finish(effort);
    Ok(())
}
