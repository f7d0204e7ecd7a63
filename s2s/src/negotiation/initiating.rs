//! The initiating entity: the side that dials.

mod authentication;
mod config;
mod verdict;

use std::sync::Arc;
use std::time::Instant;

use convoke_xmpp::negotiation::{Input, Negotiator, Output, TlsInfo};
use convoke_xmpp::stream::{self, Features, StreamHeader, Version};
use convoke_xmpp::{Element, namespace};

pub use config::InitiatingConfig;

use super::evidence::Evidence;
use super::machine::{self, Machine, Role, unexpected, unexpected_handshake, unexpected_header};
use super::{ALPN, Established, foreign_language};
use crate::dialback::Dialback;
use crate::error::{NegotiationFailure, Stage};
use crate::identity::{IdentityVerifier, PeerIdentity};
use verdict::Fallback;

type Wire = machine::Wire<Established>;
type Step<S> = machine::Step<S, Established>;

/// The negotiation of an outgoing stream, from the first header to the last features.
///
/// TLS is begun even if the peer does not offer it (RFC 7590, section 3.1), and nothing goes on without it; EXTERNAL is
/// the only mechanism. The peer's certificate has to name the domain that was asked for.
pub struct Initiating {
    machine: Machine<Dialing>,
}

impl Initiating {
    /// Begins a negotiation over a connection that has just been made; the first output is the stream header.
    pub fn new(config: InitiatingConfig, verifier: Arc<IdentityVerifier>, now: Instant) -> Self {
        let deadline = now + config.deadline;
        let role = Dialing { config, verifier };
        let mut wire = Wire::default();
        let state = if role.config.direct_tls {
            wire.start_tls(role.config.tls_start(Some(ALPN)));
            State::Handshake(ExpectHandshake)
        } else {
            wire.open(role.header());
            State::Header(ExpectHeader)
        };
        Self { machine: Machine::new(role, state, wire, deadline) }
    }

    /// How far it has come; `None` when it has ended.
    pub fn stage(&self) -> Option<Stage> {
        self.machine.stage()
    }

    /// Who the peer has proved to be, from the TLS handshake to the end of the negotiation.
    pub fn identity(&self) -> Option<&PeerIdentity> {
        self.machine.state()?.secured().map(|secured| &secured.identity)
    }
}

impl Negotiator for Initiating {
    type Established = Established;
    type Error = NegotiationFailure;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), NegotiationFailure> {
        self.machine.handle(now, input)
    }

    fn poll_output(&mut self) -> Option<Output<Established>> {
        self.machine.poll_output()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }
}

struct Dialing {
    config: InitiatingConfig,
    verifier: Arc<IdentityVerifier>,
}

type Outcome = Result<Step<State>, NegotiationFailure>;

/// What is waited for; each state owns what is known by then and nothing from before TLS (RFC 6120, section 5.4.3.3).
enum State {
    Header(ExpectHeader),
    Features(ExpectFeatures),
    Proceed(ExpectProceed),
    Handshake(ExpectHandshake),
    SecuredHeader(ExpectSecuredHeader),
    SecuredFeatures(ExpectSecuredFeatures),
    Verdict(ExpectVerdict),
    Success(ExpectSuccess),
    FinalHeader(ExpectFinalHeader),
    FinalFeatures(ExpectFinalFeatures),
}

impl State {
    fn secured(&self) -> Option<&Secured> {
        match self {
            Self::Header(_) | Self::Features(_) | Self::Proceed(_) | Self::Handshake(_) => None,
            Self::SecuredHeader(state) => Some(&state.secured),
            Self::SecuredFeatures(state) => Some(&state.secured),
            Self::Verdict(state) => Some(&state.secured),
            Self::Success(state) => Some(&state.secured),
            Self::FinalHeader(state) => Some(&state.secured),
            Self::FinalFeatures(state) => Some(&state.secured),
        }
    }
}

struct ExpectHeader;

struct ExpectFeatures;

