//! Federation, beside Prosody and ejabberd: three processes that answer the same generator.
//!
//! All of them start afresh, with certificates (ECDSA P-256) of one authority, TLS 1.3, Nagle's algorithm off (which
//! ejabberd does not let one choose for the streams that it dials) and no limits of rate. They are measured in alternate
//! rounds, so that whatever disturbs one disturbs all:
//!
//! * CPU time of the server's process for a ping (XEP-0199) to its domain, which comes by a stream of the generator's and
//!   is answered by the one that the server has dialled: with `load::WINDOW` of them under way, and at one rate for all.
//! * The same for messages to somebody within: at a peer a client on plain TCP, who gets each of them; here a component in
//!   the process, which answers every `server::ACKNOWLEDGED`th by the stream back. These are not the same work, so
//!   there is no ratio of them.
//! * The time from TCP's connect to the features after SASL EXTERNAL, by STARTTLS and by direct TLS.
//!
//! The generator is this process: one thread, raw sockets and TLS, and no parser.

mod load;
mod setup;

use std::path::Path;
use std::time::Duration;

use convoke_dev::peers::{Service, Software};
use convoke_dev::{CertificateAuthority, LoopbackDns};
use tokio::time::sleep;

use self::load::Load;
use self::setup::Setups;
use crate::contest::{Contestant, Identity, Incoming, Line, Outgoing, Samples, Sink, calibrate, server};
use crate::report::{Report, load_average};
use crate::{Effort, Error};

/// Pings a second where all are offered the same: less than half of what the slowest can do.
const RATE: u32 = 1000;

/// Between two set-ups: a server is not to pay for what another one does after the end of a stream.
const REST: Duration = Duration::from_millis(30);

/// A message: what a chat is made of, and as long as in most published measurements.
const BODY: usize = 200;

/// How much of everything.
struct Extent {
    rounds: usize,
    /// One saturated round of one server.
    saturated: Duration,
    /// One round at [`RATE`].
    steady: Duration,
    connections: usize,
}

