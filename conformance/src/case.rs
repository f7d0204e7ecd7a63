//! A rule of a standard, and how it is tried.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use crate::bench::Bench;
use crate::script::Script;
use crate::verdict::Judgement;

/// How binding a rule is (RFC 2119).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Level {
    /// MUST, MUST NOT, REQUIRED, SHALL.
    Must,
    /// SHOULD, SHOULD NOT, RECOMMENDED.
    Should,
    /// No rule of a standard, but something that its users will want to know: measured, and never failed.
    Measured,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::Measured => "measured",
        })
    }
}

/// What part of the protocol a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Section {
    /// Stream headers.
    Headers,
    /// Stream features, restarts and the end of the negotiation.
    Features,
    /// STARTTLS and TLS.
    Tls,
    /// Connections that begin with TLS.
    DirectTls,
    /// SASL.
    Sasl,
    /// What the certificate of a peer has to be like.
    Certificates,
    /// Stanzas and their addresses.
    Stanzas,
    /// XML.
    Xml,
    /// Stream errors and the end of streams.
    Closing,
    /// How much a peer may send.
    Limits,
    /// Streams that carry stanzas in both directions.
    Bidi,
    /// Stanzas that are acknowledged, and streams that are resumed.
    Acknowledgements,
    /// The server as initiating entity.
    Dialling,
}

impl Section {
    /// The name in identifiers of cases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Headers => "headers",
            Self::Features => "features",
            Self::Tls => "tls",
            Self::DirectTls => "direct-tls",
            Self::Sasl => "sasl",
            Self::Certificates => "certificates",
            Self::Stanzas => "stanzas",
            Self::Xml => "xml",
            Self::Closing => "closing",
            Self::Limits => "limits",
            Self::Bidi => "bidi",
            Self::Acknowledgements => "acknowledgements",
            Self::Dialling => "dialling",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One rule, and how it is tried.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// What it is about.
    pub section: Section,
    /// A name of its own within the section.
    pub key: &'static str,
    /// The rule, as a sentence.
    pub name: &'static str,
    /// Where the rule stands: a document and a section.
    pub source: &'static str,
    /// How binding it is.
    pub level: Level,
    /// Whether it belongs to the short set: one short conversation, about what matters most.
    pub short: bool,
    pub(crate) test: Test,
}

/// How a rule is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Test {
    /// Something is said, and the answer is of a kind that is wanted.
    Script(Script),
    /// Anything else.
    Code(Code),
}

/// The code of a case.
pub(crate) type Code = for<'a> fn(&'a Bench) -> Running<'a>;

/// A case that runs.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Judgement> + Send + 'a>>;

impl Case {
    pub(crate) const fn script(
        (section, level): (Section, Level),
        key: &'static str,
        name: &'static str,
        source: &'static str,
        script: Script,
    ) -> Self {
        Self { section, key, name, source, level, short: false, test: Test::Script(script) }
    }

    pub(crate) const fn code(
        (section, level): (Section, Level),
        key: &'static str,
        name: &'static str,
        source: &'static str,
        code: Code,
    ) -> Self {
        Self { section, key, name, source, level, short: false, test: Test::Code(code) }
    }

    /// The same, as one of the short set.
    pub(crate) const fn in_short(self) -> Self {
        Self { short: true, ..self }
    }

    /// Section and key, such as `headers/unserved-to`: unique among all cases.
    pub fn id(&self) -> String {
        format!("{}/{}", self.section, self.key)
    }

    pub(crate) async fn run(&self, bench: &Bench) -> Judgement {
        match &self.test {
            Test::Script(script) => script.run(bench).await,
            Test::Code(code) => code(bench).await,
        }
    }
}
