//! Rules 10 to 22: stream headers.

use std::collections::HashSet;

use crate::dialled::Dialled;
use crate::listening::{AUTHZID, Listening};
use crate::wire::{
    END, FEATURES_END, NO_FEATURES, PROCEED, SASL, STARTTLS, STREAM, SUCCESS, Wire, answer, auth, client, header,
    server, stream_error, values,
};

fn good() -> String {
    header("b.example", "a.example")
}

/// The one header with which the text begins.
fn opening(text: &str) -> &str {
    assert!(text.starts_with("<?xml version='1.0'?><stream:stream "), "{text}");
    assert_eq!(text.matches("<stream:stream").count(), 1, "{text}");
    let end = text.match_indices('>').nth(1).unwrap().0;
    &text[..=end]
}

/// Rule 10, RFC 6120 sections 4.7.2, 4.9.1.2, 4.9.1.3 and 4.9.3.6.
#[tokio::test]
async fn a_header_to_nobody_here_is_answered_by_a_header_of_our_own_name_and_host_unknown() {
    let here = Listening::new().await;
    for to in ["", " to=''", " to='c.example'", " to='sub.a.example'", " to='juliet@a.example'", " to='a.example/r'"] {
        let said = here.answer_to(good().replace(" to='a.example'", to)).await;
        assert_eq!(values(opening(&said), "from"), ["a.example"], "{to}");
        assert_eq!(stream_error(&said), "host-unknown", "{to}");
    }
}

/// Rule 10, RFC 6120 section 4.7.2, and rule 13, section 4.7.3: the other role.
#[tokio::test]
async fn an_initiating_entity_says_to_whom_and_gives_no_identifier() {
    let here = Dialled::new().await;
    let mut host = here.connected().await;
    let heard = host.hear("xml:lang='en'>").await;
    assert_eq!(values(&heard, "to"), ["b.example"]);
    assert_eq!(values(&heard, "id"), [""; 0]);
}

/// Rule 11, RFC 6120 section 4.7.1.
#[tokio::test]
async fn each_header_says_from_whom_it_is() {
    let here = Listening::new().await;
    let mut peer = here.connected().await;
    peer.say(good().replace(" from='b.example'", "")).await;
    assert_eq!(values(&peer.hear(FEATURES_END).await, "from"), ["a.example"]);
    // The other role within TLS: the helper compares the whole header.
    let there = Dialled::new().await;
    there.secured().await;
    // Within TLS a server that has no name cannot be known.
    let mut peer = here.secured().await;
    peer.say(good().replace(" from='b.example'", "")).await;
    assert_eq!(stream_error(&peer.rest().await), "improper-addressing");
}

/// Rule 12, RFC 6120 section 4.7.2.
#[tokio::test]
async fn the_answer_is_to_the_domain_that_the_header_was_from() {
    let here = Listening::new().await;
    for (from, to) in [("b.example", "b.example"), ("B.EXAMPLE", "b.example"), ("juliet@b.example/r", "b.example")] {
        let mut peer = here.connected().await;
        peer.say(header(from, "a.example")).await;
        assert_eq!(values(&peer.hear(FEATURES_END).await, "to"), [to]);
    }
}

/// Rule 13, RFC 6120 section 4.7.3: not the peer's, not guessable, not twice.
#[tokio::test]
async fn the_receiving_entity_alone_gives_an_identifier_and_a_random_one() {
    let here = Listening::new().await;
    let mut seen = HashSet::new();
    for _ in 0..50 {
        let mut peer = here.connected().await;
        peer.say(good().replace(" version='1.0' xml", " id='mine' version='1.0' xml")).await;
        let heard = peer.hear(FEATURES_END).await;
        let [id] = values(&heard, "id")[..] else { panic!("{heard}") };
        // 144 bits in base64.
        assert_eq!(id.len(), 24);
        assert!(seen.insert(id.to_owned()), "{id} twice");
    }
}

/// Rule 14, RFC 6120 sections 4.3.3, 5.4.3.3 and 6.4.6.
#[tokio::test]
async fn the_three_identifiers_of_a_connection_differ() {
    let here = Listening::new().await;
    let mut peer = here.connected().await;
    peer.say(good()).await;
    let mut heard = peer.hear(FEATURES_END).await;
    peer.say(STARTTLS).await;
    heard += &peer.hear(PROCEED).await;
    let mut peer = peer.secured_as_client(client(&here.world.authority, Some(&here.shown)), "a.example").await;
    peer.say(good()).await;
    heard += &peer.hear(FEATURES_END).await;
    peer.say(auth(AUTHZID)).await;
    heard += &peer.hear(SUCCESS).await;
    peer.say(good()).await;
    heard += &peer.hear(FEATURES_END).await;
    assert_eq!(values(&heard, "id").into_iter().collect::<HashSet<_>>().len(), 3, "{heard}");
}

