//! The monitor, `monitor@D`: who is there, who does not answer, and why somebody is gone.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use convoke_xmpp::payload::ping;
use convoke_xmpp::{Domainpart, Element, IqType, Jid, JidRef, Kind, MessageType, Origin, PresenceType, Stanza};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::offer::{Departure, NAMESPACE, Offer};
use super::resources::sleep_until;
use crate::component::Component;
use crate::discovery::About;
use crate::domain::{Domain, DomainError};

/// The publish-subscribe node of the verdicts. An item's id is the full JID of the node that it is about, its payload
/// `<health xmlns='urn:convoke:offer:0' node='…' verdict='ok|suspect|lost' why='…'/>`.
pub const HEALTH_NODE: &str = "urn:convoke:health";

/// How the monitor watches.
#[derive(Debug, Clone)]
pub struct MonitorConfig {
    /// How long a node may say nothing before it is pinged. Default 60 s.
    pub ping_after: Duration,
    /// How long it may take to answer. Default 20 s.
    pub ping_timeout: Duration,
    /// Domains whose entities may subscribe to the monitor's presence, besides its own.
    pub watchers: Vec<Domainpart>,
    /// The publish-subscribe service that gets the verdicts, in the node [`HEALTH_NODE`]; `None` for none.
    pub publish_to: Option<Jid>,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self {
            ping_after: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(20),
            watchers: Vec::new(),
            publish_to: None,
        }
    }
}

/// What the monitor has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MonitorEvent {
    /// A node is there.
    Joined {
        /// Its full JID.
        node: Jid,
        /// What it offers.
        offer: Offer,
    },
    /// A node does not answer, or the way to the domain of somebody whose presence was known is lost.
    Suspect {
        /// Its full JID.
        node: Jid,
        /// Why: silent, or out of reach.
        why: Departure,
    },
    /// Whoever was suspect answers again, or is seen again.
    Recovered {
        /// Its full JID.
        node: Jid,
    },
    /// A node is gone.
    Left {
        /// Its full JID.
        node: Jid,
        /// Why.
        why: Departure,
    },
    /// Another entity's presence changed, to which the monitor has subscribed.
    Presence {
        /// Whose.
        who: Jid,
        /// Whether it is available.
        available: bool,
    },
}

/// A running monitor; it ends with its domain.
#[derive(Debug, Clone)]
pub struct Monitor {
    handle: crate::component::ComponentHandle,
    events: broadcast::Sender<MonitorEvent>,
}

/// How many events a slow watcher may be behind before it is told that it missed some.
const EVENT_CAPACITY: usize = 4096;

impl Monitor {
    /// Starts `monitor@D`. Whoever asks afterwards finds the node of its verdicts there.
    pub fn start(domain: &Domain, config: MonitorConfig) -> Result<Self, DomainError> {
        let component = domain.component_about("monitor", About::new("component", "presence", "monitor"))?;
        let (events, _) = broadcast::channel(EVENT_CAPACITY);
        let monitor = Self { handle: component.handle(), events: events.clone() };
        let (nodes, pings, posts) = (HashMap::new(), JoinSet::new(), JoinSet::new());
        let mut watch = Watch { component, config, nodes, out_of_reach: HashSet::new(), pings, posts, events };
        watch.create_health_node();
        domain.spawn(watch.run());
        Ok(monitor)
    }

    /// Its address.
    pub fn jid(&self) -> &Jid {
        self.handle.jid()
    }

    /// Every event from now on. A watcher that falls behind is told how many it missed.
    pub fn watch(&self) -> broadcast::Receiver<MonitorEvent> {
        self.events.subscribe()
    }

    /// Subscribes to somebody's presence, in any domain; changes come as [`MonitorEvent::Presence`].
    pub fn subscribe(&self, to: &Jid) {
        self.handle.presence(PresenceType::Subscribe, to);
    }
}

struct Watched {
    /// Since when it is known as it is: an older ping says nothing of it.
    since: Instant,
    /// When it is pinged next.
    ping_at: Instant,
    pinging: bool,
    suspect: bool,
}

struct Watch {
    component: Component,
    config: MonitorConfig,
    nodes: HashMap<Jid, Watched>,
    /// Entities of other domains that were available when the way there was lost.
    out_of_reach: HashSet<Jid>,
    /// Who was asked, when, and whether it answered.
    pings: JoinSet<(Jid, Instant, bool)>,
    posts: JoinSet<()>,
    events: broadcast::Sender<MonitorEvent>,
}

impl Watch {
    async fn run(mut self) {
        self.component.available([]);
        loop {
            let next_ping = self.nodes.values().filter(|w| !w.pinging).map(|w| w.ping_at).min();
            tokio::select! {
                received = self.component.receive() => match received {
                    Some((stanza, origin)) => self.handle(&stanza, &origin),
                    None => return,
                },
                Some(Ok((node, asked, answered))) = self.pings.join_next() => self.pinged(&node, asked, answered),
                Some(_) = self.posts.join_next() => {}
                () = sleep_until(next_ping) => self.ping_silent_nodes(),
            }
        }
    }

    fn handle(&mut self, stanza: &Stanza, origin: &Origin) {
        let Some(from) = stanza.from().map(JidRef::to_owned) else { return };
        match stanza.kind() {
            Kind::Presence(PresenceType::Subscribe) => self.answer_subscription(&from, origin),
            Kind::Presence(PresenceType::Available) => self.available(from, stanza, origin),
            Kind::Presence(PresenceType::Unavailable) => match origin {
                Origin::RouteLost(_) => self.out_of_reach(from),
                _ => self.unavailable(from, stanza),
            },
            Kind::Iq(IqType::Get | IqType::Set) => {
                self.component.reply(stanza, Err(convoke_xmpp::Condition::ServiceUnavailable.into()));
            }
            _ => {}
        }
    }

