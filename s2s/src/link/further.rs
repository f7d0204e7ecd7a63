//! The further pairs of domains whose stanzas a stream carries (XEP-0344, section 2.4; XEP-0220, section 2.6).
//!
//! Whoever has negotiated the stream may ask to be taken for another of its domains, or for one of its domains towards
//! another of the peer's; the certificates of the stream decide. On a stream in both directions either side may ask, and
//! what one side may send by the other may answer by (XEP-0288, section 2.2).

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Condition, Domainpart, Element};
use tokio::time::Sleep;
use tracing::{debug, info, warn};

use super::requests::{Request, Requests};
use super::ride::{dismount, mount};
use super::{Link, Pair};
use crate::dialback::{Content, Dialback, Subject};
use crate::federation::Shared;
use crate::identity::{Concerned, IdentityError};
use crate::negotiation::Established;

/// How many further pairs one stream may carry for the peer: beyond, it has to open another.
const MOST_PAIRS: usize = 256;

/// How many answers may wait for a peer that does not read, and how many may be no: each has cost a look at certificates.
const MOST_ANSWERS: usize = 256;

/// What a stream carries besides the stanzas of the pair for which it was negotiated.
pub(super) struct Further {
    /// The link of that pair: what rides, rides in its queue.
    link: Arc<Link>,
    shared: Arc<Shared>,
    stream: Established,
    /// What other links want of this stream.
    requests: Arc<Requests>,
    /// What was asked and has not been answered, in this order.
    asked: VecDeque<Asked>,
    /// The pairs by which the peer may send, by its domain.
    accepted: HashMap<Domainpart, Vec<Arc<Link>>>,
    to_say: VecDeque<Element>,
    /// How many questions of the peer were answered with no.
    refusals: usize,
    /// When the first of `asked` is given up.
    timer: Option<Pin<Box<Sleep>>>,
}

/// A question to the peer.
struct Asked {
    question: Dialback,
    request: Request,
    until: tokio::time::Instant,
}

impl Further {
    pub(super) fn new(link: &Arc<Link>, shared: &Arc<Shared>, stream: &Established) -> Self {
        Self {
            link: Arc::clone(link),
            shared: Arc::clone(shared),
            stream: stream.clone(),
            requests: Arc::default(),
            asked: VecDeque::new(),
            accepted: HashMap::new(),
            to_say: VecDeque::new(),
            refusals: 0,
            timer: None,
        }
    }

    /// The link of a further pair by which the peer may send.
    pub(super) fn accepted(&self, local: &str, remote: &str) -> Option<&Link> {
        self.accepted.get(remote)?.iter().map(|link| &**link).find(|link| link.pair.local.as_str() == local)
    }

    /// Fails if the certificates of the stream do not prove every domain any more that it is used for and that is concerned;
    /// else says whether that of its own pair is proved by something else, or for another time, than when it was made.
    pub(super) fn still_proved(&self, concerned: &Concerned, at: SystemTime) -> Result<bool, IdentityError> {
        let riders = self.link.riders_of(&self.requests);
        let further = riders.iter().map(|rider| &rider.pair.remote).chain(self.accepted.keys());
        for domain in further.filter(|domain| concerned.includes(domain)) {
            self.stream.judge(domain, at)?;
        }
        let own = self.stream.identity.domain();
        Ok(concerned.includes(own) && self.stream.judge(own, at)? != self.stream.identity)
    }

    /// The queue of the link is this stream's to empty: whoever rides in it has to be taken by the peer first.
    pub(super) fn serves(&mut self) {
        let riders = self.link.serve_riders(self.stream.dialback.then(|| Arc::clone(&self.requests)));
        for rider in riders {
            self.ask(Request { rider, answer: None });
        }
    }

    /// Whether stanzas in the queue wait for an answer of the peer.
    pub(super) fn holds(&self) -> bool {
        self.asked.iter().any(|asked| asked.request.answer.is_none())
    }

    /// Takes an element of dialback, if that was offered.
    pub(super) fn element(&mut self, element: &Element) -> Result<(), StreamError> {
        if !self.stream.dialback {
            return Err(StreamCondition::UnsupportedStanzaType.into());
        }
        let dialback = Dialback::from_element(element).ok_or(StreamCondition::UnsupportedStanzaType)?;
        if self.to_say.len() >= MOST_ANSWERS || self.refusals >= MOST_ANSWERS {
            return Err(StreamError::new(StreamCondition::PolicyViolation).with_text("too many questions of dialback"));
        }
        match (&dialback.content, &dialback.subject) {
            (Content::Key(_), Subject::Result) => self.asked_by_peer(&dialback),
            (Content::Key(_), Subject::Verify { .. }) => self.vouch(&dialback),
            (_, Subject::Result) => self.answered(&dialback),
            // Never asked on this stream.
            (_, Subject::Verify { .. }) => debug!(from = %dialback.from, "unsolicited dialback answer ignored"),
        }
        Ok(())
    }

