//! Stanzas: whatever is done to one, its bytes stand alone and mean what its header says.

use convoke_xmpp::{Element, Jid, Limits, ReadError, Stanza, StreamEvent, StreamReader};

use crate::reader::check_element;

/// A stream that binds everything otherwise than the one a stanza was read from.
const OTHER_STREAM: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
    xmlns:p='urn:other:p' xmlns:q='urn:other:q' xmlns:a='urn:other:a' xmlns:a0='urn:other:a0' version='1.0'>";

/// A stream with prefixes for the stanza to use.
const STREAM: &str = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
    xmlns:p='urn:p' xmlns:q='urn:q' xmlns:s='jabber:server' version='1.0'>";

/// Parses a stanza, alone and within a stream, rewrites it in every way there is, and parses it again.
pub fn stanza_round_trip(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let alone = Stanza::parse(text).ok();
    let within = within_stream(STREAM, text);
    for stanza in alone.iter().chain(&within) {
        check_stanza(stanza);
        rewrite(stanza);
    }
}

/// The bytes of a stanza stand alone, on any stream, and its tree is stable.
pub(crate) fn check_stanza(stanza: &Stanza) {
    let text = stanza.text();
    let Some(again) = parse(&text) else { return };
    assert_means_the_same(&again, stanza);
    assert_eq!(parse(&again.text()).as_ref(), Some(&again), "a stanza that was read from a stanza's bytes changes");
    let Some(elsewhere) = within_stream(OTHER_STREAM, &text) else { panic!("no stanza on another stream: {text}") };
    assert_means_the_same(&elsewhere, stanza);
    check_tree(stanza);
}

fn check_tree(stanza: &Stanza) {
    let tree = stanza.to_element();
    check_element(&tree);
    let Ok(rebuilt) = Stanza::from_element(tree.clone()) else { panic!("a stanza's tree makes no stanza: {tree}") };
    let again = rebuilt.to_element();
    assert_eq!(again.nodes(), tree.nodes(), "a tree changes on its way through a stanza");
    assert_eq!(rebuilt.kind(), stanza.kind());
    assert_eq!((again.lang(), sorted(&again)), (tree.lang(), sorted(&tree)));
    assert_eq!(Stanza::from_element(again).as_ref(), Ok(&rebuilt), "a stanza's tree is not stable");
    assert_eq!(stanza.payload().as_ref(), tree.children().next());
    let _ = stanza.error();
}

/// Attributes have no order, and a type that no standard knows is not written: kinds are compared instead.
fn sorted(element: &Element) -> Vec<(&str, &str)> {
    let mut attributes: Vec<_> = element.attributes().filter(|(name, _)| *name != "type").collect();
    attributes.sort_unstable();
    attributes
}

/// Reads what was written; `None` where the writing made it too large.
fn parse(text: &str) -> Option<Stanza> {
    match Stanza::parse(text) {
        Ok(stanza) => Some(stanza),
        Err(ReadError::TooLarge { .. }) => None,
        Err(error) => panic!("{text} does not stand alone: {error}"),
    }
}

fn within_stream(header: &str, text: &str) -> Option<Stanza> {
    let mut reader = StreamReader::new(Limits::default());
    reader.push(header.as_bytes());
    reader.push(text.as_bytes());
    while let Ok(Some(event)) = reader.poll() {
        if let StreamEvent::Stanza(stanza) = event {
            return Some(stanza);
        }
    }
    None
}

/// What a faulty stanza was is not in its bytes: a type that no standard knows is not passed on.
fn assert_means_the_same(read: &Stanza, written: &Stanza) {
    if written.fault().is_none() {
        assert_eq!(read.fault(), None, "{written:?} became faulty");
    }
    assert_eq!(read.kind(), written.kind(), "{written:?}");
    assert_eq!((read.to(), read.from()), (written.to(), written.from()), "{written:?}");
    assert_eq!((read.id(), read.lang()), (written.id(), written.lang()), "{written:?}");
    assert_eq!(read.payload_name(), written.payload_name(), "{written:?}");
    assert_eq!(read.to_element(), written.to_element(), "{written:?}");
}

fn rewrite(stanza: &Stanza) {
    let (Ok(to), Ok(from)) = (Jid::new("b@b.example/it's <&>"), Jid::new("a.example")) else { return };
    let moved = stanza.with_addresses(from.as_ref(), to.as_ref());
    assert_eq!((moved.to(), moved.from()), (Some(to.as_ref()), Some(from.as_ref())));
    assert_eq!(stanza.with_to(&to).with_from(&from), moved);
    assert_eq!((moved.id(), moved.payload()), (stanza.id(), stanza.payload()));
    check_stanza(&moved);
    let renamed = moved.with_id("a'\"<>&\t\u{e9}");
    assert_eq!((renamed.id(), renamed.to()), (Some("a'\"<>&\t\u{e9}"), moved.to()));
    check_stanza(&renamed);
    check_grown(&renamed);
    answer(&moved);
}

fn check_grown(stanza: &Stanza) {
    let child = || Element::new("extra", "urn:extra").attr("a", "'\"<&>").text("]]>\r\n");
    let grown = stanza.with_payload(child());
    assert_eq!(grown.to_element().children().last(), Some(&child()));
    check_stanza(&grown);
}

/// An answer is as good as the stanza: one without an `id` gets none.
fn answer(stanza: &Stanza) {
    if stanza.fault().is_some() {
        return;
    }
    if stanza.is_request() {
        check_stanza(&stanza.result(stanza.payload()));
    }
    let error = convoke_xmpp::StanzaError::new(convoke_xmpp::Condition::ItemNotFound);
    if let Some(bounced) = stanza.bounce(&error) {
        assert!(bounced.kind().is_error() && bounced.to() == stanza.from());
        check_stanza(&bounced);
    }
}
