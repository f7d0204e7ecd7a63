//! Large stanzas arrive whole; those that are too large do not, and take nothing with them that is not.

use convoke::s2s::{FederationConfig, LinkState};
use convoke::xmpp::Limits;
use convoke_dev::peers::{Service, Software};

use super::neighbours::{Neighbours, OURS, Site, THEIRS, message, next, next_of};
use crate::support::client::{attribute, child};
use crate::support::until;

/// Bytes of the bodies: across one TLS record, beyond several, beyond socket buffers.
const SIZES: [usize; 3] = [8 * 1024, 60 * 1024, 200 * 1024];
const SINK: &str = "sink@volunteers.lan";

super::with_each_peer!(
    large_messages_arrive_whole_in_both_directions,
    a_message_larger_than_we_accept_ends_the_stream_and_nothing_else,
    a_message_larger_than_the_peer_accepts_ends_the_stream_and_nothing_else,
);

fn body(length: usize) -> String {
    ('a'..='z').cycle().take(length).collect()
}

/// The first of them make each side dial, so that they come right behind the negotiation, whose limits are narrow.
async fn large_messages_arrive_whole_in_both_directions(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let mut sink = neighbours.ours.component("sink").unwrap();
    let mut juliet = neighbours.juliet().await;
    let sizes = || SIZES.into_iter().rev().chain([1]).cycle().take(12).map(body);
    for body in sizes() {
        juliet.send(&format!("<message to='{SINK}'><body>{body}</body></message>")).await;
    }
    let mut arrived = Vec::new();
    for _ in sizes() {
        arrived.push(next(&mut sink).await.payload().unwrap().content().to_owned());
    }
    // Prosody changes the order of what waits while it dials.
    arrived.sort();
    let mut sent: Vec<_> = sizes().collect();
    sent.sort();
    assert!(arrived == sent, "what arrived is not what was sent");
    for (number, body) in sizes().enumerate() {
        sink.send(message(juliet.jid(), &number.to_string(), &body)).unwrap();
    }
    for (number, body) in sizes().enumerate() {
        let message = next_of(&mut juliet).await;
        assert_eq!(attribute(&message, "id"), Some(&*number.to_string()));
        assert!(message.contains(&format!("<body>{body}</body>")), "message {number} is not whole");
    }
}

/// RFC 6120, section 4.9.3.14: `policy-violation`; the next message goes by a new stream.
async fn a_message_larger_than_we_accept_ends_the_stream_and_nothing_else(software: Software) {
    let site = Site::new(Service::StartTls).await;
    let federation = site.federation(&site.issue(OURS), &site.authority);
    let limits = Limits { stanza_bytes: 64 * 1024, ..federation.limits };
    let ours = site.domain_of(FederationConfig { limits, ..federation }).await;
    let peer = site.peer(software, THEIRS).start(&site.dns).await.unwrap();
    let neighbours = Neighbours { site, ours, peer };
    let mut sink = neighbours.ours.component("sink").unwrap();
    let mut juliet = neighbours.acquainted_juliet().await;
    juliet.send(&format!("<message to='{SINK}' id='large'><body>{}</body></message>", body(SIZES[2]))).await;
    neighbours.peer.wait_for_log("policy-violation").await.unwrap();
    juliet.send(&format!("<message to='{SINK}' id='small'><body>hello</body></message>")).await;
    assert_eq!(next(&mut sink).await.id(), Some("small"));
}

/// Each of them takes 512 KiB and does not say so (XEP-0478).
async fn a_message_larger_than_the_peer_accepts_ends_the_stream_and_nothing_else(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let source = neighbours.ours.component("source").unwrap();
    let mut juliet = neighbours.acquainted_juliet().await;
    source.send(message(juliet.jid(), "large", &body(600 * 1024))).unwrap();
    until("our side sees the end of the stream", || neighbours.link().state != LinkState::Open).await;
    source.send(message(juliet.jid(), "small", "hello")).unwrap();
    let message = next_of(&mut juliet).await;
    assert_eq!(attribute(&message, "id"), Some("small"));
    assert!(child(&message, "body").is_some());
}