/// Rule 15, RFC 6120 section 4.7.4; the RFC's own example in section 9.2 omits it, so theirs may.
#[tokio::test]
async fn the_answer_names_its_language_and_a_peer_need_not() {
    let here = Listening::new().await;
    for lang in ["", " xml:lang='en'", " xml:lang='de-CH'"] {
        let mut peer = here.connected().await;
        peer.say(good().replace(" xml:lang='en'", lang)).await;
        assert_eq!(values(&peer.hear(FEATURES_END).await, "xml:lang"), ["en"]);
    }
    let there = Dialled::new().await;
    let mut host = there.connected().await;
    host.hear("xml:lang='en'>").await;
    let without = answer("b.example", "a.example", "1").replace(" xml:lang='en'", "");
    host.say(without + NO_FEATURES).await;
    assert_eq!(host.hear(STARTTLS).await, STARTTLS);
}

/// Rule 16, RFC 6120 section 4.7.5.
#[tokio::test]
async fn versions_are_compared_as_numbers_and_the_lower_one_is_answered() {
    let here = Listening::new().await;
    for version in ["1.0", "01.0", "1.10", "1.00", "2.0", "10.0"] {
        let mut peer = here.connected().await;
        peer.say(good().replace(" version='1.0' xml", &format!(" version='{version}' xml"))).await;
        let heard = peer.hear(FEATURES_END).await;
        // The other one is that of the XML declaration.
        assert_eq!(values(&heard, "version"), ["1.0", "1.0"], "{version}");
    }
    for (version, answered) in [("", vec!["1.0"]), (" version='0.9'", vec!["1.0", "0.9"])] {
        let said = here.answer_to(good().replace(" version='1.0' xml", &format!("{version} xml"))).await;
        assert_eq!(stream_error(&said), "unsupported-version");
        assert_eq!(values(opening(&said), "version"), answered);
    }
}

/// Rule 16, RFC 6120 section 4.7.5: the other role.
#[tokio::test]
async fn an_initiating_entity_refuses_the_answer_of_another_version() {
    for version in ["", " version='0.9'", " version='2.0'"] {
        let here = Dialled::new().await;
        let mut host = here.connected().await;
        host.hear("xml:lang='en'>").await;
        host.say(answer("b.example", "a.example", "1").replace(" version='1.0' xml", &format!("{version} xml"))).await;
        assert_eq!(stream_error(&host.rest().await), "unsupported-version");
    }
}

/// Rule 17, RFC 6120 section 4.8.1.
#[tokio::test]
async fn another_stream_namespace_is_invalid_and_told_on_a_stream_of_our_own() {
    let here = Listening::new().await;
    let said = here.answer_to(good().replace(STREAM, "urn:example:streams")).await;
    opening(&said);
    assert_eq!(stream_error(&said), "invalid-namespace");
}

/// Rule 18, RFC 6120 sections 4.8.2 and 4.8.3.
#[tokio::test]
async fn a_content_namespace_other_than_that_of_servers_is_invalid() {
    let here = Listening::new().await;
    for content in ["jabber:client", "urn:example:content"] {
        let said = here.answer_to(good().replace("jabber:server", content)).await;
        opening(&said);
        assert_eq!(stream_error(&said), "invalid-namespace", "{content}");
    }
    let stanza = "<message xmlns='jabber:client' from='b.example' to='a.example'/>";
    assert_eq!(stream_error(&here.established_answer_to(stanza).await), "invalid-namespace");
    assert!(here.a.has_routed_nothing().await);
}

/// Rule 19, RFC 6120 section 4.8.3 and its example in section 9.2, from the first header to a stanza.
#[tokio::test]
async fn a_peer_without_prefixes_is_understood() {
    let here = Listening::new().await;
    let open = format!("<stream xmlns='{STREAM}' from='b.example' to='a.example' version='1.0'>");
    let mut peer = here.connected().await;
    peer.say(&open).await;
    peer.hear(FEATURES_END).await;
    peer.say(STARTTLS).await;
    peer.hear(PROCEED).await;
    let mut peer = peer.secured_as_client(client(&here.world.authority, Some(&here.shown)), "a.example").await;
    peer.say(&open).await;
    peer.hear(FEATURES_END).await;
    peer.say(auth("=")).await;
    peer.hear(SUCCESS).await;
    peer.say(&open).await;
    peer.hear(FEATURES_END).await;
    peer.say("<message xmlns='jabber:server' from='b.example' to='a.example' id='1'/></stream>").await;
    assert_eq!(here.a.routed().await.0.id(), Some("1"));
    assert_eq!(peer.hear(END).await, END);
}

