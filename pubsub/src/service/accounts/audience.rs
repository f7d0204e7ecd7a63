//! Who is there, and which nodes each of them wants to hear of (XEP-0163, section 4.3; XEP-0115).
//!
//! An entity says by its capabilities what it wants: the feature `NODE+notify` stands for the node of that name. Its presence
//! shows a hash of them alone, so that whoever shows an unknown one is asked once, and its answer stands for all who show the
//! same, provided that it fits the hash. Where that cannot be checked it stands for that one alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use convoke_xmpp::{Element, Jid, namespace};

use super::claim::Claim;

/// Resources that are known for one account; of further ones nothing is kept, and they hear nothing unasked.
const MAX_RESOURCES: usize = 10_000;

/// Resources that are known for all accounts together. Whose presence an account sees is of others' choosing, and so would be
/// their number: beyond it, nothing is kept of who is no contact.
const MAX_PRESENT: usize = 50_000;

/// How many of those who show a hash are asked for it, one after the other, as long as nobody says what it stands for.
const MAX_TRIES: usize = 16;

/// Claims whose answers are known at a time, the oldest of which make room: there are about as many as kinds of software.
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
    /// How many resources these are together.
    present: usize,
    known: HashMap<Claim, Arc<Interests>>,
    /// What is known, oldest first.
    order: VecDeque<Claim>,
    /// By what was asked for.
    asked: HashMap<Claim, Asked>,
}

/// The names of nodes.
pub(super) type Interests = BTreeSet<Box<str>>;

#[derive(Debug)]
struct Present {
    shown: Option<Claim>,
    interests: Arc<Interests>,
    /// Whether it was greeted as one who sees the presence of the account.
    is_greeted_contact: bool,
}

#[derive(Debug)]
struct Asked {
    id: String,
    who: Jid,
    until: SystemTime,
    /// Those who were asked before and did not say, each with the identifier of its question.
    before: Vec<(String, Jid)>,
}

