//! A connection of the checker to the server under test, as initiating entity.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use convoke_xmpp::stream::StreamHeader;
use convoke_xmpp::{Domainpart, Element};
use tokio_rustls::rustls::pki_types::ServerName;

use crate::expectation::Answer;
use crate::setup::Identity;
use crate::tls::{ALL, ClientTls};
use crate::verdict::{Finding, failed, inconclusive};
use crate::wire::{Seen, Wire};

/// A good stream header: for how it looks when nothing is wrong with it.
pub(crate) const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='{us}' to='{them}' version='1.0' xml:lang='en'>";

/// The request for TLS.
pub(crate) const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// The request for authentication that every known server takes: it names our domain (XEP-0178).
pub(crate) const AUTH: &str = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{id}</auth>";

/// How far a negotiation has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// The connection is there.
    Connected,
    /// The first features have come.
    Opened,
    /// `<proceed/>` has come.
    Proceeding,
    /// TLS is there, and nothing has been said within it.
    Encrypted,
    /// The features within TLS have come.
    Secured,
    /// `<success/>` has come.
    Authenticated,
    /// The final features have come.
    Established,
}

const STAGES: [Stage; 6] =
    [Stage::Opened, Stage::Proceeding, Stage::Encrypted, Stage::Secured, Stage::Authenticated, Stage::Established];

/// What has been seen on the way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// The response headers, one for each stream.
    pub(crate) headers: Vec<StreamHeader>,
    /// The features, one for each stream.
    pub(crate) features: Vec<Element>,
    /// Whether the server has asked for a certificate.
    pub(crate) certificate_asked: bool,
}

/// A connection to the server under test.
pub(crate) struct Probe {
    pub(crate) wire: Wire,
    pub(crate) us: Identity,
    them: Domainpart,
    stage: Stage,
    pub(crate) way: Way,
}

impl Probe {
    pub(crate) fn new(wire: Wire, us: Identity, them: Domainpart) -> Self {
        Self { wire, us, them, stage: Stage::Connected, way: Way::default() }
    }

    /// Says something in one segment. `{us}` and `{them}` stand for the domains, `{id}` for our domain in base64,
    /// `{header}` for a good stream header, and `{FF}` and
    /// `{FE}` for bytes that UTF-8 does not know.
    pub(crate) async fn say(&mut self, text: &str) {
        let bytes = self.filled(text);
        self.wire.send(&bytes).await;
    }

    /// What the server says next, headers apart.
    pub(crate) async fn answer(&mut self) -> Answer {
        loop {
            match self.wire.next().await {
                Seen::Open(header) => self.way.headers.push(header),
                Seen::Stanza(stanza) => return Answer::Stanza(Box::new(stanza)),
                Seen::Element(element) => return Answer::of(element),
                Seen::Close => return Answer::Closed,
                Seen::Malformed(error) => return Answer::Malformed(error),
                Seen::Ended(ending) => return Answer::Ended(ending),
                Seen::Silence => return Answer::Silence,
            }
        }
    }

    /// Says something and waits for features; anything else is in the way of the case.
    pub(crate) async fn open_with(&mut self, header: &str) -> Result<Element, Finding> {
        self.say(header).await;
        match self.answer().await {
            Answer::Features(features) => {
                self.way.features.push(features.clone());
                Ok(features)
            }
            other => inconclusive(format!("no features, but {other}")),
        }
    }

    /// Goes on until this stage; whatever else happens is in the way of the case.
    pub(crate) async fn advance(&mut self, stage: Stage) -> Result<(), Finding> {
        for next in STAGES.into_iter().filter(|next| *next <= stage) {
            if next > self.stage {
                self.step(next).await?;
                self.stage = next;
            }
        }
        Ok(())
    }

    /// The last response header.
    pub(crate) fn header(&self) -> Result<&StreamHeader, Finding> {
        self.way.headers.last().ok_or_else(|| Finding::Failed("there is no response header".to_owned()))
    }

    /// Shakes hands, with this certificate.
    pub(crate) async fn shake_hands(&mut self, tls: &ClientTls) -> std::io::Result<()> {
        let name = ServerName::try_from(self.them.to_ascii()).map_err(std::io::Error::other)?;
        let done = self.wire.connect_tls(tls.config.clone(), name).await;
        self.way.certificate_asked = tls.was_asked();
        self.stage = Stage::Encrypted;
        done
    }

    /// A handshake with our own certificate and every version.
    pub(crate) fn own_tls(&self) -> Result<ClientTls, Finding> {
        ClientTls::new(Some(&self.us.credentials), ALL).map_err(|error| Finding::Inconclusive(error.to_string()))
    }

    /// From here on, the given stage counts as reached: the case has done what leads there itself.
    pub(crate) fn is_at(&mut self, stage: Stage) {
        self.stage = stage;
    }

    async fn step(&mut self, next: Stage) -> Result<(), Finding> {
        match next {
            Stage::Connected => {}
            Stage::Opened | Stage::Secured => drop(self.open_with(HEADER).await?),
            Stage::Proceeding => self.expect(STARTTLS, "proceed", |answer| matches!(answer, Answer::Proceed)).await?,
            Stage::Encrypted => {
                let tls = self.own_tls()?;
                let done = self.shake_hands(&tls).await;
                done.map_err(|error| Finding::Inconclusive(format!("the TLS handshake failed: {error}")))?;
            }
            Stage::Authenticated => {
                self.expect(AUTH, "success", |answer| matches!(answer, Answer::Success)).await?;
                self.wire.restart();
            }
            Stage::Established => drop(self.open_with(HEADER).await?),
        }
        Ok(())
    }

    async fn expect(&mut self, say: &str, wanted: &str, is: fn(&Answer) -> bool) -> Result<(), Finding> {
        self.say(say).await;
        match self.answer().await {
            answer if is(&answer) => Ok(()),
            other => inconclusive(format!("no {wanted}, but {other}")),
        }
    }

    fn filled(&self, text: &str) -> Vec<u8> {
        let us = self.us.domain.as_str();
        let text = text.replace("{header}", HEADER).replace("{us}", us).replace("{them}", self.them.as_str());
        let text = text.replace("{id}", &STANDARD.encode(us));
        let mut bytes = text.into_bytes();
        for (name, byte) in [(b"{FF}", 0xff), (b"{FE}", 0xfe)] {
            while let Some(at) = bytes.windows(name.len()).position(|window| window == name) {
                bytes.splice(at..at + name.len(), [byte]);
            }
        }
        bytes
    }
}

/// That the server closes the stream and then the connection, having said all that it has to say.
pub(crate) async fn closes(wire: &mut Wire) -> Result<crate::wire::Ending, Finding> {
    match wire.next().await {
        Seen::Close => {}
        Seen::Ended(ending) => return failed(format!("no end tag of the stream: {ending}")),
        other => return failed(format!("no end tag of the stream, but {other:?}")),
    }
    match wire.end().await {
        Some(ending) => Ok(ending),
        None => failed("the stream was closed, but not the connection"),
    }
}
