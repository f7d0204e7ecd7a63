//! Stanzas from one component to another within a domain.

use convoke::{Component, Domain};
use convoke_counting_allocator as counting;
use convoke_xmpp::{Origin, Stanza};

use crate::clock::thread_time;
use crate::comparison::median;
use crate::report::Report;
use crate::{Effort, Error};

/// Stanzas per round: less than a mailbox holds.
const BATCH: usize = 2048;

/// Two components of one domain.
struct House {
    domain: Domain,
    sender: Component,
    receiver: Component,
}

/// One round: seconds and allocations for a whole batch, as far as they are counted.
struct Round {
    seconds: f64,
    allocations: u64,
}

impl House {
    async fn new() -> Result<Self, Error> {
        let domain = Domain::builder("a.example").start().await?;
        let (sender, receiver) = (domain.component("source")?, domain.component("sink")?);
        Ok(Self { domain, sender, receiver })
    }

    fn stanza(&self) -> Result<Stanza, Error> {
        let body = "x".repeat(300);
        let text = format!("<message to='sink@a.example' id='0001'><body>{body}</body></message>");
        Ok(Stanza::parse(&text)?.with_from(self.sender.jid()))
    }

    /// Hands a batch over by `hand_over`, then empties the mailbox.
    async fn round(&mut self, hand_over: impl Fn(&Self, Stanza) -> bool) -> Result<Round, Error> {
        let stanza = self.stanza()?;
        // What one stanza costs to copy is not what it costs to route.
        let batch = vec![stanza; BATCH];
        let start = thread_time();
        let (delivered, used) = counting::measure(|| batch.into_iter().all(|s| hand_over(self, s)));
        let seconds = (thread_time() - start).as_secs_f64();
        if !delivered {
            return Err("the mailbox is full".into());
        }
        for _ in 0..BATCH {
            self.receiver.receive().await.ok_or("the domain was shut down")?;
        }
        Ok(Round { seconds, allocations: used.allocations })
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Reports the time of `route` for a stanza to a local component, and of a component's `send`, which sets `from` too.
pub fn measure_time(effort: Effort, report: &mut Report) -> Result<(), Error> {
    let rounds = effort.choose(1, 200);
    let [route, send] = measure(rounds, |round| round.seconds * 1e9)?;
    report.figure("router: route, local", route, "ns/stanza");
    report.figure("router: send of a component, local", send, "ns/stanza");
    Ok(())
}

/// Reports the allocations of the same; the process has to allocate by the counting allocator.
pub fn measure_allocations(effort: Effort, report: &mut Report) -> Result<(), Error> {
    let rounds = effort.choose(1, 20);
    let [route, send] = measure(rounds, |round| round.allocations as f64)?;
    report.figure("router: route, local", route, "allocations/stanza");
    report.figure("router: send of a component, local", send, "allocations/stanza");
    Ok(())
}

/// The medians per stanza of route and of send.
fn measure(rounds: usize, of: impl Fn(&Round) -> f64) -> Result<[f64; 2], Error> {
    runtime()?.block_on(async {
        let mut house = House::new().await?;
        let router = house.domain.router();
        let route = |_: &House, stanza| router.route(stanza, &Origin::Local).is_ok();
        let send = |house: &House, stanza| house.sender.send(stanza).is_ok();
        // The first round grows the mailbox.
        house.round(route).await?;
        let (mut routes, mut sends) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            routes.push(of(&house.round(route).await?));
            sends.push(of(&house.round(send).await?));
        }
        Ok([routes, sends].map(|costs| median(costs) / BATCH as f64))
    })
}
