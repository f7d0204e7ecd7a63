//! What two servers say to each other all day: made here, the same in every run.

use convoke_xmpp::Stanza;

/// The header of the generated stream.
pub const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='a.example' to='b.example' version='1.0' xml:lang='en'>";

/// The end of the generated stream.
pub const END: &str = "</stream:stream>";

/// A stream and what is in it.
pub struct Stream {
    /// The text, header and end included.
    pub text: String,
    /// Stanzas on it.
    pub stanzas: usize,
    /// Elements on it, that of the stream and all that are nested included.
    pub elements: usize,
}

/// A stream of at least so many bytes: messages, presences, iqs and publish-subscribe events in turn, about 400 bytes each.
pub fn stream(bytes: usize) -> Stream {
    let mut text = HEADER.to_owned();
    let mut stanzas = 0;
    while text.len() < bytes {
        text.push_str(&stanza(stanzas));
        stanzas += 1;
    }
    text.push_str(END);
    let ends = text.matches("</").count() + text.matches("/>").count();
    Stream { text, stanzas, elements: ends }
}

/// The stanza of this number.
pub fn stanza(number: usize) -> String {
    match number % 4 {
        0 => message(number),
        1 => presence(number),
        2 => iq(number),
        _ => event(number),
    }
}

fn message(number: usize) -> String {
    format!(
        "<message from='user{0}@a.example/desk-{0}' to='friend{0}@b.example/phone' id='m{0:08x}' type='chat' \
         xml:lang='en'><body>Task {0} is done &amp; verified: 2 &lt; 3, and the result is where you asked for it. Grüße \
         aus Köln, and see you at the next meeting of the volunteers.</body><active \
         xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/><thread>t{0:08x}</thread>\
         </message>",
        number
    )
}

fn presence(number: usize) -> String {
    format!(
        "<presence from='user{0}@a.example/desk-{0}' to='monitor@b.example'><show>away</show><status>computing task {0}, \
         back in an hour</status><priority>5</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' \
         node='https://convoke.example/' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/><node xmlns='urn:convoke:offer:0' \
         cores='8' memory='16384' load='0.{0}'/></presence>",
        number
    )
}

fn iq(number: usize) -> String {
    format!(
        "<iq from='scheduler@a.example' to='user{0}@b.example/desk-{0}' id='q{0:08x}' type='result'><query \
         xmlns='http://jabber.org/protocol/disco#info' node='n{0}'><identity category='client' type='bot' \
         name='volunteer {0}'/><feature var='http://jabber.org/protocol/disco#info'/><feature var='urn:xmpp:ping'/>\
         <feature var='urn:convoke:lease:0'/><feature var='urn:convoke:task:0'/></query></iq>",
        number
    )
}

fn event(number: usize) -> String {
    format!(
        "<message from='pubsub@a.example' to='user{0}@b.example' id='e{0:08x}' type='headline'><event \
         xmlns='http://jabber.org/protocol/pubsub#event'><items node='volunteers/{0}/state'><item id='i{0:08x}' \
         publisher='monitor@a.example'><state xmlns='urn:convoke:monitor:0' epoch='{0}'><holder>user{0}@a.example/desk\
         </holder><until>2026-11-22T12:00:00Z</until></state></item></items></event></message>",
        number
    )
}

/// A message of exactly so many bytes on the wire, at least 100, from one component to another of another domain.
pub fn message_of(bytes: usize) -> Result<Stanza, crate::Error> {
    let text = |body: &str| {
        format!("<message to='sink@b.example' from='source@a.example' id='0001'><body>{body}</body></message>")
    };
    let body = "x".repeat(bytes.saturating_sub(text("").len()));
    Ok(Stanza::parse(&text(&body))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stanzas_are_about_400_bytes_and_all_valid() {
        let stanzas: Vec<_> = (0..1000).map(stanza).collect();
        let mean = stanzas.iter().map(String::len).sum::<usize>() / stanzas.len();
        assert!((380..420).contains(&mean), "{mean}");
        stanzas.iter().for_each(|stanza| assert_eq!(Stanza::parse(stanza).unwrap().fault(), None));
    }

    #[test]
    fn a_message_has_the_size_that_is_asked_for() {
        assert_eq!(message_of(500).unwrap().size(), 500);
    }
}
