//! A REST client: whoever holds the token NAME is the XMPP entity `gateway@DOMAIN/NAME`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_xmpp::{Condition, Jid, Stanza};
use tokio::sync::{Semaphore, oneshot};

use crate::config::Limits;
use crate::events::Mailbox;
use crate::tokens::Caller;

/// One REST client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) caller: Caller,
    pub(crate) jid: Jid,
    /// What is addressed to it.
    pub(crate) mailbox: Arc<Mailbox>,
    /// The requests that it may have under way.
    pub(crate) requests: Arc<Semaphore>,
    /// Its own iqs that wait for an answer, by the identifier on the wire.
    waiting: Mutex<HashMap<String, Waiting>>,
    /// Iqs of others that wait for its answer, by sender and identifier.
    questions: Mutex<HashMap<(String, String), oneshot::Sender<()>>>,
    max_questions: usize,
}

#[derive(Debug)]
struct Waiting {
    /// Who was asked: nobody else may answer.
    asked: Jid,
    answer: oneshot::Sender<Stanza>,
}

impl Client {
    pub(crate) fn new(caller: Caller, jid: Jid, epoch: Arc<str>, limits: &Limits) -> Self {
        Self {
            caller,
            jid,
            mailbox: Arc::new(Mailbox::new(epoch, limits)),
            requests: Arc::new(Semaphore::new(limits.requests_per_client)),
            waiting: Mutex::default(),
            questions: Mutex::default(),
            max_questions: limits.questions_per_client,
        }
    }

    /// Waits for the answer of `asked` to the iq with this identifier, until the ticket is dropped.
    ///
    /// Their number is bounded by that of the requests.
    pub(crate) fn expect(self: &Arc<Self>, id: &str, asked: Jid) -> Ticket {
        let (answer, receiver) = oneshot::channel();
        lock(&self.waiting).insert(id.to_owned(), Waiting { asked, answer });
        Ticket { client: Arc::clone(self), id: id.to_owned(), answer: receiver }
    }

    /// Hands an answer to whoever waits for it; `false` if nobody has asked this sender for it.
    ///
    /// Sender and identifier must both match: an identifier alone would let any entity answer in the name of another
    /// (RFC 6120, section 8.1.3).
    pub(crate) fn answered(&self, answer: Stanza) -> bool {
        let (Some(id), Some(from)) = (answer.id(), answer.from()) else { return false };
        let mut waiting = lock(&self.waiting);
        if waiting.get(id).is_none_or(|waiting| waiting.asked.as_str() != from.as_str()) {
            return false;
        }
        let Some(found) = waiting.remove(id) else { return false };
        drop(waiting);
        found.answer.send(answer).is_ok()
    }

    /// Notes a question of another entity; the receiver ends when it is answered.
    pub(crate) fn ask(&self, question: &Stanza) -> Result<oneshot::Receiver<()>, Condition> {
        let key = question_key(question.from().map(|jid| jid.as_str()), question.id()).ok_or(Condition::BadRequest)?;
        let mut questions = lock(&self.questions);
        if questions.len() >= self.max_questions {
            return Err(Condition::ResourceConstraint);
        }
        match questions.entry(key) {
            Entry::Occupied(_) => Err(Condition::Conflict),
            Entry::Vacant(entry) => {
                let (answered, receiver) = oneshot::channel();
                entry.insert(answered);
                Ok(receiver)
            }
        }
    }

    /// Takes a question off the list; `true` for exactly one of those who try.
    pub(crate) fn settle(&self, asker: Option<&str>, id: Option<&str>) -> bool {
        let taken = question_key(asker, id).and_then(|key| lock(&self.questions).remove(&key));
        match taken {
            Some(answered) => {
                // Nobody listens when the deadline itself settles it.
                let _ = answered.send(());
                true
            }
            None => false,
        }
    }
}

fn question_key(asker: Option<&str>, id: Option<&str>) -> Option<(String, String)> {
    Some((asker?.to_owned(), id?.to_owned()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The place of one answer; given up when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    client: Arc<Client>,
    id: String,
    pub(crate) answer: oneshot::Receiver<Stanza>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.client.waiting).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Arc<Client> {
        let caller = Caller { name: "alice".into(), scopes: vec![] };
        let limits = Limits { questions_per_client: 2, ..Limits::default() };
        Arc::new(Client::new(caller, "gateway@a.example/alice".parse().unwrap(), "e".into(), &limits))
    }

    fn answer(from: &str, id: &str) -> Stanza {
        Stanza::parse(&format!("<iq type='result' from='{from}' id='{id}'/>")).unwrap()
    }

    #[tokio::test]
    async fn an_answer_counts_only_from_whom_was_asked_and_only_once() {
        let client = client();
        let mut ticket = client.expect("x", "b.example".parse().unwrap());
        assert!(!client.answered(answer("evil.example", "x")));
        assert!(!client.answered(answer("b.example/r", "x")));
        assert!(!client.answered(answer("b.example", "y")));
        assert!(client.answered(answer("b.example", "x")));
        assert!(!client.answered(answer("b.example", "x")));
        assert_eq!((&mut ticket.answer).await.unwrap().id(), Some("x"));
    }

    #[test]
    fn who_no_longer_waits_leaves_nothing_behind() {
        let client = client();
        drop(client.expect("x", "b.example".parse().unwrap()));
        assert!(lock(&client.waiting).is_empty());
        assert!(!client.answered(answer("b.example", "x")));
    }

    #[test]
    fn a_question_is_settled_once_and_their_number_is_bounded() {
        let client = client();
        let question = |from: &str, id: &str| {
            Stanza::parse(&format!("<iq type='get' from='{from}' id='{id}'><x xmlns='urn:x'/></iq>")).unwrap()
        };
        let _one = client.ask(&question("b.example", "1")).unwrap();
        assert_eq!(client.ask(&question("b.example", "1")).unwrap_err(), Condition::Conflict);
        let _other = client.ask(&question("c.example", "1")).unwrap();
        assert_eq!(client.ask(&question("d.example", "1")).unwrap_err(), Condition::ResourceConstraint);
        assert!(!client.settle(Some("d.example"), Some("1")));
        assert!(client.settle(Some("b.example"), Some("1")));
        assert!(!client.settle(Some("b.example"), Some("1")));
    }
}
