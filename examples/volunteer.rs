//! Volunteers of one domain work for a holder in another: join, lease, order, result, release, over real s2s streams.
//!
//! `cargo run --example volunteer`
//!
//! The holder is written out here to show what goes over the wire; `scheduler.rs` does all of this by itself.

mod support;

use async_trait::async_trait;
use convoke::cloud::lease::LeaseRef;
use convoke::cloud::task::{self, Attempt, Verdict};
use convoke::cloud::{LeaseClient, Offer, Task, TaskError, Volunteer, Worker};
use convoke::xmpp::{Jid, Stanza};
use convoke::{Component, Domain};
use support::{PATIENCE, Result, Site};

/// What a volunteer can do: the prime factors of a number.
struct Factors;

#[async_trait]
impl Worker for Factors {
    async fn run(&self, task: Task) -> std::result::Result<String, TaskError> {
        // An error of this kind says that the task is at fault, not the volunteer.
        let number: u64 = task.input.parse().map_err(|_| TaskError::Input(task.input))?;
        // What keeps the processor busy belongs on a thread of its own: the session must go on answering pings.
        let factors = tokio::task::spawn_blocking(move || factors(number)).await;
        factors.map_err(|error| TaskError::Resource(error.to_string()))
    }
}

fn factors(mut number: u64) -> String {
    let mut found = Vec::new();
    let mut divisor = 2;
    while number > 1 {
        if divisor * divisor > number {
            divisor = number;
        }
        if number.is_multiple_of(divisor) {
            found.push(divisor.to_string());
            number /= divisor;
        } else {
            divisor += 1;
        }
    }
    found.join(" * ")
}

#[tokio::main]
async fn main() -> Result<()> {
    let site = Site::new().await?;
    let home = site.lender("home.example", "lab.example").await?;
    let lab = site.domain("lab.example").await?;

    let offer = Offer { cores: 2, memory: 1 << 30 };
    let join = |name| Volunteer::builder(&home, name, "desk").offer(offer.clone()).worker("factors", Factors).join();
    let volunteers = ["alice", "bob", "carol"].into_iter().map(join).collect::<std::result::Result<Vec<_>, _>>()?;

    tokio::time::timeout(PATIENCE, hold(&lab, &["8051", "1000000007", "31324703"])).await??;

    for volunteer in volunteers {
        let name = volunteer.jid().clone();
        println!("{name} says goodbye; results that got a verdict: {}", volunteer.leave().await.done);
    }
    for link in lab.federation().iter().flat_map(|federation| federation.statistics()) {
        println!("{} and {}: {} stanzas out, {} in", link.local, link.remote, link.stanzas_out, link.stanzas_in);
    }
    lab.shutdown(PATIENCE).await;
    home.shutdown(PATIENCE).await;
    Ok(())
}

/// Leases a node for each number, has them all factored, and gives the nodes back.
async fn hold(lab: &Domain, numbers: &[&str]) -> Result<()> {
    let mut holder = lab.component("holder")?;
    let manager = LeaseClient::new(holder.handle(), "resources@home.example".parse()?, PATIENCE);
    let held = manager.request("first", u32::try_from(numbers.len())?, None).await?;
    let lease = held.grant.lease;
    println!("{} lent {} nodes under epoch {}", manager.manager(), held.grant.nodes.len(), lease.epoch);

    for (node, number) in held.grant.nodes.iter().zip(numbers) {
        order(&holder, node, &lease, number).await?;
    }
    for _ in numbers {
        println!("{}", take_result(&mut holder).await?);
    }
    Ok(manager.release(&lease).await?)
}

/// Gives one number to one node. The answer comes when the order is accepted, not when it is done.
async fn order(holder: &Component, node: &Jid, lease: &LeaseRef, number: &str) -> Result<()> {
    let task = Task { id: number.to_owned(), kind: "factors".to_owned(), input: number.to_owned() };
    let attempt = Attempt { batch: "numbers".to_owned(), task: task.id.clone(), number: 1, lease: lease.clone() };
    holder.set(node, task::assign(&attempt, &task), PATIENCE).await?;
    Ok(())
}

/// Waits for a result and confirms it: until the verdict comes, the volunteer keeps the result and sends it again.
async fn take_result(holder: &mut Component) -> Result<String> {
    while let Some((stanza, _origin)) = holder.receive().await {
        if let Some(payload) = stanza.payload().filter(|_| stanza.has_payload("result", task::NAMESPACE)) {
            let (attempt, outcome) = task::result_from_element(&payload)?;
            holder.reply(&stanza, Ok(Some(task::ack(&attempt, Verdict::Committed))));
            return Ok(format!("{} = {}, says {}", attempt.task, outcome?, sender(&stanza)));
        }
    }
    Err("the domain was shut down".into())
}

fn sender(stanza: &Stanza) -> &str {
    stanza.from().map_or("nobody", |from| from.as_str())
}
