//! What our reader makes of a document.

use convoke_xmpp::{Limits, ReadError, StreamEvent, StreamReader};

/// The start of a stream, as the peers of a server and of a client send it, and its end.
pub(crate) const OPEN_SERVER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='a.example' to='b.example' version='1.0'>";
pub(crate) const OPEN_CLIENT: &str = "<stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' to='b.example' version='1.0' xml:lang='en'>";
pub(crate) const CLOSE: &str = "</stream:stream>";

/// Limits beyond everything that the cases hold, so that they show what is well-formed and nothing else.
pub(crate) fn wide_limits() -> Limits {
    Limits { stanza_bytes: 1 << 22, depth: 1 << 20, attributes: 1 << 20, elements: 1 << 20, total: None }
}

/// The events of a document and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) events: Vec<StreamEvent>,
    pub(crate) end: End,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The stream was closed, and nothing came behind that.
    Closed,
    /// More bytes were needed.
    Incomplete,
    Failed(ReadError),
}

/// Reads a document that arrives in chunks of this many bytes.
pub(crate) fn read(document: &[u8], chunk: usize, limits: Limits) -> Reading {
    let mut reader = StreamReader::new(limits);
    let mut events = Vec::new();
    for bytes in document.chunks(chunk) {
        reader.push(bytes);
        loop {
            match reader.poll() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(error) => return Reading { events, end: End::Failed(error) },
            }
        }
    }
    let end = if events.last() == Some(&StreamEvent::Close) { End::Closed } else { End::Incomplete };
    Reading { events, end }
}

/// This text as the first-level content of a stream.
pub(crate) fn in_stream(text: &[u8], open: &str) -> Vec<u8> {
    [open.as_bytes(), text, CLOSE.as_bytes()].concat()
}

/// This text as the content of an element within a stanza.
pub(crate) fn in_stanza(text: &[u8], open: &str) -> Vec<u8> {
    let before = b"<message to='b.example' from='a.example'><x xmlns='urn:x'>";
    in_stream(&[before, text, b"</x></message>"].concat(), open)
}
