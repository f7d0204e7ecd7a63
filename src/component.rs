//! The handle by which code of this process is an XMPP entity.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convoke_xmpp::dispatch::Dispatcher;
use convoke_xmpp::{
    Condition, Element, IqType, Jid, Kind, Origin, PresenceType, Router, Stanza, StanzaError, Undelivered,
};
use thiserror::Error;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::discovery::About;
use crate::mailbox::Mailbox;
#[cfg(feature = "pubsub")]
use crate::nodes::Inboxes;
use crate::router::LocalRouter;

/// Why a request got no result.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The peer, or a server on the way, answered with an error.
    #[error("{to} answered {error}")]
    Refused {
        /// Who was asked.
        to: Jid,
        /// The answer.
        error: StanzaError,
    },
    /// No answer came in time; whether the request had its effect is not known.
    #[error("{to} did not answer within {after:?}")]
    TimedOut {
        /// Who was asked.
        to: Jid,
        /// How long was waited.
        after: Duration,
    },
    /// This entity or its domain was shut down while it waited.
    #[error("the entity was closed before {to} answered")]
    Closed {
        /// Who was asked.
        to: Jid,
    },
}

impl RequestError {
    /// The stanza error, if there was one.
    pub fn stanza_error(&self) -> Option<&StanzaError> {
        match self {
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// An entity of a domain: a component (`scheduler@a.example`) or a session (`alice@b.example/desk`).
///
/// Whoever holds it must call [`Component::receive`] in a loop: that answers pings and discovery too, so a component
/// that hangs is found out. Dropping it ends the entity: its subscribers are told that it is unavailable.
#[derive(Debug)]
pub struct Component {
    handle: ComponentHandle,
}

/// A cheap copy of a component's address and way out; it receives nothing.
#[derive(Clone)]
pub struct ComponentHandle {
    inner: Arc<Inner>,
}

struct Inner {
    jid: Jid,
    about: Arc<About>,
    /// What its presence says of it (XEP-0115).
    capabilities: Option<Element>,
    mailbox: Arc<Mailbox>,
    router: Arc<LocalRouter>,
    /// A random prefix: an answer cannot be guessed by one who was not asked.
    id_prefix: String,
    next_id: AtomicU64,
}

impl Component {
    /// Registers the address; gives `None` if it is taken.
    pub(crate) fn register(
        jid: Jid,
        about: About,
        mailbox: Mailbox,
        router: Arc<LocalRouter>,
        id_prefix: String,
    ) -> Option<Self> {
        let (about, mailbox) = (Arc::new(about), Arc::new(mailbox));
        if !router.register(&jid, mailbox.clone(), about.clone()) {
            return None;
        }
        let capabilities = about.capabilities().map(|capabilities| capabilities.to_element());
        let inner = Inner { jid, about, capabilities, mailbox, router, id_prefix, next_id: AtomicU64::new(0) };
        Some(Self { handle: ComponentHandle { inner: Arc::new(inner) } })
    }

    /// Its address.
    pub fn jid(&self) -> &Jid {
        self.handle.jid()
    }

    /// A copy for sending and asking.
    pub fn handle(&self) -> ComponentHandle {
        self.handle.clone()
    }

    /// The next stanza with its origin; pings, discovery and version requests are answered on the way.
    ///
    /// `None` when the domain was shut down. Cancel-safe: dropping the future loses nothing.
    pub async fn receive(&mut self) -> Option<(Stanza, Origin)> {
        loop {
            let (stanza, origin) = self.handle.inner.mailbox.receive().await?;
            match self.handle.inner.answer_discovery(&stanza) {
                Some(answer) => self.handle.inner.route(answer),
                None => return Some((stanza, origin)),
            }
        }
    }
}

impl Component {
    /// Lets a dispatcher answer every request, until the domain is shut down; everything else is dropped.
    ///
    /// At most 64 requests are worked on at a time, the others wait in the mailbox. Each gets exactly one answer: a
    /// handler that panics has its request answered with internal-server-error, one that takes longer than a minute is
    /// ended and its request answered with resource-constraint.
    pub async fn serve(mut self, dispatcher: Dispatcher) {
        const AT_A_TIME: usize = 64;
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                received = self.receive(), if answers.len() < AT_A_TIME => match received {
                    Some((stanza, origin)) if stanza.is_request() => {
                        answers.spawn(answer(self.handle(), dispatcher.clone(), stanza, origin));
                    }
                    Some(_) => {}
                    None => break,
                },
                Some(_) = answers.join_next() => {}
            }
        }
        while answers.join_next().await.is_some() {}
    }

    /// The next stanza, whatever it is.
    pub(crate) async fn receive_any(&mut self) -> Option<(Stanza, Origin)> {
        self.handle.inner.mailbox.receive().await
    }

    pub(crate) fn about(&self) -> &About {
        &self.handle.inner.about
    }
}

impl std::ops::Deref for Component {
    type Target = ComponentHandle;

