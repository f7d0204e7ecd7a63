//! The DNS server, asked by a real resolver.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use convoke_dev::{DnsError, LoopbackDns};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::rr::{RData, RecordType};

const SERVICE: &str = "_xmpp-server._tcp";
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn start() -> LoopbackDns {
    LoopbackDns::start(ANY_PORT).await.unwrap()
}

fn resolver(mut server: NameServerConfig, address: SocketAddr) -> TokioResolver {
    server.connections.iter_mut().for_each(|connection| connection.port = address.port());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    builder.options_mut().timeout = Duration::from_secs(5);
    builder.options_mut().attempts = 1;
    builder.build().unwrap()
}

fn by_udp(dns: &LoopbackDns) -> TokioResolver {
    resolver(NameServerConfig::udp(dns.address().ip()), dns.address())
}

fn by_tcp(dns: &LoopbackDns) -> TokioResolver {
    resolver(NameServerConfig::tcp(dns.address().ip()), dns.address())
}

/// The SRV records as text: priority, weight, port, target; sorted.
async fn srv(resolver: &TokioResolver, domain: &str) -> Result<Vec<String>, NetError> {
    let found = resolver.srv_lookup(format!("{SERVICE}.{domain}.")).await?;
    let mut records: Vec<_> = found.answers().iter().filter_map(|record| srv_text(&record.data)).collect();
    records.sort();
    Ok(records)
}

fn srv_text(data: &RData) -> Option<String> {
    let RData::SRV(srv) = data else { return None };
    Some(format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target.to_ascii()))
}

#[tokio::test]
async fn answers_with_addresses_of_ipv6_and_with_aliases_and_what_they_lead_to() {
    let dns = start().await;
    dns.aaaa("six.example", std::net::Ipv6Addr::LOCALHOST).unwrap();
    dns.a("alias.example", Ipv4Addr::LOCALHOST).unwrap();
    dns.alias("alias.example", "six.example").unwrap();
    let found = by_udp(&dns).ipv6_lookup("alias.example.").await.unwrap();
    let kinds: Vec<_> = found.answers().iter().map(|record| record.data.record_type().to_string()).collect();
    assert_eq!(kinds, ["CNAME", "AAAA"]);
    assert!(by_udp(&dns).ipv4_lookup("alias.example.").await.is_err());
}

#[tokio::test]
async fn answers_srv_and_address_by_udp_and_by_tcp_on_one_port() {
    let dns = start().await;
    dns.srv("b.example", SERVICE, 10, 5, 5269, "xmpp.b.example").unwrap();
    dns.srv("b.example", SERVICE, 20, 0, 5270, "backup.b.example").unwrap();
    dns.a("xmpp.b.example", Ipv4Addr::new(127, 0, 0, 2)).unwrap();
    for resolver in [by_udp(&dns), by_tcp(&dns)] {
        let found = srv(&resolver, "b.example").await.unwrap();
        assert_eq!(found, ["10 5 5269 xmpp.b.example.", "20 0 5270 backup.b.example."]);
        let addresses = resolver.lookup_ip("xmpp.b.example.").await.unwrap();
        assert_eq!(addresses.iter().collect::<Vec<_>>(), [Ipv4Addr::new(127, 0, 0, 2)]);
    }
}

#[tokio::test]
async fn denies_names_that_do_not_exist() {
    let dns = start().await;
    dns.a("b.example", Ipv4Addr::LOCALHOST).unwrap();
    let error = srv(&by_udp(&dns), "nowhere.example").await.unwrap_err();
    assert!(error.is_nx_domain(), "{error}");
    let no_data = by_udp(&dns).ipv6_lookup("b.example.").await.unwrap_err();
    assert!(no_data.is_no_records_found() && !no_data.is_nx_domain(), "{no_data}");
}

