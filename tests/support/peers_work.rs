//! The real peers, tried out with each other: if one of these fails, look here before you look at Convoke.

use convoke_dev::peers::{Peer, PeerBuilder, Service, Software};
use convoke_dev::{CertificateAuthority, LoopbackDns};

use super::client::{Client, attribute, name};

struct Site {
    dns: LoopbackDns,
    authority: CertificateAuthority,
}

impl Site {
    async fn new() -> Self {
        let dns = LoopbackDns::start("127.0.0.1:0".parse().unwrap()).await.unwrap();
        Self { dns, authority: CertificateAuthority::new("Test CA").unwrap() }
    }

    fn builder(&self, software: Software, domain: &str) -> PeerBuilder {
        Peer::builder(software, domain, &self.authority).unwrap().accounts(["juliet"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_let_an_account_log_in_and_answer_its_ping() {
    let site = Site::new().await;
    for software in Software::ALL {
        let peer = site.builder(software, "peer.lan").start(&site.dns).await.unwrap();
        let mut juliet = Client::login(&peer, "juliet").await;
        assert_eq!(juliet.jid(), "juliet@peer.lan/test");
        let pong = juliet.request("get", Some("peer.lan"), "<ping xmlns='urn:xmpp:ping'/>").await;
        assert_eq!((name(&pong), attribute(&pong, "type")), ("iq", Some("result")), "{pong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_ask_our_dns_server_for_other_domains() {
    let site = Site::new().await;
    for software in Software::ALL {
        let peer = site.builder(software, "peer.lan").start(&site.dns).await.unwrap();
        let mut juliet = Client::login(&peer, "juliet").await;
        let before = site.dns.queries();
        juliet.send("<message id='lost' to='romeo@nowhere.lan'><body>hello</body></message>").await;
        let bounce = juliet.wait_for("the bounce", |element| attribute(element, "id") == Some("lost")).await;
        assert!(bounce.contains("<remote-server-not-found"), "{bounce}");
        assert!(site.dns.queries() > before);
    }
}

/// Each of them as sender and as receiver, by STARTTLS and by direct TLS.
#[tokio::test(flavor = "multi_thread")]
async fn peers_federate_by_our_certificates_and_srv_records_without_dialback() {
    for service in [Service::StartTls, Service::DirectTls] {
        let site = Site::new().await;
        let start = async |software, domain| {
            let builder = site.builder(software, domain).services([service]);
            builder.start(&site.dns).await.unwrap()
        };
        let prosody = start(Software::Prosody, "prosody.lan").await;
        let ejabberd = start(Software::Ejabberd, "ejabberd.lan").await;
        let mut here = Client::login(&prosody, "juliet").await;
        let mut there = Client::login(&ejabberd, "juliet").await;
        for (sender, receiver) in [(0, 1), (1, 0)] {
            let clients = [&mut here, &mut there];
            let (from, to) = (clients[sender].jid().to_owned(), clients[receiver].jid().to_owned());
            clients[sender].send(&format!("<message id='m' to='{to}'><body>hello</body></message>")).await;
            let message = clients[receiver].wait_for("the message", |element| name(element) == "message").await;
            assert_eq!(attribute(&message, "from"), Some(&*from), "{message}");
        }
        prosody.wait_for_log("Accepting SASL EXTERNAL identity from ejabberd.lan").await.unwrap();
        ejabberd
            .wait_for_log("Accepted inbound s2s EXTERNAL authentication prosody.lan -> ejabberd.lan")
            .await
            .unwrap();
        assert!(prosody.log().contains("Stream encrypted (TLSv1.3"), "{}", prosody.log());
        assert!(!prosody.log().contains("jabber:server:dialback"), "{}", prosody.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_come_back_after_an_end_and_after_a_crash() {
    let site = Site::new().await;
    for software in Software::ALL {
        let mut peer = site.builder(software, "peer.lan").start(&site.dns).await.unwrap();
        peer.stop().await.unwrap();
        peer.start_again().await.unwrap();
        peer.crash().await.unwrap();
        peer.start_again().await.unwrap();
        assert_eq!(Client::login(&peer, "juliet").await.jid(), "juliet@peer.lan/test");
    }
}
