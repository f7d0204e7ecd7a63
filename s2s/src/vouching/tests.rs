use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::timeout;

use super::*;
use crate::identity::{TlsaRecord, TrustAnchors};

/// Nothing takes as long.
const SOON: Duration = Duration::from_secs(60);

/// Answers what it was told to, in order, and in the end always the last.
struct Script {
    answers: Mutex<VecDeque<Option<Evidence>>>,
    asked: AtomicUsize,
    was_asked: Notify,
}

impl Script {
    /// `None` for a failure.
    fn new(answers: impl IntoIterator<Item = Option<Evidence>>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        Arc::new(Self { answers, asked: AtomicUsize::new(0), was_asked: Notify::new() })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until it was asked so often.
    async fn until_asked(&self, times: usize) {
        let waiting = async {
            while self.asked() < times {
                self.was_asked.notified().await;
            }
        };
        timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("asked {} times, not {times}", self.asked()));
    }
}

#[async_trait]
impl EvidenceSource for Script {
    async fn evidence(&self, domain: &Domainpart, _: &Arc<IdentityVerifier>) -> Result<Evidence, EvidenceError> {
        let answer = {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
        };
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.was_asked.notify_one();
        answer.ok_or_else(|| DaneError::Bogus { name: domain.to_string() }.into())
    }
}

fn tlsa(byte: u8) -> TlsaRecord {
    TlsaRecord::new(3, 1, 1, &[byte; 32]).unwrap()
}

fn vouched(byte: u8, lifetime: Duration) -> Option<Evidence> {
    Some(Evidence { tlsa: vec![tlsa(byte)], ..Evidence::none(SystemTime::now() + lifetime) })
}

fn domain(name: &str) -> Domainpart {
    Domainpart::new(name).unwrap()
}

fn rule(domains: &[&str], source: &Arc<Script>) -> EvidenceRule {
    let domains = domains.iter().map(|text| text.parse().unwrap()).collect();
    EvidenceRule { domains, source: Arc::clone(source) as _ }
}

fn vouching(rules: Vec<EvidenceRule>) -> Arc<Vouching> {
    let authority = convoke_dev::CertificateAuthority::new("Test CA").unwrap();
    let trust = TrustAnchors::from_pem(authority.certificate_pem()).unwrap();
    let verifier = Arc::new(IdentityVerifier::new(trust, webpki::ALL_VERIFICATION_ALGS));
    let backoff = Backoff { first: Duration::from_millis(10), longest: Duration::from_millis(20) };
    Arc::new(Vouching::new(rules, Arc::new(LiveTrust::new(verifier)), backoff))
}

