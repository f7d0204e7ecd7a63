//! Elements as they stand in the specifications.

use super::*;

fn read(text: &str) -> Option<Dialback> {
    Dialback::from_element(&Element::parse(text).unwrap())
}

fn domain(name: &str) -> Domainpart {
    Domainpart::new(name).unwrap()
}

/// XEP-0220, examples 3 to 8, with the prefix that its elements have there.
#[test]
fn reads_and_writes_the_four_elements_and_their_errors() {
    let db = "xmlns:db='jabber:server:dialback'";
    let pair = "from='montague.example' to='capulet.example'";
    let error = "<error xmlns='jabber:server' type='cancel'>\
        <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for (text, subject, content) in [
        (
            format!("<db:result {db} {pair}>\n  b4835385f37f\n</db:result>"),
            None,
            Content::Key(Key::read("b4835385f37f")),
        ),
        (format!("<db:result {db} {pair} type='valid'/>"), None, Content::Valid),
        (format!("<db:result {db} {pair} type='invalid'/>"), None, Content::Invalid),
        (
            format!("<db:verify {db} {pair} id='417GAF25'>b4</db:verify>"),
            Some("417GAF25"),
            Content::Key(Key::read("b4")),
        ),
        (format!("<db:verify {db} {pair} id='1' type='valid'/>"), Some("1"), Content::Valid),
        (
            format!("<db:verify {db} {pair} id='1' type='error'>{error}</db:verify>"),
            Some("1"),
            Content::failed(Condition::ItemNotFound),
        ),
    ] {
        let subject = subject.map_or(Subject::Result, |id| Subject::Verify { id: id.to_owned() });
        let expected = Dialback { subject, from: domain("montague.example"), to: domain("capulet.example"), content };
        assert_eq!(read(&text), Some(expected.clone()), "{text}");
        assert_eq!(Dialback::from_element(&expected.to_element()), Some(expected), "{text}");
    }
}

#[test]
fn an_error_is_of_the_namespace_of_servers() {
    let request = Dialback::request(domain("a.example"), domain("b.example"), Key::read("1"));
    let answer = request.answered(Content::failed(Condition::NotAuthorized)).to_element().to_stream_xml();
    assert!(answer.starts_with("<db:result xmlns:db='jabber:server:dialback' "), "{answer}");
    assert!(answer.contains("<error type='auth'><not-authorized "), "{answer}");
}

#[test]
fn other_elements_and_those_without_their_attributes_are_none() {
    let db = "xmlns='jabber:server:dialback'";
    for text in [
        "<result xmlns='urn:example:x' from='a.example' to='b.example'>1</result>".to_owned(),
        format!("<other {db} from='a.example' to='b.example'/>"),
        format!("<result {db} from='a.example'>1</result>"),
        format!("<result {db} to='b.example'>1</result>"),
        format!("<result {db} from='x@a.example' to='b.example'>1</result>"),
        format!("<result {db} from='' to='b.example'>1</result>"),
        format!("<verify {db} from='a.example' to='b.example'>1</verify>"),
        format!("<result {db} from='a.example' to='b.example' type='perhaps'/>"),
        format!("<result {db} from='a.example' to='b.example' type='error'/>"),
    ] {
        assert_eq!(read(&text), None, "{text}");
    }
}

/// XEP-0220, section 3.1: nothing that was not asked for.
#[test]
fn an_answer_is_between_the_same_domains_and_about_the_same_stream() {
    let request = Dialback::request(domain("a.example"), domain("b.example"), Key::read("1"));
    let answer = request.answered(Content::Valid);
    assert!(answer.answers(&request));
    assert!(!request.answers(&request) && !answer.answers(&answer));
    for wrong in [
        Dialback { from: domain("c.example"), ..answer.clone() },
        Dialback { to: domain("c.example"), ..answer.clone() },
        Dialback { subject: Subject::Verify { id: "1".to_owned() }, ..answer.clone() },
        Dialback { content: Content::Key(Key::read("1")), ..answer.clone() },
    ] {
        assert!(!wrong.answers(&request), "{wrong:?}");
    }
    let verification = |id: &str| Dialback { subject: Subject::Verify { id: id.to_owned() }, ..request.clone() };
    assert!(verification("1").answered(Content::Invalid).answers(&verification("1")));
    assert!(!verification("2").answered(Content::Valid).answers(&verification("1")));
}
