//! Stream headers: what was read can be written, and means the same then.

use convoke_xmpp::stream::{Content, StreamHeader};
use convoke_xmpp::{Limits, StreamEvent, StreamReader};

/// Reads a stream header: the input as it comes, or, where its first byte is odd, as further attributes of a good one.
pub fn header(data: &[u8]) {
    let Some((&selector, text)) = data.split_first() else { return };
    let whole = if selector % 2 == 0 { text.to_vec() } else { within_a_header(text) };
    let Some(header) = first_header(&whole) else { return };
    let written = StreamHeader { content: content_as_written(header.content), ..header };
    assert_eq!(first_header(written.write().as_bytes()), Some(written), "a written header reads differently");
}

fn within_a_header(attributes: &[u8]) -> Vec<u8> {
    let start = b"<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' ".as_slice();
    [start, attributes, b">"].concat()
}

fn first_header(bytes: &[u8]) -> Option<StreamHeader> {
    let mut reader = StreamReader::new(Limits::default());
    reader.push(bytes);
    match reader.poll() {
        Ok(Some(StreamEvent::Open(header))) => Some(header),
        // Nothing can come before the header.
        Ok(Some(other)) => panic!("{other:?} ahead of the header"),
        Ok(None) | Err(_) => None,
    }
}

/// Headers are written for one of two content namespaces only.
fn content_as_written(content: Content) -> Content {
    if content == Content::Client { Content::Client } else { Content::Server }
}
