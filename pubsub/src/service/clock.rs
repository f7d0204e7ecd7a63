//! Where a service has its time from.

use std::time::{Instant, SystemTime};

/// Tells the time; a test has one of its own.
pub trait Clock: Send + Sync {
    /// The present moment, for pauses and deadlines.
    fn now(&self) -> Instant;

    /// The present time, for what is told to others and outlives the process.
    fn time(&self) -> SystemTime;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn time(&self) -> SystemTime {
        SystemTime::now()
    }
}