    fn deref(&self) -> &ComponentHandle {
        &self.handle
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        let inner = &self.handle.inner;
        inner.router.unregister(&inner.jid, &inner.mailbox);
    }
}

impl ComponentHandle {
    /// The address of the entity.
    pub fn jid(&self) -> &Jid {
        &self.inner.jid
    }

    /// Sends a stanza from this entity; its `from` is set.
    ///
    /// Gives the stanza back if it cannot be delivered at once. A later failure comes as an error stanza.
    pub fn send(&self, stanza: Stanza) -> Result<(), Undelivered> {
        self.inner.router.route(stanza.with_from(&self.inner.jid), &Origin::Local)
    }

    /// Asks, and waits for the answer: the payload of the result, if it has one.
    ///
    /// The request is on its way when this returns, ahead of whatever is sent afterwards; the future only waits. So
    /// it may be awaited in a task of its own without requests overtaking each other. Dropping it forgets the answer.
    pub fn request(
        &self,
        to: &Jid,
        kind: IqType,
        payload: Element,
        timeout: Duration,
    ) -> impl Future<Output = Result<Option<Element>, RequestError>> + Send + use<> {
        let (id, to) = (self.new_id(), to.clone());
        let answer = self.inner.mailbox.await_answer(&id, to.clone());
        let sent = self.send(Stanza::iq(kind, &id).with_to(&to).with_payload(payload));
        let forget = ForgetAnswer { mailbox: self.inner.mailbox.clone(), id };
        async move {
            let _forget = forget;
            if let Err(undelivered) = sent {
                return Err(RequestError::Refused { to, error: undelivered.error });
            }
            match tokio::time::timeout(timeout, answer).await {
                Err(_) => Err(RequestError::TimedOut { to, after: timeout }),
                Ok(Err(_)) => Err(RequestError::Closed { to }),
                Ok(Ok(answer)) => answer
                    .error()
                    .map_or_else(|| Ok(answer.payload()), |error| Err(RequestError::Refused { to, error })),
            }
        }
    }

    /// Asks for information (iq get), as [`ComponentHandle::request`] does.
    pub fn get(
        &self,
        to: &Jid,
        payload: Element,
        timeout: Duration,
    ) -> impl Future<Output = Result<Option<Element>, RequestError>> + Send + use<> {
        self.request(to, IqType::Get, payload, timeout)
    }

    /// Asks for an action (iq set), as [`ComponentHandle::request`] does.
    pub fn set(
        &self,
        to: &Jid,
        payload: Element,
        timeout: Duration,
    ) -> impl Future<Output = Result<Option<Element>, RequestError>> + Send + use<> {
        self.request(to, IqType::Set, payload, timeout)
    }

    /// Answers a request with a result or an error; anything but an iq of type get or set is left alone.
    pub fn reply(&self, request: &Stanza, answer: Result<Option<Element>, StanzaError>) {
        if !request.is_request() {
            return;
        }
        let stanza = match answer {
            Ok(payload) => Some(request.result(payload)),
            Err(error) => request.bounce(&error),
        };
        if let Some(stanza) = stanza {
            self.inner.route(stanza);
        }
    }

    /// Becomes available, or changes what it says of itself; the children go into the presence, and the hash of its
    /// capabilities (XEP-0115) behind them.
    pub fn available(&self, children: impl IntoIterator<Item = Element>) {
        self.inner.route(self.presence_of(children).with_from(self.jid()));
    }

