//! Literal events in, outputs out.

use super::*;

fn outputs(session: &mut Session) -> Vec<SessionOutput> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

#[test]
fn answers_a_close_and_ends() {
    let now = Instant::now();
    let mut session = Session::new(SessionConfig::default(), Management::Off, now);
    session.handle(now, StreamEvent::Close);
    assert_eq!(outputs(&mut session), [SessionOutput::Close(None), SessionOutput::Ended(SessionEnd::Closed)]);
}

#[test]
fn still_delivers_what_arrives_between_our_close_and_theirs() {
    let now = Instant::now();
    let mut session = Session::new(SessionConfig::default(), Management::Off, now);
    session.close(now, None);
    let stanza = Stanza::parse("<message/>").unwrap();
    session.handle(now, StreamEvent::Stanza(stanza.clone()));
    session.handle(now, StreamEvent::Close);
    assert_eq!(
        outputs(&mut session),
        [SessionOutput::Close(None), SessionOutput::Deliver(stanza), SessionOutput::Ended(SessionEnd::Closed)]
    );
}

#[test]
fn does_not_wait_for_ever_for_the_closing_tag() {
    let now = Instant::now();
    let mut session = Session::new(SessionConfig::default(), Management::Off, now);
    session.close(now, Some(StreamCondition::SystemShutdown.into()));
    let due = session.poll_timeout();
    assert_eq!(due, now + Duration::from_secs(5));
    session.timeout(due);
    let end = SessionEnd::LocalError(StreamCondition::SystemShutdown.into());
    assert_eq!(outputs(&mut session).pop(), Some(SessionOutput::Ended(end)));
}

#[test]
fn hands_a_first_level_element_that_it_does_not_know_to_who_may() {
    let now = Instant::now();
    let mut session = Session::new(SessionConfig::default(), Management::Off, now);
    session.handle(now, StreamEvent::Element(Element::new("x", "urn:x")));
    assert_eq!(outputs(&mut session), [SessionOutput::Element(Element::new("x", "urn:x"))]);
    let error = StreamError::new(StreamCondition::UnsupportedStanzaType);
    session.close(now, Some(error.clone()));
    assert_eq!(outputs(&mut session), [SessionOutput::Close(Some(error))]);
}

#[test]
fn sends_a_space_only_when_nothing_else_was_sent() {
    let now = Instant::now();
    let mut session = Session::new(SessionConfig::default(), Management::Off, now);
    let later = now + Duration::from_secs(200);
    session.sent(later);
    session.timeout(now + Duration::from_secs(300));
    assert_eq!(outputs(&mut session), []);
    session.timeout(later + Duration::from_secs(300));
    assert_eq!(outputs(&mut session), [SessionOutput::KeepAlive]);
}

fn managed(management: Management, now: Instant) -> Session {
    let mut session = Session::new(SessionConfig::default(), management, now);
    let first = outputs(&mut session);
    assert!(first.iter().all(|output| matches!(output, SessionOutput::Send(_))), "{first:?}");
    session
}

fn hear(session: &mut Session, now: Instant, text: &str) -> Vec<SessionOutput> {
    let element = Element::parse(&text.replace("/>", " xmlns='urn:xmpp:sm:3'/>")).unwrap();
    session.handle(now, StreamEvent::Element(element));
    outputs(session)
}

fn deliver(session: &mut Session, now: Instant, count: usize) {
    for _ in 0..count {
        session.handle(now, StreamEvent::Stanza(Stanza::parse("<message/>").unwrap()));
        assert!(matches!(outputs(session).as_slice(), [SessionOutput::Deliver(_)]));
        session.taken();
    }
}

fn granted(now: Instant) -> Session {
    let mut session = managed(Management::Grant, now);
    deliver(&mut session, now, 2);
    let asked = hear(&mut session, now, "<enable resume='true'/>");
    assert_eq!(asked, [SessionOutput::Management(ManagementNews::Asked { resume: true })]);
    session.grant(Some(Grant { id: Some("x".to_owned()), max: Some(Duration::from_secs(300)) }));
    let enabled = Nonza::Enabled { id: Some("x".to_owned()), max: Some(300) };
    assert_eq!(outputs(&mut session), [SessionOutput::Send(enabled)]);
    session
}

fn failed(condition: Condition) -> SessionOutput {
    SessionOutput::Send(Nonza::Failed { condition, h: None })
}

/// XEP-0198, section 4: from `<enable/>` on, and only what was taken.
#[test]
fn answers_a_request_at_once_with_the_count_of_handled_stanzas() {
    let now = Instant::now();
    let mut session = granted(now);
    assert_eq!(hear(&mut session, now, "<r/>"), [SessionOutput::Send(Nonza::Answer(0))]);
    deliver(&mut session, now, 3);
    assert_eq!(hear(&mut session, now, "<r/>"), [SessionOutput::Send(Nonza::Answer(3))]);
}

/// XEP-0198, section 4.
#[test]
fn counts_modulo_two_to_the_power_of_32() {
    let now = Instant::now();
    let ticket = Ticket { id: "x".to_owned(), handled: u32::MAX };
    let mut session = managed(Management::Resumed { ticket, acknowledged: 0 }, now);
    deliver(&mut session, now, 2);
    assert_eq!(hear(&mut session, now, "<r/>"), [SessionOutput::Send(Nonza::Answer(1))]);
}

/// XEP-0198, section 3.
#[test]
fn a_second_enable_and_a_late_resume_are_unexpected_and_the_stream_goes_on() {
    let now = Instant::now();
    let mut session = granted(now);
    assert_eq!(hear(&mut session, now, "<enable/>"), [failed(Condition::UnexpectedRequest)]);
    assert_eq!(hear(&mut session, now, "<resume previd='x' h='1'/>"), [failed(Condition::UnexpectedRequest)]);
    assert_eq!(hear(&mut session, now, "<r/>"), [SessionOutput::Send(Nonza::Answer(0))]);
}

