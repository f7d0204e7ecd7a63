//! What of the traffic is for personal eventing (XEP-0163).

use std::sync::Arc;

use convoke_xmpp::{IqType, JidRef, Kind, MessageType, Origin, PresenceType, Stanza, Undelivered, namespace};

use super::LocalRouter;
use crate::discovery::is_about_a_node;
use crate::mailbox::Mailbox;

/// Personal eventing (XEP-0163), where there is any: what is for the bare address of an account, and who is there for it.
#[derive(Debug)]
pub(super) struct Eventing {
    mailbox: Arc<Mailbox>,
    /// How the identifiers of its own requests begin.
    questions: Box<str>,
}

impl Eventing {
    pub(super) fn deliver(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        self.mailbox.deliver(stanza, origin)
    }

    pub(super) fn close(&self) {
        self.mailbox.close();
    }
}

impl LocalRouter {
    /// Sets who takes what is for the nodes of accounts, and how the identifiers of its requests begin; only the first
    /// one counts.
    #[cfg(feature = "pubsub")]
    pub(crate) fn set_eventing(&self, mailbox: Arc<Mailbox>, questions: &str) {
        let _already_set = self.eventing.set(Eventing { mailbox, questions: questions.into() });
    }

    /// Whether a stanza is about the nodes of an account rather than for the entity that has its address.
    pub(super) fn is_for_eventing(&self, eventing: &Eventing, stanza: &Stanza) -> bool {
        let Some(to) = stanza.to().filter(|to| to.is_bare() && to.local().is_some()) else { return false };
        let is_account = || self.is_account(to);
        match (stanza.kind(), stanza.payload_name()) {
            (Kind::Iq(IqType::Result | IqType::Error), _) => {
                stanza.id().is_some_and(|id| id.starts_with(&*eventing.questions))
            }
            (Kind::Iq(_), Some(("pubsub", namespace::PUBSUB | namespace::PUBSUB_OWNER)))
            | (Kind::Message(MessageType::Error), Some(("event", namespace::PUBSUB_EVENT))) => is_account(),
            #[cfg(feature = "pubsub")]
            (Kind::Message(_), Some(("x", namespace::DATA_FORMS))) => {
                is_account() && convoke_pubsub::is_approval(stanza)
            }
            (Kind::Iq(IqType::Get), Some(("query", namespace::DISCO_ITEMS))) => is_account(),
            (Kind::Iq(IqType::Get), Some(("query", namespace::DISCO_INFO))) => {
                self.find(to).is_none_or(|entry| entry.about.is_account() && is_about_a_node(stanza))
            }
            _ => false,
        }
    }

    /// Whether a bare address is that of an account, rather than of a domain or of a component that has nodes itself.
    fn is_account(&self, bare: JidRef<'_>) -> bool {
        // A volunteer's account has no mailbox, only its sessions have.
        bare.local().is_some() && self.find(bare).is_none_or(|entry| entry.about.is_account())
    }

    /// Personal eventing follows who is there for an account.
    pub(super) fn tell_eventing(&self, stanza: &Stanza, origin: &Origin) {
        let is_availability =
            matches!(stanza.kind(), Kind::Presence(PresenceType::Available | PresenceType::Unavailable));
        let is_for_account = || stanza.to().is_some_and(|to| self.is_account(to.to_bare().as_ref()));
        if is_availability && is_for_account() {
            self.hand_to_eventing(stanza, origin);
        }
    }

    /// Personal eventing follows whom an account lets see more or less of it.
    pub(super) fn tell_eventing_of_contact(&self, answer: &Stanza) {
        if answer.from().is_some_and(|from| self.is_account(from.to_bare().as_ref())) {
            self.hand_to_eventing(answer, &Origin::Local);
        }
    }

    /// If it is far behind, it learns of it later or, of somebody new, not at all.
    fn hand_to_eventing(&self, stanza: &Stanza, origin: &Origin) {
        if let Some(eventing) = self.eventing.get()
            && let Err(undelivered) = eventing.deliver(stanza.clone(), origin)
        {
            tracing::debug!(error = %undelivered.error, "personal eventing is behind");
        }
    }
}

