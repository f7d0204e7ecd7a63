//! When our reading of a document agrees with expat's, and for which reasons ours may refuse more.

use convoke_xmpp::{Element, Jid, ReadError, Stanza, StreamEvent, namespace, stream};

use crate::expat::{Expat, Verdict};
use crate::pieces::{Attribute, Name, Piece, depth, first_level, pieces_of};
use crate::reading::{CLOSE, End, OPEN_CLIENT, Reading, read, wide_limits};

/// What the two said, where they agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Agreement {
    /// The same tree.
    Accepted,
    /// Neither takes it.
    Rejected,
    /// Well-formed, and refused because a stream may not hold it; the rule was checked on expat's reading.
    Restricted(Rule),
}

/// Why a stream may not hold what is well-formed; what expat's driver bans itself is not listed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// Text between first-level elements, other than literal white space (RFC 6120, section 11.7).
    TextInStream,
    /// `to` or `from` is no address (RFC 6120, section 4.9.3.7).
    Address,
    /// The root is no stream, or a stanza has the content namespace of the other kind of stream
    /// (RFC 6120, sections 4.8.2 and 4.9.3.10).
    Namespace,
    /// More than the limits (RFC 6120, section 13.12).
    Size,
}

/// Reads each document with both, and tells every one on which they disagree and why.
///
/// What both take is read once more by expat as our reader passes it on: the bytes that leave must say what came.
pub(crate) fn compare_all(expat: &mut Expat, documents: &[Vec<u8>]) -> Vec<Result<Agreement, String>> {
    let verdicts = expat.judge(documents);
    let readings: Vec<Option<Reading>> = documents.iter().map(|document| read_or_panic(document)).collect();
    let passed_on: Vec<String> =
        readings.iter().map(|reading| reading.as_ref().map_or_else(String::new, passed_on)).collect();
    let again = expat.judge(&passed_on);
    let both = verdicts.iter().zip(&readings).zip(documents).zip(passed_on.iter().zip(&again));
    both.map(|(((verdict, reading), document), (text, again))| {
        let reading = reading.as_ref().ok_or("our reader panics")?;
        let agreement = compare(document, reading, verdict)?;
        if agreement == Agreement::Accepted {
            compare_passed_on(verdict, again).map_err(|reason| format!("{reason}\n    passed on as {text}"))?;
        }
        Ok(agreement)
    })
    .collect()
}

/// `None` if it panics, so that the test can tell on which document.
fn read_or_panic(document: &[u8]) -> Option<Reading> {
    std::panic::catch_unwind(|| read(document, document.len().max(1), wide_limits())).ok()
}

fn compare(document: &[u8], reading: &Reading, verdict: &Verdict) -> Result<Agreement, String> {
    compare_events(reading, verdict)?;
    match (&reading.end, verdict.accepted) {
        // Behind the end of the stream nothing is read at all, well-formed or not (RFC 6120, section 4.4).
        (End::Closed, true) => Ok(Agreement::Accepted),
        (End::Failed(_), true) if reading.events.last() == Some(&StreamEvent::Close) && verdict.data_behind_root => {
            Ok(Agreement::Accepted)
        }
        (End::Failed(error), true) => match rule_behind(*error, document, verdict) {
            Some(rule) => Ok(Agreement::Restricted(rule)),
            None => Err(format!("refused ({error}) what expat takes")),
        },
        (End::Incomplete, true) => Err("expat takes it, and we wait for more".to_owned()),
        (End::Closed, false) => Err(format!("accepted what expat refuses ({})", verdict.reason)),
        (End::Incomplete | End::Failed(_), false) => Ok(Agreement::Rejected),
    }
}

