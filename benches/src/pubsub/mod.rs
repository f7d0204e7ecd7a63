//! Publish-subscribe, beside Prosody's mod_pubsub and ejabberd's: what one publisher publishes is told to many subscribers.
//!
//! Publisher and subscribers live in one domain of the generator's, behind one stream in each direction, as a remote domain
//! does. All services start afresh in every round (Prosody gets slower with age), one at a time, with certificates of one
//! authority, TLS 1.3, Nagle's algorithm off and no limits of rate. Their nodes are set up alike, by the same form: open,
//! payloads delivered, nothing kept on disk, one item at most. A payload has `fan_out::PAYLOAD` bytes.
//!
//! * Nodes of 10, 100 and 1,000 subscribers: as many publishes as the service can do, with a fixed number of deliveries
//!   under way, and its CPU time for one delivery.
//! * 100 subscribers, offered the same to all: how long after a publish its notifications are here.
//! * One subscriber, of a service of ours with a store: publishes that are durable before anybody is told, one at a time and
//!   many under way, beside what the same disk can do.
//!
//! The generator is this process: one thread, raw sockets and TLS, and no parser.

mod durable;
mod fan_out;

use std::path::Path;
use std::time::Duration;

use convoke_dev::peers::Software;
use convoke_dev::{CertificateAuthority, LoopbackDns};

use self::durable::Durable;
use self::fan_out::FanOut;
use crate::contest::{Contestant, Line, Samples, calibrate};
use crate::report::{Report, load_average};
use crate::{Effort, Error};

/// How many subscribers a node has.
const SUBSCRIBERS: [usize; 3] = [10, 100, 1000];

/// How many deliveries are under way where a service does as much as it can; at least two publishes are, so that none waits
/// for the generator.
const WINDOW: usize = 1000;

/// The node of these is that of the ratios, and of the latencies.
const COMPARED: usize = 1;

/// Publishes a second to the node of 100 where all are offered the same: a third of what the slowest can do.
const RATE: u32 = 10;

/// In the order of the table; ours is first.
const CONTESTANTS: [Option<Software>; 3] = [None, Some(Software::Prosody), Some(Software::Ejabberd)];

/// The ratios for each peer, in the order of [`CONTESTANTS`]: CPU time of a delivery to one of 100 subscribers.
const RATIOS: [&str; 2] = ["pubsub_cpu_vs_prosody", "pubsub_cpu_vs_ejabberd"];

/// The domain of the generator.
const REMOTE: &str = "subscribers.lan";

/// How much of everything.
struct Extent {
    rounds: usize,
    /// Before what counts, at each node.
    warm_up: Duration,
    /// As many as it can, at each node.
    saturated: Duration,
    /// At [`RATE`].
    steady: Duration,
}

