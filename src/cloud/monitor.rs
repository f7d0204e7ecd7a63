//! The monitor, `monitor@D`: who is there, who does not answer, and why somebody is gone.

mod links;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use convoke_xmpp::payload::ping;
use convoke_xmpp::{Domainpart, IqType, Jid, JidRef, Kind, MessageType, Origin, PresenceType, Stanza};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use self::links::Links;
use super::offer::{Departure, Offer};
use super::posts::Posts;
use super::resources::sleep_until;
use crate::component::Component;
use crate::discovery::About;
use crate::domain::{Domain, DomainError};
use crate::nodes::{Health, HealthVerdict, NodeItem};

/// How the monitor watches.
#[derive(Debug, Clone)]
pub struct MonitorConfig {
    /// How long a node may say nothing before it is pinged. Default 60 s.
    pub ping_after: Duration,
    /// How long it may take to answer. Default 20 s.
    pub ping_timeout: Duration,
    /// Domains whose entities may subscribe to the monitor's presence, besides its own.
    pub watchers: Vec<Domainpart>,
    /// The publish-subscribe service that is told the verdicts and the state of the ways to other domains
    /// ([`Health`], [`LinkReport`](crate::nodes::LinkReport)); `None` for none.
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
        let mut posts = Posts::new(component.handle(), config.publish_to.clone());
        posts.create::<Health>();
        let (nodes, pings, links) = (HashMap::new(), JoinSet::new(), Links::new(domain, &mut posts));
        let watch = Watch { component, config, nodes, out_of_reach: HashSet::new(), pings, posts, links, events };
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
    posts: Posts,
    links: Links,
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
                () = self.posts.progress() => {}
                () = sleep_until(next_ping) => self.ping_silent_nodes(),
                () = sleep_until(self.links.due()) => self.links.publish(&mut self.posts),
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
                    self.publish(&from, HealthVerdict::Ok);
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
                self.publish(&from, HealthVerdict::Lost(why));
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
            self.publish(&who, HealthVerdict::Suspect(Departure::RouteLost));
            self.links.look_now();
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
                self.report(node, HealthVerdict::Suspect(Departure::Silent));
                self.tell(MonitorEvent::Suspect { node: node.clone(), why: Departure::Silent });
            }
            (true, true) => self.recovered(node.clone()),
            _ => {}
        }
    }

    fn recovered(&mut self, node: Jid) {
        self.report(&node, HealthVerdict::Ok);
        self.tell(MonitorEvent::Recovered { node });
    }

    /// The resource manager of the domain acts on a verdict; everybody else may read it.
    fn report(&mut self, node: &Jid, verdict: HealthVerdict) {
        let health = Health { node: node.clone(), verdict };
        if let Ok(manager) = Jid::from_parts(Some("resources"), self.component.jid().domain(), None) {
            let message = Stanza::message(MessageType::Headline).with_to(&manager).with_payload(health.payload());
            self.component.route(message.with_from(self.component.jid()));
        }
        self.posts.publish(&health);
    }

    fn publish(&mut self, node: &Jid, verdict: HealthVerdict) {
        self.posts.publish(&Health { node: node.clone(), verdict });
    }

    fn tell(&self, event: MonitorEvent) {
        let _nobody_watches = self.events.send(event);
    }
}
