//! The real peer, tried out with itself: if one of these fails, look here before you look at Convoke.

use convoke_dev::{CertificateAuthority, LoopbackDns};

use super::client::{Client, attribute, name};
use super::prosody::Prosody;

async fn dns() -> LoopbackDns {
    LoopbackDns::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::new("Test CA").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn prosody_lets_an_account_log_in_and_answers_its_ping() {
    let prosody = Prosody::start("prosody.lan", &authority(), &dns().await, &["juliet"]).await;
    let mut juliet = Client::login(&prosody, "juliet").await;
    assert_eq!(juliet.jid(), "juliet@prosody.lan/test");
    juliet.send("<iq type='get' id='ping' to='prosody.lan'><ping xmlns='urn:xmpp:ping'/></iq>").await;
    let answer = juliet.wait_for("the answer to the ping", |element| attribute(element, "id") == Some("ping")).await;
    assert_eq!((name(&answer), attribute(&answer, "type")), ("iq", Some("result")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn prosody_asks_our_dns_server_for_other_domains() {
    let dns = dns().await;
    let prosody = Prosody::start("prosody.lan", &authority(), &dns, &["juliet"]).await;
    let mut juliet = Client::login(&prosody, "juliet").await;
    juliet.send("<message id='lost' to='romeo@nowhere.lan'><body>hello</body></message>").await;
    let bounce = juliet.wait_for("the bounce", |element| attribute(element, "id") == Some("lost")).await;
    assert!(bounce.contains("<remote-server-not-found"), "{bounce}");
    assert!(dns.queries() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_prosodys_federate_by_our_certificates_and_srv_records_without_dialback() {
    let (dns, authority) = (dns().await, authority());
    let one = Prosody::start("one.lan", &authority, &dns, &["juliet"]).await;
    let other = Prosody::start("other.lan", &authority, &dns, &["romeo"]).await;
    let (mut juliet, mut romeo) = (Client::login(&one, "juliet").await, Client::login(&other, "romeo").await);
    juliet.send("<message id='m' to='romeo@other.lan/test'><body>hello</body></message>").await;
    let message = romeo.wait_for("the message", |element| name(element) == "message").await;
    assert_eq!(attribute(&message, "from"), Some(juliet.jid()));
    other.wait_for_log("Accepting SASL EXTERNAL identity from one.lan").await;
    assert!(other.log().contains("Stream encrypted (TLSv1.3"), "{}", other.log());
    assert!(!other.log().contains("jabber:server:dialback"), "{}", other.log());
    assert_ne!(one.s2s(), other.s2s());
}
