//! Who is there, and which nodes each of them wants to hear of (XEP-0163, section 4.3; XEP-0115).
//!
//! An entity says by its capabilities what it wants: the feature `NODE+notify` stands for the node of that name. Its presence
//! shows a hash of them alone, so that whoever shows an unknown one is asked once, and its answer stands for all who show the
//! same, provided that it fits the hash.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use convoke_xmpp::capabilities::Capabilities;
use convoke_xmpp::{Element, Jid, namespace};

/// Resources that are known for one account; of further ones nothing is kept, and they hear nothing unasked.
const MAX_RESOURCES: usize = 10_000;

/// Hashes that are known at a time, the oldest of which make room: there are about as many as kinds of software.
const MAX_KNOWN: usize = 1_000;

/// Questions that wait for their answers; no more are asked meanwhile.
const MAX_ASKED: usize = 1_000;

/// Nodes that one entity wants to hear of; no client names as many.
const MAX_INTERESTS: usize = 256;

/// How long an entity may take to say what its hash stands for. Whoever shows the same next is asked then.
const ANSWER: Duration = Duration::from_secs(60);

/// The end of a feature that stands for a node.
const NOTIFY: &str = "+notify";

/// Everybody whose presence is known.
#[derive(Debug, Default)]
pub(super) struct Audience {
    /// By the account that knows it, a bare address, and then by full address.
    accounts: HashMap<Box<str>, BTreeMap<Jid, Present>>,
    known: HashMap<Hash, Arc<Interests>>,
    /// The hashes that are known, oldest first.
    order: VecDeque<Hash>,
    /// By the hash that was asked for.
    asked: HashMap<Hash, Asked>,
}

/// The names of nodes.
pub(super) type Interests = BTreeSet<Box<str>>;

/// What stands for a set of capabilities.
type Hash = Capabilities;

#[derive(Debug)]
struct Present {
    shown: Option<Hash>,
    interests: Arc<Interests>,
}

#[derive(Debug)]
struct Asked {
    id: String,
    who: Jid,
    until: SystemTime,
}

/// Somebody is to be asked for its disco#info, at this node and on behalf of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) id: String,
    pub(super) from: Jid,
    pub(super) to: Jid,
    pub(super) node: String,
}

/// A resource that an account knows now, and the nodes that are new to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) account: Jid,
    pub(super) who: Jid,
    pub(super) interests: Interests,
}

impl Audience {
    /// An account is told that a resource is available, which shows these capabilities. The nodes that it wants to hear of,
    /// where that is known; else perhaps a question, which has this identifier.
    pub(super) fn available(
        &mut self,
        account: &Jid,
        who: &Jid,
        shown: Option<Capabilities>,
        id: impl FnOnce() -> String,
        now: SystemTime,
    ) -> (Option<Arrival>, Option<Question>) {
        let present = self.accounts.entry(account.as_str().into()).or_default();
        if present.len() >= MAX_RESOURCES && !present.contains_key(who) {
            return (None, None);
        }
        let interests = shown.as_ref().and_then(|shown| self.known.get(shown)).cloned();
        let is_known = interests.is_some();
        let now_present = Present { shown: shown.clone(), interests: interests.unwrap_or_default() };
        let before = present.insert(who.clone(), now_present);
        let arrival = self.arrival(account, who, before.map(|before| before.interests).unwrap_or_default());
        let question = shown.filter(|_| !is_known).and_then(|shown| self.ask(account, who, shown, id, now));
        (arrival, question)
    }

    /// An account is told that a resource is gone, or all resources of a bare address.
    pub(super) fn unavailable(&mut self, account: &Jid, who: &Jid) {
        let Some(present) = self.accounts.get_mut(account.as_str()) else { return };
        present.retain(|known, _| known != who && (!who.is_bare() || known.bare() != who.as_str()));
        if present.is_empty() {
            self.accounts.remove(account.as_str());
        }
    }

    /// Whether a resource of the account itself is available.
    pub(super) fn is_there(&self, account: &Jid) -> bool {
        let Some(present) = self.accounts.get(account.as_str()) else { return false };
        present.keys().any(|who| who.bare() == account.as_str())
    }

    /// Nothing is known any more of whom the account knew.
    pub(super) fn forget(&mut self, account: &Jid) {
        self.accounts.remove(account.as_str());
    }

