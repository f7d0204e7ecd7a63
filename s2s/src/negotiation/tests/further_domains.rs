//! Further domains by the certificate of a stream (XEP-0344, section 2.4), as far as the negotiation goes.

use std::time::{Duration, SystemTime};

use convoke_dev::Subject;
use convoke_xmpp::{Condition, Element};

use super::harness::*;
use crate::dialback::{Content, Dialback};

const FEATURE: &str = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>";

/// Both sides established, with these wishes; `a.example` shows a certificate for three domains.
fn established(initiating: bool, receiving: bool) -> Pair {
    let names = ["a.example", "pubsub.a.example", "*.rooms.example"];
    let chain = world().issue(&Subject::domain("a.example").dns_names(names));
    let a = a_dials_b_with(|config| config.dialback = initiating);
    let mut pair = Pair::new(a, b_listens_with(|config| config.dialback = receiving));
    pair.drive(&chain, &world().b);
    pair
}

/// Section 3: strong authentication of further domains, by what was shown at the handshake.
#[test]
fn a_certificate_proves_each_domain_that_it_names() {
    let pair = established(true, true);
    let (now, b) = (SystemTime::now(), pair.receiving.established());
    assert!(b.dialback);
    for proved in ["a.example", "pubsub.a.example", "x.rooms.example"] {
        let identity = b.also(&domain(proved), now).unwrap_or_else(|| panic!("{proved}"));
        assert_eq!(identity.domain().as_str(), proved);
    }
    for other in ["b.example", "rooms.example", "x.a.example", "example", "a.x.rooms.example"] {
        assert_eq!(b.also(&domain(other), now), None, "{other}");
    }
    let a = pair.initiating.established();
    assert!(a.dialback && a.also(&domain("b.example"), now).is_some() && a.also(&domain("a.example"), now).is_none());
}

/// What is expired proves nothing any more, though the stream was negotiated in time.
#[test]
fn a_certificate_proves_further_domains_while_it_is_in_force() {
    let pair = established(true, true);
    let year = SystemTime::now() + Duration::from_secs(365 * 24 * 60 * 60);
    assert_eq!(pair.receiving.established().also(&domain("pubsub.a.example"), year), None);
}

#[test]
fn further_domains_need_the_offer_and_the_wish() {
    let now = SystemTime::now();
    for (initiating, receiving) in [(false, false), (true, false), (false, true)] {
        let pair = established(initiating, receiving);
        let a = pair.initiating.established();
        assert!(!a.dialback && a.also(&domain("b.example"), now).is_none(), "{initiating} {receiving}");
        let b = pair.receiving.established();
        assert_eq!(b.also(&domain("pubsub.a.example"), now).is_some(), receiving);
        let last = &pair.transcript.last().unwrap().1;
        assert_eq!(last.contains(FEATURE), receiving, "{last}");
    }
}

/// XEP-0344, section 2.4: the answer by certificate, at once and without a key that would mean anything.
#[test]
fn a_request_for_a_further_domain_is_answered_by_the_certificate() {
    let pair = established(true, true);
    let (now, b) = (SystemTime::now(), pair.receiving.established());
    let asked = |from: &str, to: &str| {
        let text = format!("<result xmlns='jabber:server:dialback' from='{from}' to='{to}'>-</result>");
        Dialback::from_element(&Element::parse(&text).unwrap()).unwrap()
    };
    let failed = |condition: Condition| Content::Failed(Box::new(condition.into()));
    for (from, to, content) in [
        ("pubsub.a.example", "b.example", Content::Valid),
        ("x.rooms.example", "b.example", Content::Valid),
        ("a.example", "c.example", failed(Condition::ItemNotFound)),
        ("c.example", "b.example", failed(Condition::NotAuthorized)),
        ("sub.pubsub.a.example", "b.example", failed(Condition::NotAuthorized)),
    ] {
        let request = asked(from, to);
        assert_eq!(request.judged(b, |domain| domain == &b.local, now), content, "{from} {to}");
    }
    // Where it was not negotiated, nothing is proved.
    let alone = established(true, false);
    let verdict = asked("pubsub.a.example", "b.example").judged(alone.receiving.established(), |_| true, now);
    assert_eq!(verdict, failed(Condition::NotAuthorized));
}