/// The rule that our reader says is broken, if expat's reading shows that it is.
fn rule_behind(error: ReadError, document: &[u8], verdict: &Verdict) -> Option<Rule> {
    let root = starts(&verdict.pieces[..1]).next()?;
    let children: Vec<_> = first_level(&verdict.pieces).into_iter().filter_map(|c| starts(c).next()).collect();
    let is_content = |name: &Name| [namespace::CLIENT, namespace::SERVER].contains(&name.namespace.as_str());
    let (rule, holds) = match error {
        ReadError::BadFormat(_) if root.0.local != "stream" => (Rule::Namespace, true),
        // A CDATA section there may as well be called restricted.
        ReadError::BadFormat(_) | ReadError::RestrictedXml(_) => (Rule::TextInStream, verdict.text_in_stream),
        ReadError::ImproperAddressing(_) => {
            let stanzas = children.iter().filter(|(name, _)| is_stanza(name));
            let improper =
                |attributes: &[Attribute]| attributes.iter().any(|a| is_address(a) && Jid::new(&a.value).is_err());
            (Rule::Address, improper(root.1) || stanzas.into_iter().any(|(_, attributes)| improper(attributes)))
        }
        ReadError::InvalidNamespace => {
            let mixed = children.iter().any(|(name, _)| is_content(name));
            (Rule::Namespace, root.0.namespace != namespace::STREAM || mixed)
        }
        ReadError::TooLarge { .. } => (Rule::Size, document.len() > 100_000 || depth(&verdict.pieces) > 1000),
        _ => return None,
    };
    holds.then_some(rule)
}

/// Every event that we gave must be what expat read at that place, whatever became of the document later.
fn compare_events(reading: &Reading, verdict: &Verdict) -> Result<(), String> {
    let mut expected = first_level(&verdict.pieces).into_iter();
    for event in &reading.events {
        match event {
            StreamEvent::Open(header) => compare_header(header, verdict.pieces.first())?,
            StreamEvent::Close => {
                if !verdict.accepted {
                    return Err(format!("closed a stream that expat refuses ({})", verdict.reason));
                }
            }
            StreamEvent::Stanza(stanza) => {
                let expected =
                    expected.next().ok_or_else(|| format!("a stanza that expat does not see: {stanza:?}"))?;
                compare_stanza(stanza, expected)?;
            }
            StreamEvent::Element(element) => {
                let expected =
                    expected.next().ok_or_else(|| format!("an element that expat does not see: {element:?}"))?;
                compare_element(element, expected)?;
            }
        }
    }
    match expected.next() {
        Some(missing) if reading.end == End::Closed => Err(format!("an element is missing: {missing:?}")),
        _ => Ok(()),
    }
}

fn compare_header(header: &stream::StreamHeader, root: Option<&Piece>) -> Result<(), String> {
    let Some((name, attributes)) = root.and_then(|root| starts(std::slice::from_ref(root)).next()) else {
        return Err("a stream that expat does not see".to_owned());
    };
    same("the root", &Name { namespace: namespace::STREAM.to_owned(), local: "stream".to_owned() }, name)?;
    let address =
        |local| value(attributes, "", local).filter(|text| !text.is_empty()).and_then(|text| Jid::new(text).ok());
    same("to", &header.to, &address("to"))?;
    same("from", &header.from, &address("from"))?;
    same("id", &header.id.as_deref(), &value(attributes, "", "id"))?;
    same("version", &header.version, &value(attributes, "", "version").and_then(stream::Version::parse))?;
    same("xml:lang", &header.lang.as_deref(), &value(attributes, namespace::XML, "lang"))
}

fn compare_stanza(stanza: &Stanza, expected: &[Piece]) -> Result<(), String> {
    let Some((name, attributes)) = starts(expected).next().filter(|(name, _)| is_stanza(name)) else {
        return Err(format!("a stanza where expat sees another element: {stanza:?}"));
    };
    same("the kind", &stanza.kind().name(), &name.local.as_str())?;
    let address = |local| value(attributes, "", local).and_then(|text| Jid::new(text).ok());
    same("to", &stanza.to().map(|jid| jid.as_str().to_owned()), &address("to").map(|jid| jid.as_str().to_owned()))?;
    same(
        "from",
        &stanza.from().map(|jid| jid.as_str().to_owned()),
        &address("from").map(|jid| jid.as_str().to_owned()),
    )?;
    same("id", &stanza.id(), &value(attributes, "", "id"))?;
    same("xml:lang", &stanza.lang(), &value(attributes, namespace::XML, "lang"))?;
    let payload = first_level(expected).first().and_then(|child| starts(child).next()).map(|(name, _)| name.clone());
    let payload = payload.map(|name| Piece::Start { name, attributes: Vec::new() }.with_client_content());
    let told = stanza
        .payload_name()
        .map(|(local, namespace)| Name { namespace: namespace.to_owned(), local: local.to_owned() });
    same("the payload", &told.map(|name| Piece::Start { name, attributes: Vec::new() }), &payload)?;
    same("the tree", &normal(&pieces_of(&stanza.to_element()), true), &normal(expected, true))
}

