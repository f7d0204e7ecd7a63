//! Peers whose certificates prove nothing to us, and ours nothing to them: server dialback (XEP-0220), over TLS, where
//! policy names them.

use convoke::s2s::FederationConfig;
use convoke::s2s::dialer::Verdict;
use convoke::s2s::identity::NameKind;
use convoke_dev::CertificateAuthority;
use convoke_dev::peers::{Service, Software};

use super::neighbours::{Neighbours, OURS, Site, THEIRS};
use crate::support::client::attribute;

/// Both neighbours, each of an authority that the other does not know.
async fn strangers(software: Software, change: impl FnOnce(&mut FederationConfig)) -> Neighbours {
    let site = Site::new(Service::StartTls).await;
    let other = CertificateAuthority::new("Another CA").unwrap();
    let mut federation = site.federation(&site.issue(OURS), &site.authority);
    change(&mut federation);
    let ours = site.domain_of(federation).await;
    let issued = other.issue(&convoke_dev::Subject::domain(THEIRS)).unwrap();
    let peer = site.peer(software, THEIRS).certificate(issued).trust(&other).dialback();
    let peer = peer.start(&site.dns).await.unwrap();
    Neighbours { site, ours, peer }
}

/// Their question has us verify them, and our answer has them verify us: every role is played once by each.
async fn ask_and_answer(software: Software) {
    let neighbours = strangers(software, |config| {
        config.dialback = vec![THEIRS.parse().unwrap()];
        // An answer has to go by a stream of ours.
        config.bidi = false;
    })
    .await;
    let mut juliet = neighbours.juliet().await;
    neighbours.acquaint(&mut juliet).await;
    let link = neighbours.link();
    assert_eq!((link.failures, link.incoming_streams), (0, 1), "{link:?}");
    // Nobody was taken by a certificate.
    let tls = link.last_report.as_ref().and_then(|report| report.attempts.last()?.tls.as_ref());
    assert_eq!(tls.map(|tls| &tls.certificate), Some(&Verdict::Proved(NameKind::Dialback)), "{link:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prosody_and_we_verify_each_other_by_dialback() {
    ask_and_answer(Software::Prosody).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ejabberd_and_we_verify_each_other_by_dialback() {
    ask_and_answer(Software::Ejabberd).await;
}

/// The default: nobody is believed for what DNS says.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_named_by_policy_is_not_verified_by_dialback() {
    let neighbours = strangers(Software::Prosody, |_| {}).await;
    let mut juliet = neighbours.juliet().await;
    let answer = juliet.request("get", Some(OURS), "<ping xmlns='urn:xmpp:ping'/>").await;
    assert_eq!(attribute(&answer, "type"), Some("error"), "{answer}");
    assert!(neighbours.ours.federation().unwrap().statistics().is_empty());
}
