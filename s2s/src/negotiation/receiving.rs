//! The receiving entity: the side that was dialled.

mod authentication;
mod key;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use convoke_xmpp::negotiation::{Input, Negotiator, Output, TlsInfo, TlsStart};
use convoke_xmpp::stream::{Content, Features, SaslFailure, StreamHeader, Version};
use convoke_xmpp::{Domainpart, Element, Jid, namespace};

use super::evidence::Evidence;
use super::identifier::stream_id;
use super::machine::{self, Machine, Role, unexpected, unexpected_handshake, unexpected_header};
use super::{ALPN, Claim, Established, Received, foreign_language};
use crate::dialback::{Dialback, DialbackPolicy};
use crate::error::{NegotiationFailure, Stage};
use crate::identity::{IdentityVerifier, MAX_CHAIN_LENGTH, PeerIdentity};
use crate::policy::DomainPolicy;
use crate::sasl;

type Wire = machine::Wire<Received>;
type Step<S> = machine::Step<S, Received>;

/// Who is served here, and what a peer may do before it is known.
#[derive(Debug, Clone)]
pub struct ReceivingConfig {
    /// The domains that are served here. The first one speaks where a peer asks for none of them.
    pub domains: Arc<[Domainpart]>,
    /// Whose streams are accepted. Default everybody's.
    pub policy: Arc<DomainPolicy>,
    /// The largest first-level element that is accepted after the negotiation, in bytes; peers are told (XEP-0478).
    pub max_bytes: usize,
    /// Whether TLS comes first, without STARTTLS (XEP-0368). Default no.
    pub direct_tls: bool,
    /// Whether streams that carry stanzas in both directions are offered (XEP-0288). Default no.
    pub bidi: bool,
    /// Whether acknowledgements are offered (XEP-0198): what follows the negotiation has to answer for it. Default no.
    pub stream_management: bool,
    /// Whether it is offered to authorise further domains of the peer on the stream, by the certificates of its TLS
    /// (XEP-0344): what follows the negotiation has to answer for it. Default no.
    pub dialback: bool,
    /// For whom dialback by keys is good enough (XEP-0220): such a peer may claim its domain, and what follows the negotiation
    /// has to verify that. Default for nobody.
    pub keys: Option<DialbackPolicy>,
    /// How long the whole negotiation may take, whatever the peer sends meanwhile. Default 30 s.
    pub deadline: Duration,
    /// How many SASL attempts may fail before the stream is closed. Default 3; RFC 6120, section 6.4.5, wants 2 to 5.
    pub attempts: u8,
}

impl ReceivingConfig {
    /// The defaults for these domains.
    pub fn new(domains: Arc<[Domainpart]>, max_bytes: usize) -> Self {
        Self {
            domains,
            policy: Arc::default(),
            max_bytes,
            direct_tls: false,
            bidi: false,
            stream_management: false,
            dialback: false,
            keys: None,
            deadline: Duration::from_secs(30),
            attempts: 3,
        }
    }
}

/// The negotiation of an incoming stream, from the first header to the last features.
///
/// TLS is required. EXTERNAL is offered only if the peer's certificate proves the `from` of its stream header; if not,
/// the stream ends at once and its error names the cause (RFC 6120, section 6.4.5).
pub struct Receiving {
    machine: Machine<Listening>,
}

impl Receiving {
    /// Waits for the stream header on a connection that has just been accepted.
    pub fn new(config: ReceivingConfig, verifier: Arc<IdentityVerifier>, now: Instant) -> Self {
        let deadline = now + config.deadline;
        let role = Listening { config, verifier };
        let mut wire = Wire::default();
        let state = if role.config.direct_tls {
            wire.start_tls(TlsStart::Receiving { local: None, alpn: Some(ALPN) });
            State::Handshake(ExpectHandshake)
        } else {
            State::Header(ExpectHeader)
        };
        Self { machine: Machine::new(role, state, wire, deadline) }
    }
}

impl Negotiator for Receiving {
    type Established = Received;
    type Error = NegotiationFailure;

    fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), NegotiationFailure> {
        self.machine.handle(now, input)
    }

    fn poll_output(&mut self) -> Option<Output<Received>> {
        self.machine.poll_output()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.machine.poll_timeout()
    }
}