#[tokio::test]
async fn shows_changes_at_once() {
    let dns = start().await;
    let resolver = by_udp(&dns);
    assert!(srv(&resolver, "b.example").await.is_err());
    dns.srv("b.example", SERVICE, 0, 0, 1, "b.example").unwrap();
    assert_eq!(srv(&resolver, "b.example").await.unwrap(), ["0 0 1 b.example."]);
    dns.no_service("b.example", SERVICE).unwrap();
    assert_eq!(srv(&resolver, "b.example").await.unwrap(), ["0 0 0 ."]);
    dns.a("notb.example", Ipv4Addr::LOCALHOST).unwrap();
    dns.remove("b.example").unwrap();
    assert!(srv(&resolver, "b.example").await.unwrap_err().is_nx_domain());
    assert!(resolver.ipv4_lookup("notb.example.").await.is_ok(), "a name that merely ends alike stays");
}

#[tokio::test]
async fn finds_international_names_by_their_a_labels() {
    let dns = start().await;
    dns.srv("bücher.example", SERVICE, 0, 0, 5269, "BÜCHER.example").unwrap();
    assert_eq!(srv(&by_udp(&dns), "xn--bcher-kva.example").await.unwrap(), ["0 0 5269 xn--bcher-kva.example."]);
}

/// RFC 4035, section 5.2: a zone that the one above says is not signed is insecure, and not bogus.
#[tokio::test]
async fn a_zone_that_is_not_signed_is_insecure_below_one_that_is() {
    let dns = LoopbackDns::start_signed(ANY_PORT).await.unwrap();
    dns.unsigned("b.example").unwrap();
    for name in ["a.example", "x.b.example", "c.example"] {
        dns.a(name, Ipv4Addr::LOCALHOST).unwrap();
    }
    dns.alias("alias.example", "x.b.example").unwrap();
    let anchors = Arc::new(TrustAnchors::from_str(&dns.trust_anchor().unwrap()).unwrap());
    let mut server = NameServerConfig::udp_and_tcp(dns.address().ip());
    server.connections.iter_mut().for_each(|connection| connection.port = dns.address().port());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let mut builder = builder.with_trust_anchor(anchors);
    builder.options_mut().validate = true;
    let resolver = builder.build().unwrap();
    for (name, expected) in [
        ("a.example.", vec![Proof::Secure]),
        ("x.b.example.", vec![Proof::Insecure]),
        ("c.example.", vec![Proof::Secure]),
        ("alias.example.", vec![Proof::Secure, Proof::Insecure]),
    ] {
        let found = resolver.lookup(name, RecordType::A).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let signed = found.answers().iter().filter(|record| record.record_type() != RecordType::RRSIG);
        let proofs: Vec<_> = signed.map(|record| record.proof).collect();
        assert_eq!(proofs, expected, "{name}");
    }
    assert!(resolver.lookup("x.b.example.", RecordType::AAAA).await.unwrap_err().is_no_records_found());
}

#[tokio::test]
async fn counts_queries() {
    let dns = start().await;
    assert_eq!(dns.queries(), 0);
    let _ = srv(&by_udp(&dns), "b.example").await;
    assert!(dns.queries() >= 1);
}

#[tokio::test]
async fn refuses_a_public_address_a_taken_port_and_a_wrong_name() {
    let public = LoopbackDns::start("0.0.0.0:0".parse().unwrap()).await;
    assert!(matches!(public, Err(DnsError::NotLoopback { .. })));
    let dns = start().await;
    let taken = LoopbackDns::start(dns.address()).await;
    assert!(matches!(taken, Err(DnsError::Bind { address, .. }) if address == dns.address()));
    assert!(matches!(dns.a(&"a".repeat(64), Ipv4Addr::LOCALHOST), Err(DnsError::Name { .. })));
}

#[tokio::test]
async fn frees_its_port_when_it_is_dropped() {
    let dns = start().await;
    let address = dns.address();
    drop(dns);
    // The aborted tasks let go of their sockets as soon as the runtime gets to them.
    let free = async {
        while LoopbackDns::start(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.unwrap();
}
