//! Stanzas and their addresses (RFC 6120, section 8.1).

use convoke_xmpp::stream::StreamCondition;

use crate::case::Level::{Must, Should};
use crate::case::{Case, Level, Section};
use crate::expectation::Wanted::{AnyError, Closed, Error};
use crate::probe::Stage::Established;
use crate::script::Script;

const fn must() -> (Section, Level) {
    (Section::Stanzas, Must)
}

const fn should() -> (Section, Level) {
    (Section::Stanzas, Should)
}

pub(super) const CASES: &[Case] = &[
    taken(
        "good",
        "a good stanza is taken",
        "RFC 6120, 8.1",
        "<iq type='get' id='good' from='{us}' to='{them}'><ping xmlns='urn:xmpp:ping'/></iq>",
    )
    .in_short(),
    taken(
        "good-user",
        "users of the authenticated domain may send",
        "RFC 6120, 8.1.2.2(2)",
        "<message id='good' from='romeo@{us}/orchard' to='nobody-of-that-name@{them}'/>",
    ),
    taken(
        "error",
        "an error is taken, and never answered by an error",
        "RFC 6120, 8.3.1(5)",
        "<message type='error' id='never-sent' from='{us}' to='nobody-of-that-name@{them}'/>",
    ),
    bad(
        "to-missing",
        "a stanza without to closes the stream by improper-addressing",
        "<message from='{us}'/>",
        "RFC 6120, 8.1.1.2(1)",
        IMPROPER,
    )
    .in_short(),
    bad(
        "to-empty",
        "a stanza with an empty to closes the stream by improper-addressing",
        "<message from='{us}' to=''/>",
        "RFC 6120, 8.1.1.2(1)",
        IMPROPER,
    ),
    bad(
        "to-malformed",
        "a stanza whose to is no address closes the stream by improper-addressing",
        "<message from='{us}' to='@{them}'/>",
        "RFC 6120, 8.1.1.2(1)",
        IMPROPER,
    ),
    bad(
        "from-missing",
        "a stanza without from closes the stream by improper-addressing",
        "<message to='{them}'/>",
        "RFC 6120, 8.1.2.2(1)",
        IMPROPER,
    )
    .in_short(),
    bad(
        "from-empty",
        "a stanza with an empty from closes the stream by improper-addressing",
        "<message from='' to='{them}'/>",
        "RFC 6120, 8.1.2.2(1)",
        IMPROPER,
    ),
    bad(
        "from-malformed",
        "a stanza whose from is no address closes the stream by improper-addressing",
        "<message from='{us}/' to='{them}'/>",
        "RFC 6120, 8.1.2.2(1)",
        IMPROPER,
    ),
    bad(
        "to-unserved",
        "a stanza to a domain that is not served closes the stream by host-unknown",
        "<message from='{us}' to='juliet@unserved.conformance.invalid'/>",
        "RFC 6120, 8.1.1.2(2)",
        &[Error(StreamCondition::HostUnknown), Error(StreamCondition::HostGone)],
    )
    .in_short(),
    bad(
        "from-foreign",
        "a stanza from a domain that was not authenticated closes the stream by invalid-from",
        "<message from='juliet@other.conformance.invalid' to='{them}'/>",
        "RFC 6120, 8.1.2.2(2)",
        INVALID_FROM,
    )
    .in_short(),
    bad(
        "from-served",
        "a stanza from the domain of the server itself closes the stream by invalid-from",
        "<message from='juliet@{them}' to='{them}'/>",
        "RFC 6120, 8.1.2.2(2)",
        INVALID_FROM,
    )
    .in_short(),
    bad(
        "from-below",
        "a stanza from a domain below the authenticated one closes the stream by invalid-from",
        "<message from='juliet@below.{us}' to='{them}'/>",
        "RFC 6120, 8.1.2.2(2)",
        INVALID_FROM,
    )
    .in_short(),
    bad(
        "from-resource",
        "a stanza whose foreign domain is hidden before the name of the authenticated one closes the stream by invalid-from",
        "<message from='other.conformance.invalid/@{us}' to='{them}'/>",
        "RFC 6120, 8.1.2.2(2)",
        INVALID_FROM,
    ),
    Case::script(
        must(),
        "content-client",
        "a stanza of clients' content closes the stream by invalid-namespace",
        "RFC 6120, 4.8.3",
        Script::new(
            Established,
            "<message xmlns='jabber:client' from='{us}' to='{them}'/>",
            &[Error(StreamCondition::InvalidNamespace)],
        )
        .and_close(),
    ),
    Case::script(
        must(),
        "foreign",
        "an element that is no stanza is ignored, or closes the stream by unsupported-stanza-type",
        "RFC 6120, 4.8.4 and 4.9.3.24",
        Script::new(Established, "<moon xmlns='urn:example:moon' from='{us}' to='{them}'/>", &[Closed, AnyError])
            .prefer(&[Closed, Error(StreamCondition::UnsupportedStanzaType)])
            .and_close(),
    ),
    Case::script(
        should(),
        "unknown",
        "an element of the content namespace that is no stanza closes the stream by unsupported-stanza-type",
        "RFC 6120, 4.9.3.24",
        Script::new(Established, "<pubsub from='{us}' to='{them}'/>", &[Closed, AnyError])
            .prefer(&[Error(StreamCondition::UnsupportedStanzaType)])
            .and_close(),
    ),
    Case::script(
        should(),
        "second-features",
        "features from an initiating entity are no stanza",
        "RFC 6120, 4.3.2",
        Script::new(Established, "<stream:features/>", &[Closed, AnyError]).and_close(),
    ),
];

const IMPROPER: &[crate::expectation::Wanted] = &[Error(StreamCondition::ImproperAddressing)];
const INVALID_FROM: &[crate::expectation::Wanted] = &[Error(StreamCondition::InvalidFrom)];

const fn taken(key: &'static str, name: &'static str, source: &'static str, say: &'static str) -> Case {
    Case::script(must(), key, name, source, Script::new(Established, say, &[Closed]).and_close())
}

const fn bad(
    key: &'static str,
    name: &'static str,
    say: &'static str,
    source: &'static str,
    want: &'static [crate::expectation::Wanted],
) -> Case {
    Case::script(must(), key, name, source, Script::new(Established, say, want).and_close())
}
