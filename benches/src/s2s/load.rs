//! Load on one server: requests by one stream, what they lead to by another, and what that costs the server.

use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Error;
use crate::contest::{Meter, Outgoing, Sample, Samples};
use crate::report::Report;

/// How many requests may be without an answer. All three servers hold as many without refusing any.
pub(super) const WINDOW: usize = 512;

/// Nothing takes as long to be answered.
const DEADLINE: Duration = Duration::from_secs(30);

/// How much is read at a time: four TLS records.
const READ_BYTES: usize = 64 * 1024;

/// Digits of an `id`.
const DIGITS: usize = 9;

/// What an `id` of ours begins with, behind the quote, which servers choose themselves.
const MARK: u8 = b'p';

/// What is behind `id=` until the end of an `id`: a quote, the mark and the digits.
const REST: usize = 2 + DIGITS;

/// Something to send again and again, and where its answers come.
pub(super) struct Load {
    out: Outgoing,
    back: Box<dyn AsyncRead + Unpin>,
    /// The text before and behind the digits of the `id`.
    template: (String, String),
    /// How many are sent together, and answered by one answer that has the last of their `id`s.
    together: usize,
    process: u32,
    sent: usize,
    answered: usize,
    /// When each of the last [`WINDOW`] was sent, by its number.
    times: Vec<Instant>,
    /// What has come and was not looked at yet: less than an answer.
    tail: Vec<u8>,
}

impl Load {
    /// `template` is a stanza with its `id` left out, where `@ID@` stands.
    pub(super) fn new(
        process: u32,
        out: Outgoing,
        back: impl AsyncRead + Unpin + 'static,
        template: &str,
        together: usize,
    ) -> Result<Self, Error> {
        let (before, behind) = template.split_once("@ID@").ok_or("a template without an id")?;
        let template = (format!("{before}{}", char::from(MARK)), behind.to_owned());
        let times = vec![Instant::now(); WINDOW];
        let back = Box::new(back);
        Ok(Self { out, back, template, together, process, sent: 0, answered: 0, times, tail: Vec::new() })
    }

    /// As many as the server can do, for so long: whenever answers have come, as many requests follow.
    pub(super) async fn saturate(&mut self, duration: Duration) -> Result<Sample, Error> {
        let (meter, answered) = (Meter::start(self.process)?, self.answered);
        let mut latencies = Vec::new();
        while meter.elapsed() < duration {
            let room = WINDOW - (self.sent - self.answered);
            self.send(room / self.together * self.together).await?;
            self.take(&mut latencies).await?;
        }
        self.drain(&mut latencies).await?;
        meter.stop(self.answered - answered, latencies)
    }

    /// So many a second, for so long, evenly; those that are late are made up for.
    pub(super) async fn at_rate(&mut self, rate: u32, duration: Duration) -> Result<Sample, Error> {
        let (meter, answered) = (Meter::start(self.process)?, self.answered);
        let mut latencies = Vec::new();
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut chunk = vec![0; READ_BYTES];
        while meter.elapsed() < duration {
            if self.sent - self.answered == WINDOW {
                self.take(&mut latencies).await?;
            }
            tokio::select! {
                biased;
                _ = ticks.tick() => self.send(1).await?,
                length = self.back.read(&mut chunk) => self.look_at(&chunk[..length?], &mut latencies)?,
            }
        }
        self.drain(&mut latencies).await?;
        meter.stop(self.answered - answered, latencies)
    }

    async fn drain(&mut self, latencies: &mut Vec<f64>) -> Result<(), Error> {
        while self.answered < self.sent {
            self.take(latencies).await?;
        }
        Ok(())
    }

    async fn send(&mut self, count: usize) -> Result<(), Error> {
        if count == 0 {
            return Ok(());
        }
        let (before, behind) = &self.template;
        let mut text = String::with_capacity(count * (before.len() + DIGITS + behind.len()));
        let now = Instant::now();
        for number in self.sent..self.sent + count {
            text.push_str(before);
            push_digits(&mut text, number);
            text.push_str(behind);
            self.times[number % WINDOW] = now;
        }
        self.sent += count;
        let writing = async {
            self.out.write_all(text.as_bytes()).await?;
            self.out.flush().await
        };
        Ok(timeout(DEADLINE, writing).await??)
    }

    async fn take(&mut self, latencies: &mut Vec<f64>) -> Result<(), Error> {
        let mut chunk = vec![0; READ_BYTES];
        let length = timeout(DEADLINE, self.back.read(&mut chunk)).await;
        let length = length.map_err(|_| format!("{} requests have no answer", self.sent - self.answered))??;
        self.look_at(&chunk[..length], latencies)
    }

    fn look_at(&mut self, chunk: &[u8], latencies: &mut Vec<f64>) -> Result<(), Error> {
        let now = Instant::now();
        self.tail.extend_from_slice(chunk);
        if chunk.is_empty() || memmem::find(&self.tail, b"error").is_some() {
            return Err(format!("no answer, but {:?}", String::from_utf8_lossy(&self.tail)).into());
        }
        let mut looked = 0;
        for found in memmem::find_iter(&self.tail, b"id=") {
            let Some(rest) = self.tail.get(found + 3..found + 3 + REST) else { break };
            looked = found + 3 + REST;
            if let Some(number) = number(rest) {
                self.answered += self.together;
                latencies.push((now - self.times[number % WINDOW]).as_secs_f64() * 1e3);
            }
        }
        if self.answered > self.sent {
            return Err("more answers than requests".into());
        }
        // What is left may end in the middle of an `id`.
        let kept = looked.max(self.tail.len().saturating_sub(3 + REST));
        self.tail.drain(..kept);
        Ok(())
    }
}

/// The number of an `id` of ours: `rest` begins at its quote.
fn number(rest: &[u8]) -> Option<usize> {
    let [_quote, MARK, digits @ ..] = rest else { return None };
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0')))
}

fn push_digits(text: &mut String, number: usize) {
    let mut unit = 10_usize.pow(DIGITS as u32 - 1);
    while unit > 0 {
        text.push(char::from(b'0' + (number / unit % 10) as u8));
        unit /= 10;
    }
}

/// Tells what was seen of each server.
pub(super) fn tell(report: &mut Report, name: &str, of_each: &[&Samples]) {
    let mut row = |figure: &str, of: &dyn Fn(&Samples) -> f64, unit: &str| {
        report.row(&format!("{name}: {figure}"), of_each.iter().map(|samples| of(samples)), unit);
    };
    row("server", &Samples::server, "us CPU/stanza");
    row("generator", &Samples::generator, "us CPU/stanza");
    row("rate", &Samples::rate, "stanzas/s");
    row("p50", &|samples| samples.percentile(50), "ms");
    row("p99", &|samples| samples.percentile(99), "ms");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_in_as_many_digits_as_are_looked_for() {
        let mut text = String::from("'p");
        push_digits(&mut text, 1_207);
        assert_eq!(text.len(), REST);
        assert_eq!(number(text.as_bytes()), Some(1_207));
        assert_eq!(number(b"'x000000001"), None);
    }
}
