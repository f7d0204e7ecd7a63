//! TLSA records in a real DNS, signed and unsigned (RFC 7673).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use convoke_dev::LoopbackDns;
use convoke_net::TlsContext;
use convoke_s2s::identity::NameKind::Tlsa;
use convoke_s2s::{DaneError, DaneResolver, DnssecAnchors};

use crate::forge::{Authority, DAY, DOMAIN, Shown, self_signed, usual};
use crate::judge::{Bench, Peer, domain, verifier};

const HOST: &str = "xmpp.hosting.example";

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A domain with a server of each service, whose certificates are vouched for by whole.
fn publish(dns: &LoopbackDns, first: &Shown, second: &Shown) {
    dns.a(HOST, Ipv4Addr::LOCALHOST).unwrap();
    dns.srv(DOMAIN, "_xmpp-server._tcp", 0, 0, 5269, HOST).unwrap();
    dns.srv(DOMAIN, "_xmpps-server._tcp", 0, 0, 5270, HOST).unwrap();
    dns.tlsa(HOST, 5269, [3, 0, 0], &first.chain[0]).unwrap();
    dns.tlsa(HOST, 5270, [3, 0, 0], &second.chain[0]).unwrap();
    // Another usage, which is not usable, and a port that no service is on.
    dns.tlsa(HOST, 5269, [0, 1, 1], &[7; 32]).unwrap();
    dns.tlsa(HOST, 443, [3, 1, 1], &[7; 32]).unwrap();
}

fn validating(dns: &LoopbackDns, anchor: &str) -> DaneResolver {
    DaneResolver::new(&[dns.address()], &anchor.parse().unwrap()).unwrap()
}

#[tokio::test]
async fn records_that_dnssec_secures_prove_the_servers_of_a_domain() {
    let dns = LoopbackDns::start_signed(loopback()).await.unwrap();
    let [first, second, other] = [(); 3].map(|()| self_signed(&usual(|_| {})));
    publish(&dns, &first, &second);
    let evidence = validating(&dns, &dns.trust_anchor().unwrap()).records(&domain(DOMAIN)).await.unwrap();
    assert_eq!(evidence.tlsa.len(), 2);
    let now = SystemTime::now();
    assert!(evidence.until > now + Duration::from_secs(30) && evidence.until <= now + DAY);
    let verifier = verifier(Authority::root("Root").trust());
    verifier.replace_evidence(&domain(DOMAIN), Some(evidence));
    let bench = Bench::new();
    for (title, shown, expected) in
        [("first", first, Ok(Tlsa)), ("second", second, Ok(Tlsa)), ("other", other, Err("not-vouched"))]
    {
        let peer = Peer {
            title: title.to_owned(),
            domain: domain(DOMAIN),
            tls: TlsContext::new([(domain(DOMAIN), shown.credentials())]).unwrap(),
            verifier: verifier.clone(),
            direct_tls: false,
        };
        assert_eq!((bench.by_listener(&peer).await, bench.by_dialer(&peer).await), (expected, expected), "{title}");
    }
}

/// RFC 7673, section 3.1: where DNSSEC does not reach, the domain is as any other.
#[tokio::test]
async fn a_domain_without_records_vouches_for_nothing() {
    let dns = LoopbackDns::start_signed(loopback()).await.unwrap();
    let resolver = validating(&dns, &dns.trust_anchor().unwrap());
    let nothing = async || assert_eq!(resolver.records(&domain("nowhere.example")).await.unwrap().tlsa, []);
    // The server's proofs of denial are good between two names that have records, so there is one behind.
    dns.a("zz.example", Ipv4Addr::LOCALHOST).unwrap();
    nothing().await;
    dns.a("nowhere.example", Ipv4Addr::LOCALHOST).unwrap();
    nothing().await;
    dns.srv("nowhere.example", "_xmpp-server._tcp", 0, 0, 5269, HOST).unwrap();
    nothing().await;
    dns.no_service("nowhere.example", "_xmpps-server._tcp").unwrap();
    nothing().await;
}

/// RFC 7673, section 3.1: an answer that should be secure and is not is no answer.
#[tokio::test]
async fn records_that_somebody_else_has_signed_or_nobody_are_refused() {
    let (dns, forged) =
        (LoopbackDns::start_signed(loopback()).await.unwrap(), LoopbackDns::start(loopback()).await.unwrap());
    let resigned = LoopbackDns::start_signed(loopback()).await.unwrap();
    let shown = self_signed(&usual(|_| {}));
    for liar in [&forged, &resigned] {
        publish(liar, &shown, &shown);
        let resolver = validating(liar, &dns.trust_anchor().unwrap());
        let refused = resolver.records(&domain(DOMAIN)).await;
        assert!(matches!(refused, Err(DaneError::Lookup { .. } | DaneError::Bogus { .. })), "{refused:?}");
    }
    assert!(["no DNSKEY", "", "; none"].iter().all(|text| text.parse::<DnssecAnchors>().is_err()));
}

/// RFC 7673, sections 3.1 to 3.3: everything on the way to the records is secure, aliases included, or they do not count.
#[tokio::test]
async fn records_count_only_where_the_service_and_the_addresses_of_the_server_are_secure() {
    let alias = "alias.hosting.example";
    for (title, unsigned, target, count) in [
        ("everything is secure", "elsewhere.example", HOST, 2),
        ("an alias and what it leads to are secure", "elsewhere.example", alias, 1),
        ("an alias leads to addresses that are not", HOST, alias, 0),
        ("neither addresses nor TLSA records are", "hosting.example", HOST, 0),
        ("the SRV records are not", DOMAIN, HOST, 0),
    ] {
        let dns = LoopbackDns::start_signed(loopback()).await.unwrap();
        dns.unsigned(unsigned).unwrap();
        dns.a(HOST, Ipv4Addr::LOCALHOST).unwrap();
        dns.aaaa(HOST, Ipv6Addr::LOCALHOST).unwrap();
        dns.alias(alias, HOST).unwrap();
        dns.srv(DOMAIN, "_xmpp-server._tcp", 0, 0, 5269, target).unwrap();
        // The proofs of denial are good between two names that have records.
        dns.a("zz.example", Ipv4Addr::LOCALHOST).unwrap();
        for record in 0..count.max(1) {
            dns.tlsa(target, 5269, [3, 1, 1], &[record; 32]).unwrap();
        }
        let found = validating(&dns, &dns.trust_anchor().unwrap()).records(&domain(DOMAIN)).await;
        let found = found.unwrap_or_else(|error| panic!("{title}: {error}"));
        assert_eq!(found.tlsa.len(), usize::from(count), "{title}");
    }
}

/// RFC 7673, section 3.2: where no address is secure, no TLSA record is asked for.
#[tokio::test]
async fn a_server_without_an_address_has_no_records_that_count() {
    let dns = LoopbackDns::start_signed(loopback()).await.unwrap();
    dns.srv(DOMAIN, "_xmpp-server._tcp", 0, 0, 5269, HOST).unwrap();
    dns.tlsa(HOST, 5269, [3, 1, 1], &[7; 32]).unwrap();
    dns.a("zz.example", Ipv4Addr::LOCALHOST).unwrap();
    let resolver = validating(&dns, &dns.trust_anchor().unwrap());
    assert_eq!(resolver.records(&domain(DOMAIN)).await.unwrap().tlsa, []);
    dns.aaaa(HOST, Ipv6Addr::LOCALHOST).unwrap();
    assert_eq!(resolver.records(&domain(DOMAIN)).await.unwrap().tlsa.len(), 1);
}