    /// The next element to send: answers first, for they cost nothing.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Element> {
        if let Some(element) = self.to_say.pop_front() {
            return Poll::Ready(element);
        }
        self.give_up_in_time(cx);
        while let Poll::Ready(request) = self.requests.poll(cx) {
            self.ask(request);
            if let Some(question) = self.to_say.pop_front() {
                return Poll::Ready(question);
            }
        }
        Poll::Pending
    }

    /// Asks the peer to take a pair, unless it is clear already.
    fn ask(&mut self, request: Request) {
        let Pair { local, remote } = &request.rider.pair;
        if self.stream.bidi && self.accepted(local.as_str(), remote.as_str()).is_some() {
            return mount(request, &self.link, &self.shared);
        }
        // Else it would be sent to somebody who is not it.
        if !self.proves(remote) {
            return self.decline(request);
        }
        let key = self.shared.secret.key(remote, local, &self.stream.id);
        let question = Dialback::request(local.clone(), remote.clone(), key);
        self.to_say.push_back(question.to_element());
        let until = tokio::time::Instant::now() + self.shared.timeouts.answer;
        self.asked.push_back(Asked { question, request, until });
    }

    fn proves(&self, remote: &Domainpart) -> bool {
        self.stream.dialback && self.stream.also(remote, SystemTime::now()).is_some()
    }

    fn decline(&self, request: Request) {
        if request.answer.is_none() {
            dismount(&request.rider, &self.link, &self.shared);
        }
    }

    /// XEP-0220, section 3.1: what was not asked for, or not here, is no answer.
    fn answered(&mut self, answer: &Dialback) {
        let Some(at) = self.asked.iter().position(|asked| answer.answers(&asked.question)) else {
            return debug!(from = %answer.from, to = %answer.to, "unsolicited dialback answer ignored");
        };
        let Some(Asked { request, .. }) = self.asked.remove(at) else { return };
        let Pair { local, remote } = &request.rider.pair;
        if answer.content != Content::Valid {
            info!(%local, %remote, answer = ?answer.content, "a further pair of domains needs a stream of its own");
            return self.decline(request);
        }
        info!(%local, %remote, by = %self.link.pair.local, "a further pair of domains shares a stream");
        if self.stream.bidi {
            // The inverse of what was asked for.
            self.accept(Arc::clone(&request.rider));
        }
        mount(request, &self.link, &self.shared);
    }

    fn give_up_in_time(&mut self, cx: &mut Context<'_>) {
        loop {
            let Some(until) = self.asked.front().map(|asked| asked.until) else { return self.timer = None };
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            if let Some(Asked { request, .. }) = self.asked.pop_front() {
                warn!(local = %request.rider.pair.local, remote = %request.rider.pair.remote, "no answer to dialback");
                self.decline(request);
            }
        }
    }

    /// The peer wants to send by a further pair of domains.
    fn asked_by_peer(&mut self, question: &Dialback) {
        let (from, to) = (&question.from, &question.to);
        let verdict = match self.accepted(to.as_str(), from.as_str()) {
            Some(_) => Content::Valid,
            None => self.judge(question),
        };
        if verdict == Content::Valid {
            info!(%from, %to, "the peer is taken for a further domain");
        } else {
            self.refusals += 1;
            warn!(%from, %to, ?verdict, "the peer is not taken for a further domain");
        }
        self.to_say.push_back(question.answered(verdict).to_element());
    }

    fn judge(&mut self, question: &Dialback) -> Content {
        let serves = |domain: &Domainpart| self.shared.serves(domain.as_str());
        if !self.shared.federates_with(question.from.as_str()) {
            return Content::failed(Condition::PolicyViolation);
        }
        match question.judged(&self.stream, serves, SystemTime::now()) {
            Content::Valid => self.admit(question.to.as_str(), question.from.as_str()),
            verdict => verdict,
        }
    }

    fn admit(&mut self, local: &str, remote: &str) -> Content {
        let is_full = self.accepted.values().map(Vec::len).sum::<usize>() >= MOST_PAIRS;
        match self.shared.link(local, remote).filter(|_| !is_full) {
            Some(link) => {
                link.met(&self.link, &self.shared);
                self.accept(link);
                Content::Valid
            }
            None => Content::failed(Condition::ResourceConstraint),
        }
    }

    fn accept(&mut self, link: Arc<Link>) {
        if self.accepted(link.pair.local.as_str(), link.pair.remote.as_str()).is_none() {
            self.accepted.entry(link.pair.remote.clone()).or_default().push(link);
        }
    }

    /// As authoritative server of our domains: whether we have made that key (XEP-0220, section 2.2.2).
    fn vouch(&mut self, question: &Dialback) {
        let serves = |domain: &Domainpart| self.shared.serves(domain.as_str());
        if let Some(answer) = question.vouched(&self.shared.secret, serves) {
            self.to_say.push_back(answer.to_element());
        }
    }
}

impl Drop for Further {
    fn drop(&mut self) {
        self.requests.close();
    }
}