impl Asked {
    /// Makes the one before the one who is asked; `false` if there is none.
    fn step_back(&mut self) -> bool {
        let Some((id, who)) = self.before.pop() else { return false };
        (self.id, self.who) = (id, who);
        true
    }
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
        shown: Option<Claim>,
        id: impl FnOnce() -> String,
        now: SystemTime,
    ) -> (Option<Arrival>, Option<Question>) {
        let present = self.accounts.entry(account.as_str().into()).or_default();
        if present.len() >= MAX_RESOURCES && !present.contains_key(who) {
            return (None, None);
        }
        let before = present.remove(who);
        self.present += usize::from(before.is_none());
        // Servers may leave out of a presence what they have passed on before (XEP-0115, section 8.4).
        let shown = shown.or_else(|| before.as_ref()?.shown.clone());
        let known = shown.as_ref().and_then(|shown| self.known.get(shown)).cloned();
        let is_known = known.is_some();
        let interests = known.or_else(|| Some(before.as_ref().filter(|it| it.shown == shown)?.interests.clone()));
        let is_greeted_contact = before.as_ref().is_some_and(|before| before.is_greeted_contact);
        let interests = interests.unwrap_or_default();
        present.insert(who.clone(), Present { shown: shown.clone(), interests, is_greeted_contact });
        let arrival = self.arrival(account, who, before.map(|before| before.interests).unwrap_or_default());
        let question = shown.filter(|_| !is_known).and_then(|shown| self.ask(account, who, shown, id, now));
        (arrival, question)
    }

    /// Whether resources are taken note of whoever they are.
    pub(super) fn has_room(&self) -> bool {
        self.present < MAX_PRESENT
    }

    /// An account is told that a resource is gone, or all resources of a bare address. If it has not said yet what its hash
    /// stands for, the question for somebody else, which has this identifier.
    pub(super) fn unavailable(
        &mut self,
        account: &Jid,
        who: &Jid,
        id: impl FnOnce() -> String,
        now: SystemTime,
    ) -> Option<Question> {
        self.withdraw(account, who);
        let is_asked = |asked: &Asked| asked.who == *who || (who.is_bare() && asked.who.bare() == who.as_str());
        let claim = self.asked.iter().find(|(_, asked)| is_asked(asked)).map(|(claim, _)| claim.clone())?;
        let asked = self.asked.remove(&claim)?;
        self.ask_another(claim, asked, id, now)
    }

    /// A resource, or all of a bare address, counts no more for an account.
    pub(super) fn withdraw(&mut self, account: &Jid, who: &Jid) {
        let Some(present) = self.accounts.get_mut(account.as_str()) else { return };
        let before = present.len();
        present.retain(|known, _| known != who && (!who.is_bare() || known.bare() != who.as_str()));
        self.present -= before - present.len();
        if present.is_empty() {
            self.accounts.remove(account.as_str());
        }
    }

    /// Whether a resource of the account itself is available.
    pub(super) fn is_there(&self, account: &Jid) -> bool {
        self.resources(account).next().is_some()
    }

    /// The resources of the account itself that are available.
    pub(super) fn resources(&self, account: &Jid) -> impl Iterator<Item = &Jid> {
        let present = self.accounts.get(account.as_str()).into_iter().flat_map(BTreeMap::keys);
        present.filter(|who| !who.is_bare() && who.bare() == account.as_str())
    }

    /// Nothing is known any more of whom the account knew.
    pub(super) fn forget(&mut self, account: &Jid) {
        let forgotten = self.accounts.remove(account.as_str());
        self.present -= forgotten.map_or(0, |present| present.len());
    }

    /// The answer to a question has come, `None` for an error: everybody who showed that hash is known by it now.
    ///
    /// One that does not fit the hash counts for nobody: somebody else is asked, with this identifier (XEP-0115, section
    /// 5.4).
    pub(super) fn answered(
        &mut self,
        id: &str,
        from: &Jid,
        info: Option<&Element>,
        next_id: impl FnOnce() -> String,
        now: SystemTime,
    ) -> (Vec<Arrival>, Option<Question>) {
        let answers = |asked: &Asked| asked.id == id && asked.who == *from;
        let claim = self.asked.iter().find(|(_, asked)| answers(asked)).map(|(claim, _)| claim.clone());
        let Some((claim, asked)) = claim.and_then(|claim| self.asked.remove_entry(&claim)) else {
            return (Vec::new(), None);
        };
        match info.filter(|info| claim.is_told_by(from, info)) {
            Some(info) => (self.believe(&claim, &Arc::new(interests(info))), None),
            None => (Vec::new(), self.ask_another(claim, asked, next_id, now)),
        }
    }

    /// It is known what a hash stands for.
    fn believe(&mut self, claim: &Claim, interests: &Arc<Interests>) -> Vec<Arrival> {
        self.learn(claim.clone(), interests.clone());
        let mut found = Vec::new();
        for (account, present) in &mut self.accounts {
            for (who, present) in present.iter_mut().filter(|(_, present)| present.shown.as_ref() == Some(claim)) {
                present.interests = interests.clone();
                found.extend(Jid::new(account).map(|account| (account, who.clone())));
            }
        }
        found.into_iter().filter_map(|(account, who)| self.arrival(&account, &who, Arc::default())).collect()
    }

    /// Makes ready for an answer that comes once more: what it has brought about was not kept.
    pub(super) fn take_back(&mut self, id: &str, from: &Jid, info: &Element, now: SystemTime) {
        let Some(claim) = self.known.keys().find(|claim| claim.is_told_by(from, info)).cloned() else { return };
        self.known.remove(&claim);
        self.order.retain(|known| *known != claim);
        let present = self.accounts.values_mut().flat_map(BTreeMap::values_mut);
        for present in present.filter(|present| present.shown.as_ref() == Some(&claim)) {
            present.interests = Arc::default();
            present.is_greeted_contact = false;
        }
        self.asked
            .insert(claim, Asked { id: id.to_owned(), who: from.clone(), until: now + ANSWER, before: Vec::new() });
    }

    /// The question of this identifier did not go out: it is still with whoever was asked before, if anybody was.
    pub(super) fn not_asked(&mut self, id: &str) {
        self.asked.retain(|_, asked| asked.id != id || asked.step_back());
    }

    /// A resource is sent what it has missed, as one who sees the presence of the account or not.
    pub(super) fn greeted(&mut self, account: &Jid, who: &Jid, is_contact: bool) {
        let present = self.accounts.get_mut(account.as_str()).and_then(|present| present.get_mut(who));
        present.into_iter().for_each(|present| present.is_greeted_contact = is_contact);
    }

    /// A contact sees the presence of the account from now on, or no longer; gives those of its resources that were not
    /// greeted as ones who see it.
    pub(super) fn admitted(&mut self, account: &Jid, contact: &Jid, is_contact: bool) -> Vec<(Jid, Arc<Interests>)> {
        let present = self.accounts.get_mut(account.as_str()).into_iter().flatten();
        let own = present.filter(|(who, _)| who.bare() == contact.as_str());
        let told = own.map(|(who, present)| {
            let was_greeted = std::mem::replace(&mut present.is_greeted_contact, is_contact);
            (!was_greeted).then(|| (who.clone(), present.interests.clone()))
        });
        told.flatten().collect()
    }

    /// The available resources that want to hear of this node of an account.
    pub(super) fn interested<'a>(&'a self, account: &str, node: &'a str) -> impl Iterator<Item = &'a Jid> {
        let present = self.accounts.get(account).into_iter().flatten();
        present.filter(move |(_, present)| present.interests.contains(node)).map(|(who, _)| who)
    }

    /// The available resources of a contact that an account knows, with the nodes that each wants to hear of.
    pub(super) fn resources_of<'a>(
        &'a self,
        account: &Jid,
        contact: &'a Jid,
    ) -> impl Iterator<Item = (&'a Jid, &'a Interests)> {
        let present = self.accounts.get(account.as_str()).into_iter().flatten();
        let own = present.filter(move |(who, _)| who.bare() == contact.as_str());
        own.map(|(who, present)| (who, &*present.interests))
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
        claim: Claim,
        id: impl FnOnce() -> String,
        now: SystemTime,
    ) -> Option<Question> {
        if self.asked.get(&claim).is_some_and(|asked| asked.until > now) {
            return None;
        }
        self.asked.retain(|_, asked| asked.until > now);
        if self.asked.len() >= MAX_ASKED {
            return None;
        }
        let asked = Asked { id: id(), who: who.clone(), until: now + ANSWER, before: Vec::new() };
        Some(self.question(account, claim, asked))
    }

    /// Asks somebody who shows the same and was not asked for it yet.
    fn ask_another(
        &mut self,
        claim: Claim,
        Asked { id: asked, who, mut before, .. }: Asked,
        id: impl FnOnce() -> String,
        now: SystemTime,
    ) -> Option<Question> {
        before.push((asked, who));
        if before.len() >= MAX_TRIES {
            return None;
        }
        let shows = |(_, present): &(&Jid, &Present)| present.shown.as_ref() == Some(&claim);
        let mut showing = self
            .accounts
            .iter()
            .flat_map(|(account, present)| present.iter().filter(shows).map(move |(who, _)| (account, who)));
        let (account, who) = showing.find(|(_, who)| before.iter().all(|(_, asked)| asked != *who))?;
        let (account, who) = (Jid::new(account).ok()?, who.clone());
        Some(self.question(&account, claim, Asked { id: id(), who, until: now + ANSWER, before }))
    }

    fn question(&mut self, account: &Jid, claim: Claim, asked: Asked) -> Question {
        let (id, to, node) = (asked.id.clone(), asked.who.clone(), claim.disco_node());
        self.asked.insert(claim, asked);
        Question { id, from: account.clone(), to, node }
    }

    fn learn(&mut self, claim: Claim, interests: Arc<Interests>) {
        if self.order.len() >= MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(claim.clone());
        self.known.insert(claim, interests);
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
    use convoke_xmpp::capabilities::Capabilities;

    use super::*;

    const THEN: SystemTime = SystemTime::UNIX_EPOCH;

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    fn info(features: &[&str]) -> Element {
        let feature = |var: &&str| Element::new("feature", namespace::DISCO_INFO).attr("var", var);
        Element::new("query", namespace::DISCO_INFO).with_children(features.iter().map(feature))
    }

    fn shown(features: &[&str]) -> Option<Claim> {
        Some(Claim::Hash(Capabilities::of(&info(features), "urn:software").unwrap()))
    }

    fn interested(audience: &Audience, account: &str, node: &str) -> Vec<String> {
        audience.interested(account, node).map(Jid::to_string).collect()
    }

    /// What is asked when a resource shows these features, if anything.
    fn arrives(audience: &mut Audience, account: &str, who: &str, features: &[&str], id: &str) -> Option<Question> {
        audience.available(&jid(account), &jid(who), shown(features), || id.to_owned(), THEN).1
    }

    /// Who is new to a node when somebody answers with these features, or with an error; nobody else is there to be asked.
    fn answers(audience: &mut Audience, id: &str, who: &str, features: Option<&[&str]>) -> Vec<Arrival> {
        let (arrivals, question) =
            audience.answered(id, &jid(who), features.map(info).as_ref(), || "?".to_owned(), THEN);
        assert_eq!(question, None);
        arrivals
    }

    #[test]
    fn an_unknown_hash_is_asked_for_once_and_its_answer_stands_for_all_who_show_it() {
        let mut audience = Audience::default();
        let features = ["tune+notify", "urn:other"];
        let asked = arrives(&mut audience, "a@x", "b@y/1", &features, "q1").unwrap();
        assert_eq!((asked.from.as_str(), asked.to.as_str(), asked.id.as_str()), ("a@x", "b@y/1", "q1"));
        assert_eq!(asked.node, shown(&features).unwrap().disco_node());
        assert_eq!(arrives(&mut audience, "c@x", "d@y/2", &features, "q2"), None);
        let arrivals = answers(&mut audience, "q1", "b@y/1", Some(&features));
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
        assert!(answers(&mut audience, "q1", "mallory@y/1", Some(&["tune+notify"])).is_empty());
        assert!(answers(&mut audience, "q1", "b@y/1", Some(&["mood+notify"])).is_empty());
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

    /// XEP-0115, section 5.4.
    #[test]
    fn whoever_shows_the_same_is_asked_when_one_does_not_say_what_it_stands_for() {
        let features = ["tune+notify"];
        let mut audience = Audience::default();
        arrives(&mut audience, "a@x", "b@y/1", &features, "q1").unwrap();
        for who in ["c@y/1", "d@y/1"] {
            assert_eq!(arrives(&mut audience, "a@x", who, &features, "?"), None);
        }
        let (arrivals, question) = audience.answered("q1", &jid("b@y/1"), None, || "q2".to_owned(), THEN);
        assert_eq!((arrivals.len(), question.unwrap().to), (0, jid("c@y/1")));
        let question = audience.unavailable(&jid("a@x"), &jid("c@y"), || "q3".to_owned(), THEN).unwrap();
        assert_eq!((question.id.as_str(), question.to), ("q3", jid("d@y/1")));
        assert_eq!(answers(&mut audience, "q2", "c@y/1", Some(&features)), []);
        assert_eq!(answers(&mut audience, "q3", "d@y/1", Some(&features)).len(), 2);
    }

    /// XEP-0115, section 8.4.
    #[test]
    fn a_presence_that_shows_nothing_takes_nothing_back() {
        let mut audience = Audience::default();
        arrives(&mut audience, "a@x", "b@y/1", &["tune+notify"], "q").unwrap();
        answers(&mut audience, "q", "b@y/1", Some(&["tune+notify"]));
        let later = audience.available(&jid("a@x"), &jid("b@y/1"), None, || unreachable!(), THEN);
        assert_eq!(later, (None, None));
        assert_eq!(interested(&audience, "a@x", "tune"), ["b@y/1"]);
    }

    #[test]
    fn the_resources_of_all_accounts_together_are_counted() {
        let mut audience = Audience::default();
        let mut number = 0;
        while audience.has_room() {
            audience.available(&jid(&format!("a{number}@x")), &jid("b@y/1"), None, || unreachable!(), THEN);
            number += 1;
        }
        assert_eq!((number, audience.accounts.len()), (MAX_PRESENT, MAX_PRESENT));
        audience.available(&jid("a0@x"), &jid("b@y/1"), None, || unreachable!(), THEN);
        assert_eq!(audience.present, MAX_PRESENT);
        audience.withdraw(&jid("a0@x"), &jid("b@y"));
        audience.forget(&jid("a1@x"));
        audience.forget(&jid("nobody@x"));
        assert_eq!(audience.present, MAX_PRESENT - 2);
    }

    #[test]
    fn who_is_gone_hears_nothing_and_a_bare_address_means_all_its_resources() {
        let mut audience = Audience::default();
        arrives(&mut audience, "a@x", "b@y/1", &["tune+notify"], "q").unwrap();
        answers(&mut audience, "q", "b@y/1", Some(&["tune+notify"]));
        for who in ["b@y/2", "b@y/3", "c@y/1"] {
            assert_eq!(arrives(&mut audience, "a@x", who, &["tune+notify"], "q"), None);
        }
        audience.withdraw(&jid("a@x"), &jid("b@y/1"));
        assert_eq!(interested(&audience, "a@x", "tune"), ["b@y/2", "b@y/3", "c@y/1"]);
        audience.withdraw(&jid("a@x"), &jid("b@y"));
        assert_eq!(interested(&audience, "a@x", "tune"), ["c@y/1"]);
    }

    #[test]
    fn what_somebody_wants_anew_is_an_arrival_and_what_it_wanted_before_is_not() {
        let mut audience = Audience::default();
        for (number, features) in [["tune+notify", "x"], ["tune+notify", "mood+notify"]].iter().enumerate() {
            let id = format!("q{number}");
            arrives(&mut audience, "z@x", &format!("y@y/{number}"), features, &id).unwrap();
            answers(&mut audience, &id, &format!("y@y/{number}"), Some(features));
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
            assert_eq!(answers(&mut audience, &id, &who, Some(&[&feature])).len(), 1);
        }
        assert_eq!((audience.known.len(), audience.order.len()), (MAX_KNOWN, MAX_KNOWN));
        assert!(arrives(&mut audience, "a@x", "c@y/1", &["n0+notify"], "again").is_some());
    }
}
