//! A service under load: publishes by one stream, notifications by another, and what they cost the service.

use std::time::{Duration, Instant};

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::Error;
use crate::contest::{Contestant, Incoming, Line, Meter, Outgoing, Sample};

/// Who publishes, and owns all nodes.
pub(super) const PUBLISHER: &str = "publisher";

/// Bytes of a payload, as it is written.
pub(super) const PAYLOAD: usize = 500;

/// Publishes whose time is remembered: as many as are ever under way.
pub(super) const REMEMBERED: usize = 256;

/// Nothing takes as long.
const DEADLINE: Duration = Duration::from_secs(30);

/// How much is read at a time: four TLS records.
const READ_BYTES: usize = 64 * 1024;

/// What stands ahead of the number of a publish, in its payload.
const MARK: &[u8] = b"number='";

/// Digits of such a number.
const DIGITS: usize = 9;

/// A service, and its node under load.
pub(super) struct FanOut {
    process: u32,
    out: Outgoing,
    back: Incoming,
    remote: String,
    service: String,
    node: String,
    subscribers: usize,
    published: usize,
    /// To all nodes so far, and how many there have to be.
    delivered: usize,
    expected: usize,
    /// When each of the last was published, by its number.
    times: Vec<Instant>,
    /// What has come and was not looked at yet: less than a mark with its number.
    tail: Vec<u8>,
}

impl FanOut {
    /// Streams in both directions, and no node yet.
    pub(super) async fn new(contestant: &Contestant, line: &Line) -> Result<Self, Error> {
        let (domain, service) = contestant.pubsub();
        let remote = line.own.domain.clone();
        let hello = format!(
            "<iq type='get' id='begin-hello' from='{PUBLISHER}@{remote}' to='{service}'>\
             <query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        );
        let (out, back) = line.both_ways(contestant, &domain, &hello).await?;
        let mut fan_out = Self {
            process: contestant.process_id(),
            out,
            back,
            remote,
            service,
            node: String::new(),
            subscribers: 0,
            published: 0,
            delivered: 0,
            expected: 0,
            times: vec![Instant::now(); REMEMBERED],
            tail: Vec::new(),
        };
        fan_out.results(1).await?;
        Ok(fan_out)
    }

    /// Makes a node with so many subscribers, whose items are kept or not, and turns to it.
    pub(super) async fn begin(&mut self, subscribers: usize, are_kept: bool) -> Result<(), Error> {
        (self.node, self.subscribers) = (format!("of-{subscribers}"), subscribers);
        let node = &self.node;
        let create = format!("<create node='{node}'/><configure>{}</configure>", node_configuration(are_kept));
        self.send(&self.request(PUBLISHER, "begin-create", &create)).await?;
        self.results(1).await?;
        let subscribe = |number: usize| {
            let name = format!("subscriber-{number}");
            let subscribe = format!("<subscribe node='{}' jid='{name}@{}'/>", self.node, self.remote);
            self.request(&name, &format!("begin-{number}"), &subscribe)
        };
        let requests: String = (0..subscribers).map(subscribe).collect();
        self.send(&requests).await?;
        self.results(subscribers).await
    }

    /// As many publishes as the service can do, for so long: so many are under way, at most [`REMEMBERED`].
    pub(super) async fn saturate(&mut self, window: usize, duration: Duration) -> Result<Sample, Error> {
        let (meter, delivered) = (Meter::start(self.process)?, self.delivered);
        let mut latencies = Vec::new();
        while meter.elapsed() < duration {
            let under_way = (self.expected - self.delivered).div_ceil(self.subscribers);
            self.publish(window.saturating_sub(under_way)).await?;
            self.take(&mut latencies).await?;
        }
        self.drain(&mut latencies).await?;
        meter.stop(self.delivered - delivered, latencies)
    }

    /// So many publishes a second, for so long, evenly; those that are late are made up for.
    pub(super) async fn at_rate(&mut self, rate: u32, duration: Duration) -> Result<Sample, Error> {
        let (meter, delivered) = (Meter::start(self.process)?, self.delivered);
        let mut latencies = Vec::new();
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut chunk = vec![0; READ_BYTES];
        while meter.elapsed() < duration {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.publish(1).await?,
                length = self.back.read(&mut chunk) => self.look_at(&chunk[..length?], &mut latencies)?,
            }
        }
        self.drain(&mut latencies).await?;
        meter.stop(self.delivered - delivered, latencies)
    }

    async fn publish(&mut self, count: usize) -> Result<(), Error> {
        let now = Instant::now();
        let mut text = String::new();
        for number in self.published..self.published + count {
            self.times[number % REMEMBERED] = now;
            let item = format!("<item id='current'>{}</item>", payload(number));
            let publish = format!("<publish node='{}'>{item}</publish>", self.node);
            text.push_str(&self.request(PUBLISHER, &format!("p{number}"), &publish));
        }
        self.published += count;
        self.expected += count * self.subscribers;
        self.send(&text).await
    }