struct ExpectProceed {
    offered: bool,
}

struct ExpectHandshake;

struct ExpectSecuredHeader {
    secured: Secured,
}

struct ExpectSecuredFeatures {
    secured: Secured,
    opened: Opened,
}

/// An answer of dialback.
struct ExpectVerdict {
    secured: Secured,
    opened: Opened,
    features: Features,
    question: Dialback,
}

struct ExpectSuccess {
    secured: Secured,
    /// What is left where dialback is good enough and the peer can do it: many offer EXTERNAL and then refuse it.
    dialback: Option<Fallback>,
    /// The response that was sent at once and may be asked for again, once.
    response: Option<String>,
}

struct ExpectFinalHeader {
    secured: Secured,
}

struct ExpectFinalFeatures {
    secured: Secured,
    opened: Opened,
}

/// What the header of the peer's stream says.
struct Opened {
    id: String,
    lang: Option<String>,
    /// Whether it can do dialback, as it says there.
    dialback: bool,
}

impl Opened {
    fn new(header: &StreamHeader) -> Self {
        let (id, lang) = (header.id.clone().unwrap_or_default(), foreign_language(header));
        Self { id, lang, dialback: header.dialback }
    }
}

/// What TLS has proved.
struct Secured {
    identity: PeerIdentity,
    evidence: Evidence,
    bidi: bool,
    tls_version: &'static str,
    resumed: bool,
}

impl Role for Dialing {
    type State = State;
    type Established = Established;

    fn stage(&self, state: &State) -> Stage {
        match state {
            State::Header(_) | State::Features(_) => Stage::Opening,
            State::Proceed(_) => Stage::StartTls,
            State::Handshake(_) => Stage::Tls,
            State::SecuredHeader(_) | State::SecuredFeatures(_) => Stage::Secured,
            State::Success(_) | State::Verdict(_) => Stage::Authentication,
            State::FinalHeader(_) | State::FinalFeatures(_) => Stage::Authenticated,
        }
    }

    fn opened(&self, state: State, header: StreamHeader, _: &mut Wire) -> Outcome {
        let stage = self.stage(&state);
        let next = match state {
            State::Header(ExpectHeader) => State::Features(ExpectFeatures),
            State::SecuredHeader(ExpectSecuredHeader { secured }) => {
                State::SecuredFeatures(ExpectSecuredFeatures { secured, opened: Opened::new(&header) })
            }
            State::FinalHeader(ExpectFinalHeader { secured }) => {
                State::FinalFeatures(ExpectFinalFeatures { secured, opened: Opened::new(&header) })
            }
            _ => return unexpected_header(stage),
        };
        self.check(header, stage)?;
        Ok(Step::Next(next))
    }

    fn element(&self, state: State, element: Element, wire: &mut Wire) -> Outcome {
        let stage = self.stage(&state);
        let features = Features::from_element(&element);
        match (state, features) {
            (State::Features(state), Some(features)) => Ok(state.features(&features, wire)),
            (State::SecuredFeatures(state), Some(features)) => state.features(features, &self.config, wire),
            (State::FinalFeatures(state), Some(features)) => state.features(features, &self.config),
            (State::Proceed(state), None) => state.element(&element, &self.config, wire),
            (State::Success(state), None) => state.element(&element, self, wire),
            (State::Verdict(state), None) => state.element(&element, &self.config, wire),
            _ => unexpected(stage, &element),
        }
    }

    fn secured(&self, state: State, tls: &TlsInfo<'_>, wire: &mut Wire) -> Outcome {
        match state {
            State::Handshake(state) => state.secured(tls, self, wire),
            state => unexpected_handshake(self.stage(&state)),
        }
    }

    fn closed(&self, state: &State) -> Option<NegotiationFailure> {
        matches!(state, State::Proceed(ExpectProceed { offered: false })).then_some(NegotiationFailure::TlsNotOffered)
    }

    fn header_of_error(&self) -> Result<StreamHeader, NegotiationFailure> {
        Ok(self.header())
    }
}

