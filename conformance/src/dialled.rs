//! A connection of the server under test to the checker, which plays the receiving entity.

use std::time::Duration;

use convoke_xmpp::stream::StreamHeader;
use convoke_xmpp::{Element, namespace};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout, timeout_at};

use crate::authority::{Name, Shape};
use crate::bench::Bench;
use crate::expectation::Answer;
use crate::listening::Names;
use crate::probe::{Probe, Stage};
use crate::setup::Identity;
use crate::tls;
use crate::verdict::{Finding, inconclusive};
use crate::wire::{Seen, Wire};

/// A good response header; every one gets an id of its own.
const RESPONSE: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
    xmlns:stream='http://etherx.jabber.org/streams' from='{us}' to='{them}' id='{number}' version='1.0' xml:lang='en'>";

pub(crate) const TLS_OFFER: &str =
    "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
pub(crate) const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub(crate) const SASL_OFFER: &str = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
    <mechanism>EXTERNAL</mechanism></mechanisms></stream:features>";
pub(crate) const SUCCESS: &str = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";

/// How the ping is named whose answer makes the server dial.
pub(crate) const PING: &str = "conformance-ping";

/// How long a connection may take that was made before, for another case.
const STALE: Duration = Duration::from_millis(20);
/// How many such connections are passed over at most: a server may dial again for ever.
const MOST_STALE: usize = 100;

/// How far the server has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Milestone {
    /// It has sent its first header.
    Header,
    /// It has asked for TLS.
    StartTls,
    /// TLS is there.
    Tls,
    /// It has sent a header within TLS.
    SecuredHeader,
    /// It has asked for authentication.
    Auth,
    /// It has sent a header after its authentication.
    FinalHeader,
    /// It has sent the answer to the ping.
    Stanza,
}

const MILESTONES: [Milestone; 6] = [
    Milestone::StartTls,
    Milestone::Tls,
    Milestone::SecuredHeader,
    Milestone::Auth,
    Milestone::FinalHeader,
    Milestone::Stanza,
];

/// A connection that the server under test has made.
pub(crate) struct Dialled {
    pub(crate) wire: Wire,
    pub(crate) us: Identity,
    them: String,
    /// What is shown as certificate: our own, unless a case wants another one.
    pub(crate) shown: Identity,
    /// The headers that the server has sent.
    pub(crate) headers: Vec<StreamHeader>,
    /// Its request for authentication.
    pub(crate) auth: Option<Element>,
    /// Its answer to the ping.
    pub(crate) stanza: Option<convoke_xmpp::Stanza>,
    responses: u32,
    reached: Milestone,
    /// The stream by which the ping came: it stays until the case is done.
    _provoking: Probe,
}

impl Dialled {
    /// Provokes the server to dial, and takes the connection.
    pub(crate) async fn provoke(bench: &Bench) -> Result<Self, Finding> {
        let Some(listening) = &bench.setup.listening else {
            return Err(Finding::Skipped("needs --listen, and DNS that leads there".to_owned()));
        };
        let us = name(bench, listening.names)?;
        // Held while the case runs: cases would else take each other's connections.
        let listener = listening.listener.lock().await;
        for _ in 0..MOST_STALE {
            if timeout(STALE, listener.accept()).await.is_err() {
                break;
            }
        }
        let mut provoking = bench.reach_as(&us, Stage::Established).await?;
        let ping = format!("<iq type='get' id='{PING}' from='{{us}}' to='{{them}}'><ping xmlns='urn:xmpp:ping'/></iq>");
        provoking.say(&ping).await;
        let (wire, header) = dialled_for(bench, &us, &listener).await?;
        Ok(Self {
            wire,
            shown: us.clone(),
            us,
            them: bench.setup.target.domain.to_string(),
            headers: vec![header],
            auth: None,
            stanza: None,
            responses: 0,
            reached: Milestone::Header,
            _provoking: provoking,
        })
    }

    /// Provokes the server to dial, and plays a good peer until it has got so far.
    pub(crate) async fn reach(bench: &Bench, milestone: Milestone) -> Result<Self, Finding> {
        let mut dialled = Self::provoke(bench).await?;
        dialled.advance(milestone).await?;
        Ok(dialled)
    }

    /// Plays a good peer until the server has got so far; whatever else it does is in the way of the case.
    pub(crate) async fn advance(&mut self, milestone: Milestone) -> Result<(), Finding> {
        for next in MILESTONES.into_iter().filter(|next| *next <= milestone) {
            if next > self.reached {
                self.step(next).await?;
                self.reached = next;
            }
        }
        Ok(())
    }

    /// From here on, the given milestone counts as reached: the case has done what leads there itself.
    pub(crate) fn is_at(&mut self, milestone: Milestone) {
        self.reached = milestone;
    }