/// Runs it in the background until the guard is dropped.
fn running(vouching: &Arc<Vouching>, linked: bool) -> JoinSet<()> {
    let mut task = JoinSet::new();
    task.spawn(Arc::clone(vouching).run(CancellationToken::new(), move |_| linked));
    task
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_domain_that_is_named_itself_is_asked_about_before_anybody_dials_it() {
    let source = Script::new([vouched(1, HOUR)]);
    let vouching = vouching(vec![rule(&["a.example", "*.b.example"], &source)]);
    let _running = running(&vouching, false);
    source.until_asked(1).await;
    let known = vouching.before_dial(&domain("a.example")).await.unwrap().unwrap();
    assert_eq!(known.tlsa, [tlsa(1)]);
    assert!(vouching.trust.verifier().evidence(&domain("b.example"), SystemTime::now()).is_none());
}

#[tokio::test]
async fn a_domain_that_a_wildcard_means_is_asked_about_when_it_is_dialled_and_not_before() {
    let source = Script::new([vouched(1, HOUR)]);
    let vouching = vouching(vec![rule(&["*.b.example"], &source)]);
    assert!(vouching.before_dial(&domain("b.example")).await.is_none(), "not below itself");
    assert!(vouching.before_dial(&domain("c.example")).await.is_none());
    assert_eq!(source.asked(), 0);
    for _ in 0..2 {
        assert_eq!(vouching.before_dial(&domain("a.b.example")).await.unwrap().unwrap().tlsa, [tlsa(1)]);
        assert_eq!(source.asked(), 1, "what is known is not asked again");
    }
}

#[tokio::test]
async fn evidence_is_renewed_before_its_end() {
    let lifetime = Duration::from_secs(2);
    let source = Script::new([vouched(1, lifetime), vouched(2, HOUR)]);
    let vouching = vouching(vec![rule(&["a.example"], &source)]);
    let _running = running(&vouching, false);
    source.until_asked(2).await;
    let known = vouching.before_dial(&domain("a.example")).await.unwrap().unwrap();
    assert_eq!((known.tlsa.clone(), source.asked()), (vec![tlsa(2)], 2));
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_old_evidence_until_its_end_and_is_tried_again() {
    let source = Script::new([vouched(1, HOUR), None, None, vouched(2, HOUR)]);
    let vouching = vouching(vec![rule(&["a.example"], &source)]);
    let name = domain("a.example");
    vouching.refresh(&name).await.unwrap().unwrap();
    for _ in 0..2 {
        assert!(vouching.refresh(&name).await.unwrap().is_err());
        assert_eq!(vouching.before_dial(&name).await.unwrap().unwrap().tlsa, [tlsa(1)]);
    }
    let _running = running(&vouching, false);
    source.until_asked(4).await;
}

#[tokio::test]
async fn evidence_that_has_ended_counts_for_nothing_and_is_dropped() {
    let source = Script::new([vouched(1, Duration::ZERO), None]);
    let vouching = vouching(vec![rule(&["a.example"], &source)]);
    let name = domain("a.example");
    vouching.refresh(&name).await.unwrap().unwrap();
    assert!(vouching.trust.verifier().evidence(&name, SystemTime::now()).is_none());
    assert!(matches!(vouching.before_dial(&name).await, Some(Err(EvidenceError::Dane(DaneError::Bogus { .. })))));
    assert!(vouching.trust.verifier().evidence(&name, SystemTime::UNIX_EPOCH).is_none(), "nothing is left of it");
}

#[tokio::test]
async fn everything_is_asked_about_again_on_demand() {
    let source = Script::new([vouched(1, HOUR), vouched(2, HOUR)]);
    let vouching = vouching(vec![rule(&["a.example"], &source)]);
    let _running = running(&vouching, false);
    source.until_asked(1).await;
    vouching.refresh_all();
    source.until_asked(2).await;
}

#[tokio::test]
async fn a_domain_that_was_dialled_is_kept_fresh_while_there_is_a_link_to_it_and_then_forgotten() {
    for linked in [true, false] {
        let source = Script::new([vouched(1, Duration::from_secs(1))]);
        let vouching = vouching(vec![rule(&["*.b.example"], &source)]);
        let name = domain("a.b.example");
        assert_eq!(vouching.before_dial(&name).await.unwrap().unwrap().tlsa, [tlsa(1)]);
        let _running = running(&vouching, linked);
        if linked {
            source.until_asked(2).await;
            continue;
        }
        let forgotten = async {
            while !vouching.lock().due.is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, forgotten).await.unwrap();
        assert_eq!(source.asked(), 1);
        assert!(vouching.trust.verifier().evidence(&name, SystemTime::UNIX_EPOCH).is_none());
    }
}

/// RFC 7673, section 4.2: where there are TLSA records nothing else counts, so that nobody else is asked.
#[tokio::test]
async fn the_second_source_is_asked_only_if_the_first_has_no_tlsa_records() {
    for (first, asked, expected) in [(vouched(1, HOUR), 0, tlsa(1)), (Some(Evidence::none(later())), 1, tlsa(2))] {
        let (first, second) = (Script::new([first]), Script::new([vouched(2, HOUR)]));
        let vouching = vouching(vec![rule(&["a.example"], &first), rule(&["*.example", "a.example"], &second)]);
        assert_eq!(vouching.before_dial(&domain("a.example")).await.unwrap().unwrap().tlsa, [expected]);
        assert_eq!((first.asked(), second.asked()), (1, asked));
    }
}

fn later() -> SystemTime {
    SystemTime::now() + HOUR
}

/// Answers when it is let, and says whether it was asked.
#[derive(Default)]
struct Slow {
    asked: Notify,
    let_go: Notify,
}

#[async_trait]
impl EvidenceSource for Slow {
    async fn evidence(&self, _: &Domainpart, _: &Arc<IdentityVerifier>) -> Result<Evidence, EvidenceError> {
        self.asked.notify_one();
        self.let_go.notified().await;
        Ok(vouched(1, HOUR).unwrap())
    }
}

#[tokio::test]
async fn other_rules_are_followed_at_once_and_who_is_named_no_more_vouches_for_nothing() {
    let (before, after) = (Script::new([vouched(1, HOUR)]), Script::new([vouched(2, HOUR)]));
    let vouching = vouching(vec![rule(&["a.example", "b.example"], &before)]);
    let _running = running(&vouching, false);
    before.until_asked(2).await;
    vouching.replace_rules(vec![rule(&["b.example", "c.example"], &after)]);
    assert!(vouching.trust.verifier().evidence(&domain("a.example"), SystemTime::now()).is_none());
    assert!(vouching.before_dial(&domain("a.example")).await.is_none());
    after.until_asked(2).await;
    let known = async {
        while vouching.statistics().dane != 2
            || vouching.before_dial(&domain("b.example")).await.unwrap().unwrap().tlsa != [tlsa(2)]
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, known).await.unwrap();
    assert_eq!((before.asked(), after.asked()), (2, 2));
    vouching.replace_rules(Vec::new());
    assert_eq!((vouching.statistics().dane, vouching.lock().due.len()), (0, 0));
}

#[tokio::test]
async fn an_answer_that_was_asked_for_by_rules_of_before_counts_for_nothing() {
    let slow = Arc::new(Slow::default());
    let domains = vec!["a.example".parse().unwrap()];
    let vouching = vouching(vec![EvidenceRule { domains, source: Arc::clone(&slow) as _ }]);
    let _running = running(&vouching, false);
    timeout(SOON, slow.asked.notified()).await.unwrap();
    let second = Script::new([vouched(2, HOUR)]);
    vouching.replace_rules(vec![rule(&["a.example"], &second)]);
    slow.let_go.notify_one();
    let known = timeout(SOON, vouching.before_dial(&domain("a.example"))).await.unwrap().unwrap().unwrap();
    assert_eq!(known.tlsa, [tlsa(2)]);
}

#[tokio::test]
async fn what_is_known_and_what_was_asked_is_counted() {
    let first = Some(Evidence { until: later() - HOUR / 2, ..vouched(1, HOUR).unwrap() });
    let source = Script::new([first.clone(), None]);
    let vouching = vouching(vec![rule(&["a.example"], &source)]);
    assert_eq!(vouching.statistics().next_expiry, None);
    let name = domain("a.example");
    vouching.refresh(&name).await.unwrap().unwrap();
    assert!(vouching.refresh(&name).await.unwrap().is_err());
    let counted = vouching.statistics();
    assert_eq!((counted.dane, counted.posh, counted.refreshes, counted.failures), (1, 0, 2, 1));
    assert_eq!(counted.next_expiry, first.map(|evidence| evidence.until));
}