    /// The answer to a question has come, `None` for an error: everybody who showed that hash is known by it now.
    ///
    /// One that does not fit the hash counts for nobody (XEP-0115, section 5.4).
    pub(super) fn answered(&mut self, id: &str, from: &Jid, info: Option<&Element>) -> Vec<Arrival> {
        let answers = |asked: &Asked| asked.id == id && asked.who == *from;
        let Some(hash) = self.asked.iter().find(|(_, asked)| answers(asked)).map(|(hash, _)| hash.clone()) else {
            return Vec::new();
        };
        self.asked.remove(&hash);
        let Some(info) = info.filter(|info| hash.is_hash_of(info)) else { return Vec::new() };
        let interests = Arc::new(interests(info));
        self.learn(hash.clone(), interests.clone());
        let mut found = Vec::new();
        for (account, present) in &mut self.accounts {
            for (who, present) in present.iter_mut().filter(|(_, present)| present.shown.as_ref() == Some(&hash)) {
                present.interests = interests.clone();
                found.extend(Jid::new(account).map(|account| (account, who.clone())));
            }
        }
        found.into_iter().filter_map(|(account, who)| self.arrival(&account, &who, Arc::default())).collect()
    }

    /// The available resources that want to hear of this node of an account.
    pub(super) fn interested<'a>(&'a self, account: &str, node: &'a str) -> impl Iterator<Item = &'a Jid> {
        let present = self.accounts.get(account).into_iter().flatten();
        present.filter(move |(_, present)| present.interests.contains(node)).map(|(who, _)| who)
    }

    /// What is new of the interests of a resource, if anything.
    fn arrival(&self, account: &Jid, who: &Jid, before: Arc<Interests>) -> Option<Arrival> {
        let present = self.accounts.get(account.as_str())?.get(who)?;
        let interests: Interests = present.interests.difference(&before).cloned().collect();
        (!interests.is_empty()).then(|| Arrival { account: account.clone(), who: who.clone(), interests })
    }

    fn ask(
        &mut self,
        account: &Jid,
        who: &Jid,
        hash: Hash,
        id: impl FnOnce() -> String,
        now: SystemTime,
    ) -> Option<Question> {
        if self.asked.get(&hash).is_some_and(|asked| asked.until > now) {
            return None;
        }
        self.asked.retain(|_, asked| asked.until > now);
        if self.asked.len() >= MAX_ASKED {
            return None;
        }
        let (id, node) = (id(), hash.disco_node());
        self.asked.insert(hash, Asked { id: id.clone(), who: who.clone(), until: now + ANSWER });
        Some(Question { id, from: account.clone(), to: who.clone(), node })
    }

    fn learn(&mut self, hash: Hash, interests: Arc<Interests>) {
        if self.order.len() >= MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(hash.clone());
        self.known.insert(hash, interests);
    }
}