    /// Says something in one segment; `{response}` stands for a good response header.
    pub(crate) async fn say(&mut self, text: &str) {
        self.responses += 1;
        let text = text.replace("{response}", RESPONSE).replace("{number}", &format!("checker-{}", self.responses));
        let text = text.replace("{us}", self.us.domain.as_str()).replace("{them}", &self.them);
        self.wire.send(text.as_bytes()).await;
    }

    /// What the server says next, headers apart.
    pub(crate) async fn hear(&mut self) -> Answer {
        loop {
            match self.wire.next().await {
                Seen::Open(header) => self.headers.push(header),
                Seen::Stanza(stanza) => return Answer::Stanza(Box::new(stanza)),
                Seen::Element(element) => return Answer::of(element),
                Seen::Close => return Answer::Closed,
                Seen::Malformed(error) => return Answer::Malformed(error),
                Seen::Ended(ending) => return Answer::Ended(ending),
                Seen::Silence => return Answer::Silence,
            }
        }
    }

    /// Shakes hands as receiving entity, with the certificate that is to be shown.
    pub(crate) async fn shake_hands(&mut self) -> Result<std::io::Result<()>, Finding> {
        let config = tls::server(&self.shown.credentials).map_err(|error| Finding::Inconclusive(error.to_string()))?;
        Ok(self.wire.accept_tls(config).await)
    }

    async fn step(&mut self, next: Milestone) -> Result<(), Finding> {
        match next {
            Milestone::Header => {}
            Milestone::SecuredHeader => self.header().await?,
            Milestone::FinalHeader => {
                self.wire.restart();
                self.say(SUCCESS).await;
                self.header().await?;
            }
            Milestone::StartTls => {
                self.say(&format!("{{response}}{TLS_OFFER}")).await;
                self.element("starttls", namespace::TLS).await?;
            }
            Milestone::Tls => {
                self.say(PROCEED).await;
                let done = self.shake_hands().await?;
                done.map_err(|error| Finding::Inconclusive(format!("the TLS handshake failed: {error}")))?;
            }
            Milestone::Auth => {
                self.say(&format!("{{response}}{SASL_OFFER}")).await;
                self.auth = Some(self.element("auth", namespace::SASL).await?);
            }
            Milestone::Stanza => {
                self.say("{response}<stream:features/>").await;
                match self.hear().await {
                    Answer::Stanza(stanza) => self.stanza = Some(*stanza),
                    other => return inconclusive(format!("no stanza, but {other}")),
                }
            }
        }
        Ok(())
    }

    async fn header(&mut self) -> Result<(), Finding> {
        self.headers.push(header(&mut self.wire).await?);
        Ok(())
    }

    async fn element(&mut self, name: &str, namespace: &str) -> Result<Element, Finding> {
        match self.hear().await {
            Answer::Other(element) if element.is(name, namespace) => Ok(element),
            other => inconclusive(format!("no {name}, but {other}")),
        }
    }
}

/// As whom the server is to dial the checker.
fn name(bench: &Bench, names: Names) -> Result<Identity, Finding> {
    match names {
        Names::Own => Ok(bench.setup.us.clone()),
        Names::Fresh => {
            let domain = format!("{}.{}", bench.key, bench.setup.us.domain.to_ascii());
            bench.identity(&domain, &Shape::new(vec![Name::Dns(domain.clone())]))
        }
    }
}

/// The first connection that is not for another case: servers dial again whom they have lost.
async fn dialled_for(bench: &Bench, us: &Identity, listener: &TcpListener) -> Result<(Wire, StreamHeader), Finding> {
    let until = Instant::now() + bench.setup.patience;
    loop {
        let tcp = match timeout_at(until, listener.accept()).await {
            Ok(Ok((tcp, _))) => tcp,
            Ok(Err(error)) => return inconclusive(format!("cannot accept: {error}")),
            Err(_) => {
                return inconclusive(
                    "the server has not dialled: it does not find the checker, or will not be provoked",
                );
            }
        };
        let mut wire = bench.accepted(tcp);
        let header = header(&mut wire).await?;
        if header.to.as_ref().is_none_or(|to| !is_of_another_case(bench, us, to.domain())) {
            return Ok((wire, header));
        }
    }
}

/// Whether a case as this one would not be dialled by that name: other cases have names of their own, or the checker's.
fn is_of_another_case(bench: &Bench, us: &Identity, to: &str) -> bool {
    let checker = bench.setup.us.domain.as_str();
    to != us.domain.as_str() && (to == checker || to.ends_with(&format!(".{checker}")))
}

async fn header(wire: &mut Wire) -> Result<StreamHeader, Finding> {
    match wire.next().await {
        Seen::Open(header) => Ok(header),
        other => inconclusive(format!("no stream header, but {other:?}")),
    }
}
