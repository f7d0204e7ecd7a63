//! XML that streams may not hold, and such that they may (RFC 6120, section 11).

use convoke_xmpp::stream::StreamCondition::{self, NotWellFormed, RestrictedXml, UnsupportedEncoding};

use crate::case::Level::{Measured, Must};
use crate::case::{Case, Level, Section};
use crate::expectation::Wanted::{self, AnyError, Closed, Ended, Error, Features};
use crate::probe::Stage::{self, Connected, Established, Opened};
use crate::script::Script;

const fn must() -> (Section, Level) {
    (Section::Xml, Must)
}

/// The open tag of a message, so that faults lie within stanzas.
macro_rules! within {
    ($content:literal) => {
        concat!("<message from='{us}' to='{them}'>", $content, "</message>")
    };
}

/// A good header, but with this declaration.
macro_rules! declared {
    ($declaration:literal) => {
        concat!(
            $declaration,
            "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='{us}' \
             to='{them}' version='1.0'>"
        )
    };
}

/// 11.1: it SHOULD be the former, and some existing implementations send the latter.
const RESTRICTED: &[Wanted] = &[Error(RestrictedXml), Error(StreamCondition::BadFormat)];
const MALFORMED: &[Wanted] = &[Error(NotWellFormed)];
const ANY: &[Wanted] = &[AnyError];
const NOT_TAKEN: &[Wanted] = &[AnyError, Ended];

