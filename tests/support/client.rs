//! A client that sends and waits for raw XML: enough to stand in for a person at another server.
//!
//! It shares no code with Convoke on purpose, so that a mistake of ours does not cancel out in tests.

use std::collections::VecDeque;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use convoke_dev::peers::{Peer, password};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within_deadline;

/// A logged-in client on plain TCP.
pub(crate) struct Client {
    socket: TcpStream,
    domain: String,
    jid: String,
    /// What has arrived of an element that is not complete yet.
    partial: String,
    /// Complete elements that nobody has waited for yet, oldest first.
    waiting: VecDeque<String>,
    /// How many requests it has sent.
    requests: u32,
}

impl Client {
    /// Connects to this server, authenticates by SASL PLAIN (RFC 4616) and binds the resource `test`.
    pub(crate) async fn login(peer: &Peer, account: &str) -> Self {
        let mut client = Self::connect(peer.c2s(), peer.domain()).await;
        client.authenticate(account, &password(account)).await;
        client.bind("test").await;
        client
    }

    /// The full JID that the server gave.
    pub(crate) fn jid(&self) -> &str {
        &self.jid
    }

    /// Sends this text as it is.
    pub(crate) async fn send(&mut self, xml: &str) {
        self.socket.write_all(xml.as_bytes()).await.unwrap();
    }

    /// Asks for the roster and becomes available: only then does the server deliver subscriptions and their answers
    /// (RFC 6121, section 2.1.6).
    pub(crate) async fn appear(&mut self) {
        self.request("get", None, "<query xmlns='jabber:iq:roster'/>").await;
        self.send("<presence/>").await;
        let me = self.jid.clone();
        self.wait_for("its own presence", |element| is_presence(element, &me, None)).await;
    }

    /// Sends an iq of type get or set, and waits for its answer: a result or an error, as raw XML.
    pub(crate) async fn request(&mut self, kind: &str, to: Option<&str>, payload: &str) -> String {
        self.requests += 1;
        let id = format!("request-{}", self.requests);
        let to = to.map(|to| format!(" to='{to}'")).unwrap_or_default();
        self.send(&format!("<iq type='{kind}' id='{id}'{to}>{payload}</iq>")).await;
        self.wait_for(&format!("the answer to {payload}"), |element| attribute(element, "id") == Some(&id)).await
    }

    /// What it has got and still gets until the server closes the connection, in whatever way: the stanzas alone.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        // A connection that was reset has no more to read than one that was closed.
        let _ = within_deadline("the end of the connection", self.socket.read_to_end(&mut bytes)).await;
        self.partial.push_str(&String::from_utf8_lossy(&bytes));
        self.split();
        let stanzas = self.waiting.drain(..).filter(|element| ["message", "presence", "iq"].contains(&name(element)));
        stanzas.collect()
    }

    /// Waits for a presence from this address, of this type (`None` for available).
    pub(crate) async fn wait_for_presence(&mut self, from: &str, kind: Option<&str>) -> String {
        let what = format!("the presence {kind:?} of {from}");
        self.wait_for(&what, |element| is_presence(element, from, kind)).await
    }

    /// Waits for the first element for which `matches` holds, and returns it as raw XML; `what` names it should it not come.
    ///
    /// Elements that do not match are kept for later waits, in their order.
    pub(crate) async fn wait_for(&mut self, what: &str, matches: impl Fn(&str) -> bool) -> String {
        within_deadline(what, self.next_match(what, matches)).await
    }

    async fn next_match(&mut self, what: &str, matches: impl Fn(&str) -> bool) -> String {
        loop {
            if let Some(position) = self.waiting.iter().position(|element| matches(element)) {
                return self.waiting.remove(position).unwrap();
            }
            self.read(what).await;
        }
    }

    async fn read(&mut self, what: &str) {
        let mut chunk = [0; 4096];
        let length = self.socket.read(&mut chunk).await.unwrap();
        assert_ne!(length, 0, "the server closed the stream before {what}; waiting: {:?}", self.waiting);
        // A character cut in two by the chunk is not worth handling: the tests speak ASCII.
        self.partial.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
        self.split();
    }

    /// Takes the complete elements out of what has arrived.
    fn split(&mut self) {
        while let Some(end) = first_element(&self.partial) {
            self.waiting.push_back(self.partial.drain(..end).collect());
        }
    }

    async fn connect(address: SocketAddr, domain: &str) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let (partial, waiting) = (String::new(), VecDeque::new());
        let mut client = Self { socket, domain: domain.to_owned(), jid: String::new(), partial, waiting, requests: 0 };
        client.open_stream().await;
        client
    }

    async fn open_stream(&mut self) {
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='{}'>",
            self.domain
        );
        self.send(&header).await;
        self.wait_for("the stream features", |element| name(element) == "stream:features").await;
    }

    async fn authenticate(&mut self, account: &str, password: &str) {
        let response = STANDARD.encode(format!("\0{account}\0{password}"));
        let auth = format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{response}</auth>");
        self.send(&auth).await;
        let outcome =
            self.wait_for("the outcome of SASL", |element| ["success", "failure"].contains(&name(element))).await;
        assert_eq!(name(&outcome), "success", "{outcome}");
        self.open_stream().await;
    }

    async fn bind(&mut self, resource: &str) {
        let bind = "urn:ietf:params:xml:ns:xmpp-bind";
        self.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='{bind}'><resource>{resource}</resource></bind></iq>"
        ))
        .await;
        let answer = self.wait_for("the bound address", |element| attribute(element, "id") == Some("bind")).await;
        let jid = answer.split_once("<jid>").and_then(|(_, rest)| rest.split_once("</jid>"));
        self.jid = jid.unwrap_or_else(|| panic!("no address in {answer}")).0.to_owned();
    }
}

