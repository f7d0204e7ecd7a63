//! The reader of streams: the same result however the bytes are cut, within its limits, and nothing that cannot be
//! written again.

use convoke_xmpp::stream::{Features, StreamError};
use convoke_xmpp::{Element, Limits, ReadError, StanzaError, StreamEvent, StreamReader};

use crate::stanza::check_stanza;

/// How a stream begins before the input: with nothing, or with headers that peers send.
const OPENINGS: [&str; 4] = [
    "",
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
     xmlns:p='urn:p' from='a.example' to='b.example' version='1.0'>",
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:q='urn:q' \
     xmlns:db='jabber:server:dialback' version='1.0'>",
    "<stream xmlns='http://etherx.jabber.org/streams' xmlns:s='jabber:server' xmlns:p='urn:p' version='1.0'>",
];

/// Reads a stream. The first byte chooses how it begins, which limits hold and how it is cut.
pub fn reader(data: &[u8]) {
    let Some((&selector, rest)) = data.split_first() else { return };
    let bytes = [OPENINGS[usize::from(selector & 3)].as_bytes(), rest].concat();
    let limits = limits(selector);
    let whole = read(&bytes, limits, &[bytes.len().max(1)]);
    for sizes in [&[1][..], &[usize::from(selector >> 4) + 2, 1, 64]] {
        let cut = read(&bytes, limits, sizes);
        assert_eq!(cut, whole, "the result depends on how the bytes are cut: {sizes:?}");
    }
    whole.events.iter().for_each(check_event);
}

fn limits(selector: u8) -> Limits {
    match selector >> 2 & 3 {
        0 => Limits::before_authentication(),
        1 => Limits { stanza_bytes: 512, depth: 4, attributes: 6, ..Limits::before_authentication() },
        _ => Limits::default(),
    }
}

/// What a stream was read as.
#[derive(Debug, PartialEq)]
struct Reading {
    events: Vec<StreamEvent>,
    error: Option<ReadError>,
}

fn read(bytes: &[u8], limits: Limits, sizes: &[usize]) -> Reading {
    let mut reader = StreamReader::new(limits);
    let mut reading = Reading { events: Vec::new(), error: None };
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| rest.len().min(*size));
        let (chunk, behind) = rest.split_at(size);
        rest = behind;
        reader.push(chunk);
        take_events(&mut reader, &mut reading);
        assert!(reader.buffered() <= limits.stanza_bytes, "{} bytes are held", reader.buffered());
    }
    reading
}

fn take_events(reader: &mut StreamReader, reading: &mut Reading) {
    loop {
        match reader.poll() {
            Ok(Some(event)) => {
                assert_eq!(reading.error, None, "{event:?} after an error");
                reading.events.push(event);
            }
            Ok(None) => return assert_eq!(reading.error, None, "an error was forgotten"),
            Err(error) => {
                assert!(reading.error.is_none_or(|first| first == error), "{error} after {:?}", reading.error);
                reading.error = Some(error);
                return;
            }
        }
    }
}

fn check_event(event: &StreamEvent) {
    match event {
        StreamEvent::Stanza(stanza) => check_stanza(stanza),
        StreamEvent::Element(element) => check_element(element),
        StreamEvent::Open(_) | StreamEvent::Close => {}
    }
}

/// A tree can be written and read again, and whatever takes it for something else gives in to no bytes either.
pub(crate) fn check_element(element: &Element) {
    match Element::parse(&element.to_string()) {
        Ok(again) => assert_eq!(again, *element, "a written element reads differently"),
        // Declarations that one ancestor made are written at each descendant that needs them: that may be too much.
        Err(ReadError::TooLarge { .. }) => {}
        Err(error) => panic!("{element} cannot be read again: {error}"),
    }
    let _ = Features::from_element(element);
    if let Some(error) = StreamError::from_element(element) {
        assert_eq!(StreamError::from_element(&error.to_element()), Some(error));
    }
    let _ = StanzaError::from_element(element);
}