/// Rule 19, RFC 6120 section 9.2: the other role.
#[tokio::test]
async fn a_host_without_prefixes_is_understood() {
    let here = Dialled::new().await;
    let open = format!("<stream xmlns='{STREAM}' from='b.example' to='a.example' id='1' version='1.0'>");
    let features = |content: &str| format!("<features xmlns='{STREAM}'>{content}</features>");
    let mut host = here.connected().await;
    host.hear("xml:lang='en'>").await;
    host.say(open.clone() + &features("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"))
        .await;
    host.hear(STARTTLS).await;
    host.say(PROCEED).await;
    let mut host = host.secured_as_server(server(&here.world.authority, &here.shown)).await;
    host.hear("xml:lang='en'>").await;
    host.say(open.clone() + &features(&format!("<mechanisms {SASL}><mechanism>EXTERNAL</mechanism></mechanisms>")))
        .await;
    host.hear("</auth>").await;
    host.say(SUCCESS).await;
    host.hear("xml:lang='en'>").await;
    host.say(open + &features("")).await;
    assert!(host.hear("</message>").await.starts_with("<message "));
}

/// Rule 20, RFC 6120 section 4.8.5.
#[tokio::test]
async fn a_foreign_prefix_of_the_stream_is_taken_and_one_that_is_not_declared_refused() {
    let here = Listening::new().await;
    let mut peer = here.connected().await;
    peer.say(good().replace("stream:stream", "s:stream").replace("xmlns:stream", "xmlns:s")).await;
    peer.hear(FEATURES_END).await;
    let said = here.answer_to(good().replace("xmlns:stream", "xmlns:s")).await;
    opening(&said);
    assert_eq!(stream_error(&said), "bad-namespace-prefix");
}

/// Rule 21, RFC 6120 sections 4.8.3: a stanza is of the namespace of the stream that carries it.
#[tokio::test]
async fn a_stanza_is_scoped_anew_by_the_stream_that_carries_it() {
    let here = Dialled::new().await;
    let mut host = here.established().await;
    let client = "<message xmlns='jabber:client' from='a.example' to='b.example' id='2'><body>x</body></message>";
    here.a.send(convoke_xmpp::Stanza::parse(client).unwrap());
    let heard = host.hear("</message>").await;
    assert!(heard.contains(" id='2'") && !heard.contains("jabber:"), "{heard}");
    let there = Listening::new().await;
    let mut peer = there.established().await;
    peer.say("<message from='b.example' to='a.example' id='3'><body>x</body></message>").await;
    let (stanza, _) = there.a.routed().await;
    assert!(!stanza.text().contains("jabber:server"), "{stanza:?}");
}

/// Rule 21, RFC 6120 sections 4.7.4 and 8.1.5: what the stream said of its texts, the stanza says itself from here on.
#[tokio::test]
async fn a_stanza_keeps_the_language_of_the_stream_by_which_it_came() {
    let here = Listening::new().await;
    let mut peer = here.authenticated().await;
    peer.say(good().replace("xml:lang='en'", "xml:lang='de-CH'")).await;
    peer.hear(FEATURES_END).await;
    for (own, routed) in [("", "de-CH"), (" xml:lang='fr'", "fr")] {
        peer.say(format!("<message from='b.example' to='a.example'{own}><body>x</body></message>")).await;
        assert_eq!(here.a.routed().await.0.lang(), Some(routed));
    }
    let mut peer = here.established().await;
    peer.say("<message from='b.example' to='a.example'><body>x</body></message>").await;
    // The language of our own streams.
    assert_eq!(here.a.routed().await.0.lang(), None);
}

/// Rule 22, RFC 6120 sections 11.5 and 11.6.
#[tokio::test]
async fn the_xml_declaration_comes_first_and_theirs_may_say_standalone() {
    let here = Listening::new().await;
    for declaration in ["", "<?xml version='1.0' encoding='UTF-8'?>", "<?xml version='1.0' standalone='no'?>"] {
        let mut peer: Wire = here.connected().await;
        peer.say(good().replace("<?xml version='1.0'?>", declaration)).await;
        // No byte order mark, no space.
        opening(&peer.hear(FEATURES_END).await);
    }
    let there = Dialled::new().await;
    let mut host = there.connected().await;
    opening(&host.hear("xml:lang='en'>").await);
}
