//! Presence between our components and an account at a peer, in both directions (RFC 6121, sections 3 and 4).

use convoke::Domain;
use convoke::cloud::{Monitor, MonitorConfig, MonitorEvent};
use convoke::xmpp::{Domainpart, Jid, Kind, PresenceType};
use convoke_dev::peers::Software;
use tokio::sync::broadcast::Receiver;

use super::neighbours::{JULIET, Neighbours, THEIRS, jid, next};
use crate::support::client::Client;
use crate::support::{DEADLINE, within_deadline};

const MONITOR: &str = "monitor@volunteers.lan";

super::with_each_peer!(
    our_monitor_subscribes_to_an_account_and_learns_that_it_is_there_and_that_it_is_gone,
    our_component_sees_each_step_of_its_subscription_until_it_ends_it,
    an_account_subscribes_to_our_monitor_and_learns_that_it_is_there_and_that_it_is_gone,
    an_account_of_a_domain_that_may_not_watch_is_refused_the_monitors_presence,
);

fn monitor(ours: &Domain) -> Monitor {
    let watchers = vec![Domainpart::new(THEIRS).unwrap()];
    Monitor::start(ours, MonitorConfig { watchers, ..MonitorConfig::default() }).unwrap()
}

/// What the monitor says next of the availability of this resource. Of the bare address it may say that it is not
/// there: so Prosody acknowledges a request that its account has not answered yet.
async fn is_available(events: &mut Receiver<MonitorEvent>, resource: &Jid) -> bool {
    loop {
        match within_deadline("an event of the monitor", events.recv()).await.unwrap() {
            MonitorEvent::Presence { who, available } if who == *resource => return available,
            MonitorEvent::Presence { who, available: false } if who == resource.to_bare() => {}
            event => panic!("{event:?}"),
        }
    }
}

async fn approve(account: &mut Client, subscriber: &str) {
    account.wait_for_presence(subscriber, Some("subscribe")).await;
    account.send(&format!("<presence type='subscribed' to='{subscriber}'/>")).await;
}

async fn our_monitor_subscribes_to_an_account_and_learns_that_it_is_there_and_that_it_is_gone(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let monitor = monitor(&neighbours.ours);
    let mut events = monitor.watch();
    let mut juliet = neighbours.juliet().await;
    juliet.appear().await;
    let who = jid(juliet.jid());

    monitor.subscribe(&jid(JULIET));
    approve(&mut juliet, MONITOR).await;
    assert!(is_available(&mut events, &who).await);
    drop(juliet);
    assert!(!is_available(&mut events, &who).await);
    // She comes back: the subscription is still there.
    let mut juliet = neighbours.juliet().await;
    juliet.appear().await;
    assert!(is_available(&mut events, &who).await);
}

async fn our_component_sees_each_step_of_its_subscription_until_it_ends_it(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let mut observer = neighbours.ours.component("observer").unwrap();
    let mut juliet = neighbours.juliet().await;
    juliet.appear().await;

    observer.presence(PresenceType::Subscribe, &jid(JULIET));
    approve(&mut juliet, "observer@volunteers.lan").await;
    let mut approval = next(&mut observer).await;
    if approval.kind() == Kind::Presence(PresenceType::Unavailable) {
        // Prosody acknowledges a request that its account has not answered yet.
        assert_eq!(approval.from().unwrap().as_str(), JULIET);
        approval = next(&mut observer).await;
    }
    assert_eq!(approval.kind(), Kind::Presence(PresenceType::Subscribed));
    assert_eq!(approval.from().unwrap().as_str(), JULIET);
    let available = next(&mut observer).await;
    assert_eq!(
        (available.kind(), available.from().unwrap().as_str()),
        (Kind::Presence(PresenceType::Available), juliet.jid())
    );
    juliet.send("<presence><show>dnd</show></presence>").await;
    assert!(next(&mut observer).await.text().contains("<show>dnd</show>"));

    observer.presence(PresenceType::Unsubscribe, &jid(JULIET));
    juliet.wait_for_presence("observer@volunteers.lan", Some("unsubscribe")).await;
    // What she says of herself now would come ahead of what she writes.
    juliet.send("<presence/><message id='last' to='observer@volunteers.lan'><body>farewell</body></message>").await;
    let mut last = next(&mut observer).await;
    while last.kind() == Kind::Presence(PresenceType::Unavailable) {
        // Each resource takes its leave (RFC 6121, section 3.3.3).
        last = next(&mut observer).await;
    }
    assert_eq!(last.id(), Some("last"));
}

async fn an_account_subscribes_to_our_monitor_and_learns_that_it_is_there_and_that_it_is_gone(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let _monitor = monitor(&neighbours.ours);
    let mut juliet = neighbours.juliet().await;
    juliet.appear().await;

    juliet.send(&format!("<presence type='subscribe' to='{MONITOR}'/>")).await;
    juliet.wait_for_presence(MONITOR, Some("subscribed")).await;
    juliet.wait_for_presence(MONITOR, None).await;

    // The next login is told at once, because the peer probes the monitor (RFC 6121, section 4.3).
    drop(juliet);
    let mut juliet = neighbours.juliet().await;
    juliet.appear().await;
    juliet.wait_for_presence(MONITOR, None).await;

    within_deadline("our domain ends", neighbours.ours.shutdown(DEADLINE)).await;
    juliet.wait_for_presence(MONITOR, Some("unavailable")).await;
}

async fn an_account_of_a_domain_that_may_not_watch_is_refused_the_monitors_presence(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let _monitor = Monitor::start(&neighbours.ours, MonitorConfig::default()).unwrap();
    let mut juliet = neighbours.juliet().await;
    juliet.appear().await;
    juliet.send(&format!("<presence type='subscribe' to='{MONITOR}'/>")).await;
    juliet.wait_for_presence(MONITOR, Some("unsubscribed")).await;
}
