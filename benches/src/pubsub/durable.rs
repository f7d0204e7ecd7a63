//! What is durable before anybody is told of it, beside what the same disk can do.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use convoke_dev::{CertificateAuthority, LoopbackDns};

use super::REMOTE;
use super::fan_out::{FanOut, REMEMBERED};
use crate::Error;
use crate::comparison::median;
use crate::contest::{Contestant, Line, Samples};
use crate::report::Report;

/// What is written at a time where only the disk is measured: about as much as an item.
const WRITTEN: [u8; 1024] = [b'x'; 1024];

/// Our service with a store, whose node has one subscriber.
#[derive(Default)]
pub(super) struct Durable {
    /// How often a second the disk makes something durable that was appended to a file.
    disk: Vec<f64>,
    /// One publish at a time.
    alone: Samples,
    /// As many as a generator can tell apart.
    together: Samples,
}

impl Durable {
    /// A fresh service with an empty store, on the disk where the binary is.
    pub(super) async fn round(&mut self, binary: &Path, duration: Duration) -> Result<(), Error> {
        let store = tempfile::tempdir_in(binary.parent().ok_or("a binary without a directory")?)?;
        self.disk.push(disk_rate(store.path(), duration / 2)?);
        let authority = CertificateAuthority::new("Benchmark CA")?;
        let dns = LoopbackDns::start("127.0.0.1:0".parse()?).await?;
        let contestant = Contestant::ours(binary, &authority, &dns, Some(store.path()))?;
        let line = Line::new(REMOTE, &authority, &dns).await?;
        let mut service = FanOut::new(&contestant, &line).await?;
        service.begin(1, true).await?;
        self.alone.0.push(service.saturate(1, duration).await?);
        self.together.0.push(service.saturate(REMEMBERED, duration).await?);
        Ok(())
    }

    /// Tells what was seen.
    pub(super) fn tell(&self, report: &mut Report) {
        let disk = median(self.disk.clone());
        report.figure("the disk alone: append and fdatasync", disk, "a second");
        for (name, samples) in [("one at a time", &self.alone), ("256 under way", &self.together)] {
            report.figure(&format!("durable, {name}: publish rate"), samples.rate(), "publishes/s");
            report.figure(&format!("durable, {name}: server"), samples.server(), "us CPU/publish");
            report.figure(&format!("durable, {name}: p50"), samples.percentile(50), "ms");
            report.figure(&format!("durable, {name}: p99"), samples.percentile(99), "ms");
        }
        report.ratio("pubsub_durable_vs_fsync", self.together.rate() / disk, "more than 1: commits are shared");
    }
}

/// How often a second something appended to a file in this directory becomes durable.
fn disk_rate(directory: &Path, duration: Duration) -> Result<f64, Error> {
    let mut file = File::create(directory.join("appended"))?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < duration {
        file.write_all(&WRITTEN)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