#[test]
fn stream_management_that_was_not_offered_is_an_unsupported_stanza_type() {
    let now = Instant::now();
    let mut session = managed(Management::Off, now);
    let error = StreamError::new(StreamCondition::UnsupportedStanzaType);
    assert_eq!(hear(&mut session, now, "<enable/>"), [SessionOutput::Close(Some(error))]);
}

#[test]
fn nothing_is_sent_before_the_peer_has_said_that_it_acknowledges() {
    let now = Instant::now();
    let mut session = Session::new(SessionConfig::default(), Management::Enable, now);
    assert_eq!(outputs(&mut session), [SessionOutput::Send(Nonza::Enable { resume: true })]);
    assert!(session.is_held() && !session.is_managed());
    let enabled = ManagementNews::Enabled(Grant { id: Some("x".to_owned()), max: None });
    assert_eq!(hear(&mut session, now, "<enabled id='x' resume='true'/>"), [SessionOutput::Management(enabled)]);
    assert!(!session.is_held() && session.is_managed());
}

#[test]
fn a_peer_that_fails_to_enable_is_gone_on_with_without_acknowledgements() {
    let now = Instant::now();
    let mut session = managed(Management::Enable, now);
    assert_eq!(hear(&mut session, now, "<failed/>"), [SessionOutput::Management(ManagementNews::Declined)]);
    assert!(!session.is_held() && !session.is_managed());
}

/// XEP-0198, section 5: the counts are carried over.
#[test]
fn a_resumed_session_goes_on_where_the_lost_one_was() {
    let now = Instant::now();
    let ticket = Ticket { id: "x".to_owned(), handled: 5 };
    let mut session = Session::new(SessionConfig::default(), Management::Resume(ticket), now);
    let resume = Nonza::Resume { previd: "x".to_owned(), h: 5 };
    assert_eq!(outputs(&mut session), [SessionOutput::Send(resume)]);
    let news = hear(&mut session, now, "<resumed previd='x' h='7'/>");
    assert_eq!(news, [SessionOutput::Management(ManagementNews::Resumed(7))]);
    deliver(&mut session, now, 1);
    assert_eq!(hear(&mut session, now, "<r/>"), [SessionOutput::Send(Nonza::Answer(6))]);
}

/// XEP-0198, section 5.
#[test]
fn a_session_that_cannot_be_resumed_is_begun_anew_on_the_same_stream() {
    let now = Instant::now();
    let mut session = managed(Management::Resume(Ticket { id: "x".to_owned(), handled: 5 }), now);
    let heard = hear(&mut session, now, "<failed h='9'/>");
    let news = SessionOutput::Management(ManagementNews::NotResumed(Some(9)));
    assert_eq!(heard, [news, SessionOutput::Send(Nonza::Enable { resume: true })]);
    assert!(session.is_held());
    hear(&mut session, now, "<enabled/>");
    assert_eq!(hear(&mut session, now, "<r/>"), [SessionOutput::Send(Nonza::Answer(0))]);
}

#[test]
fn at_most_one_request_is_outstanding_and_one_that_is_not_answered_ends_the_session() {
    let now = Instant::now();
    let mut session = granted(now);
    session.request(now);
    session.request(now);
    assert_eq!(outputs(&mut session), [SessionOutput::Send(Nonza::Request)]);
    let answered = hear(&mut session, now, "<a h='4'/>");
    assert_eq!(answered, [SessionOutput::Management(ManagementNews::Acknowledged(4))]);
    session.request(now);
    let due = session.poll_timeout();
    assert_eq!(due, now + Duration::from_secs(30));
    session.timeout(due);
    let ended = SessionOutput::Ended(SessionEnd::Unacknowledged);
    assert_eq!(outputs(&mut session), [SessionOutput::Send(Nonza::Request), ended]);
}

#[test]
fn a_request_keeps_an_idle_managed_stream_alive() {
    let now = Instant::now();
    let mut session = granted(now);
    session.timeout(session.poll_timeout());
    assert_eq!(outputs(&mut session), [SessionOutput::Send(Nonza::Request)]);
}

/// XEP-0198, section 4.
#[test]
fn says_how_much_was_handled_before_it_closes() {
    let now = Instant::now();
    let mut session = granted(now);
    deliver(&mut session, now, 1);
    session.close(now, None);
    assert_eq!(outputs(&mut session), [SessionOutput::Send(Nonza::Answer(1)), SessionOutput::Close(None)]);
}

/// XEP-0198, section 6.
#[test]
fn an_acknowledgement_of_more_than_was_sent_is_an_undefined_condition_with_its_own() {
    let now = Instant::now();
    let mut session = granted(now);
    session.acknowledged_too_much(now, 10, 8);
    let Some(SessionOutput::Close(Some(error))) = outputs(&mut session).pop() else { panic!() };
    assert_eq!(error.condition, StreamCondition::UndefinedCondition);
    assert!(error.application.unwrap().is("handled-count-too-high", "urn:xmpp:sm:3"));
}

/// A count that is none.
#[test]
fn an_answer_without_a_count_closes_the_stream() {
    let now = Instant::now();
    let mut session = granted(now);
    let heard = hear(&mut session, now, "<a h='many'/>");
    let error = StreamError::new(StreamCondition::UnsupportedStanzaType);
    assert_eq!(heard.last(), Some(&SessionOutput::Close(Some(error))));
}