    /// Becomes available to one entity only (directed presence, RFC 6121, section 4.6).
    pub fn available_to(&self, to: &Jid, children: impl IntoIterator<Item = Element>) {
        self.inner.route(self.presence_of(children).with_addresses(self.jid().as_ref(), to.as_ref()));
    }

    fn presence_of(&self, children: impl IntoIterator<Item = Element>) -> Stanza {
        let presence = Stanza::presence(PresenceType::Available);
        let children = children.into_iter().chain(self.inner.capabilities.clone());
        children.fold(presence, |presence, child| presence.with_payload(child))
    }

    /// Becomes unavailable to one entity that got directed presence.
    pub fn unavailable_to(&self, to: &Jid) {
        self.presence(PresenceType::Unavailable, to);
    }

    /// Becomes unavailable to everybody, politely.
    pub fn unavailable(&self, children: impl IntoIterator<Item = Element>) {
        let presence = Stanza::presence(PresenceType::Unavailable).with_from(self.jid());
        self.inner.route(children.into_iter().fold(presence, |p, child| p.with_payload(child)));
    }

    /// Sends a presence of another kind: subscribe, subscribed, unsubscribe, unsubscribed or probe.
    pub fn presence(&self, kind: PresenceType, to: &Jid) {
        self.inner.route(Stanza::presence(kind).with_addresses(self.jid().as_ref(), to.as_ref()));
    }

    /// Puts a contact into these groups of its roster (RFC 6121, section 2.1.2.6), and into no others: nodes can be open to
    /// groups. `false` if it is no contact: neither side is subscribed to the other's presence, nor has this one asked.
    pub fn set_groups(&self, contact: &Jid, groups: impl IntoIterator<Item = String>) -> bool {
        self.inner.router.set_groups(self.jid(), contact, groups.into_iter().collect())
    }

    /// An `id` that this entity has not used before.
    pub fn new_id(&self) -> String {
        format!("{}{}", self.inner.id_prefix, self.inner.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Where notifications wait for those who follow nodes in this entity's name.
    #[cfg(feature = "pubsub")]
    pub(crate) fn inboxes(&self) -> &Inboxes {
        self.inner.mailbox.inboxes()
    }

    /// Routes a stanza whose `from` is set; what cannot be delivered is answered to this entity.
    pub(crate) fn route(&self, stanza: Stanza) {
        self.inner.route(stanza);
    }
}

impl Inner {
    fn answer_discovery(&self, stanza: &Stanza) -> Option<Stanza> {
        // A session shows its items to nobody; a component has none. The domain itself answers elsewhere.
        matches!(stanza.kind(), Kind::Iq(IqType::Get)).then(|| self.about.answer(stanza, Vec::new)).flatten()
    }

    fn route(&self, stanza: Stanza) {
        if let Err(undelivered) = self.router.route(stanza, &Origin::Local) {
            self.router.undelivered(undelivered);
        }
    }
}

/// How long a handler may take: whoever asked has given up by then, and others wait for its place.
const HANDLER_DEADLINE: Duration = Duration::from_secs(60);

/// Answers one request, whatever its handler does.
async fn answer(handle: ComponentHandle, dispatcher: Dispatcher, request: Stanza, origin: Origin) {
    let asked = request.clone();
    let handler = tokio::spawn(async move { dispatcher.answer(&asked, &origin).await });
    match tokio::time::timeout(HANDLER_DEADLINE, AbortOnDropHandle::new(handler)).await {
        Ok(Ok(Some(answer))) => handle.route(answer),
        Ok(Ok(None)) => {}
        Ok(Err(_)) => handle.reply(&request, Err(Condition::InternalServerError.into())),
        Err(_) => handle.reply(&request, Err(Condition::ResourceConstraint.into())),
    }
}

/// Forgets an awaited answer however the wait ends, cancellation included.
struct ForgetAnswer {
    mailbox: Arc<Mailbox>,
    id: String,
}

impl Drop for ForgetAnswer {
    fn drop(&mut self) {
        self.mailbox.forget_answer(&self.id);
    }
}

impl std::fmt::Debug for ComponentHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ComponentHandle").field(&self.inner.jid).finish()
    }
}
