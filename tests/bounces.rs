//! What senders are told when a domain cannot be reached (RFC 6120, section 10.4.3).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use convoke::net::{Credentials, pem};
use convoke::s2s::{DnsResolver, FederationConfig, LocalDomain, TrustAnchors};
use convoke::xmpp::{Condition, Domainpart, Element, IqType, Jid, Stanza, StanzaError, namespace};
use convoke::{Component, Domain};
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use tokio::net::TcpListener;

use crate::support::{DEADLINE, within_deadline};

const SERVICE: &str = "_xmpp-server._tcp";

async fn domain(dns: &LoopbackDns) -> Domain {
    let authority = CertificateAuthority::new("Test CA").unwrap();
    let issued = authority.issue(&Subject::domain("a.example")).unwrap();
    let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap();
    let roots = pem::certificates_in(authority.certificate_pem().as_bytes(), "ca.pem".as_ref()).unwrap();
    let trust = TrustAnchors::new(roots.iter().map(|root| root.to_vec()).collect(), Vec::new()).unwrap();
    let local = LocalDomain { name: Domainpart::new("a.example").unwrap(), credentials };
    let resolver = Arc::new(DnsResolver::new(&[dns.address()]).unwrap());
    Domain::builder("a.example").federation(FederationConfig::new(vec![local], trust, resolver)).start().await.unwrap()
}

/// Stanzas by their identifiers; those that are never answered have one that says so.
fn stanzas(to: &Jid) -> Vec<Stanza> {
    let error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    [
        format!("<message to='{to}' id='never-1' type='error'>{error}</message>"),
        format!("<message to='{to}' id='message' type='chat'><body>x</body></message>"),
        format!("<iq to='{to}' id='never-2' type='result'/>"),
        format!("<iq to='{to}' id='never-3' type='error'>{error}</iq>"),
        format!("<presence to='{to}' id='never-4' type='error'>{error}</presence>"),
        format!("<presence to='{to}' id='presence' type='subscribe'/>"),
    ]
    .iter()
    .map(|text| Stanza::parse(text).unwrap())
    .collect()
}

async fn next(component: &mut Component) -> Stanza {
    within_deadline("a stanza", component.receive()).await.unwrap().0
}

/// What the senders of one message, one presence and one request of each type to this address are told.
async fn told(component: &mut Component, to: &Jid) -> Vec<StanzaError> {
    let payload = || Element::new("q", "urn:example:q");
    let requests = [IqType::Get, IqType::Set].map(|kind| component.request(to, kind, payload(), DEADLINE));
    for stanza in stanzas(to) {
        component.send(stanza).unwrap();
    }
    let mut errors = Vec::new();
    for request in requests {
        errors.push(request.await.unwrap_err().stanza_error().unwrap().clone());
    }
    for id in ["message", "presence"] {
        let stanza = next(component).await;
        assert_eq!(stanza.id(), Some(id));
        errors.push(stanza.error().unwrap());
    }
    let last = format!("<message to='{}' id='last'><body>x</body></message>", component.jid());
    component.send(Stanza::parse(&last).unwrap()).unwrap();
    assert_eq!(next(component).await.id(), Some("last"), "nothing is told twice");
    errors
}

#[tokio::test]
async fn who_waits_for_a_domain_that_cannot_be_reached_is_told_once_and_with_the_code_of_the_fault() {
    let dns = LoopbackDns::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    dns.srv("dead.example", SERVICE, 0, 0, dead, "xmpp.dead.example").unwrap();
    dns.a("xmpp.dead.example", Ipv4Addr::LOCALHOST).unwrap();
    dns.no_service("closed.example", SERVICE).unwrap();
    let domain = domain(&dns).await;
    let mut component = domain.component("asker").unwrap();
    for (remote, condition, code) in [
        ("dead.example", Condition::RemoteServerTimeout, "tcp-refused"),
        ("closed.example", Condition::RemoteServerNotFound, "dns-no-service"),
        ("nowhere.example", Condition::RemoteServerNotFound, "dns-no-address"),
    ] {
        for error in told(&mut component, &Jid::new(&format!("x@{remote}")).unwrap()).await {
            assert_eq!(error.condition, condition, "{remote}");
            assert!(error.application.unwrap().is(code, namespace::CONVOKE_ERRORS), "{remote}");
            assert!(error.text.unwrap().contains(remote));
        }
    }
}