struct Listening {
    config: ReceivingConfig,
    verifier: Arc<IdentityVerifier>,
}

type Outcome = Result<Step<State>, NegotiationFailure>;

/// What is waited for; each state owns what is known by then and nothing from before TLS (RFC 6120, section 5.4.3.3).
enum State {
    Header(ExpectHeader),
    StartTls(ExpectStartTls),
    Handshake(ExpectHandshake),
    SecuredHeader(ExpectSecuredHeader),
    Auth(ExpectAuth),
    Key(ExpectKey),
    Response(ExpectResponse),
    FinalHeader(ExpectFinalHeader),
}

struct ExpectHeader;

struct ExpectStartTls {
    /// Whose certificate to show.
    local: Domainpart,
    failures: Failures,
}

struct ExpectHandshake;

struct ExpectSecuredHeader {
    chain: Vec<Vec<u8>>,
    at: SystemTime,
    tls_version: &'static str,
    resumed: bool,
}

struct ExpectAuth {
    proved: Proved,
    failures: Failures,
}

/// A key of dialback, from a peer that has proved nothing.
struct ExpectKey {
    local: Domainpart,
    /// Who it says that it is.
    remote: Domainpart,
    id: String,
    evidence: Evidence,
    bidi: Option<Bidi>,
    tls_version: &'static str,
    resumed: bool,
    lang: Option<String>,
}

struct ExpectResponse {
    proved: Proved,
    failures: Failures,
}

struct ExpectFinalHeader {
    proved: Proved,
}

/// What TLS and the header within it have proved.
struct Proved {
    local: Domainpart,
    identity: PeerIdentity,
    evidence: Evidence,
    /// What the peer has asked for, if it has asked for both directions.
    bidi: Option<Bidi>,
    tls_version: &'static str,
    resumed: bool,
}

/// A request for both directions, and what it says of the largest element that the peer accepts, in bytes.
struct Bidi {
    peer_max_bytes: Option<u64>,
}

/// The SASL attempts that failed.
#[derive(Default)]
struct Failures {
    attempts: u8,
    last: Option<SaslFailure>,
}

impl Role for Listening {
    type State = State;
    type Established = Received;

    fn stage(&self, state: &State) -> Stage {
        match state {
            State::Header(_) => Stage::Opening,
            State::StartTls(_) => Stage::StartTls,
            State::Handshake(_) => Stage::Tls,
            State::SecuredHeader(_) => Stage::Secured,
            State::Auth(_) | State::Key(_) | State::Response(_) => Stage::Authentication,
            State::FinalHeader(_) => Stage::Authenticated,
        }
    }

    fn opened(&self, state: State, header: StreamHeader, wire: &mut Wire) -> Outcome {
        match state {
            State::Header(ExpectHeader) => self.offer_tls(&header, wire),
            State::SecuredHeader(state) => state.opened(&header, self, wire),
            State::FinalHeader(state) => state.opened(&header, self, wire),
            state => unexpected_header(self.stage(&state)),
        }
    }

    fn element(&self, state: State, element: Element, wire: &mut Wire) -> Outcome {
        match state {
            // A second <starttls/>, or one before the features.
            state if element.is("starttls", namespace::TLS) => match state {
                State::StartTls(state) => state.starttls(&element, wire),
                _ => refuse_tls(wire),
            },
            State::StartTls(state) if element.namespace() == namespace::SASL => state.sasl(&element, self, wire),
            State::Auth(state) => state.element(&element, self, wire),
            State::Key(state) => state.element(&element, self, wire),
            State::Response(state) => state.element(&element, self, wire),
            state => unexpected(self.stage(&state), &element),
        }
    }

    fn secured(&self, state: State, tls: &TlsInfo<'_>, wire: &mut Wire) -> Outcome {
        match state {
            State::Handshake(ExpectHandshake) => {
                wire.restart();
                Ok(Step::Next(State::SecuredHeader(ExpectSecuredHeader::new(tls))))
            }
            state => unexpected_handshake(self.stage(&state)),
        }
    }