impl Dialing {
    /// RFC 6120, section 4.7: `from`, `to` and the version, but no `id`.
    fn header(&self) -> StreamHeader {
        let header = StreamHeader::server(Some(&self.config.local), Some(&self.config.remote));
        header.with_dialback(self.config.secret.is_some())
    }

    /// Whether the response header is one that can be gone on with.
    ///
    /// `to` and `id` are of no use here and may be missing (RFC 6120, sections 4.7.1 and 4.7.2, interoperability notes).
    fn check(&self, header: StreamHeader, stage: Stage) -> Result<(), NegotiationFailure> {
        if !matches!(header.content, stream::Content::Server | stream::Content::Undeclared) {
            return Err(NegotiationFailure::ContentNamespace);
        }
        if header.version.is_none_or(|version| version.major != Version::XMPP_1_0.major) {
            return Err(NegotiationFailure::UnsupportedVersion { version: header.version });
        }
        match header.from {
            // Before TLS a name is worth nothing; a host may also answer with another of its names before an error
            // (section 4.9.1.3).
            Some(from) if stage != Stage::Opening && from.as_str() != self.config.remote.as_str() => {
                Err(NegotiationFailure::InvalidFrom { from, expected: self.config.remote.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl ExpectFeatures {
    fn features(self, features: &Features, wire: &mut Wire) -> Step<State> {
        wire.send(Element::new("starttls", namespace::TLS));
        Step::Next(State::Proceed(ExpectProceed { offered: features.starttls }))
    }
}

impl ExpectProceed {
    fn element(self, element: &Element, config: &InitiatingConfig, wire: &mut Wire) -> Outcome {
        if element.is("proceed", namespace::TLS) {
            wire.start_tls(config.tls_start(None));
            return Ok(Step::Next(State::Handshake(ExpectHandshake)));
        }
        if element.is("failure", namespace::TLS) {
            wire.close();
            return Err(if self.offered { NegotiationFailure::TlsRefused } else { NegotiationFailure::TlsNotOffered });
        }
        unexpected(Stage::StartTls, element)
    }
}

impl ExpectHandshake {
    /// The certificate is judged before anything is said within TLS; if it is bad, a stream is opened to say so.
    fn secured(self, tls: &TlsInfo<'_>, role: &Dialing, wire: &mut Wire) -> Outcome {
        wire.restart();
        let evidence = Evidence::new(tls.peer_chain, &role.verifier);
        let identity = match evidence.verify(&role.config.remote, tls.at) {
            Err(_) if role.config.secret.is_some() => PeerIdentity::by_dialback(&role.config.remote, tls.at),
            judged => judged?,
        };
        wire.open(role.header());
        let secured = Secured { identity, evidence, bidi: false, tls_version: tls.version, resumed: tls.resumed };
        Ok(Step::Next(State::SecuredHeader(ExpectSecuredHeader { secured })))
    }
}

impl ExpectFinalFeatures {
    /// Empty features or voluntary ones alone complete the negotiation (RFC 6120, section 4.3.5).
    fn features(self, features: Features, config: &InitiatingConfig) -> Outcome {
        if let Some((name, namespace)) = features.unknown_required.first().cloned() {
            return Err(NegotiationFailure::UnsupportedFeature { name, namespace });
        }
        Ok(Step::Done(established(self.secured, self.opened, &features, config)))
    }
}

fn established(secured: Secured, opened: Opened, features: &Features, config: &InitiatingConfig) -> Established {
    let Secured { identity, evidence, bidi, tls_version, resumed } = secured;
    let dialback = config.dialback && features.dialback;
    Established {
        local: config.local.clone(),
        id: opened.id,
        identity,
        peer_max_bytes: features.max_bytes,
        bidi,
        stream_management: features.stream_management,
        tls_version,
        resumed,
        lang: opened.lang,
        dialback,
        evidence,
        vouched: None,
    }
}