pub(super) const CASES: &[Case] = &[
    restricted("comment", "a comment is refused", Established, within!("<!-- none -->")).in_short(),
    restricted("comment-clear", "a comment is refused before TLS too", Opened, "<!-- none -->").in_short(),
    restricted("comment-between", "a comment between stanzas is refused", Established, "<!-- none -->"),
    restricted("instruction", "a processing instruction is refused", Established, within!("<?moon full?>")),
    restricted("instruction-clear", "a processing instruction is refused before TLS too", Opened, "<?moon full?>"),
    restricted(
        "dtd",
        "a document type is refused before the root",
        Connected,
        declared!("<?xml version='1.0'?><!DOCTYPE stream>"),
    )
    .in_short(),
    restricted(
        "dtd-entity",
        "entities cannot be declared",
        Connected,
        declared!("<?xml version='1.0'?><!DOCTYPE stream [<!ENTITY moon 'full'>]>"),
    ),
    restricted("entity", "a reference to an entity is refused", Established, within!("<body>&moon;</body>")),
    restricted(
        "entity-clear",
        "a reference to an entity is refused before TLS too",
        Opened,
        "<a xmlns='urn:example'>&moon;</a>",
    ),
    malformed("mismatch", "tags that do not match are not well-formed", within!("<body></bodi>")).in_short(),
    malformed(
        "attribute-twice",
        "an attribute that comes twice is not well-formed",
        "<message id='1' id='2' from='{us}' to='{them}'/>",
    ),
    malformed(
        "attribute-twice-by-prefix",
        "an attribute that comes twice by different prefixes is not well-formed",
        within!("<a xmlns:p='urn:example' xmlns:q='urn:example' p:x='1' q:x='2'/>"),
    ),
    malformed("attribute-bare", "an attribute without quotes is not well-formed", within!("<body a=b/>")),
    malformed("attribute-less-than", "a < within an attribute is not well-formed", within!("<body a='<'/>")),
    malformed("prefix", "a prefix of an element that is not declared is not well-formed", within!("<moon:full/>"))
        .in_short(),
    malformed(
        "prefix-attribute",
        "a prefix of an attribute that is not declared is not well-formed",
        within!("<body moon:full='1'/>"),
    ),
    malformed("prefix-undeclared", "a prefix cannot be taken back", within!("<a xmlns:p=''/>")),
    malformed("ampersand", "a bare & is not well-formed", within!("<body>a & b</body>")),
    malformed("control", "a control character is not well-formed", within!("<body>\u{1}</body>")),
    malformed(
        "control-reference",
        "a reference to a control character is not well-formed",
        within!("<body>&#1;</body>"),
    ),
    malformed("non-character", "a reference to no character is not well-formed", within!("<body>&#xFFFF;</body>")),
    malformed(
        "cdata-end",
        "the end of a CDATA section that has not begun is not well-formed",
        within!("<body>]]></body>"),
    ),
    malformed("name", "a name cannot begin with a digit", within!("<1/>")),
    Case::script(
        must(),
        "encoding-declared",
        "another encoding than UTF-8 is refused",
        "RFC 6120, 11.6",
        Script::new(Connected, declared!("<?xml version='1.0' encoding='ISO-8859-1'?>"), ANY)
            .prefer(&[Error(UnsupportedEncoding), Error(StreamCondition::BadFormat)]),
    ),
    Case::script(
        must(),
        "utf-8",
        "bytes that are not UTF-8 are refused",
        "RFC 6120, 11.6",
        Script::new(Established, within!("<body>{FF}</body>"), ANY)
            .prefer(&[Error(UnsupportedEncoding), Error(StreamCondition::BadFormat), Error(NotWellFormed)])
            .and_close(),
    )
    .in_short(),
    Case::script(
        must(),
        "utf-16",
        "a stream in UTF-16 is refused",
        "RFC 6120, 11.6",
        Script::new(Connected, "{FF}\u{0}<\u{0}?\u{0}x\u{0}m\u{0}l\u{0} \u{0}", NOT_TAKEN).prefer(ANY),
    ),
    Case::script(
        must(),
        "garbage",
        "what is no XML is answered by a header and an error",
        "RFC 6120, 4.9.1.2",
        Script::new(Connected, "GET / HTTP/1.1\r\nHost: {them}\r\n\r\n", ANY),
    )
    .in_short(),
    Case::script(
        (Section::Xml, Measured),
        "text-between",
        "characters between stanzas, of which nothing is said but that blanks are allowed",
        "RFC 6120, 11.7",
        Script::new(Established, "moon", &[AnyError, Closed]).prefer(ANY).and_close(),
    ),
    taken("whitespace", "blanks between stanzas are taken", "RFC 6120, 11.7", " \r\n\t  "),
    taken(
        "references",
        "the five predefined entities and references to characters are taken",
        "RFC 6120, 11.1",
        within!("<body>&lt;&gt;&amp;&apos;&quot;&#65;&#x1F600;</body>"),
    ),
    taken("cdata", "a CDATA section is taken", "RFC 6120, 11.1", within!("<body><![CDATA[<&]]></body>")),
    taken(
        "beyond-bmp",
        "every character of Unicode is taken",
        "RFC 6120, 11.6",
        within!("<body>\u{fc}\u{20ac}\u{1f600}\u{feff}</body>"),
    ),
    taken(
        "payload",
        "payloads of unknown namespaces are taken, with prefixes",
        "RFC 6120, 8.4",
        within!("<p:a xmlns:p='urn:example:p' p:b='c'><q xmlns='urn:example:q'/></p:a>"),
    ),
    Case::script(
        must(),
        "encoding-utf-8",
        "a declaration of UTF-8 is taken",
        "RFC 6120, 11.6",
        Script::new(Connected, declared!("<?xml version='1.0' encoding='utf-8'?>"), &[Features]),
    ),
];

const fn restricted(key: &'static str, name: &'static str, at: Stage, say: &'static str) -> Case {
    let script = Script::new(at, say, ANY).prefer(RESTRICTED);
    let script = if matches!(at, Established) { script.and_close() } else { script };
    Case::script(must(), key, name, "RFC 6120, 11.1", script)
}

const fn malformed(key: &'static str, name: &'static str, say: &'static str) -> Case {
    Case::script(must(), key, name, "RFC 6120, 11.3", Script::new(Established, say, MALFORMED).and_close())
}

const fn taken(key: &'static str, name: &'static str, source: &'static str, say: &'static str) -> Case {
    Case::script(must(), key, name, source, Script::new(Established, say, &[Closed]).and_close())
}