/// Measures everything and prints the table; `binary` is our server. To try it out, or with the argument `--alone`, which
/// is for whoever works on it, there are no peers; with `--brief` there is one round.
///
/// Fails where a peer is not installed, and says what to install.
pub fn measure(effort: Effort, binary: &Path) -> Result<(), Error> {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    let extent = Extent {
        rounds: if asked("--brief") { 1 } else { effort.choose(1, 5) },
        warm_up: Duration::from_millis(effort.choose(20, 400)),
        saturated: Duration::from_millis(effort.choose(50, 2000)),
        steady: Duration::from_millis(effort.choose(200, 3000)),
    };
    let peers = effort == Effort::Full && !asked("--alone");
    let contestants = if peers { &CONTESTANTS[..] } else { &CONTESTANTS[..1] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(compare(effort, &extent, contestants, binary))
}

async fn compare(
    effort: Effort,
    extent: &Extent,
    contestants: &[Option<Software>],
    binary: &Path,
) -> Result<(), Error> {
    println!("calibration: {:.0} ms", calibrate());
    let mut report = Report::new(&format!("publish-subscribe, medians of {} alternate rounds", extent.rounds));
    let mut outcomes: Vec<_> = contestants.iter().map(|_| Outcome::default()).collect();
    let mut durable = Durable::default();
    for _ in 0..extent.rounds {
        for (software, outcome) in contestants.iter().zip(&mut outcomes) {
            round(*software, extent, binary, outcome).await?;
        }
        durable.round(binary, extent.saturated).await?;
    }
    tell(&mut report, &outcomes);
    durable.tell(&mut report);
    report.finish(effort);
    println!("at the end: calibration {:.0} ms, load {}", calibrate(), load_average());
    Ok(())
}

/// What was seen of one service.
#[derive(Default)]
struct Outcome {
    /// Which it is.
    name: &'static str,
    version: String,
    /// As many as it can, for each number of subscribers.
    saturated: [Samples; SUBSCRIBERS.len()],
    /// At [`RATE`].
    steady: Samples,
}

/// A fresh service, and all that is measured of it.
async fn round(software: Option<Software>, extent: &Extent, binary: &Path, outcome: &mut Outcome) -> Result<(), Error> {
    let authority = CertificateAuthority::new("Benchmark CA")?;
    let dns = LoopbackDns::start("127.0.0.1:0".parse()?).await?;
    let owner = format!("{}@{REMOTE}", fan_out::PUBLISHER);
    let contestant = match software {
        None => Contestant::ours(binary, &authority, &dns, None)?,
        Some(software) => Contestant::peer(software, &authority, &dns, Some(&owner)).await?,
    };
    let line = Line::new(REMOTE, &authority, &dns).await?;
    (outcome.name, outcome.version) = (contestant.name, contestant.version.clone());
    let mut service = FanOut::new(&contestant, &line).await?;
    for (index, subscribers) in SUBSCRIBERS.into_iter().enumerate() {
        let window = (WINDOW / subscribers).max(2);
        service.begin(subscribers, false).await?;
        service.saturate(window, extent.warm_up).await?;
        outcome.saturated[index].0.push(service.saturate(window, extent.saturated).await?);
        if index == COMPARED {
            outcome.steady.0.push(service.at_rate(RATE, extent.steady).await?);
        }
    }
    Ok(())
}

fn tell(report: &mut Report, outcomes: &[Outcome]) {
    outcomes.iter().for_each(|outcome| println!("{} {}", outcome.name, outcome.version));
    report.columns(outcomes.iter().map(|outcome| outcome.name));
    for (index, subscribers) in SUBSCRIBERS.into_iter().enumerate() {
        let mut row = |figure: &str, of: &dyn Fn(&Samples) -> f64, unit: &str| {
            let values = outcomes.iter().map(|outcome| of(&outcome.saturated[index]));
            report.row(&format!("{subscribers} subscribers: {figure}"), values, unit);
        };
        row("server", &Samples::server, "us CPU/delivery");
        row("generator", &Samples::generator, "us CPU/delivery");
        row("deliveries per CPU second", &|samples| 1e6 / samples.server(), "");
        row("publish rate", &|samples| samples.rate() / subscribers as f64, "publishes/s");
    }
    let name = format!("{} subscribers, {RATE} publishes/s", SUBSCRIBERS[COMPARED]);
    let mut row = |figure: &str, of: &dyn Fn(&Samples) -> f64, unit: &str| {
        report.row(&format!("{name}: {figure}"), outcomes.iter().map(|outcome| of(&outcome.steady)), unit);
    };
    row("server", &Samples::server, "us CPU/delivery");
    row("p50", &|samples| samples.percentile(50), "ms");
    row("p99", &|samples| samples.percentile(99), "ms");
    let [ours, theirs @ ..] = outcomes else { return };
    let cost = |outcome: &Outcome| outcome.saturated[COMPARED].server();
    for (theirs, name) in theirs.iter().zip(RATIOS) {
        report.ratio(name, cost(theirs) / cost(ours), "10 or more");
    }
}
