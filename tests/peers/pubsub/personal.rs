//! An account of ours and slixmpp's account at a peer, who get to know each other.

use convoke::Component;
use convoke::xmpp::capabilities::Capabilities;
use convoke::xmpp::{Element, Jid, Kind, PresenceType, Stanza};
use convoke_dev::peers::Software;
use serde_json::{Value, json};

use super::set;
use crate::peers::neighbours::{JULIET, Neighbours, jid, next};
use crate::support::slixmpp::Slixmpp;

/// The account of ours, as a bare JID.
pub(super) const ACCOUNT: &str = "alice@volunteers.lan";

/// Both, where both domains have personal eventing.
pub(super) struct Acquaintance {
    pub(super) neighbours: Neighbours,
    /// A session of [`ACCOUNT`].
    pub(super) alice: Component,
    /// A client of [`JULIET`].
    pub(super) juliet: Slixmpp,
    /// The capabilities that she showed last.
    shown: Option<Capabilities>,
}

/// A request of slixmpp about this node of [`ACCOUNT`].
pub(super) fn at_node(node: &str) -> Value {
    json!({ "service": ACCOUNT, "node": node })
}

impl Acquaintance {
    /// Both are available, and neither sees the presence of the other.
    pub(super) async fn begin(software: Software) -> Self {
        let neighbours = Neighbours::eventing(software).await;
        let alice = neighbours.ours.session("alice", "desk").unwrap();
        alice.available([]);
        let juliet = Slixmpp::login(&neighbours.peer, "juliet").await;
        Self { neighbours, alice, juliet, shown: None }
    }

    /// Each sees the presence of the other from now on.
    pub(super) async fn befriend(&mut self) {
        self.see_her_presence().await;
        self.let_her_see_ours().await;
    }

    /// She shows her presence, and with it what she wants to hear of; slixmpp grants every request by itself.
    pub(super) async fn see_her_presence(&mut self) {
        self.alice.presence(PresenceType::Subscribe, &jid(JULIET));
        self.hears_of_her().await;
    }

    /// She asks for our presence, and is granted it.
    pub(super) async fn let_her_see_ours(&mut self) {
        self.juliet.ask("watch", json!({ "jid": ACCOUNT })).await;
        self.hears(PresenceType::Subscribe).await;
        self.alice.presence(PresenceType::Subscribed, &jid(JULIET));
    }

    /// She says that she wants to hear of a node; our account sees it if it sees her presence.
    pub(super) async fn want(&mut self, node: &str) {
        self.change_of_mind("want", node).await;
    }

    /// The contrary.
    pub(super) async fn want_no_more(&mut self, node: &str) {
        self.change_of_mind("want_no_more", node).await;
    }

    /// Our account does this to its own nodes.
    pub(super) async fn publish(&self, request: Element) {
        set(&self.alice, &account(), request).await;
    }

    /// Waits for a presence of hers of this kind.
    pub(super) async fn hears(&mut self, kind: PresenceType) -> Stanza {
        loop {
            let stanza = next(&mut self.alice).await;
            let from = stanza.from().map(|from| from.bare().to_owned());
            if stanza.kind() == Kind::Presence(kind) && from.as_deref() == Some(JULIET) {
                return stanza;
            }
        }
    }

    async fn change_of_mind(&mut self, what: &str, node: &str) {
        self.juliet.ask(what, json!({ "node": node })).await;
        if self.shown.is_some() {
            self.hears_of_her().await;
        }
    }

    /// Waits for other capabilities than she showed last. Personal eventing knows of a presence before the account does.
    async fn hears_of_her(&mut self) {
        loop {
            let shown = Capabilities::read(&self.hears(PresenceType::Available).await);
            if shown.is_some() && shown != self.shown {
                self.shown = shown;
                return;
            }
        }
    }
}

fn account() -> Jid {
    jid(ACCOUNT)
}