    fn closed(&self, state: &State) -> Option<NegotiationFailure> {
        match state {
            State::StartTls(ExpectStartTls { failures, .. })
            | State::Auth(ExpectAuth { failures, .. })
            | State::Response(ExpectResponse { failures, .. }) => {
                failures.last.map(|failure| NegotiationFailure::Sasl { failure, text: None })
            }
            _ => None,
        }
    }

    fn header_of_error(&self) -> Result<StreamHeader, NegotiationFailure> {
        Ok(StreamHeader::server(self.config.domains.first(), None).with_id(stream_id()?))
    }
}

impl Listening {
    fn offer_tls(&self, header: &StreamHeader, wire: &mut Wire) -> Outcome {
        let (local, _) = self.answer(header, wire)?;
        wire.send(Features::element().child(Features::starttls_required()));
        Ok(Step::Next(State::StartTls(ExpectStartTls { local, failures: Failures::default() })))
    }

    /// Answers with our own header, and only then says what is wrong with the peer's (RFC 6120, section 4.9.1.2).
    ///
    /// Gives the domain that is asked for, and the identifier of the stream.
    fn answer(&self, header: &StreamHeader, wire: &mut Wire) -> Result<(Domainpart, String), NegotiationFailure> {
        let (served, id) = (header.to.as_ref().and_then(|to| self.served(to)), stream_id()?);
        let names_peer = header.from.as_ref().is_some_and(|from| self.keys_of(&from.to_domainpart()).is_some());
        wire.open(response(header, served.or(self.config.domains.first()), &id).with_dialback(names_peer));
        if !matches!(header.content, Content::Server | Content::Undeclared) {
            return Err(NegotiationFailure::ContentNamespace);
        }
        if header.version.is_none_or(|version| version < Version::XMPP_1_0) {
            return Err(NegotiationFailure::UnsupportedVersion { version: header.version });
        }
        let local = served.cloned().ok_or_else(|| NegotiationFailure::HostUnknown { to: header.to.clone() })?;
        Ok((local, id))
    }

    /// What a peer is offered once it is known: nothing that it would have to take.
    fn last_features(&self) -> Element {
        let dialback = self.config.dialback.then(Features::dialback);
        Features::element().with_children(self.voluntary_features()).with_children(dialback)
    }

    fn voluntary_features(&self) -> impl Iterator<Item = Element> + use<> {
        let stream_management = self.config.stream_management.then(Features::stream_management);
        [Features::limits(self.config.max_bytes)].into_iter().chain(stream_management)
    }

    /// The policy, where it leaves this peer to dialback.
    fn keys_of(&self, peer: &Domainpart) -> Option<&DialbackPolicy> {
        self.config.keys.as_ref().filter(|policy| policy.names(peer))
    }

    /// Answers, as authoritative server, a peer that asks whether a key is ours (XEP-0220, section 2.2.2).
    fn vouch(&self, question: &Dialback, wire: &mut Wire) -> bool {
        let Some(policy) = self.keys_of(&question.from) else { return false };
        let serves = |domain: &Domainpart| self.config.domains.contains(domain);
        let answer = question.vouched(&policy.secret, serves);
        answer.inspect(|answer| wire.send(answer.to_element())).is_some()
    }

    fn served(&self, to: &Jid) -> Option<&Domainpart> {
        self.config.domains.iter().find(|domain| domain.as_str() == to.as_str())
    }
}

fn response(header: &StreamHeader, from: Option<&Domainpart>, id: &str) -> StreamHeader {
    let mut response = StreamHeader::server(from, None).with_id(id);
    response.to = header.from.as_ref().map(|from| Jid::from(from.to_domainpart()));
    // The lower version; none in answer to none (RFC 6120, section 4.7.5, rules 2 and 4).
    response.version = header.version.map(|version| version.min(Version::XMPP_1_0));
    response
}

impl ExpectStartTls {
    fn starttls(self, element: &Element, wire: &mut Wire) -> Outcome {
        if !element.nodes().is_empty() {
            return refuse_tls(wire);
        }
        wire.send(Element::new("proceed", namespace::TLS));
        wire.start_tls(TlsStart::Receiving { local: Some(self.local), alpn: None });
        Ok(Step::Next(State::Handshake(ExpectHandshake)))
    }

