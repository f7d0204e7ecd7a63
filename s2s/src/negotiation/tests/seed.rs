//! An often copied listing of a federation, with its faults: each of them has to be told, and none to pass.
//!
//! The listing is that of RFC 6120, section 9.2, with damage. Here `ab.domaina.net` dials `xy.domainb.net`.

use convoke_dev::Subject;
use convoke_xmpp::stream::{SaslFailure, StreamCondition};

use super::harness::*;
use crate::NegotiationFailure;
use crate::negotiation::{InitiatingConfig, Receiving};

const HEADER: &str = "<?xml version='1.0'?><stream:stream from='ab.domainA.net' to='xy.domainB.net' version='1.0' \
    xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>";
/// The initial response of the listing: unpadded, and "xmpp.uxamplu.com".
const LISTED: &str = "eG1wcC51eGFtcGx1LmNvbQ";

/// `xy.domainb.net` after TLS and after it has offered EXTERNAL to `ab.domaina.net`.
fn offered() -> Side<Receiving> {
    let mut side = listening(&["xy.domainb.net"]);
    side.hears(HEADER).hears(STARTTLS).secure(&world().issue(&Subject::domain("ab.domaina.net"))).hears(HEADER);
    assert!(side.says().ends_with(SASL_FEATURES));
    side
}

fn auth(response: &str) -> String {
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{response}</auth>")
}

fn condition(side: &mut Side<Receiving>) -> StreamCondition {
    let said = side.says();
    let (_, error) = said.split_once("<stream:error><").unwrap_or_else(|| panic!("no error: {said}"));
    StreamCondition::parse(error.split(' ').next().unwrap()).unwrap()
}

/// Fault b: `<auth/>` that is closed twice. Its text is the first thing that is wrong.
#[test]
fn an_auth_that_is_closed_twice_ends_the_stream() {
    let mut side = offered();
    side.hears(&format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL' />{LISTED}</auth>"));
    assert_eq!(condition(&mut side), StreamCondition::BadFormat);

    let mut side = offered();
    side.hears("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL' /></auth>");
    assert_eq!(condition(&mut side), StreamCondition::NotWellFormed);
}

/// Fault c: the initial response is unpadded, its text misspelt, and the domain another one.
#[test]
fn the_listed_initial_response_is_refused_for_each_of_its_faults() {
    for (response, failure) in [
        (LISTED, SaslFailure::IncorrectEncoding),
        ("eG1wcC51eGFtcGx1LmNvbQ==", SaslFailure::InvalidAuthzid),
        // xmpp.example.com
        ("eG1wcC5leGFtcGxlLmNvbQ==", SaslFailure::InvalidAuthzid),
    ] {
        let mut side = offered();
        side.hears(&auth(response));
        assert!(side.says().contains(&format!("<{failure}/></failure>")), "{response}");
    }
    for response in ["=", "YWIuZG9tYWluYS5uZXQ="] {
        let mut side = offered();
        side.hears(&auth(response));
        assert_eq!(side.says(), SUCCESS, "{response}");
    }
}

/// Fault d: no new stream after `<success/>`.
#[test]
fn stanzas_right_after_success_are_not_taken() {
    let mut side = offered();
    side.hears(&auth("=")).hears("<message from='abc@ab.domaina.net' to='x@xy.domainb.net'/>");
    assert_eq!(condition(&mut side), StreamCondition::BadFormat);
}

/// Fault f: authenticated as ab.domaina.net, going on as domaina.net.
#[test]
fn a_sub_domain_does_not_speak_for_its_parent() {
    let mut side = offered();
    side.hears(&auth("=")).hears(&HEADER.replace("from='ab.", "from='"));
    assert_eq!(condition(&mut side), StreamCondition::InvalidFrom);
    assert!(
        matches!(side.failure(), NegotiationFailure::InvalidFrom { expected, .. } if *expected == domain("ab.domaina.net"))
    );
}

/// Fault h: the domains are not in their normal form, and a stray end tag stands in a text.
#[test]
fn domains_are_normalised_and_stray_end_tags_are_not_well_formed() {
    let mut side = offered();
    side.hears(&auth("=")).hears(HEADER);
    assert_eq!(side.established().identity.domain().as_str(), "ab.domaina.net");
    assert_eq!(side.established().local.as_str(), "xy.domainb.net");

    let mut side = offered();
    side.hears("<presence>available</presence></presence>");
    assert_eq!(condition(&mut side), StreamCondition::NotAuthorized);
    let mut side = offered();
    side.hears("<presence>avail</message>able</presence>");
    assert_eq!(condition(&mut side), StreamCondition::NotWellFormed);
}

/// The listing as it should have been, both sides.
#[test]
fn the_corrected_listing_establishes_a_stream() {
    let initiating = dialing(InitiatingConfig::new(domain("ab.domainA.net"), domain("xy.domainB.net")));
    let mut pair = Pair::new(initiating, listening(&["xy.domainb.net"]));
    let issue = |name: &str| world().issue(&Subject::domain(name));
    pair.drive(&issue("ab.domaina.net"), &issue("xy.domainb.net"));
    assert_eq!(pair.receiving.established().identity.domain().as_str(), "ab.domaina.net");
    assert_eq!(pair.initiating.established().identity.domain().as_str(), "xy.domainb.net");
    assert!(pair.transcript.iter().any(|(_, text)| *text == auth("YWIuZG9tYWluYS5uZXQ=")));
}