fn compare_element(element: &Element, expected: &[Piece]) -> Result<(), String> {
    match starts(expected).next() {
        Some((name, _)) if is_stanza(name) => Err(format!("a stanza given as another element: {element:?}")),
        _ => same("the tree", &normal(&pieces_of(element), true), &normal(expected, true)),
    }
}

/// The first-level elements as they go to the next peer, in a stream of our own.
fn passed_on(reading: &Reading) -> String {
    let mut text = OPEN_CLIENT.to_owned();
    for event in &reading.events {
        match event {
            StreamEvent::Stanza(stanza) => text.push_str(&stanza.text()),
            StreamEvent::Element(element) => element.write(&mut text, namespace::CLIENT),
            StreamEvent::Open(_) | StreamEvent::Close => {}
        }
    }
    text + CLOSE
}

fn compare_passed_on(before: &Verdict, again: &Verdict) -> Result<(), String> {
    if !again.accepted || again.data_behind_root {
        return Err(format!("what we pass on is refused by expat ({})", again.reason));
    }
    let elements =
        |verdict: &Verdict| first_level(&verdict.pieces).into_iter().map(|c| normal(c, false)).collect::<Vec<_>>();
    same("what is passed on", &elements(again), &elements(before))
}

/// The form in which elements are compared: `jabber:client` as content namespace, headers as Convoke writes them.
fn normal(pieces: &[Piece], as_told: bool) -> Vec<Piece> {
    let pieces = pieces.iter().cloned().map(Piece::with_client_content);
    let mut pieces: Vec<_> = pieces.map(|piece| if as_told { piece.told() } else { piece }).collect();
    if let Some(Piece::Start { name, attributes }) = pieces.first_mut()
        && is_stanza(name)
    {
        normalise_header(name, attributes);
    }
    pieces
}

/// Addresses in their normal form, and `type` as Convoke understands it.
fn normalise_header(name: &Name, attributes: &mut Vec<Attribute>) {
    for address in attributes.iter_mut().filter(|attribute| is_address(attribute)) {
        if let Ok(jid) = Jid::new(&address.value) {
            address.value = jid.as_str().to_owned();
        }
    }
    let kind = understood_type(&name.local, value(attributes, "", "type"), value(attributes, "", "id").is_some());
    attributes.retain(|attribute| !(attribute.name.namespace.is_empty() && attribute.name.local == "type"));
    if let Some(kind) = kind {
        let name = Name { namespace: String::new(), local: "type".to_owned() };
        attributes.push(Attribute { name, value: kind.to_owned() });
    }
}

/// What a `type` is taken for: a message of an unknown type is a normal one (RFC 6121, section 5.2.2); a presence or
/// an iq at fault keeps that fault, and is a get only so that it has a type at all.
fn understood_type(stanza: &str, kind: Option<&str>, has_id: bool) -> Option<&'static str> {
    let known: &[&'static str] = match stanza {
        "message" => &["chat", "error", "groupchat", "headline"],
        "presence" => &["unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"],
        _ if has_id => &["get", "set", "result", "error"],
        _ => &["result", "error"],
    };
    let found = known.iter().copied().find(|known| kind == Some(known));
    if stanza == "iq" { found.or(Some("get")) } else { found }
}

fn starts(pieces: &[Piece]) -> impl Iterator<Item = (&Name, &[Attribute])> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Start { name, attributes } => Some((name, attributes.as_slice())),
        _ => None,
    })
}

fn value<'a>(attributes: &'a [Attribute], namespace: &str, local: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|a| a.name.namespace == namespace && a.name.local == local);
    found.map(|attribute| attribute.value.as_str())
}

fn is_stanza(name: &Name) -> bool {
    [namespace::CLIENT, namespace::SERVER].contains(&name.namespace.as_str())
        && ["message", "presence", "iq"].contains(&name.local.as_str())
}

fn is_address(attribute: &Attribute) -> bool {
    attribute.name.namespace.is_empty() && ["to", "from"].contains(&attribute.name.local.as_str())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what} differs: ours {ours:?}, expat's {theirs:?}")) }
}
