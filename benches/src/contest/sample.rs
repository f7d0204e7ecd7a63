//! What a round shows: stanzas, time by the clock, CPU time of the server and of the generator, and latencies.

use std::time::{Duration, Instant};

use crate::clock::{process_time, process_time_of};
use crate::{Error, comparison};

/// What was seen in one round.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// Stanzas that were answered, or delivered.
    pub(crate) stanzas: usize,
    /// By the clock on the wall.
    pub(crate) seconds: f64,
    /// CPU time of the server.
    pub(crate) server: f64,
    /// CPU time of the generator.
    pub(crate) generator: f64,
    /// Milliseconds from a request to what it led to, in ascending order.
    pub(crate) latencies: Vec<f64>,
}

/// Clocks at the beginning of a round.
pub(crate) struct Meter {
    process: u32,
    began: Instant,
    server: Duration,
    generator: Duration,
}

impl Meter {
    /// Begins a round of the server with this process id.
    pub(crate) fn start(process: u32) -> Result<Self, Error> {
        let (server, generator) = (process_time_of(process)?, process_time());
        Ok(Self { process, began: Instant::now(), server, generator })
    }

    /// How long the round lasts already.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Ends the round, in which there were so many stanzas.
    pub(crate) fn stop(self, stanzas: usize, mut latencies: Vec<f64>) -> Result<Sample, Error> {
        latencies.sort_by(f64::total_cmp);
        Ok(Sample {
            stanzas,
            seconds: self.began.elapsed().as_secs_f64(),
            server: (process_time_of(self.process)? - self.server).as_secs_f64(),
            generator: (process_time() - self.generator).as_secs_f64(),
            latencies,
        })
    }
}

/// Rounds of one kind.
#[derive(Debug, Default)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

impl Samples {
    /// Microseconds of the server's CPU for one stanza, the median of the rounds.
    pub(crate) fn server(&self) -> f64 {
        self.median(|sample| sample.server / sample.stanzas as f64 * 1e6)
    }

    /// The same of the generator.
    pub(crate) fn generator(&self) -> f64 {
        self.median(|sample| sample.generator / sample.stanzas as f64 * 1e6)
    }

    /// Stanzas a second, the median of the rounds.
    pub(crate) fn rate(&self) -> f64 {
        self.median(|sample| sample.stanzas as f64 / sample.seconds)
    }

    /// Milliseconds within which so many of a hundred were there, the median of the rounds.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let of = |sample: &Sample| sample.latencies.get(sample.latencies.len() * percent / 100).copied();
        self.median(|sample| of(sample).unwrap_or_default())
    }

    fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        comparison::median(self.0.iter().map(of).collect())
    }
}