/// What an account would have said to a contact that wants to see its presence no longer: the outcome is the same.
pub(super) fn has_left(stanza: &Stanza) -> Option<Stanza> {
    let is_farewell = stanza.kind() == Kind::Presence(PresenceType::Unsubscribe);
    let (contact, account) = (stanza.from().filter(|_| is_farewell)?.to_bare(), stanza.to()?.to_bare());
    Some(Stanza::presence(PresenceType::Unsubscribed).with_addresses(account.as_ref(), contact.as_ref()))
}

#[cfg(test)]
#[cfg(feature = "pubsub")]
mod tests {
    use std::collections::BTreeSet;

    use convoke_xmpp::{Domainpart, Jid, Router};

    use super::*;
    use crate::discovery::About;

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    /// The stanzas that personal eventing has been given, once the mailbox is closed.
    async fn heard(mailbox: &Mailbox) -> Vec<Stanza> {
        mailbox.close();
        let mut heard = Vec::new();
        while let Some((stanza, _)) = mailbox.receive().await {
            heard.push(stanza);
        }
        heard
    }

    /// XEP-0060, section 13.2.
    #[tokio::test]
    async fn personal_eventing_hears_whom_an_account_lets_see_more_or_less_of_it() {
        let router = LocalRouter::new(vec![Domainpart::new("a.example").unwrap()]);
        let mailbox = Arc::new(Mailbox::for_service());
        router.set_eventing(mailbox.clone(), "question-");
        let (alice, bob) = (jid("alice@a.example"), jid("bob@a.example"));
        assert!(!router.set_groups(&alice, &bob, BTreeSet::from(["Friends".to_owned()])), "no contact");
        let subscribed = Stanza::presence(PresenceType::Subscribed);
        router
            .route(subscribed.with_addresses(jid("alice@a.example/desk").as_ref(), bob.as_ref()), &Origin::Local)
            .unwrap();
        assert!(router.set_groups(&alice, &bob, BTreeSet::from(["Friends".to_owned()])));
        let farewell = Stanza::presence(PresenceType::Unsubscribe);
        router.route(farewell.with_addresses(bob.as_ref(), alice.as_ref()), &Origin::Local).unwrap();
        let heard = heard(&mailbox).await;
        let who = |stanza: &Stanza| (stanza.from().unwrap().bare().to_owned(), stanza.to().unwrap().bare().to_owned());
        let (granted, grouped) = (&heard[0], &heard[1]);
        let kinds: Vec<_> = heard.iter().map(Stanza::kind).collect();
        let (yes, no) = (PresenceType::Subscribed, PresenceType::Unsubscribed);
        assert_eq!(kinds, [Kind::Presence(yes), Kind::Presence(yes), Kind::Presence(no)]);
        heard.iter().for_each(|answer| assert_eq!(who(answer), (alice.to_string(), bob.to_string())));
        assert!(!granted.has_payload("item", namespace::ROSTER) && grouped.has_payload("item", namespace::ROSTER));
    }

    #[tokio::test]
    async fn personal_eventing_hears_of_the_presence_for_accounts_alone() {
        let router = LocalRouter::new(vec![Domainpart::new("a.example").unwrap()]);
        let mailbox = Arc::new(Mailbox::for_service());
        router.set_eventing(mailbox.clone(), "question-");
        let service = jid("pubsub@a.example");
        router.register(&service, Arc::new(Mailbox::for_service()), Arc::new(About::new("pubsub", "service", "")));
        for to in ["a.example", "pubsub@a.example", "alice@a.example"] {
            let presence = Stanza::presence(PresenceType::Available).with_to(&jid(to));
            router.route(presence.with_from(&jid("bob@a.example/desk")), &Origin::Local).unwrap();
        }
        let heard = heard(&mailbox).await;
        assert_eq!(
            heard.iter().map(|presence| presence.to().unwrap().to_string()).collect::<Vec<_>>(),
            ["alice@a.example"]
        );
    }
}
