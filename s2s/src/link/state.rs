//! What a link knows of its streams.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use convoke_xmpp::session::Ticket;
use convoke_xmpp::{Stanza, StanzaError};
use tokio_util::sync::CancellationToken;

use super::contact::Contact;
use super::requests::Requests;
use super::{Link, Pair, now, too_large};
use crate::dialer::{DialError, DialReport};
use crate::statistics::LinkState;

/// How many lost incoming sessions are kept for one link: a peer has one, and leaves another behind now and then.
const KEPT: usize = 4;

#[derive(Default)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// Whether a task dials, pauses, or carries the stream that was dialled here.
    pub(super) at_work: bool,
    /// Whether a stream is wanted always.
    pub(super) persistent: bool,
    /// What the peer accepts, in bytes of one stanza (XEP-0478), by its last features.
    pub(super) peer_max_bytes: Option<u64>,
    /// The session that was dialled here, if it can be resumed.
    pub(super) ticket: Option<Resumable>,
    /// The incoming streams, in the order in which they came.
    pub(super) incoming: BTreeMap<u64, Stream>,
    pub(super) next_incoming: u64,
    /// The incoming session in which the unacknowledged stanzas were sent, if it was one of those.
    pub(super) owner: Option<String>,
    /// The incoming sessions that have ended, oldest first.
    kept: VecDeque<Resumable>,
    pub(super) dials: u64,
    pub(super) failures: u64,
    /// Failures since the last stream.
    pub(super) failures_in_a_row: u32,
    /// When the last stream that was dialled here was lost, until there is another.
    pub(super) lost_at: Option<Instant>,
    /// Streams that were lost early, since the last one that lasted.
    pub(super) early_losses: u32,
    /// As long as this link is the first one to dial the domain, and others wait for what comes of it.
    pub(super) contact: Option<Contact>,
    /// The links whose stanzas wait in the queue of this one.
    pub(super) riders: Vec<Weak<Link>>,
    /// Where the stream that empties the queue takes requests, as long as there is one.
    pub(super) requests: Option<Arc<Requests>>,
    /// The link on whose stream the peer has asked for this pair.
    pub(super) met: Weak<Link>,
    pub(super) last_report: Option<Arc<DialReport>>,
    pub(super) last_failure: Option<String>,
    pub(super) resumed: u64,
    pub(super) not_resumed: u64,
}

/// Who empties the queue.
#[derive(Default)]
pub(super) enum Phase {
    /// No stream, and none is wanted.
    #[default]
    Idle,
    Dialing,
    /// The stream that was dialled here.
    Open {
        cut: CancellationToken,
    },
    /// An incoming stream in both directions.
    Served {
        by: u64,
    },
    /// The stanzas wait in the queue of another link, whose stream carries them.
    Riding {
        on: Arc<Link>,
    },
    /// The incoming stream that did was lost; its peer is expected to be back, and until then not dialled.
    Awaited {
        until: Instant,
    },
    /// The remote domain could not be reached; until then it is not tried again.
    Waiting {
        until: Instant,
        error: StanzaError,
    },
    /// Forgotten: whoever still holds this link has to look up another.
    Retired,
}

/// An incoming stream.
pub(super) struct Stream {
    /// Breaks its connection.
    pub(super) cut: CancellationToken,
    /// Cancelled when its session is over and kept.
    pub(super) ended: CancellationToken,
    /// Lets it empty the queue, if it can: cancelled once it does.
    pub(super) serve: Option<CancellationToken>,
    /// Whether the peer has said that it does not go on with a lost session: only then may the stream empty the queue.
    pub(super) is_heard: bool,
    /// What its session can be resumed by.
    pub(super) ticket: Option<String>,
    /// What its peer accepts, in bytes of one stanza, if it says so.
    pub(super) max_bytes: Option<u64>,
}

/// A session that can be resumed or has ended.
#[derive(Debug, Clone)]
pub(super) struct Resumable {
    pub(super) ticket: Ticket,
    /// How long after its end.
    pub(super) kept: Duration,
    /// Until when, once it has ended. Of one that cannot be resumed any more the count is still worth telling.
    pub(super) until: Instant,
}

impl Resumable {
    /// A session that lives; it is kept so long after its end.
    pub(super) fn new(id: String, kept: Duration) -> Self {
        Self { ticket: Ticket { id, handled: 0 }, kept, until: now() }
    }