/// The nodes for which an answer of disco#info has the feature.
fn interests(info: &Element) -> Interests {
    let features = info.children().filter(|child| child.is("feature", namespace::DISCO_INFO));
    let names = features.filter_map(|feature| feature.attribute("var")?.strip_suffix(NOTIFY));
    names.take(MAX_INTERESTS).map(Box::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEN: SystemTime = SystemTime::UNIX_EPOCH;

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    fn info(features: &[&str]) -> Element {
        let feature = |var: &&str| Element::new("feature", namespace::DISCO_INFO).attr("var", var);
        Element::new("query", namespace::DISCO_INFO).with_children(features.iter().map(feature))
    }

    fn shown(features: &[&str]) -> Option<Capabilities> {
        Some(Capabilities::of(&info(features), "urn:software").unwrap())
    }

    fn interested(audience: &Audience, account: &str, node: &str) -> Vec<String> {
        audience.interested(account, node).map(Jid::to_string).collect()
    }

    /// What is asked when a resource shows these features, if anything.
    fn arrives(audience: &mut Audience, account: &str, who: &str, features: &[&str], id: &str) -> Option<Question> {
        audience.available(&jid(account), &jid(who), shown(features), || id.to_owned(), THEN).1
    }

    #[test]
    fn an_unknown_hash_is_asked_for_once_and_its_answer_stands_for_all_who_show_it() {
        let mut audience = Audience::default();
        let features = ["tune+notify", "urn:other"];
        let asked = arrives(&mut audience, "a@x", "b@y/1", &features, "q1").unwrap();
        assert_eq!((asked.from.as_str(), asked.to.as_str(), asked.id.as_str()), ("a@x", "b@y/1", "q1"));
        assert_eq!(asked.node, shown(&features).unwrap().disco_node());
        assert_eq!(arrives(&mut audience, "c@x", "d@y/2", &features, "q2"), None);
        let arrivals = audience.answered("q1", &jid("b@y/1"), Some(&info(&features)));
        assert_eq!(arrivals.len(), 2);
        assert_eq!(arrivals[0].interests, BTreeSet::from(["tune".into()]));
        assert_eq!(interested(&audience, "a@x", "tune"), ["b@y/1"]);
        assert_eq!(interested(&audience, "c@x", "tune"), ["d@y/2"]);
        let (arrival, question) =
            audience.available(&jid("a@x"), &jid("e@y/3"), shown(&features), || unreachable!(), THEN);
        assert_eq!((arrival.unwrap().who, question), (jid("e@y/3"), None));
    }

    #[test]
    fn an_answer_that_does_not_fit_or_comes_from_another_counts_for_nobody() {
        let mut audience = Audience::default();
        arrives(&mut audience, "a@x", "b@y/1", &["tune+notify"], "q1").unwrap();
        assert!(audience.answered("q1", &jid("mallory@y/1"), Some(&info(&["tune+notify"]))).is_empty());
        assert!(audience.answered("q1", &jid("b@y/1"), Some(&info(&["mood+notify"]))).is_empty());
        assert!(interested(&audience, "a@x", "tune").is_empty() && interested(&audience, "a@x", "mood").is_empty());
        // The question is over: the next who shows it is asked again.
        assert!(arrives(&mut audience, "a@x", "c@y/1", &["tune+notify"], "q2").is_some());
    }

    #[test]
    fn somebody_who_does_not_answer_is_not_waited_for_for_ever() {
        let mut audience = Audience::default();
        arrives(&mut audience, "a@x", "b@y/1", &["tune+notify"], "q1").unwrap();
        let later = THEN + ANSWER;
        let asked = audience.available(&jid("a@x"), &jid("c@y/1"), shown(&["tune+notify"]), || "q2".to_owned(), later);
        assert_eq!(asked.1.unwrap().to, jid("c@y/1"));
    }

    #[test]
    fn who_is_gone_hears_nothing_and_a_bare_address_means_all_its_resources() {
        let mut audience = Audience::default();
        arrives(&mut audience, "a@x", "b@y/1", &["tune+notify"], "q").unwrap();
        audience.answered("q", &jid("b@y/1"), Some(&info(&["tune+notify"])));
        for who in ["b@y/2", "b@y/3", "c@y/1"] {
            assert_eq!(arrives(&mut audience, "a@x", who, &["tune+notify"], "q"), None);
        }
        audience.unavailable(&jid("a@x"), &jid("b@y/1"));
        assert_eq!(interested(&audience, "a@x", "tune"), ["b@y/2", "b@y/3", "c@y/1"]);
        audience.unavailable(&jid("a@x"), &jid("b@y"));
        assert_eq!(interested(&audience, "a@x", "tune"), ["c@y/1"]);
    }

    #[test]
    fn what_somebody_wants_anew_is_an_arrival_and_what_it_wanted_before_is_not() {
        let mut audience = Audience::default();
        for (number, features) in [["tune+notify", "x"], ["tune+notify", "mood+notify"]].iter().enumerate() {
            let id = format!("q{number}");
            arrives(&mut audience, "z@x", &format!("y@y/{number}"), features, &id).unwrap();
            audience.answered(&id, &jid(&format!("y@y/{number}")), Some(&info(features)));
        }
        let mut arrival = |features: &[&str]| {
            let who = jid("b@y/1");
            audience.available(&jid("a@x"), &who, shown(features), || unreachable!(), THEN).0.map(|it| it.interests)
        };
        assert_eq!(arrival(&["tune+notify", "x"]), Some(BTreeSet::from(["tune".into()])));
        assert_eq!(arrival(&["tune+notify", "x"]), None);
        assert_eq!(arrival(&["tune+notify", "mood+notify"]), Some(BTreeSet::from(["mood".into()])));
    }

    #[test]
    fn the_oldest_hashes_make_room() {
        let mut audience = Audience::default();
        for number in 0..=MAX_KNOWN {
            let feature = format!("n{number}+notify");
            let (id, who) = (format!("q{number}"), format!("b@y/{number}"));
            arrives(&mut audience, "a@x", &who, &[&feature], &id).unwrap();
            assert_eq!(audience.answered(&id, &jid(&who), Some(&info(&[&feature]))).len(), 1);
        }
        assert_eq!((audience.known.len(), audience.order.len()), (MAX_KNOWN, MAX_KNOWN));
        assert!(arrives(&mut audience, "a@x", "c@y/1", &["n0+notify"], "again").is_some());
    }
}
