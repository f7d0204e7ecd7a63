//! A peer that does not acknowledge (XEP-0198) stands still, with all of its connections, and goes on again: only a ping
//! (XEP-0199) tells.

use std::time::Duration;

use convoke::cloud::{Departure, Monitor, MonitorConfig, MonitorEvent};
use convoke::xmpp::Domainpart;
use convoke_dev::peers::{Service, Software};

use super::neighbours::{JULIET, Neighbours, OURS, Site, THEIRS, jid};
use crate::support::{until, within_deadline};

super::with_each_peer!(
    a_peer_that_answers_pings_keeps_its_stream,
    a_frozen_peer_is_out_of_reach_and_its_accounts_with_it_until_it_goes_on,
);

/// Our side asks soon.
async fn neighbours(software: Software) -> Neighbours {
    let site = Site::new(Service::StartTls).await;
    let mut federation = site.federation(&site.issue(OURS), &site.authority);
    federation.timeouts.keepalive = Duration::from_millis(200);
    (federation.timeouts.acknowledgement, federation.timeouts.answer) =
        (Duration::from_secs(5), Duration::from_secs(5));
    let ours = site.domain_of(federation).await;
    let peer = site.peer(software, THEIRS).start(&site.dns).await.unwrap();
    Neighbours { site, ours, peer }
}

async fn a_peer_that_answers_pings_keeps_its_stream(software: Software) {
    let neighbours = neighbours(software).await;
    let _juliet = neighbours.acquainted_juliet().await;
    let before = neighbours.link();
    // Nobody says anything else.
    until("five answers", || neighbours.link().stanzas_in >= before.stanzas_in + 5).await;
    let after = neighbours.link();
    assert_eq!((after.state, after.dials, after.failures), (before.state, before.dials, 0));
    assert_eq!(after.stanzas_out, before.stanzas_out, "pings are no traffic");
}

async fn a_frozen_peer_is_out_of_reach_and_its_accounts_with_it_until_it_goes_on(software: Software) {
    let neighbours = neighbours(software).await;
    let watchers = vec![Domainpart::new(THEIRS).unwrap()];
    let monitor = Monitor::start(&neighbours.ours, MonitorConfig { watchers, ..MonitorConfig::default() }).unwrap();
    let mut events = monitor.watch();
    let mut juliet = neighbours.juliet().await;
    juliet.appear().await;
    let who = jid(juliet.jid());
    monitor.subscribe(&jid(JULIET));
    let asker = monitor.jid().to_string();
    juliet.wait_for_presence(&asker, Some("subscribe")).await;
    juliet.send(&format!("<presence type='subscribed' to='{asker}'/>")).await;
    // Of the bare address there may be word too.
    let mut wait_for = async |wanted: MonitorEvent| {
        while within_deadline("an event of the monitor", events.recv()).await.unwrap() != wanted {}
    };
    wait_for(MonitorEvent::Presence { who: who.clone(), available: true }).await;
    neighbours.peer.freeze().unwrap();
    wait_for(MonitorEvent::Suspect { node: who.clone(), why: Departure::RouteLost }).await;
    neighbours.peer.thaw().unwrap();
    wait_for(MonitorEvent::Recovered { node: who.clone() }).await;
    wait_for(MonitorEvent::Presence { who, available: true }).await;
}
