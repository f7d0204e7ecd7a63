//! Streams in both directions are asked for within TLS and before SASL, or not at all (XEP-0288).

use convoke_xmpp::stream::StreamCondition;

use super::harness::*;
use crate::negotiation::{Initiating, Receiving};
use crate::{NegotiationFailure, Stage};

const FEATURE: &str = "<bidi xmlns='urn:xmpp:features:bidi'/>";
const REQUEST: &str = "<bidi xmlns='urn:xmpp:bidi'/>";

fn features_with_bidi() -> String {
    SASL_FEATURES.replace("</stream:features>", &format!("{FEATURE}</stream:features>"))
}

/// `b.example` after it has offered EXTERNAL, and both directions if it does.
fn offered(bidi: bool) -> Side<Receiving> {
    let mut b = b_listens_with(|config| config.bidi = bidi);
    b.hears(&header("a.example", "b.example")).hears(STARTTLS).secure(&world().a);
    b.hears(&header("a.example", "b.example"));
    b
}

/// `a.example` after its header within TLS, which wants both directions if it does.
fn secured(bidi: bool) -> Side<Initiating> {
    let mut a = a_dials_b_with(|config| config.bidi = bidi);
    a.hears(&response("b.example", "a.example")).hears(TLS_FEATURES).hears(PROCEED).secure(&world().b);
    a.hears(&response("b.example", "a.example"));
    a.says();
    a
}

fn refused(mut b: Side<Receiving>, condition: StreamCondition, given: &str) {
    b.says();
    b.hears(given);
    let said = b.says();
    assert!(said.contains(&format!("<stream:error><{condition} ")) && said.ends_with(END), "{given}: {said}");
    assert!(b.outcome.is_some_and(|outcome| outcome.is_err()));
}

/// Rule 74, XEP-0288 section 2: the request stands between the features and SASL, and has no answer.
#[test]
fn both_directions_are_asked_for_within_tls_and_before_sasl() {
    let (a, b) = (a_dials_b_with(|config| config.bidi = true), b_listens_with(|config| config.bidi = true));
    let mut pair = Pair::new(a, b);
    pair.drive(&world().a, &world().b);
    let said = |wanted: &str| pair.transcript.iter().filter(|(_, text)| text.contains(wanted)).count();
    assert_eq!((said(FEATURE), said(REQUEST)), (1, 1));
    assert!(pair.transcript.contains(&('I', format!("{REQUEST}{AUTH_A}"))));
    assert!(pair.transcript.iter().any(|(_, text)| text.ends_with(&features_with_bidi())));
    assert!(pair.initiating.established().bidi && pair.receiving.established().bidi);
}

/// Rule 74: both have to want it.
#[test]
fn a_stream_has_one_direction_unless_both_sides_want_two() {
    for (initiating, receiving) in [(false, false), (false, true), (true, false)] {
        let a = a_dials_b_with(|config| config.bidi = initiating);
        let mut pair = Pair::new(a, b_listens_with(|config| config.bidi = receiving));
        pair.drive(&world().a, &world().b);
        assert!(!pair.initiating.established().bidi && !pair.receiving.established().bidi);
        assert!(!pair.transcript.iter().any(|(_, text)| text.contains(REQUEST)));
    }
}

/// Rule 74: in the clear it is neither offered nor granted.
#[test]
fn both_directions_are_not_offered_before_tls() {
    let mut b = b_listens_with(|config| config.bidi = true);
    b.hears(&header("a.example", "b.example"));
    assert!(b.says().ends_with(TLS_FEATURES));
    refused(b, StreamCondition::NotAuthorized, REQUEST);
}

/// Rule 74: an offer in the clear, which anybody could have made, is no offer.
#[test]
fn an_offer_in_the_clear_is_forgotten() {
    let mut a = a_dials_b_with(|config| config.bidi = true);
    let offer = TLS_FEATURES.replace("</stream:features>", &format!("{FEATURE}</stream:features>"));
    a.hears(&response("b.example", "a.example")).hears(&offer).hears(PROCEED).secure(&world().b);
    a.hears(&response("b.example", "a.example")).hears(SASL_FEATURES);
    assert!(!a.says().contains("<bidi"));
}

/// Rule 74: what was not offered is nothing that an unknown peer may send (RFC 6120, section 4.9.3.12).
#[test]
fn both_directions_are_refused_where_they_were_not_offered() {
    refused(offered(false), StreamCondition::NotAuthorized, REQUEST);
}

/// Rule 74: within an exchange of SASL, and after it, it is too late.
#[test]
fn both_directions_are_refused_once_sasl_has_begun() {
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>";
    let mut challenged = offered(true);
    challenged.hears(auth);
    refused(challenged, StreamCondition::NotAuthorized, REQUEST);
    let mut authenticated = offered(true);
    authenticated.hears(AUTH_A);
    // Where a header is due there is no stream that could hold a request.
    refused(authenticated, StreamCondition::BadFormat, REQUEST);
}

/// Rule 74: the namespace of the feature is not that of the request, in either direction.
#[test]
fn the_namespace_of_the_feature_is_not_that_of_the_request() {
    refused(offered(true), StreamCondition::NotAuthorized, FEATURE);
    let mut a = secured(true);
    a.hears(&SASL_FEATURES.replace("</stream:features>", &format!("{REQUEST}</stream:features>")));
    assert_eq!(a.says(), AUTH_A);
}

/// Rule 76, XEP-0478 section 3.2: who has no features says its limit in its request.
#[test]
fn the_request_for_both_directions_tells_what_is_accepted() {
    let a = a_dials_b_with(|config| (config.bidi, config.max_bytes) = (true, Some(20_000)));
    let mut pair = Pair::new(a, b_listens_with(|config| config.bidi = true));
    pair.drive(&world().a, &world().b);
    let request = "<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>20000</max-bytes>\
        </limits></bidi>";
    assert!(pair.transcript.iter().any(|(_, text)| text.starts_with(request)), "{:?}", pair.transcript);
    assert_eq!(pair.receiving.established().peer_max_bytes, Some(20_000));
    assert_eq!(pair.initiating.established().peer_max_bytes, Some(65_536));

    let mut b = offered(true);
    b.hears(REQUEST).hears(AUTH_A).hears(&header("a.example", "b.example"));
    assert!(b.established().bidi);
    assert_eq!(b.established().peer_max_bytes, None);
}

#[test]
fn an_offer_of_both_directions_in_vain_changes_nothing() {
    let mut a = secured(false);
    a.hears(&features_with_bidi());
    assert_eq!(a.says(), AUTH_A);
    a.disconnect();
    assert_eq!(a.failure(), &NegotiationFailure::Disconnected { stage: Stage::Authentication });
}