/// Measures everything and prints the table; `binary` is our server. To try it out, or with the argument `--alone`, which
/// is for whoever works on it, there are no peers.
///
/// Fails where a peer is not installed, and says what to install.
pub fn measure(effort: Effort, binary: &Path) -> Result<(), Error> {
    let extent = Extent {
        rounds: effort.choose(1, 5),
        saturated: Duration::from_millis(effort.choose(50, 2000)),
        steady: Duration::from_millis(effort.choose(50, 2000)),
        connections: effort.choose(2, 45),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(compare(effort, &extent, binary))
}

async fn compare(effort: Effort, extent: &Extent, binary: &Path) -> Result<(), Error> {
    let authority = CertificateAuthority::new("Benchmark CA")?;
    let dns = LoopbackDns::start("127.0.0.1:0".parse()?).await?;
    let mut contestants = vec![Contestant::ours(binary, &authority, &dns, None)?];
    if effort == Effort::Full && !std::env::args().any(|argument| argument == "--alone") {
        for software in Software::ALL {
            contestants.push(Contestant::peer(software, &authority, &dns, None).await?);
        }
    }
    println!("calibration: {:.0} ms", calibrate());
    let mut report = Report::new(&format!("federation, medians of {} alternate rounds", extent.rounds));
    contestants.iter().for_each(|contestant| println!("{}", contestant));
    let site = Site { authority, dns, contestants };
    let outcomes = site.run(extent).await?;
    site.tell(&mut report, &outcomes);
    report.finish(effort);
    println!("at the end: calibration {:.0} ms, load {}", calibrate(), load_average());
    Ok(())
}

/// All servers, and what they find each other by.
struct Site {
    authority: CertificateAuthority,
    dns: LoopbackDns,
    contestants: Vec<Contestant>,
}

/// What was seen of one server.
#[derive(Default)]
struct Outcome {
    pings: Samples,
    steady: Samples,
    messages: Samples,
    starttls: Setups,
    direct: Setups,
}

impl Site {
    async fn run(&self, extent: &Extent) -> Result<Vec<Outcome>, Error> {
        let mut outcomes: Vec<_> = self.contestants.iter().map(|_| Outcome::default()).collect();
        self.load_them(extent, &mut outcomes).await?;
        self.dial_them(extent, &mut outcomes).await?;
        Ok(outcomes)
    }

    async fn load_them(&self, extent: &Extent, outcomes: &mut [Outcome]) -> Result<(), Error> {
        let mut loads = Vec::new();
        for contestant in &self.contestants {
            loads.push((self.pings(contestant).await?, self.messages(contestant).await?));
        }
        for round in 0..=extent.rounds {
            for ((pings, messages), outcome) in loads.iter_mut().zip(&mut *outcomes) {
                let saturated = pings.saturate(extent.saturated).await?;
                let steady = pings.at_rate(RATE, extent.steady).await?;
                let messages = messages.saturate(extent.saturated).await?;
                // The first one only warms up.
                if round > 0 {
                    outcome.pings.0.push(saturated);
                    outcome.steady.0.push(steady);
                    outcome.messages.0.push(messages);
                }
            }
        }
        Ok(())
    }

    async fn dial_them(&self, extent: &Extent, outcomes: &mut [Outcome]) -> Result<(), Error> {
        let mut callers = Vec::new();
        for contestant in &self.contestants {
            callers.push(Identity::new(&format!("calls-{}", contestant.domain), &self.authority)?);
        }
        for _ in 0..extent.connections {
            for (index, contestant) in self.contestants.iter().enumerate() {
                let (caller, outcome) = (&callers[index], &mut outcomes[index]);
                sleep(REST).await;
                outcome.starttls.add(caller, contestant, Service::StartTls).await?;
                sleep(REST).await;
                outcome.direct.add(caller, contestant, Service::DirectTls).await?;
            }
        }
        Ok(())
    }

    async fn pings(&self, contestant: &Contestant) -> Result<Load, Error> {
        let line = self.line("pings", contestant).await?;
        let (from, to) = (&line.own.domain, &contestant.domain);
        let ping = format!("<iq type='get' id='@ID@' from='{from}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>");
        let (out, back) = both_ways(&line, contestant).await?;
        Load::new(contestant.process_id(), out, back, &ping, 1)
    }

    async fn messages(&self, contestant: &Contestant) -> Result<Load, Error> {
        let line = self.line("messages", contestant).await?;
        let message = |to: &str| {
            let body = "x".repeat(BODY);
            format!(
                "<message type='chat' id='@ID@' from='source@{}' to='{to}'><body>{body}</body></message>",
                line.own.domain
            )
        };
        let process = contestant.process_id();
        match contestant.sink().await? {
            Sink::Component { address } => {
                let message = message(&address);
                let (out, back) = both_ways(&line, contestant).await?;
                Load::new(process, out, back, &message, server::ACKNOWLEDGED)
            }
            Sink::Client { address, socket } => {
                Load::new(process, line.out(contestant, &contestant.domain).await?, socket, &message(&address), 1)
            }
        }
    }

    /// A domain of the generator for this purpose.
    async fn line(&self, purpose: &str, contestant: &Contestant) -> Result<Line, Error> {
        Line::new(&format!("{purpose}-{}", contestant.domain), &self.authority, &self.dns).await
    }

    fn tell(&self, report: &mut Report, outcomes: &[Outcome]) {
        report.columns(self.contestants.iter().map(|contestant| contestant.name));
        let (window, rate) = (load::WINDOW, RATE);
        load::tell(report, &format!("pings, {window} under way"), &each(outcomes, |outcome| &outcome.pings));
        load::tell(report, &format!("pings, {rate} a second"), &each(outcomes, |outcome| &outcome.steady));
        load::tell(report, "messages to somebody within", &each(outcomes, |outcome| &outcome.messages));
        println!("  of peers: a client on plain TCP, which gets each; ours: a component in the process, which answers");
        println!("  every {}th by the stream back", server::ACKNOWLEDGED);
        setup::tell(report, "set-up, STARTTLS", &each(outcomes, |outcome| &outcome.starttls));
        setup::tell(report, "set-up, direct TLS", &each(outcomes, |outcome| &outcome.direct));
        let [ours, theirs @ ..] = outcomes else { return };
        for (theirs, (cpu, setup)) in theirs.iter().zip(RATIOS) {
            report.ratio(cpu, theirs.pings.server() / ours.pings.server(), "10 or more");
            report.ratio(setup, theirs.starttls.median() / ours.starttls.median(), "1 or more");
        }
    }
}

/// A stream to the server, and the one that it dials to answer a first ping.
async fn both_ways(line: &Line, contestant: &Contestant) -> Result<(Outgoing, Incoming), Error> {
    let (from, to) = (&line.own.domain, &contestant.domain);
    let ping = format!("<iq type='get' id='first' from='{from}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>");
    line.both_ways(contestant, to, &ping).await
}

fn each<T>(outcomes: &[Outcome], part: impl Fn(&Outcome) -> &T) -> Vec<&T> {
    outcomes.iter().map(part).collect()
}

/// The ratios for each peer, in the order of [`Software::ALL`]: CPU time of a ping, and time of a set-up by STARTTLS.
const RATIOS: [(&str, &str); 2] =
    [("s2s_cpu_vs_prosody", "s2s_setup_vs_prosody"), ("s2s_cpu_vs_ejabberd", "s2s_setup_vs_ejabberd")];
