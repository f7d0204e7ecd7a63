//! A monitor sees volunteers come, leave, crash and freeze; an entity of another domain reads its verdicts.
//!
//! `cargo run --example monitor`

mod support;

use std::time::Duration;

use convoke::cloud::{Monitor, MonitorConfig, MonitorEvent, Volunteer};
use convoke::nodes::{Health, HealthVerdict, Node, NodeEvent, Subscription, SubscriptionConfig};
use convoke::pubsub::PubSubConfig;
use convoke::xmpp::Jid;
use support::{PATIENCE, Result, Site};
use tokio::sync::broadcast;

#[tokio::main]
async fn main() -> Result<()> {
    let site = Site::new().await?;
    let home = site.lender("home.example", "lab.example").await?;
    let lab = site.domain("lab.example").await?;

    let pubsub = home.serve_pubsub(PubSubConfig::default())?;
    let config = MonitorConfig {
        // An example has little time: the defaults are 60 s and 20 s.
        ping_after: Duration::from_millis(200),
        ping_timeout: Duration::from_millis(500),
        publish_to: Some(pubsub.clone()),
        ..MonitorConfig::default()
    };
    let events = Monitor::start(&home, config)?.watch();

    // The reader lives in the other domain: subscription and notifications cross the federation.
    let console = lab.component("console")?;
    let mut verdicts = console.subscribe(&Node::<Health>::at(pubsub), SubscriptionConfig::default());
    // What is there comes first, and that is nothing yet.
    tokio::time::timeout(PATIENCE, verdicts.next()).await?;

    let join = |name| Volunteer::builder(&home, name, "desk").join();
    let (alice, bob, carol) = (join("alice")?, join("bob")?, join("carol")?);
    let reading = read(console.jid(), verdicts, alice.jid().clone());
    let watching = watch(events, alice, bob, carol);
    tokio::time::timeout(PATIENCE, async { tokio::try_join!(watching, reading) }).await??;

    lab.shutdown(PATIENCE).await;
    home.shutdown(PATIENCE).await;
    Ok(())
}

/// Prints what the monitor sees, and lets the three volunteers fail, each in its own way.
async fn watch(
    mut events: broadcast::Receiver<MonitorEvent>,
    alice: Volunteer,
    bob: Volunteer,
    carol: Volunteer,
) -> Result<()> {
    for _ in 0..3 {
        print(&events.recv().await?);
    }
    // A stopped process holds its session open and says nothing: only a ping finds it out.
    alice.pause();
    // A polite volunteer says goodbye.
    bob.leave().await;
    // Dropping a volunteer ends its session without a word, as a crash does.
    drop(carol);
    loop {
        let event = events.recv().await?;
        print(&event);
        match event {
            MonitorEvent::Suspect { node, .. } if node == *alice.jid() => alice.resume(),
            MonitorEvent::Recovered { node } if node == *alice.jid() => return Ok(()),
            _ => {}
        }
    }
}

fn print(event: &MonitorEvent) {
    match event {
        MonitorEvent::Joined { node, offer } => println!("monitor: {node} joined (cores: {})", offer.cores),
        MonitorEvent::Suspect { node, why } => println!("monitor: {node} is suspect ({})", why.as_str()),
        MonitorEvent::Recovered { node } => println!("monitor: {node} answers again"),
        MonitorEvent::Left { node, why } => println!("monitor: {node} left ({})", why.as_str()),
        _ => {}
    }
}

/// Prints verdicts until `last` is well again.
async fn read(reader: &Jid, mut verdicts: Subscription<Health>, last: Jid) -> Result<()> {
    while let Some(event) = verdicts.next().await {
        let NodeEvent::Published(Health { node, verdict }) = event else { continue };
        println!("{reader}: {node} is {} ({})", verdict.as_str(), verdict.why());
        if node == last && verdict == HealthVerdict::Ok {
            return Ok(());
        }
    }
    Err("the domain was shut down".into())
}
