//! A certificate that proves nothing: neither side takes stanzas from it, and every sender is told, once.
//!
//! Each test has a peer of its own: after a dial in vain, ejabberd refuses a domain for minutes.

use std::sync::Arc;

use convoke::xmpp::payload::ping;
use convoke::xmpp::{
    Condition, Element, ErrorType, IqType, Kind, Origin, Router, Service as Receiver, Stanza, StanzaError,
};
use convoke::{About, Domain};
use convoke_dev::peers::{Peer, PeerBuilder, Service, Software};
use convoke_dev::{CertificateAuthority, Eku, Issued, Subject};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::neighbours::{JULIET, OURS, Site, THEIRS, jid};
use crate::support::client::{Client, attribute, child, name};
use crate::support::{DEADLINE, within_deadline};

/// ejabberd tells the cause in words too, which its log has as well.
const SASL_FAILURE: &str = "SASL EXTERNAL failed: not-authorized";

super::with_each_peer!(
    a_message_of_a_server_whose_certificate_is_of_another_authority_is_refused_and_bounces,
    nothing_is_sent_to_a_server_whose_certificate_is_of_another_authority,
    nothing_is_sent_to_a_server_whose_certificate_is_for_another_name,
    a_message_of_a_server_without_a_certificate_is_refused_and_bounces,
    our_domain_with_a_certificate_for_another_name_is_refused_and_its_sender_told_once,
    our_domain_with_a_certificate_of_another_authority_is_refused_and_its_sender_told_once,
    a_peer_sends_nothing_to_our_domain_with_a_certificate_for_another_name,
);

/// Keeps every stanza for its address, answers included.
struct Recorder(UnboundedSender<Stanza>);

impl Receiver for Recorder {
    fn handle(&self, stanza: Stanza, _: &Origin, _: &dyn Router) {
        self.0.send(stanza).unwrap();
    }
}

fn record(ours: &Domain) -> UnboundedReceiver<Stanza> {
    let (sender, recorded) = unbounded_channel();
    ours.serve("recorder", About::new("component", "generic", "recorder"), Arc::new(Recorder(sender))).unwrap();
    recorded
}

/// What the recorder has got when the domain has ended: nothing can come any more.
async fn all(ours: Domain, mut recorded: UnboundedReceiver<Stanza>) -> Vec<Stanza> {
    within_deadline("our domain ends", ours.shutdown(DEADLINE)).await;
    drop(ours);
    let mut stanzas = Vec::new();
    while let Some(stanza) = within_deadline("the recorder ends", recorded.recv()).await {
        stanzas.push(stanza);
    }
    stanzas
}

async fn start(site: &Site, builder: PeerBuilder) -> Peer {
    builder.start(&site.dns).await.unwrap()
}

/// It trusts us, and its own certificate is from an authority that nobody else knows.
async fn peer_of_another_authority(site: &Site, software: Software) -> Peer {
    let issued = CertificateAuthority::new("Another CA").unwrap().issue(&Subject::domain(THEIRS)).unwrap();
    start(site, site.peer(software, THEIRS).certificate(issued)).await
}

/// The peer's account writes to the recorder; gives the error that comes back.
async fn bounced(peer: &Peer) -> String {
    let mut juliet = Client::login(peer, "juliet").await;
    juliet.send("<message id='lost' to='recorder@volunteers.lan'><body>hello</body></message>").await;
    let bounce = juliet.wait_for("the bounce", |element| attribute(element, "id") == Some("lost")).await;
    assert_eq!((name(&bounce), attribute(&bounce, "type")), ("message", Some("error")), "{bounce}");
    bounce
}

async fn a_message_of_a_server_whose_certificate_is_of_another_authority_is_refused_and_bounces(software: Software) {
    let site = Site::new(Service::StartTls).await;
    let (ours, peer) = (site.domain().await, peer_of_another_authority(&site, software).await);
    let recorded = record(&ours);
    let bounce = bounced(&peer).await;
    assert!(child(&bounce, "remote-server-timeout").is_some(), "{bounce}");
    assert!(bounce.contains("the certificate was issued by CN=Another CA, which is not trusted"), "{bounce}");
    assert_eq!((ours.statistics().local, ours.statistics().remote), (0, 0), "our router has seen nothing");
    assert_eq!(all(ours, recorded).await, []);
}

async fn nothing_is_sent_to_a_server_whose_certificate_is_of_another_authority(software: Software) {
    let site = Site::new(Service::StartTls).await;
    let (ours, peer) = (site.domain().await, peer_of_another_authority(&site, software).await);
    let asker = ours.component("asker").unwrap();
    let error = asker.get(&jid(THEIRS), ping(), DEADLINE).await.unwrap_err();
    let error = error.stanza_error().unwrap();
    assert_eq!((error.condition, error.error_type), (Condition::RemoteServerTimeout, ErrorType::Wait));
    let cause = "the certificate was issued by CN=Another CA, which is not trusted";
    assert!(error.text.as_ref().unwrap().contains(cause), "{error:?}");
    assert_nothing_was_said(&peer);
}

async fn nothing_is_sent_to_a_server_whose_certificate_is_for_another_name(software: Software) {
    let site = Site::new(Service::StartTls).await;
    let ours = site.domain().await;
    let peer = start(&site, site.peer(software, THEIRS).certificate(site.issue("elsewhere.lan"))).await;
    let asker = ours.component("asker").unwrap();
    let error = asker.get(&jid(THEIRS), ping(), DEADLINE).await.unwrap_err();
    let error = error.stanza_error().unwrap();
    assert_eq!(error.condition, Condition::RemoteServerTimeout);
    let code = error.application.as_deref().map(Element::name);
    // Where no certificate has its name, a server either shows another one or offers no TLS.
    assert!(matches!(code, Some("certificate-wrong-name" | "tls-not-offered")), "{error:?}");
    assert_nothing_was_said(&peer);
}

