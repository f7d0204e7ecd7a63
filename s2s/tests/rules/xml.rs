//! Rules 67 to 69: what is no XML of a stream, stream errors, and the end.

use std::time::Duration;

use crate::dialled::Dialled;
use crate::listening::Listening;
use crate::wire::{END, Ending, header, stream_error};
use crate::world::SOON;

/// Rule 67, RFC 6120 sections 11.1 and 11.3: within a stanza of an authenticated peer.
#[tokio::test]
async fn xml_that_streams_may_not_hold_has_its_own_condition() {
    let here = Listening::new().await;
    let within = |content: &str| format!("<message from='b.example' to='a.example'>{content}</message>");
    for (given, condition) in [
        (within("<!-- comment -->"), "restricted-xml"),
        (within("<?php echo ?>"), "restricted-xml"),
        (within("&nbsp;"), "restricted-xml"),
        (within("<body x='&lol;'/>"), "restricted-xml"),
        ("<!-- comment -->".to_owned(), "restricted-xml"),
        ("<?pi data?>".to_owned(), "restricted-xml"),
        ("<!DOCTYPE x [<!ENTITY lol 'lol'>]>".to_owned(), "restricted-xml"),
        (within("<x:y/>"), "not-well-formed"),
        (within("<y x:z='1'/>"), "not-well-formed"),
        (within("<y z='1' z='2'/>"), "not-well-formed"),
        (within("<y xmlns:p='urn:p' xmlns:q='urn:p' p:z='1' q:z='2'/>"), "not-well-formed"),
        (within("<y></z>"), "not-well-formed"),
        (within("<y z=1/>"), "not-well-formed"),
        (within("<y z='<'/>"), "not-well-formed"),
        (within("]]>"), "not-well-formed"),
        (within("&#0;"), "not-well-formed"),
        (within("\u{1}"), "not-well-formed"),
        ("</message>".to_owned(), "not-well-formed"),
        ("text between stanzas".to_owned(), "bad-format"),
    ] {
        assert_eq!(stream_error(&here.established_answer_to(&given).await), condition, "{given}");
    }
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 67, RFC 6120 section 11.6.
#[tokio::test]
async fn an_encoding_other_than_utf_8_is_unsupported_and_a_byte_order_mark_is_a_character() {
    let here = Listening::new().await;
    let good = header("b.example", "a.example");
    let utf_16: Vec<u8> = [0xff, 0xfe].into_iter().chain(good.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    for (given, condition) in [
        (good.replace("?>", " encoding='ISO-8859-1'?>").into_bytes(), "unsupported-encoding"),
        (good.replace("?>", " encoding='UTF-16'?>").into_bytes(), "unsupported-encoding"),
        (utf_16, "unsupported-encoding"),
        ([good.as_bytes(), b"<auth>\xff\xff</auth>"].concat(), "unsupported-encoding"),
        (["\u{feff}", &good].concat().into_bytes(), "not-well-formed"),
        (b"<!DOCTYPE stream>".to_vec(), "restricted-xml"),
        (b"<!-- first -->".to_vec(), "restricted-xml"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "not-well-formed"),
    ] {
        assert_eq!(stream_error(&here.answer_to(&given).await), condition, "{}", String::from_utf8_lossy(&given));
    }
    // Within a text it is a character as any other.
    let mut peer = here.established().await;
    peer.say("<message from='b.example' to='a.example'><body>\u{feff}x</body></message>").await;
    let (stanza, _) = here.a.routed().await;
    assert!(stanza.text().contains("\u{feff}x"));
}

/// Rule 67: the other role.
#[tokio::test]
async fn an_initiating_entity_tells_a_host_what_is_wrong_with_its_xml() {
    for (given, condition) in [
        ("<!-- comment -->", "restricted-xml"),
        ("<stream:stream xmlns:stream='http://etherx.jabber.org/streams' x='1' x='2'>", "not-well-formed"),
        ("<?xml version='1.0' encoding='latin1'?>", "unsupported-encoding"),
    ] {
        let here = Dialled::new().await;
        let mut host = here.connected().await;
        host.hear("xml:lang='en'>").await;
        host.say(given).await;
        assert_eq!(stream_error(&host.rest().await), condition, "{given}");
    }
}

/// An error as a peer says it, with a text that names another condition.
fn error(condition: &str) -> String {
    let namespace = "xmlns='urn:ietf:params:xml:ns:xmpp-streams'";
    format!("<stream:error><{condition} {namespace}/><text {namespace}>host-unknown</text></stream:error>{END}")
}

/// Rule 68, RFC 6120 section 4.9.1.1: who hears an error closes too and says no error back.
#[tokio::test]
async fn a_stream_error_is_answered_by_the_closing_tag_alone() {
    let here = Listening::new().await;
    for mut peer in [here.in_the_clear().await, here.offered().await, here.challenged().await, here.established().await]
    {
        peer.say(error("conflict")).await;
        assert_eq!(peer.rest().await, END);
    }
    for point in 0..4 {
        let there = Dialled::new().await;
        let mut host = match point {
            0 => there.opened().await,
            1 => there.secured().await,
            2 => there.asked_for_success().await,
            _ => there.established().await,
        };
        host.say(error("conflict")).await;
        assert_eq!(host.hear(END).await, END, "{point}");
    }
}

/// Rule 68, RFC 6120 section 4.9.2: what it says to people is not read.
#[tokio::test]
async fn an_error_of_an_unknown_condition_is_undefined_whatever_its_text_says() {
    let here = Dialled::new().await;
    let mut host = here.opened().await;
    host.say(error("phase-of-the-moon")).await;
    assert_eq!(host.rest().await, END);
    let told = here.given_back().await.error.text.unwrap();
    assert!(told.contains("undefined-condition"), "{told}");
}

/// Rule 68: ours is an error, its end and nothing behind.
#[tokio::test]
async fn an_error_of_ours_is_followed_by_the_closing_tag_and_the_end() {
    let here = Listening::new().await;
    let mut peer = here.established().await;
    peer.say("<x xmlns='urn:example:x'/>").await;
    assert!(peer.hear(END).await.starts_with("<stream:error><unsupported-stanza-type "));
    // It is not waited for our closing tag longer than is configured, a second here.
    assert_eq!(peer.ending().await, (String::new(), Ending::Said));
}

/// Rule 69, RFC 6120 section 4.4.
#[tokio::test]
async fn a_closing_tag_is_answered_by_one_and_tls_ends_with_close_notify() {
    let here = Listening::new().await;
    for mut peer in [here.offered().await, here.established().await] {
        peer.say(END).await;
        assert_eq!(peer.ending().await, (END.to_owned(), Ending::Said));
    }
    let there = Dialled::new().await;
    let mut host = there.established().await;
    host.say(END).await;
    assert_eq!(host.ending().await, (END.to_owned(), Ending::Said));
}

/// Rule 69, RFC 6120 section 4.4: what the peer still has to say is taken until it closes.
#[tokio::test]
async fn what_comes_behind_our_closing_tag_is_still_taken() {
    let here = Listening::with(|config| {
        config.timeouts.idle = Duration::from_millis(50);
        config.timeouts.close = SOON;
    })
    .await;
    let mut peer = here.established().await;
    assert_eq!(peer.hear(END).await, END);
    peer.say(format!("<message from='b.example' to='a.example' id='late'/>{END}")).await;
    assert_eq!(here.a.routed().await.0.id(), Some("late"));
    assert_eq!(peer.ending().await, (String::new(), Ending::Said));
}

/// Rule 69: a peer that never answers is not waited for for ever.
#[tokio::test]
async fn a_peer_that_never_answers_our_closing_tag_is_left() {
    let here = Listening::with(|config| {
        config.timeouts.idle = Duration::from_millis(50);
        config.timeouts.close = Duration::from_millis(50);
    })
    .await;
    let mut peer = here.established().await;
    assert_eq!(peer.hear(END).await, END);
    assert_eq!(peer.ending().await, (String::new(), Ending::Said));
    here.a.link_until("b.example", |link| link.incoming_streams == 0).await;
}
