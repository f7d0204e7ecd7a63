//! Two domains share how busy their machines are: each machine publishes its load at home, and a console of the other domain
//! follows it.
//!
//! `cargo run --example shared_load`

mod support;

use std::borrow::Cow;

use convoke::nodes::{Fields, ItemError, Node, NodeEvent, NodeItem, Subscription, SubscriptionConfig};
use convoke::pubsub::PubSubConfig;
use convoke::xmpp::Element;
use convoke::{Component, Domain};
use support::{PATIENCE, Result, Site};

/// How busy a machine is: the items of our node.
#[derive(Debug, Clone, PartialEq)]
struct Load {
    machine: String,
    percent: u8,
}

impl NodeItem for Load {
    const NODE: &'static str = "urn:example:loads";

    /// There is one item for each machine; a newer figure replaces the older one.
    fn id(&self) -> Cow<'_, str> {
        (&*self.machine).into()
    }

    fn payload(&self) -> Element {
        Element::new("load", "urn:example:load:0").attr("percent", self.percent)
    }

    fn read(id: &str, payload: &Element) -> std::result::Result<Self, ItemError> {
        let fields = Fields::of(payload, "load", "urn:example:load:0")?;
        Ok(Self { machine: id.to_owned(), percent: fields.value("percent")? })
    }
}

/// A domain with a node of loads, and somebody there who publishes them.
struct House {
    domain: Domain,
    loads: Node<Load>,
    meter: Component,
}

impl House {
    async fn open(site: &Site, name: &str) -> Result<Self> {
        let domain = site.domain(name).await?;
        let loads = Node::at(domain.serve_pubsub(PubSubConfig::default())?);
        let meter = domain.component("meter")?;
        meter.create_node(&loads, PATIENCE).await?;
        Ok(Self { domain, loads, meter })
    }

    async fn publish(&self, machine: &str, percent: u8) -> Result<()> {
        let load = Load { machine: machine.to_owned(), percent };
        Ok(self.meter.publish(&self.loads, &load, PATIENCE).await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let site = Site::new().await?;
    let (lab, home) = (House::open(&site, "lab.example").await?, House::open(&site, "home.example").await?);
    lab.publish("cluster", 97).await?;
    home.publish("desk", 12).await?;
    home.publish("attic", 3).await?;

    // Each watches the other: subscriptions and notifications cross the federation in both directions.
    let (at_home, in_lab) = (home.domain.component("console")?, lab.domain.component("console")?);
    let mut of_lab = at_home.subscribe(&lab.loads, SubscriptionConfig::default());
    let mut of_home = in_lab.subscribe(&home.loads, SubscriptionConfig::default());
    // What is there comes first.
    tokio::time::timeout(PATIENCE, async {
        print(&at_home, &of_lab.next().await);
        print(&in_lab, &of_home.next().await);
    })
    .await?;

    lab.publish("cluster", 41).await?;
    home.publish("desk", 88).await?;
    // These machines are switched off.
    lab.meter.retract(&lab.loads, "cluster", PATIENCE).await?;
    home.meter.retract(&home.loads, "attic", PATIENCE).await?;
    let watching = async { tokio::join!(watch(&at_home, of_lab), watch(&in_lab, of_home)) };
    tokio::time::timeout(PATIENCE, watching).await?;

    lab.domain.shutdown(PATIENCE).await;
    home.domain.shutdown(PATIENCE).await;
    Ok(())
}

/// Prints every change until a machine is switched off.
async fn watch(console: &Component, mut loads: Subscription<Load>) {
    loop {
        let event = loads.next().await;
        print(console, &event);
        if matches!(event, None | Some(NodeEvent::Retracted(_))) {
            return;
        }
    }
}

fn print(console: &Component, event: &Option<NodeEvent<Load>>) {
    let reader = console.jid();
    match event {
        Some(NodeEvent::Snapshot(loads)) => {
            let machines: Vec<_> = loads.iter().map(|load| format!("{} at {} %", load.machine, load.percent)).collect();
            println!("{reader} sees {}", machines.join(" and "));
        }
        Some(NodeEvent::Published(load)) => println!("{reader}: {} is now at {} %", load.machine, load.percent),
        Some(NodeEvent::Retracted(machine)) => println!("{reader}: {machine} is switched off"),
        // Of a gap nobody needs to take care: what was missed follows it.
        other => println!("{reader}: {other:?}"),
    }
}
