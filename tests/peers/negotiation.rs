//! How the two streams between the domains came to be, by Prosody's own account.

use convoke::xmpp::payload::ping;
use convoke_dev::peers::{Peer, Software};

use super::neighbours::{Neighbours, THEIRS, jid};
use crate::support::DEADLINE;

/// Our domain asks and Prosody answers: the question goes by a stream of ours, the answer by one of Prosody's.
async fn asked_and_answered() -> Neighbours {
    let neighbours = Neighbours::new(Software::Prosody).await;
    let asker = neighbours.ours.component("asker").unwrap();
    asker.get(&jid(THEIRS), ping(), DEADLINE).await.unwrap();
    neighbours
}

/// What Prosody logged of the one stream whose kind and line of completion are these.
fn log_of_stream(prosody: &Peer, kind: &str, complete: &str) -> String {
    let log = prosody.log();
    let mut completions = log.lines().filter(|line| line.contains(complete));
    let completion = completions.next().unwrap_or_else(|| panic!("no {complete:?} in:\n{log}"));
    assert_eq!(completions.next(), None, "there is one stream");
    let stream = completion.split_whitespace().find(|word| word.starts_with(kind)).unwrap();
    log.lines().filter(|line| line.contains(stream)).fold(String::new(), |all, line| all + line + "\n")
}

/// For each step there is a line, in this order; a step is several texts, because Prosody writes attributes in any order.
fn assert_steps(log: &str, steps: &[&[&str]]) {
    let mut lines = log.lines();
    for step in steps {
        let found = lines.any(|line| step.iter().all(|text| line.contains(text)));
        assert!(found, "no {step:?} behind its forerunners in:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_stream_to_prosody_is_encrypted_by_starttls_and_authenticated_by_external() {
    let prosody = asked_and_answered().await.peer;
    let log = log_of_stream(&prosody, "s2sin", "Incoming s2s connection volunteers.lan->peer.lan complete");
    assert_steps(
        &log,
        &[
            &["Received[s2sin_unauthed]: <starttls", "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"],
            &["Sending[s2sin_unauthed]: <proceed", "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"],
            &["Stream encrypted (TLSv1.3 with "],
            &["certificate chain validation result: valid"],
            &["certificate identity validation result: valid"],
            &["Received[s2sin_unauthed]: <auth", "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'", "mechanism='EXTERNAL'"],
            &["Sending[s2sin_unauthed]: <success", "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"],
            &["connection volunteers.lan->peer.lan is now authenticated for volunteers.lan"],
            &["Received[s2sin]: <iq "],
        ],
    );
    assert!(prosody.log().contains("Accepting SASL EXTERNAL identity from volunteers.lan"));
}

#[tokio::test(flavor = "multi_thread")]
async fn prosodys_stream_to_us_is_encrypted_by_starttls_and_authenticated_by_external() {
    let prosody = asked_and_answered().await.peer;
    let log = log_of_stream(&prosody, "s2sout", "Outgoing s2s connection peer.lan->volunteers.lan complete");
    assert_steps(
        &log,
        &[
            &["Sending[s2sout_unauthed]: <starttls", "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"],
            &["Received[s2sout_unauthed]: <proceed", "xmlns='urn:ietf:params:xml:ns:xmpp-tls'"],
            &["Stream encrypted (TLSv1.3 with "],
            &["certificate chain validation result: valid"],
            &["certificate identity validation result: valid"],
            &["Sending[s2sout_unauthed]: <auth", "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'", "mechanism='EXTERNAL'"],
            &["Received[s2sout_unauthed]: <success", "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"],
            &["connection peer.lan->volunteers.lan is now authenticated for volunteers.lan"],
            &["Sending[s2sout]: <iq "],
        ],
    );
    assert!(prosody.log().contains("SASL EXTERNAL with volunteers.lan succeeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_dials_back_and_both_sides_find_each_other_by_srv() {
    let neighbours = asked_and_answered().await;
    let log = neighbours.peer.log();
    // Our offer is to share a stream (XEP-0344), and nobody takes it.
    assert!(!log.contains("jabber:server:dialback") && !log.contains("<db:"), "{log}");
    // Neither listens where one would be looked for without an SRV record.
    assert_ne!(neighbours.peer.s2s().port(), 5269);
    let link = neighbours.link();
    assert_eq!((link.dials, link.failures, link.incoming_streams), (1, 0, 1));
}