    fn answer_subscription(&self, from: &Jid, origin: &Origin) {
        let allowed = *origin == Origin::Local || self.config.watchers.iter().any(|d| d.as_str() == from.domain());
        let answer = if allowed { PresenceType::Subscribed } else { PresenceType::Unsubscribed };
        self.component.presence(answer, &from.to_bare());
    }

    fn available(&mut self, from: Jid, stanza: &Stanza, origin: &Origin) {
        let own = *origin == Origin::Local && from.domain() == self.component.jid().domain();
        match Offer::from_presence(stanza).filter(|_| own) {
            None => {
                if self.out_of_reach.remove(&from) {
                    self.publish(&from, "ok", "recovered");
                    self.tell(MonitorEvent::Recovered { node: from.clone() });
                }
                self.tell(MonitorEvent::Presence { who: from, available: true });
            }
            Some((offer, _)) => {
                let since = Instant::now();
                let ping_at = since + self.config.ping_after;
                let watched = Watched { since, ping_at, pinging: false, suspect: false };
                match self.nodes.insert(from.clone(), watched) {
                    None => self.tell(MonitorEvent::Joined { node: from, offer }),
                    Some(before) if before.suspect => self.recovered(from),
                    Some(_) => {}
                }
            }
        }
    }

    fn unavailable(&mut self, from: Jid, stanza: &Stanza) {
        match self.nodes.remove(&from) {
            Some(_) => {
                let why = Departure::from_presence(stanza);
                self.publish(&from, "lost", why.as_str());
                self.tell(MonitorEvent::Left { node: from, why });
            }
            None => {
                self.out_of_reach.remove(&from);
                self.tell(MonitorEvent::Presence { who: from, available: false });
            }
        }
    }

    /// Nobody there has said that it is gone: only that it cannot be seen is known.
    fn out_of_reach(&mut self, who: Jid) {
        if self.out_of_reach.insert(who.clone()) {
            self.publish(&who, "suspect", Departure::RouteLost.as_str());
            self.tell(MonitorEvent::Suspect { node: who, why: Departure::RouteLost });
        }
    }

    fn ping_silent_nodes(&mut self) {
        let now = Instant::now();
        for (node, watched) in self.nodes.iter_mut().filter(|(_, w)| !w.pinging && w.ping_at <= now) {
            watched.pinging = true;
            let (handle, node, timeout) = (self.component.handle(), node.clone(), self.config.ping_timeout);
            self.pings.spawn(async move {
                let answer = handle.get(&node, ping(), timeout).await;
                // An error is an answer too: somebody is there (XEP-0199, section 4.2).
                let answered = answer.is_ok() || answer.is_err_and(|error| error.stanza_error().is_some());
                (node, now, answered)
            });
        }
    }

    fn pinged(&mut self, node: &Jid, asked: Instant, answered: bool) {
        let Some(watched) = self.nodes.get_mut(node).filter(|watched| watched.since <= asked) else { return };
        watched.pinging = false;
        watched.ping_at = Instant::now() + self.config.ping_after;
        let was_suspect = std::mem::replace(&mut watched.suspect, !answered);
        match (was_suspect, answered) {
            (false, false) => {
                self.report(node, "suspect", Departure::Silent.as_str());
                self.tell(MonitorEvent::Suspect { node: node.clone(), why: Departure::Silent });
            }
            (true, true) => self.recovered(node.clone()),
            _ => {}
        }
    }

    fn recovered(&mut self, node: Jid) {
        self.report(&node, "ok", "recovered");
        self.tell(MonitorEvent::Recovered { node });
    }

    /// The resource manager of the domain acts on a verdict; everybody else may read it.
    fn report(&mut self, node: &Jid, verdict: &str, why: &str) {
        if let Ok(manager) = Jid::from_parts(Some("resources"), self.component.jid().domain(), None) {
            let message = Stanza::message(MessageType::Headline).with_to(&manager);
            self.component.route(message.with_payload(health(node, verdict, why)).with_from(self.component.jid()));
        }
        self.publish(node, verdict, why);
    }

    fn tell(&self, event: MonitorEvent) {
        let _nobody_watches = self.events.send(event);
    }

    #[cfg(feature = "pubsub")]
    fn create_health_node(&mut self) {
        self.post(convoke_pubsub::client::create(HEALTH_NODE));
    }

    #[cfg(feature = "pubsub")]
    fn publish(&mut self, node: &Jid, verdict: &str, why: &str) {
        self.post(convoke_pubsub::client::publish(HEALTH_NODE, Some(node.as_str()), health(node, verdict, why)));
    }

    /// Posts leave in the order in which they are made: the item of a node must end as its last verdict.
    #[cfg(feature = "pubsub")]
    fn post(&mut self, payload: Element) {
        const PATIENCE: Duration = Duration::from_secs(10);
        let Some(service) = self.config.publish_to.clone() else { return };
        let answer = self.component.set(&service, payload, PATIENCE);
        self.posts.spawn(async move {
            if let Err(error) = answer.await {
                tracing::warn!(%service, %error, "a verdict was not published");
            }
        });
    }

    #[cfg(not(feature = "pubsub"))]
    fn create_health_node(&mut self) {}

    #[cfg(not(feature = "pubsub"))]
    fn publish(&self, _node: &Jid, _verdict: &str, _why: &str) {}
}

fn health(node: &Jid, verdict: &str, why: &str) -> Element {
    Element::new("health", NAMESPACE).attr("node", node).attr("verdict", verdict).attr("why", why)
}
