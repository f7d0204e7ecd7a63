//! Domains that vouch for their certificates by DNS, found and dialled by a federation (RFC 7673).

use std::net::Ipv4Addr;
use std::sync::Arc;

use convoke_dev::{CertificateAuthority, Issued, LoopbackDns, Subject};
use convoke_net::pem;
use convoke_s2s::dialer::Verdict;
use convoke_s2s::identity::NameKind;
use convoke_s2s::{DaneResolver, DnsResolver, EvidenceRule, FaultCode, FederationConfig};
use tokio::net::TcpListener;

use crate::world::{Node, SERVICE, World, domain, message};

/// A certificate that proves nothing by itself.
fn unknown(name: &str) -> Issued {
    CertificateAuthority::new("Unknown CA").unwrap().issue(&Subject::domain(name)).unwrap()
}

async fn signed() -> LoopbackDns {
    LoopbackDns::start_signed((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap()
}

/// Finds others by this DNS, and lets these domains vouch for themselves in it.
fn asks(dns: &LoopbackDns, anchor: &str, domains: &[&str]) -> impl FnOnce(&mut FederationConfig) {
    let resolver = Arc::new(DnsResolver::new(&[dns.address()]).unwrap());
    let dane = Arc::new(DaneResolver::new(&[dns.address()], &anchor.parse().unwrap()).unwrap());
    let domains = domains.iter().map(|text| text.parse().unwrap()).collect();
    move |config| {
        config.resolver = resolver;
        config.evidence = vec![EvidenceRule { domains, source: dane }];
    }
}

/// A server of the domain that shows this certificate, to be found and vouched for in this DNS.
async fn served(world: &World, dns: &LoopbackDns, name: &str, issued: &Issued) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (host, port) = (format!("xmpp.{name}"), listener.local_addr().unwrap().port());
    dns.srv(name, SERVICE, 0, 0, port, &host).unwrap();
    dns.a(&host, Ipv4Addr::LOCALHOST).unwrap();
    let chain = pem::certificates_in(issued.chain_pem.as_bytes(), "chain".as_ref()).unwrap();
    dns.tlsa(&host, port, [3, 0, 0], &chain[0]).unwrap();
    let resolver = Arc::new(DnsResolver::new(&[dns.address()]).unwrap());
    world.node_on(listener, name, issued, move |config| config.resolver = resolver)
}

#[tokio::test]
async fn a_domain_that_policy_names_proves_itself_by_its_tlsa_records_in_both_directions() {
    let (world, dns) = (World::new().await, signed().await);
    let anchor = dns.trust_anchor().unwrap();
    let named = served(&world, &dns, "b.example", &unknown("b.example")).await;
    let near = world.node_as("a.example", asks(&dns, &anchor, &["b.example", "*.c.example"])).await;
    // It is found by both kinds of DNS.
    dns.srv("a.example", SERVICE, 0, 0, near.address.port(), "xmpp.a.example").unwrap();
    dns.a("xmpp.a.example", Ipv4Addr::LOCALHOST).unwrap();
    let report = near.federation.dial(&near.name, &named.name).await;
    let evidence = report.evidence.as_ref().unwrap();
    assert_eq!((evidence.tlsa, evidence.posh, &evidence.fault), (1, 0, &None));
    let tls = report.attempts[0].tls.as_ref().unwrap_or_else(|| panic!("{report:?}"));
    assert_eq!(tls.certificate, Verdict::Proved(NameKind::Tlsa), "{report:?}");
    near.send(message("a.example", "b.example", "1"));
    assert_eq!(named.routed().await.0.id(), Some("1"));
    named.send(message("b.example", "a.example", "2"));
    assert_eq!(near.routed().await.0.id(), Some("2"));
}

/// No look-up on behalf of a stranger: it has to have been dialled from here, or to be named itself.
#[tokio::test]
async fn nothing_is_looked_up_because_a_stranger_claims_a_name() {
    let (world, dns) = (World::new().await, signed().await);
    let anchor = dns.trust_anchor().unwrap();
    let issued = unknown("x.c.example");
    let stranger = served(&world, &dns, "x.c.example", &issued).await;
    let asked = signed().await;
    let near = world.node_as("a.example", asks(&asked, &anchor, &["*.c.example"])).await;
    dns.srv("a.example", SERVICE, 0, 0, near.address.port(), "xmpp.a.example").unwrap();
    dns.a("xmpp.a.example", Ipv4Addr::LOCALHOST).unwrap();
    stranger.send(message("x.c.example", "a.example", "1"));
    let undelivered = stranger.undelivered().await;
    assert!(undelivered.error.text.unwrap().contains("not trusted"));
    assert_eq!(asked.queries(), 0);
}

#[tokio::test]
async fn a_domain_that_a_wildcard_means_is_believed_once_it_was_dialled() {
    let (world, dns) = (World::new().await, signed().await);
    let anchor = dns.trust_anchor().unwrap();
    let named = served(&world, &dns, "x.c.example", &unknown("x.c.example")).await;
    let near = world.node_as("a.example", asks(&dns, &anchor, &["*.c.example"])).await;
    dns.srv("a.example", SERVICE, 0, 0, near.address.port(), "xmpp.a.example").unwrap();
    dns.a("xmpp.a.example", Ipv4Addr::LOCALHOST).unwrap();
    let report = near.federation.dial(&near.name, &named.name).await;
    assert!(report.is_established(), "{report:?}");
    named.send(message("x.c.example", "a.example", "1"));
    assert_eq!(near.routed().await.0.id(), Some("1"));
}

/// RFC 7673, section 3.1: whoever can suppress an answer shall not choose what is believed.
#[tokio::test]
async fn a_domain_whose_tlsa_records_are_wanted_and_cannot_be_believed_is_not_dialled() {
    let (world, dns, other) = (World::new().await, signed().await, signed().await);
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let named = served(&world, &dns, "b.example", &issued).await;
    let near = world.node_as("a.example", asks(&dns, &other.trust_anchor().unwrap(), &["b.example"])).await;
    let report = near.federation.dial(&near.name, &named.name).await;
    assert_eq!(report.fault.as_ref().map(|fault| fault.code), Some(FaultCode::DnsFailed), "{report:?}");
    assert!(report.attempts.is_empty() && report.evidence.as_ref().unwrap().fault.is_some(), "{report:?}");
}

#[tokio::test]
async fn a_domain_that_policy_does_not_name_is_dialled_without_further_questions() {
    let (world, dns) = (World::new().await, signed().await);
    let anchor = dns.trust_anchor().unwrap();
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let named = served(&world, &dns, "b.example", &issued).await;
    let near = world.node_as("a.example", asks(&dns, &anchor, &["*.b.example", "c.example"])).await;
    let report = near.federation.dial(&near.name, &named.name).await;
    assert!(report.evidence.is_none() && report.is_established(), "{report:?}");
    assert_eq!(named.name, domain("b.example"));
}
