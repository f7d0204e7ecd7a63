//! Two domains of ours, each with a service and with components that are at home at the other's.

use convoke::pubsub::client::{create, delete, items as all_items, publish, retract, subscribe, unsubscribe};
use convoke::xmpp::Jid;
use convoke::{Component, Domain};
use convoke_dev::peers::Service;

use super::{figure, items, refused, serve, set, told};
use crate::peers::neighbours::{OURS, Site};
use crate::support::DEADLINE;

const OTHERS: &str = "friends.lan";

/// A domain, its service, and a component of it.
struct Side {
    _domain: Domain,
    service: Jid,
    member: Component,
}

/// Both domains; entities of both may create nodes at both services.
async fn both_sides() -> (Site, [Side; 2]) {
    let site = Site::new(Service::StartTls).await;
    let side = async |name| {
        let domain = site.domain_named(name).await;
        let (service, member) = (serve(&domain, [OURS, OTHERS]), domain.component("member").unwrap());
        Side { _domain: domain, service, member }
    };
    let sides = [side(OURS).await, side(OTHERS).await];
    (site, sides)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_domain_subscribes_at_the_other_and_hears_what_is_published_there() {
    let (_site, mut sides) = both_sides().await;
    for (publisher, reader) in [(0, 1), (1, 0)] {
        let service = sides[publisher].service.clone();
        set(&sides[publisher].member, &service, create("load")).await;
        let subscribe = subscribe("load", sides[reader].member.jid());
        set(&sides[reader].member, &service, subscribe).await;
        for value in ["1", "2"] {
            set(&sides[publisher].member, &service, publish("load", Some("a"), figure(value))).await;
            assert_eq!(told(&mut sides[reader].member, &service).await, format!("load +a={value}"));
        }
        set(&sides[publisher].member, &service, retract("load", "a")).await;
        assert_eq!(told(&mut sides[reader].member, &service).await, "load -a");
        set(&sides[publisher].member, &service, delete("load")).await;
        assert_eq!(told(&mut sides[reader].member, &service).await, "load deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_domain_publishes_at_the_other_and_reads_it_there() {
    let (_site, mut sides) = both_sides().await;
    for (host, guest) in [(0, 1), (1, 0)] {
        let service = sides[host].service.clone();
        set(&sides[guest].member, &service, create("load")).await;
        set(&sides[host].member, &service, subscribe("load", sides[host].member.jid())).await;
        set(&sides[guest].member, &service, publish("load", Some("a"), figure("1"))).await;
        assert_eq!(told(&mut sides[host].member, &service).await, "load +a=1");
        assert_eq!(items(&sides[guest].member, &service, all_items("load")).await, ["a=1"]);
        // The guest owns its node; the domain where it is has no right to it.
        let publish = publish("load", Some("b"), figure("2"));
        assert_eq!(refused(sides[host].member.set(&service, publish, DEADLINE)).await, "auth forbidden");
        set(&sides[host].member, &service, unsubscribe("load", sides[host].member.jid())).await;
        set(&sides[guest].member, &service, delete("load")).await;
    }
}
