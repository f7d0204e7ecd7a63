//! Embeds a domain: two components of one process, presence, and a request with its answer. No socket, no file.
//!
//! `cargo run --example embed`

use std::error::Error;
use std::time::Duration;

use convoke::xmpp::{Condition, Element, Kind, PresenceType};
use convoke::{Component, Domain};

/// What the two components speak: any namespace of your own will do.
const CALCULATOR: &str = "urn:example:calculator";
/// No request waits for ever.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let domain = Domain::builder("home.example").start().await?;
    let calculator = domain.component("calculator")?;
    let mut visitor = domain.component("visitor")?;
    let address = calculator.jid().clone();
    let calculating = tokio::spawn(calculate(calculator));

    // Presence tells whether somebody is there, now and whenever it changes, once a subscription is approved.
    visitor.presence(PresenceType::Subscribe, &address);
    wait_for(&mut visitor, PresenceType::Available).await?;
    println!("{address} is available");

    let question = Element::new("double", CALCULATOR).text("21");
    let answer = visitor.get(&address, question, PATIENCE).await?.ok_or("the answer is empty")?;
    println!("{address} says that twice 21 is {}", answer.content());

    // Whoever ends, even without a word, is announced: the domain tells those who subscribed.
    calculating.abort();
    wait_for(&mut visitor, PresenceType::Unavailable).await?;
    println!("{address} is unavailable");

    domain.shutdown(PATIENCE).await;
    Ok(())
}

/// A component is whatever runs this loop. Pings and service discovery are answered within `receive`.
async fn calculate(mut component: Component) {
    component.available([]);
    while let Some((stanza, _origin)) = component.receive().await {
        match (stanza.kind(), stanza.from()) {
            (Kind::Presence(PresenceType::Subscribe), Some(subscriber)) => {
                component.presence(PresenceType::Subscribed, &subscriber.to_bare());
            }
            (Kind::Iq(_), _) => {
                let number = stanza.payload().and_then(|question| question.content().parse::<u32>().ok());
                let double = number.and_then(|number| number.checked_mul(2)).ok_or(Condition::BadRequest);
                let answer = double.map(|double| Some(Element::new("double", CALCULATOR).text(double.to_string())));
                component.reply(&stanza, answer.map_err(Into::into));
            }
            _ => {}
        }
    }
}

/// Receives until a presence of this kind comes.
async fn wait_for(component: &mut Component, kind: PresenceType) -> Result<(), Box<dyn Error>> {
    loop {
        let received = tokio::time::timeout(PATIENCE, component.receive()).await?;
        let (stanza, _origin) = received.ok_or("the domain was shut down")?;
        if stanza.kind() == Kind::Presence(kind) {
            return Ok(());
        }
    }
}
