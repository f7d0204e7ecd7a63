//! Two domains lose sight of each other and find each other again, over real sockets that are taken away and given back.

use convoke::cloud::{Departure, Monitor, MonitorConfig, MonitorEvent};
use convoke::xmpp::Jid;

use crate::support::network::Site;
use crate::support::within_deadline;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_out_of_reach_is_suspect_and_recovers_by_one_probe_when_the_way_is_there_again() {
    let site = Site::new().await;
    let (watching, mut before_watching) = site.domain("a.lan").await;
    let (working, mut before_working) = site.domain("b.lan").await;
    let monitor = Monitor::start(&watching, MonitorConfig::default()).unwrap();
    let mut events = monitor.watch();
    let mut next = async || within_deadline("an event of the monitor", events.recv()).await.unwrap();
    let alice = working.session("alice", "desk").unwrap();
    alice.available_to(monitor.jid(), []);
    let who: Jid = alice.jid().clone();
    assert_eq!(next().await, MonitorEvent::Presence { who: who.clone(), available: true });
    for _ in 0..2 {
        before_watching.down();
        before_working.down();
        assert_eq!(next().await, MonitorEvent::Suspect { node: who.clone(), why: Departure::RouteLost });
        before_watching.up_again().await;
        before_working.up_again().await;
        // Alice has said nothing since: she was asked.
        assert_eq!(next().await, MonitorEvent::Recovered { node: who.clone() });
        assert_eq!(next().await, MonitorEvent::Presence { who: who.clone(), available: true });
    }
    alice.unavailable([]);
    assert_eq!(next().await, MonitorEvent::Presence { who, available: false });
}
