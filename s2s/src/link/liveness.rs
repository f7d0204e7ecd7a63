//! Whether the remote domain is alive, by whatever it says on any stream of the pair.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use convoke_xmpp::payload::ping;
use convoke_xmpp::{IqType, JidRef, Kind, Stanza};

use super::{Pair, now};
use crate::random::unguessable;

/// When a link was heard last, and what it has asked. A peer may answer by another stream than the one it was asked by.
pub(super) struct Liveness {
    began: Instant,
    /// Nanoseconds since then.
    heard: AtomicU64,
    /// The id of the ping that is not answered yet.
    asked: Mutex<Option<String>>,
}

impl Default for Liveness {
    fn default() -> Self {
        Self { began: now(), heard: AtomicU64::new(0), asked: Mutex::default() }
    }
}

impl Liveness {
    pub(super) fn heard(&self, at: Instant) {
        let since = at.saturating_duration_since(self.began).as_nanos();
        self.heard.fetch_max(since.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn last_heard(&self) -> Instant {
        self.began + Duration::from_nanos(self.heard.load(Ordering::Relaxed))
    }

    /// A ping of the remote domain (XEP-0199, section 4.4), whose answer nobody can forge by guessing its id; `None`
    /// without random numbers.
    pub(super) fn ask(&self, Pair { local, remote }: &Pair) -> Option<Stanza> {
        let id = unguessable()?;
        let request = Stanza::iq(IqType::Get, &id).with_from(&local.clone().into()).with_to(&remote.clone().into());
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
        Some(request.with_payload(ping()))
    }

    /// Whether this is the answer to the ping, a result or an error, from the domain itself; once for each ping.
    pub(super) fn is_answer(&self, stanza: &Stanza, Pair { local, remote }: &Pair) -> bool {
        let is_of =
            |address: Option<JidRef<'_>>, domain: &str| address.is_some_and(|address| address.as_str() == domain);
        if !matches!(stanza.kind(), Kind::Iq(IqType::Result | IqType::Error))
            || !is_of(stanza.from(), remote.as_str())
            || !is_of(stanza.to(), local.as_str())
        {
            return false;
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.take_if(|id| stanza.id() == Some(id)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use convoke_xmpp::Domainpart;

    use super::*;

    fn pair() -> Pair {
        Pair { local: Domainpart::new("a.example").unwrap(), remote: Domainpart::new("b.example").unwrap() }
    }

    fn answer(attributes: &str, id: &str) -> Stanza {
        Stanza::parse(&format!("<iq {attributes} id='{id}'/>")).unwrap()
    }

    /// XEP-0199, section 4.4.
    #[test]
    fn pings_the_domain_in_the_name_of_the_domain_with_another_id_each_time() {
        let liveness = Liveness::default();
        let (first, second) = (liveness.ask(&pair()).unwrap(), liveness.ask(&pair()).unwrap());
        let id = first.id().unwrap();
        assert_eq!(id.len(), 32);
        assert_ne!(Some(id), second.id());
        let expected =
            format!("<iq to='b.example' from='a.example' id='{id}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
        assert_eq!(first.text(), expected);
    }

    #[test]
    fn takes_the_answer_of_the_domain_once_be_it_a_result_or_an_error_and_nothing_else() {
        const GOOD: &str = "type='result' from='b.example' to='a.example'";
        let liveness = Liveness::default();
        for good in [GOOD, "type='error' from='b.example' to='a.example'"] {
            let id = liveness.ask(&pair()).unwrap().id().unwrap().to_owned();
            for other in [
                "type='get' from='b.example' to='a.example'",
                "type='result' from='juliet@b.example' to='a.example'",
                "type='result' from='b.example' to='romeo@a.example'",
                "type='result' from='b.example' to='a.example/x'",
            ] {
                assert!(!liveness.is_answer(&answer(other, &id), &pair()), "{other}");
            }
            assert!(!liveness.is_answer(&answer(good, "guessed"), &pair()));
            assert!(liveness.is_answer(&answer(good, &id), &pair()), "{good}");
            assert!(!liveness.is_answer(&answer(good, &id), &pair()), "a second time");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn was_heard_when_the_latest_stream_says() {
        let liveness = Liveness::default();
        let start = liveness.last_heard();
        let second = Duration::from_secs(1);
        liveness.heard(start + 3 * second);
        liveness.heard(start + 2 * second);
        assert_eq!(liveness.last_heard(), start + 3 * second);
    }
}
