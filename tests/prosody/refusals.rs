//! A certificate that proves nothing: neither side takes stanzas from it, and every sender is told.

use std::sync::Arc;

use convoke::xmpp::payload::ping;
use convoke::xmpp::{Condition, ErrorType, IqType, Kind, Origin, Router, Service, Stanza};
use convoke::{About, Domain};
use convoke_dev::peers::{Peer, Software};
use convoke_dev::{CertificateAuthority, Subject};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::neighbours::{JULIET, Site, THEIRS, jid};
use crate::support::client::{Client, attribute, child, name};
use crate::support::{DEADLINE, within_deadline};

/// Keeps every stanza for its address, answers included.
struct Recorder(UnboundedSender<Stanza>);

impl Service for Recorder {
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

/// Prosody trusts us, and its own certificate is from an authority that nobody else knows.
async fn prosody_of_another_authority(site: &Site) -> Peer {
    let issued = CertificateAuthority::new("Another CA").unwrap().issue(&Subject::domain(THEIRS)).unwrap();
    let builder = Peer::builder(Software::Prosody, THEIRS, &site.authority).unwrap();
    builder.accounts(["juliet"]).certificate(issued).start(&site.dns).await.unwrap()
}

/// Prosody's account writes to the recorder; gives the error that comes back.
async fn bounced(prosody: &Peer) -> String {
    let mut juliet = Client::login(prosody, "juliet").await;
    juliet.send("<message id='lost' to='recorder@volunteers.lan'><body>hello</body></message>").await;
    let bounce = juliet.wait_for("the bounce", |element| attribute(element, "id") == Some("lost")).await;
    assert_eq!((name(&bounce), attribute(&bounce, "type")), ("message", Some("error")), "{bounce}");
    bounce
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_server_whose_certificate_is_of_another_authority_is_refused_and_bounces() {
    let site = Site::new().await;
    let (ours, prosody) = (site.domain().await, prosody_of_another_authority(&site).await);
    let recorded = record(&ours);
    let bounce = bounced(&prosody).await;
    assert!(child(&bounce, "remote-server-timeout").is_some(), "{bounce}");
    let told = "policy-violation (the certificate was issued by CN=Another CA, which is not trusted)";
    assert!(bounce.contains(told), "{bounce}");
    assert_eq!((ours.statistics().local, ours.statistics().remote), (0, 0), "our router has seen nothing");
    assert_eq!(all(ours, recorded).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_server_whose_certificate_is_of_another_authority() {
    let site = Site::new().await;
    let (ours, prosody) = (site.domain().await, prosody_of_another_authority(&site).await);
    let asker = ours.component("asker").unwrap();
    let error = asker.get(&jid(THEIRS), ping(), DEADLINE).await.unwrap_err();
    let error = error.stanza_error().unwrap();
    assert_eq!((error.condition, error.error_type), (Condition::RemoteServerTimeout, ErrorType::Wait));
    let cause = "the certificate was issued by CN=Another CA, which is not trusted";
    assert!(error.text.as_ref().unwrap().contains(cause), "{error:?}");
    prosody.wait_for_log("policy-violation").await.unwrap();
    let log = prosody.log();
    assert!(!log.contains("]: <auth") && !log.contains("]: <iq"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_domain_with_a_certificate_for_another_name_is_refused_and_its_sender_told_once() {
    let site = Site::new().await;
    let ours = site.domain_with(&site.authority.issue(&Subject::domain("elsewhere.lan")).unwrap()).await;
    let _prosody = site.prosody(THEIRS).await;
    let mut recorded = record(&ours);
    let (from, to) = (jid("recorder@volunteers.lan"), jid(JULIET));
    let request = Stanza::iq(IqType::Get, "once").with_addresses(from.as_ref(), to.as_ref()).with_payload(ping());
    ours.router().route(request, &Origin::Local).unwrap();

    let answer = within_deadline("the answer", recorded.recv()).await.unwrap();
    assert_eq!((answer.id(), answer.kind()), (Some("once"), Kind::Iq(IqType::Error)));
    assert_eq!((answer.from(), answer.to()), (Some(to.as_ref()), Some(from.as_ref())));
    let error = answer.error().unwrap();
    // RFC 6120, sections 10.4.3 and 8.3.3.17: the domain was found, but no stream could be negotiated.
    assert_eq!((error.condition, error.error_type), (Condition::RemoteServerTimeout, ErrorType::Wait));
    let cause = "not-authorized: Your server's certificate is not valid for this name";
    assert!(error.text.as_ref().unwrap().contains(cause), "{error:?}");
    assert_eq!(all(ours, recorded).await, [], "it is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn prosody_sends_nothing_to_our_domain_with_a_certificate_for_another_name() {
    let site = Site::new().await;
    let ours = site.domain_with(&site.authority.issue(&Subject::domain("elsewhere.lan")).unwrap()).await;
    let prosody = site.prosody(THEIRS).await;
    let recorded = record(&ours);
    let bounce = bounced(&prosody).await;
    assert!(bounce.contains("certificate is not valid for this name"), "{bounce}");
    assert_eq!(all(ours, recorded).await, []);
}