/// The qualified name of an element's first tag.
pub(crate) fn name(element: &str) -> &str {
    element.trim_start_matches('<').split([' ', '/', '>']).next().unwrap_or_default()
}

/// An attribute of an element's first tag, as it is written.
pub(crate) fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let tag = &element[..tag_end(element)?];
    let quoted = ['\'', '"'].into_iter().find_map(|quote| {
        let (_, value) = tag.split_once(&format!(" {name}={quote}"))?;
        value.split_once(quote)
    });
    quoted.map(|(value, _)| value)
}

/// The text from the first child of this name on, for [`attribute`] to look at; `None` if there is none.
pub(crate) fn child<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let tag = format!("<{name}");
    let mut starts = element.match_indices(&tag).map(|(start, _)| start);
    let start = starts.find(|start| element[start + tag.len()..].starts_with([' ', '/', '>']));
    start.map(|start| &element[start..])
}

fn is_presence(element: &str, from: &str, kind: Option<&str>) -> bool {
    name(element) == "presence" && attribute(element, "from") == Some(from) && attribute(element, "type") == kind
}

/// Where the first complete element ends; the stream header counts as one, for what comes in it does not end it.
fn first_element(text: &str) -> Option<usize> {
    let (mut depth, mut end) = (0_usize, 0);
    loop {
        let start = end + text[end..].find('<')?;
        end = start + tag_end(&text[start..])?;
        let tag = &text[start..end];
        if tag.starts_with("<?") || tag.starts_with("<stream:stream") {
            return Some(end);
        } else if tag.starts_with("</") {
            depth = depth.saturating_sub(1);
        } else if !tag.ends_with("/>") {
            depth += 1;
        }
        if depth == 0 {
            return Some(end);
        }
    }
}

/// Where the first tag ends, behind its `>`; one within an attribute's quotes does not count.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    let end = text.bytes().position(|byte| match (quote, byte) {
        (None, b'>') => true,
        (None, b'\'' | b'"') => {
            quote = Some(byte);
            false
        }
        (Some(open), _) if open == byte => {
            quote = None;
            false
        }
        _ => false,
    });
    end.map(|end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::{attribute, child, first_element, name};

    #[test]
    fn elements_are_told_apart_wherever_they_are_cut() {
        let text = "<?xml version='1.0'?><stream:stream to='a'><a b='>'><c/><d>x</d></a> <e/></stream:stream>";
        let expected = [
            "<?xml version='1.0'?>",
            "<stream:stream to='a'>",
            "<a b='>'><c/><d>x</d></a>",
            " <e/>",
            "</stream:stream>",
        ];
        let (mut partial, mut found) = (String::new(), Vec::new());
        for character in text.chars() {
            partial.push(character);
            while let Some(end) = first_element(&partial) {
                found.push(partial.drain(..end).collect::<String>());
            }
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn names_and_attributes_are_those_of_the_first_tag() {
        let element = "<iq to=\"it's\" id='1'><query node='x'/></iq>";
        assert_eq!(
            (name(element), attribute(element, "to"), attribute(element, "id")),
            ("iq", Some("it's"), Some("1"))
        );
        assert_eq!(attribute(element, "node"), None);
        assert_eq!(child(element, "query").and_then(|query| attribute(query, "node")), Some("x"));
        assert_eq!(child(element, "que"), None);
    }
}