    /// The session has ended, and so many stanzas were handled in it.
    pub(super) fn end(&mut self, handled: u32) {
        self.ticket.handled = handled;
        self.until = now() + self.kept;
    }
}

impl State {
    /// Why the stanza is not taken at present, if so; `Some(None)` when the link is retired.
    pub(super) fn refusal(&self, stanza: &Stanza) -> Option<Option<StanzaError>> {
        match &self.phase {
            Phase::Retired => return Some(None),
            Phase::Waiting { until, error } if now() < *until => return Some(Some(error.clone())),
            _ => {}
        }
        self.is_too_large(stanza).then(|| Some(too_large()))
    }

    pub(super) fn is_too_large(&self, stanza: &Stanza) -> bool {
        self.peer_max_bytes.is_some_and(|limit| stanza.size() as u64 > limit)
    }

    pub(super) fn is_unused(&self) -> bool {
        let rests = match &self.phase {
            Phase::Idle => true,
            Phase::Waiting { until, .. } => *until <= now(),
            _ => false,
        };
        let is_resumable = self.kept.iter().any(|kept| kept.until > now());
        let is_alone = self.incoming.is_empty() && self.riders.is_empty();
        rests && !self.at_work && !self.persistent && is_alone && !is_resumable
    }

    /// The domain is there: it need not be left alone any longer. Else an answer to what it asks now would go nowhere.
    pub(super) fn end_pause(&mut self) {
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.phase = Phase::Idle;
        }
    }

    pub(super) fn fail(&mut self, error: &DialError) {
        self.failures += 1;
        self.contact = None;
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        self.last_failure = Some(error.to_string());
        self.last_report = Some(Arc::clone(error.report()));
    }

    /// Chooses an incoming stream to empty the queue, if one can; it does once what is given is cancelled.
    pub(super) fn serve_by_incoming(&mut self) -> Option<CancellationToken> {
        let mut heard = self.incoming.iter().filter(|(_, stream)| stream.is_heard);
        let (by, stream, serve) = heard.find_map(|(number, stream)| Some((*number, stream, stream.serve.clone()?)))?;
        (self.owner, self.peer_max_bytes) = (stream.ticket.clone(), stream.max_bytes);
        self.phase = Phase::Served { by };
        Some(serve)
    }

    /// How much longer the peer is expected to be back, if it is.
    pub(super) fn awaited(&self) -> Option<Duration> {
        match self.phase {
            Phase::Awaited { until } => Some(until.saturating_duration_since(now())).filter(|left| !left.is_zero()),
            _ => None,
        }
    }

    /// Whether the outgoing session can still be resumed.
    pub(super) fn can_resume(&self) -> bool {
        self.ticket.as_ref().is_some_and(|session| session.until > now())
    }

    /// Keeps an incoming session that has ended; the oldest are forgotten.
    pub(super) fn keep(&mut self, session: Resumable) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(session);
    }

    /// The session of this identifier, if it can be resumed: it is kept no longer. Else what it had handled, if known.
    pub(super) fn take_kept(&mut self, id: &str) -> Result<Ticket, Option<u32>> {
        let at = self.kept.iter().position(|kept| kept.ticket.id == id).ok_or(None)?;
        if self.kept[at].until <= now() {
            return Err(Some(self.kept[at].ticket.handled));
        }
        self.kept.remove(at).map(|kept| kept.ticket).ok_or(None)
    }
}

impl Stream {
    /// A stream of which nothing is known yet, except how its connection is broken.
    pub(super) fn new(cut: CancellationToken) -> Self {
        let ended = CancellationToken::new();
        Self { cut, ended, serve: None, is_heard: false, ticket: None, max_bytes: None }
    }
}

impl Phase {
    /// The pair whose stream carries the stanzas, if it is another's.
    pub(super) fn carrier(&self) -> Option<&Pair> {
        match self {
            Self::Riding { on } => Some(on.pair()),
            _ => None,
        }
    }

    pub(super) fn as_public(&self) -> LinkState {
        match self {
            Self::Idle | Self::Retired => LinkState::Idle,
            Self::Dialing | Self::Awaited { .. } => LinkState::Dialing,
            Self::Open { .. } | Self::Served { .. } | Self::Riding { .. } => LinkState::Open,
            Self::Waiting { until, .. } if *until <= now() => LinkState::Idle,
            Self::Waiting { .. } => LinkState::Waiting,
        }
    }
}