    async fn drain(&mut self, latencies: &mut Vec<f64>) -> Result<(), Error> {
        while self.delivered < self.expected {
            self.take(latencies).await?;
        }
        Ok(())
    }

    async fn take(&mut self, latencies: &mut Vec<f64>) -> Result<(), Error> {
        let mut chunk = vec![0; READ_BYTES];
        let length = timeout(DEADLINE, self.back.read(&mut chunk)).await;
        let missing = self.expected - self.delivered;
        let length = length.map_err(|_| format!("{missing} notifications do not come from {}", self.service))??;
        self.look_at(&chunk[..length], latencies)
    }

    fn look_at(&mut self, chunk: &[u8], latencies: &mut Vec<f64>) -> Result<(), Error> {
        let now = Instant::now();
        self.tail.extend_from_slice(chunk);
        if chunk.is_empty() || memmem::find(&self.tail, b"error").is_some() {
            return Err(format!("no notifications, but {:?}", String::from_utf8_lossy(&self.tail)).into());
        }
        let mut looked = 0;
        for found in marks(&self.tail) {
            let Some(digits) = self.tail.get(found..found + DIGITS) else { break };
            looked = found + DIGITS;
            let number: usize = std::str::from_utf8(digits)?.parse()?;
            self.delivered += 1;
            latencies.push((now - self.times[number % REMEMBERED]).as_secs_f64() * 1e3);
        }
        if self.delivered > self.expected {
            return Err("more notifications than subscribers".into());
        }
        // What is left may end in the middle of a mark.
        let kept = looked.max(self.tail.len().saturating_sub(MARK.len() + DIGITS));
        self.tail.drain(..kept);
        Ok(())
    }

    /// Waits for the beginnings of so many answers to requests that are not publishes, all of them results.
    async fn results(&mut self, count: usize) -> Result<(), Error> {
        let mut heard = Vec::new();
        while answers(&heard) < count {
            let mut chunk = vec![0; READ_BYTES];
            let length = timeout(DEADLINE, self.back.read(&mut chunk)).await??;
            heard.extend_from_slice(&chunk[..length]);
            if length == 0 || memmem::find(&heard, b"error").is_some() {
                return Err(format!("{} refuses: {}", self.service, String::from_utf8_lossy(&heard)).into());
            }
        }
        Ok(())
    }

    async fn send(&mut self, text: &str) -> Result<(), Error> {
        let writing = async {
            self.out.write_all(text.as_bytes()).await?;
            self.out.flush().await
        };
        Ok(timeout(DEADLINE, writing).await??)
    }

    /// A request of somebody in the generator's domain.
    fn request(&self, name: &str, id: &str, content: &str) -> String {
        let (remote, service) = (&self.remote, &self.service);
        let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{content}</pubsub>");
        format!("<iq type='set' id='{id}' from='{name}@{remote}' to='{service}'>{pubsub}</iq>")
    }
}

/// Servers choose the quotes of an attribute themselves.
fn answers(text: &[u8]) -> usize {
    [b"id='begin-", b"id=\"begin-"].map(|id| memmem::find_iter(text, id).count()).iter().sum()
}

/// The same for all services (XEP-0060, section 16.4.3).
fn node_configuration(are_kept: bool) -> String {
    let field = |name: &str, value: &str| format!("<field var='{name}'><value>{value}</value></field>");
    let settings = [
        ("FORM_TYPE", "http://jabber.org/protocol/pubsub#node_config"),
        ("pubsub#access_model", "open"),
        ("pubsub#deliver_payloads", "1"),
        ("pubsub#max_items", "1"),
        ("pubsub#persist_items", if are_kept { "1" } else { "0" }),
        ("pubsub#send_last_published_item", "never"),
    ];
    let fields: String = settings.map(|(name, value)| field(name, value)).concat();
    format!("<x xmlns='jabber:x:data' type='submit'>{fields}</x>")
}

/// [`PAYLOAD`] bytes that name the number.
fn payload(number: usize) -> String {
    let (begin, end) = (format!("<load xmlns='urn:example:load' number='{number:0DIGITS$}'>"), "</load>");
    let filling = "x".repeat(PAYLOAD - begin.len() - end.len());
    format!("{begin}{filling}{end}")
}

/// Where the numbers begin: servers choose the quotes of an attribute themselves.
fn marks(text: &[u8]) -> impl Iterator<Item = usize> {
    let name = &MARK[..MARK.len() - 1];
    memmem::find_iter(text, name).map(|found| found + MARK.len()).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_as_long_as_said_and_names_its_number_where_it_is_looked_for() {
        let payload = payload(1_207);
        assert_eq!(payload.len(), PAYLOAD);
        for text in [payload.clone(), payload.replace('\'', "\"")] {
            let found: Vec<_> = marks(text.as_bytes()).collect();
            assert_eq!(found.len(), 1);
            assert_eq!(&text[found[0]..found[0] + DIGITS], "000001207");
        }
    }
}