/// Nobody authenticated to the peer, and no stanza came.
fn assert_nothing_was_said(peer: &Peer) {
    let log = peer.log();
    assert!(!log.contains("]: <auth") && !log.contains("]: <iq") && !log.contains("EXTERNAL auth"), "{log}");
}

async fn a_message_of_a_server_without_a_certificate_is_refused_and_bounces(software: Software) {
    let site = Site::new(Service::StartTls).await;
    let (ours, peer) = (site.domain().await, start(&site, site.peer(software, THEIRS).without_certificate()).await);
    let recorded = record(&ours);
    let bounce = bounced(&peer).await;
    assert!(bounce.contains("certificate"), "{bounce}");
    assert_eq!((ours.statistics().local, ours.statistics().remote), (0, 0), "our router has seen nothing");
    assert_eq!(all(ours, recorded).await, []);
}

async fn our_domain_with_a_certificate_for_another_name_is_refused_and_its_sender_told_once(software: Software) {
    let (told, logged) = match software {
        Software::Prosody => ("not-authorized: Your server's certificate is not valid for this name", ""),
        _ => (SASL_FAILURE, "Certificate host name mismatch"),
    };
    let site = Site::new(Service::StartTls).await;
    assert_refused(&site, software, &site.issue("elsewhere.lan"), told, logged).await;
}

async fn our_domain_with_a_certificate_of_another_authority_is_refused_and_its_sender_told_once(software: Software) {
    let (told, logged) = match software {
        Software::Prosody => ("not-authorized: Your server's certificate is not trusted", ""),
        _ => (SASL_FAILURE, "unable to verify the first certificate"),
    };
    let site = Site::new(Service::StartTls).await;
    let issued = CertificateAuthority::new("Another CA").unwrap().issue(&Subject::domain(OURS)).unwrap();
    assert_refused(&site, software, &issued, told, logged).await;
}

/// As the public authorities issue them since 2026. Prosody asks for nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn ejabberd_refuses_a_certificate_for_server_authentication_alone_and_the_sender_is_told_why() {
    let site = Site::new(Service::StartTls).await;
    let issued = site.authority.issue(&Subject::domain(OURS).extended_key_usage(Eku::ServerOnly)).unwrap();
    assert_refused(&site, Software::Ejabberd, &issued, SASL_FAILURE, "unsupported certificate purpose").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prosody_accepts_a_certificate_for_server_authentication_alone() {
    let site = Site::new(Service::StartTls).await;
    let issued = site.authority.issue(&Subject::domain(OURS).extended_key_usage(Eku::ServerOnly)).unwrap();
    let ours = site.domain_of(site.federation(&issued, &site.authority)).await;
    let _peer = start(&site, site.peer(Software::Prosody, THEIRS)).await;
    ours.component("asker").unwrap().get(&jid(THEIRS), ping(), DEADLINE).await.unwrap();
}

/// Our domain with this certificate asks the peer something, and is told once that there is no way, with this cause;
/// the peer has logged its own.
async fn assert_refused(site: &Site, software: Software, issued: &Issued, told: &str, logged: &str) {
    let code = if software == Software::Prosody { "stream-not-authorized" } else { "sasl-not-authorized" };
    let ours = site.domain_of(site.federation(issued, &site.authority)).await;
    let peer = start(site, site.peer(software, THEIRS)).await;
    let mut recorded = record(&ours);
    let error = once_answered(&ours, &mut recorded).await;
    // RFC 6120, sections 10.4.3 and 8.3.3.17: the domain was found, but no stream could be negotiated.
    assert_eq!((error.condition, error.error_type), (Condition::RemoteServerTimeout, ErrorType::Wait));
    assert!(error.text.as_ref().unwrap().contains(told), "{error:?}");
    assert_eq!(error.application.as_deref().map(Element::name), Some(code), "{error:?}");
    peer.wait_for_log(logged).await.unwrap();
    assert_eq!(all(ours, recorded).await, [], "it is told once");
}

async fn once_answered(ours: &Domain, recorded: &mut UnboundedReceiver<Stanza>) -> StanzaError {
    let (from, to) = (jid("recorder@volunteers.lan"), jid(JULIET));
    let request = Stanza::iq(IqType::Get, "once").with_addresses(from.as_ref(), to.as_ref()).with_payload(ping());
    ours.router().route(request, &Origin::Local).unwrap();
    let answer = within_deadline("the answer", recorded.recv()).await.unwrap();
    assert_eq!((answer.id(), answer.kind()), (Some("once"), Kind::Iq(IqType::Error)));
    assert_eq!((answer.from(), answer.to()), (Some(to.as_ref()), Some(from.as_ref())));
    answer.error().unwrap()
}

async fn a_peer_sends_nothing_to_our_domain_with_a_certificate_for_another_name(software: Software) {
    let site = Site::new(Service::StartTls).await;
    let ours = site.domain_of(site.federation(&site.issue("elsewhere.lan"), &site.authority)).await;
    let peer = start(&site, site.peer(software, THEIRS)).await;
    let recorded = record(&ours);
    let bounce = bounced(&peer).await;
    let cause = match software {
        Software::Prosody => "certificate is not valid for this name",
        _ => "host name mismatch",
    };
    assert!(bounce.contains(cause), "{bounce}");
    assert_eq!(all(ours, recorded).await, []);
}