    fn sasl(mut self, element: &Element, role: &Listening, wire: &mut Wire) -> Outcome {
        if element.name() != "auth" {
            return unexpected(Stage::StartTls, element);
        }
        self.failures.add(SaslFailure::EncryptionRequired, role, wire)?;
        Ok(Step::Next(State::StartTls(self)))
    }
}

/// RFC 6120, section 5.4.2.2: the failure, the end of the stream, and the end of the connection.
fn refuse_tls(wire: &mut Wire) -> Outcome {
    wire.send(Element::new("failure", namespace::TLS));
    wire.close();
    Err(NegotiationFailure::TlsRefused)
}

impl ExpectSecuredHeader {
    fn new(tls: &TlsInfo<'_>) -> Self {
        // One more than is accepted is kept, so that the judgement can still tell that there were too many.
        let chain = tls.peer_chain.iter().take(MAX_CHAIN_LENGTH + 1).map(|der| der.to_vec()).collect();
        Self { chain, at: tls.at, tls_version: tls.version, resumed: tls.resumed }
    }

    /// The certificate is judged by the name that the peer gives itself within TLS (RFC 6120, section 5.4.3.3).
    fn opened(self, header: &StreamHeader, role: &Listening, wire: &mut Wire) -> Outcome {
        let (local, id) = role.answer(header, wire)?;
        let reference = claimed_domain(header)?;
        // Before its certificate costs anything.
        if !role.config.policy.allows(reference.as_str()) {
            return Err(NegotiationFailure::NotFederated { domain: reference });
        }
        let evidence = Evidence::new(&self.chain, &role.verifier);
        let identity = match evidence.verify(&reference, self.at) {
            Err(_) if role.keys_of(&reference).is_some() => {
                let opened = (local, reference, id);
                return Ok(Step::Next(State::Key(self.without_proof(opened, evidence, header, role, wire))));
            }
            judged => judged?,
        };
        let bidi = role.config.bidi.then(Features::bidi);
        wire.send(Features::element().child(Features::sasl(&[sasl::EXTERNAL])).with_children(bidi));
        let Self { tls_version, resumed, .. } = self;
        let proved = Proved { local, identity, evidence, bidi: None, tls_version, resumed };
        Ok(Step::Next(State::Auth(ExpectAuth { proved, failures: Failures::default() })))
    }
}

/// Who the peer says that it is; a server has to say it within TLS, and a domain only (RFC 6120, section 4.7.1).
fn claimed_domain(header: &StreamHeader) -> Result<Domainpart, NegotiationFailure> {
    let bare = header.from.as_ref().filter(|from| from.as_str() == from.domain());
    bare.map(Jid::to_domainpart).ok_or_else(|| NegotiationFailure::ImproperFrom { from: header.from.clone() })
}

impl ExpectFinalHeader {
    fn opened(self, header: &StreamHeader, role: &Listening, wire: &mut Wire) -> Outcome {
        let Proved { local, identity, evidence, bidi, tls_version, resumed } = self.proved;
        let (to, id) = role.answer(header, wire)?;
        if to != local {
            // The peer was authenticated towards another domain of ours.
            return Err(NegotiationFailure::HostUnknown { to: header.to.clone() });
        }
        check_from(header, &identity)?;
        let is_named = role.keys_of(identity.domain()).is_some();
        wire.send(role.last_features());
        Ok(Step::Done(Received::from(Established {
            local,
            id,
            identity,
            peer_max_bytes: bidi.as_ref().and_then(|bidi| bidi.peer_max_bytes),
            bidi: bidi.is_some(),
            stream_management: role.config.stream_management,
            tls_version,
            resumed,
            lang: foreign_language(header),
            dialback: role.config.dialback || is_named,
            evidence,
            vouched: None,
        })))
    }
}

/// The peer stays who it is (RFC 6120, section 6.4.6).
fn check_from(header: &StreamHeader, identity: &PeerIdentity) -> Result<(), NegotiationFailure> {
    match &header.from {
        Some(from) if from.as_str() != identity.domain().as_str() => {
            Err(NegotiationFailure::InvalidFrom { from: from.clone(), expected: identity.domain().clone() })
        }
        _ => Ok(()),
    }
}
