//! What both roles have in common: the effects, the deadline, and what ends every negotiation alike.

use std::collections::VecDeque;
use std::time::Instant;

use convoke_xmpp::negotiation::{Failure, Input, Output, TlsInfo, TlsStart};
use convoke_xmpp::stream::{StreamError, StreamHeader};
use convoke_xmpp::{Element, StreamEvent};

use crate::error::{NegotiationFailure, Stage, Unexpected};
use crate::printable::{TOLD_CHARACTERS, printable};

type Outcome<S> = Result<S, NegotiationFailure>;

/// One side of a negotiation: which states it has, and what they expect.
pub(super) trait Role {
    /// One variant for each thing that can be waited for.
    type State;
    /// What is known in the end.
    type Established;

    fn stage(&self, state: &Self::State) -> Stage;
    /// The peer's stream header has come.
    fn opened(
        &self,
        state: Self::State,
        header: StreamHeader,
        wire: &mut Wire<Self::Established>,
    ) -> Outcome<StepOf<Self>>;
    /// The peer sent an element that is no stream error.
    fn element(
        &self,
        state: Self::State,
        element: Element,
        wire: &mut Wire<Self::Established>,
    ) -> Outcome<StepOf<Self>>;
    /// The TLS handshake has succeeded.
    fn secured(
        &self,
        state: Self::State,
        tls: &TlsInfo<'_>,
        wire: &mut Wire<Self::Established>,
    ) -> Outcome<StepOf<Self>>;
    /// What it means that the peer closes the stream now, if this state knows better than "without a reason".
    fn closed(&self, state: &Self::State) -> Option<NegotiationFailure>;
    /// The header that has to precede an error on a stream that this side has not opened.
    fn header_of_error(&self) -> Outcome<StreamHeader>;
}

/// What a state of this role leads to.
type StepOf<R> = Step<<R as Role>::State, <R as Role>::Established>;

/// What a state leads to.
pub(super) enum Step<S, E> {
    /// The next thing is waited for.
    Next(S),
    /// The negotiation has succeeded.
    Done(E),
}

/// The effects of a negotiation, in order.
pub(super) struct Wire<E> {
    outputs: VecDeque<Output<E>>,
    /// Whether this side has opened the stream that is in force.
    opened: bool,
}

impl<E> Default for Wire<E> {
    fn default() -> Self {
        Self { outputs: VecDeque::new(), opened: false }
    }
}

impl<E> Wire<E> {
    pub(super) fn send(&mut self, element: Element) {
        self.outputs.push_back(Output::Send(element));
    }

    pub(super) fn open(&mut self, header: StreamHeader) {
        self.opened = true;
        self.outputs.push_back(Output::OpenStream(header));
    }

    pub(super) fn start_tls(&mut self, start: TlsStart) {
        self.outputs.push_back(Output::StartTls(start));
    }

    /// The old stream is replaced, not closed (RFC 6120, section 4.3.3).
    pub(super) fn restart(&mut self) {
        self.opened = false;
        self.outputs.push_back(Output::RestartStream);
    }

    /// Closes the stream without an error; a failure follows.
    pub(super) fn close(&mut self) {
        self.outputs.push_back(Output::Close(None));
    }
}

/// A role and how far it has come.
pub(super) struct Machine<R: Role> {
    role: R,
    /// `None` when the negotiation has ended.
    state: Option<R::State>,
    wire: Wire<R::Established>,
    deadline: Instant,
}

impl<R: Role> Machine<R> {
    pub(super) fn new(role: R, state: R::State, wire: Wire<R::Established>, deadline: Instant) -> Self {
        Self { role, state: Some(state), wire, deadline }
    }

    /// What is heard after the end says nothing any more.
    pub(super) fn handle(&mut self, now: Instant, input: Input<'_>) -> Result<(), NegotiationFailure> {
        let Some(state) = self.state.take() else { return Ok(()) };
        match self.step(state, now, input) {
            Ok(Step::Next(state)) => self.state = Some(state),
            Ok(Step::Done(established)) => self.wire.outputs.push_back(Output::Established(established)),
            Err(failure) => {
                self.prepare_error(&failure);
                return Err(failure);
            }
        }
        Ok(())
    }

    pub(super) fn poll_output(&mut self) -> Option<Output<R::Established>> {
        self.wire.outputs.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.state.as_ref().map(|_| self.deadline)
    }

    /// What is waited for; `None` when the negotiation has ended.
    pub(super) fn state(&self) -> Option<&R::State> {
        self.state.as_ref()
    }

    /// How far the negotiation has come; `None` when it has ended.
    pub(super) fn stage(&self) -> Option<Stage> {
        self.state().map(|state| self.role.stage(state))
    }

    fn step(&mut self, state: R::State, now: Instant, input: Input<'_>) -> Outcome<StepOf<R>> {
        let stage = self.role.stage(&state);
        match input {
            Input::Stream(event) => self.heard(state, stage, event),
            Input::Malformed(error) => Err(NegotiationFailure::Malformed(error)),
            Input::TlsEstablished(tls) => self.role.secured(state, &tls, &mut self.wire),
            Input::TlsFailed(failure) => Err(NegotiationFailure::TlsFailed(failure)),
            Input::Disconnected => Err(self.role.closed(&state).unwrap_or(NegotiationFailure::Disconnected { stage })),
            Input::Timeout if now < self.deadline => Ok(Step::Next(state)),
            Input::Timeout => Err(NegotiationFailure::TimedOut { stage }),
        }
    }

    fn heard(&mut self, state: R::State, stage: Stage, event: StreamEvent) -> Outcome<StepOf<R>> {
        match event {
            StreamEvent::Open(header) => self.role.opened(state, header, &mut self.wire),
            StreamEvent::Stanza(_) => Err(NegotiationFailure::EarlyStanza { stage }),
            StreamEvent::Element(element) => match StreamError::from_element(&element) {
                Some(mut error) => {
                    // RFC 6120, section 4.9.1.1: who receives an error closes too.
                    self.wire.close();
                    error.text = error.text.map(|text| printable(&text, TOLD_CHARACTERS));
                    Err(NegotiationFailure::StreamError { stage, error })
                }
                None => self.role.element(state, element, &mut self.wire),
            },
            StreamEvent::Close => {
                self.wire.close();
                Err(self.role.closed(&state).unwrap_or(NegotiationFailure::PeerClosed { stage }))
            }
        }
    }

    /// An error needs a stream that carries it (RFC 6120, section 4.9.1.2).
    fn prepare_error(&mut self, failure: &NegotiationFailure) {
        if failure.stream_error().is_some() && !self.wire.opened {
            // Without random numbers there is no stream, and the error is lost with it.
            if let Ok(header) = self.role.header_of_error() {
                self.wire.open(header);
            }
        }
    }
}

/// The element has no place in this stage.
pub(super) fn unexpected<T>(stage: Stage, element: &Element) -> Outcome<T> {
    let (name, namespace) = (element.name().to_owned(), element.namespace().to_owned());
    Err(NegotiationFailure::Unexpected { stage, found: Unexpected::Element { name, namespace } })
}

/// A stream header has no place in this stage.
pub(super) fn unexpected_header<T>(stage: Stage) -> Outcome<T> {
    Err(NegotiationFailure::Unexpected { stage, found: Unexpected::StreamHeader })
}

/// Nobody asked for TLS in this stage.
pub(super) fn unexpected_handshake<T>(stage: Stage) -> Outcome<T> {
    Err(NegotiationFailure::Unexpected { stage, found: Unexpected::TlsHandshake })
}
