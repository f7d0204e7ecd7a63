//! Allocations and bytes, in a process of its own: counting them takes time that would not be what is measured.

use convoke_benches::report::Report;
use convoke_benches::{Effort, Error, routing, sessions};
use convoke_counting_allocator::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> Result<(), Error> {
    let effort = Effort::from_arguments();
    let mut report = Report::new("memory");
    routing::measure_allocations(effort, &mut report)?;
    sessions::measure(effort, &mut report)?;
    report.finish(effort);
    Ok(())
}
