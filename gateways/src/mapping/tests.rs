use convoke_xmpp::xml::Node;
use convoke_xmpp::{Element, Stanza};
use serde_json::{Value, json};

use super::{Fault, from_json, parse_json, to_json};

/// The tree as text with the attributes sorted: XML gives their order no meaning.
fn canonical(element: &Element) -> String {
    let mut attributes: Vec<String> = element.attributes().map(|(name, value)| format!("{name}={value:?}")).collect();
    attributes.sort();
    let children: Vec<String> = element
        .nodes()
        .iter()
        .map(|node| match node {
            Node::Text(text) => format!("{text:?}"),
            Node::Element(child) => canonical(child),
        })
        .collect();
    format!("{{{}}}{} {attributes:?} {:?} {children:?}", element.namespace(), element.name(), element.lang())
}

const STANZAS: &[&str] = &[
    "<message/>",
    "<presence/>",
    "<message to='a@b.example/c' from='d.example' id='1' type='chat' xml:lang='en'><body>hi</body></message>",
    "<message><subject>s</subject><body>b</body><thread>t</thread><x xmlns='urn:x'/></message>",
    "<message><x xmlns='urn:x'/><body>b</body></message>",
    "<message><body>b</body><subject>s</subject></message>",
    "<message><body>b</body><body xml:lang='de'>c</body></message>",
    "<message><body xml:lang='de'>c</body><body>b</body></message>",
    "<message><body>b</body><body>b</body></message>",
    "<message><body/><thread parent='p'>t</thread></message>",
    "<message>\n  <body>b</body>\n</message>",
    "<message><body>&lt;&amp;&apos;&quot;&#9;&#10;&#13;\u{1F600}</body></message>",
    "<message><body>a<em xmlns='urn:h'>b</em>c</body></message>",
    "<message foo='1' bar=\"'&lt;\"><body>b</body></message>",
    "<message xmlns:p='urn:p' p:a='1' id='7'><body>b</body></message>",
    "<message><x xmlns='urn:x' xmlns:p='urn:p' p:a='1'><y><z p:b='2'/></y></x></message>",
    "<message><body> xmlns:a0=</body><x xmlns='urn:x' y=' xmlns:a0='/></message>",
    "<message><x xmlns=''/><y xmlns='urn:x'><x xmlns=''>t<x/>u</x></y></message>",
    "<message type='error' id='1'><error type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    "<message type='error'><body>b</body><error type='cancel' by='c.example'>\
       <item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>\
       <text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text></error></message>",
    "<iq type='error' id='1'><error type='cancel'>\
       <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><own xmlns='urn:own' n='1'/></error></iq>",
    "<iq type='error' id='1'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>\
       <query xmlns='jabber:iq:roster'/></iq>",
    "<iq type='error' id='1'/>",
    "<iq type='get' id='1'><query xmlns='http://jabber.org/protocol/disco#info' node='n'/></iq>",
    "<iq type='result' id='1'><query xmlns='jabber:iq:roster' ver='1'>\
       <item jid='a@b.example' xml:lang='fr' name='n'><group>g</group><group>h</group></item></query></iq>",
    "<presence type='subscribe' to='a@b.example'/>",
    "<presence><show>away</show><status>s</status><priority>-3</priority><c xmlns='urn:c'/></presence>",
    "<presence><show>odd</show><priority>+1</priority></presence>",
    "<presence><priority>900</priority></presence>",
];

#[test]
fn xml_to_json_to_xml_loses_nothing() {
    for text in STANZAS {
        let stanza = Stanza::parse(text).unwrap();
        let json = to_json(&stanza);
        let back = from_json(&json).unwrap_or_else(|error| panic!("{text}\n{json}\n{error}"));
        assert_eq!(canonical(&back.to_element()), canonical(&stanza.to_element()), "{text}\n{json}");
        assert_eq!((back.kind(), back.id(), back.lang()), (stanza.kind(), stanza.id(), stanza.lang()));
        // `canonical` cannot see attributes of foreign namespaces, the text of the element can.
        assert_eq!(back.text().contains("urn:p"), stanza.text().contains("urn:p"), "{text}");
    }
}

#[test]
fn json_to_xml_to_json_loses_nothing() {
    for text in STANZAS {
        let json = to_json(&Stanza::parse(text).unwrap());
        let parsed = parse_json(json.to_string().as_bytes(), 64).unwrap();
        assert_eq!(to_json(&from_json(&parsed).unwrap()), json, "{text}");
    }
}

#[test]
fn foreign_attributes_come_back_with_their_namespaces() {
    for at in [14, 15] {
        let stanza = Stanza::parse(STANZAS[at]).unwrap();
        assert_eq!(from_json(&to_json(&stanza)).unwrap().to_element(), stanza.to_element());
    }
}

#[test]
fn says_common_things_in_common_words() {
    let stanza = Stanza::parse(STANZAS[2]).unwrap();
    let expected = json!({"kind": "message", "type": "chat", "to": "a@b.example/c", "from": "d.example", "id": "1",
        "lang": "en", "body": "hi"});
    assert_eq!(to_json(&stanza), expected);
    let stanza = Stanza::parse("<iq type='set' id='1'><do xmlns='urn:x' n='1'><it>t</it></do></iq>").unwrap();
    let child = json!({"name": "do", "xmlns": "urn:x", "attrs": {"n": "1"}, "children": [{"name": "it", "text": "t"}]});
    assert_eq!(to_json(&stanza), json!({"kind": "iq", "type": "set", "id": "1", "children": [child]}));
    let stanza = Stanza::parse(STANZAS[26]).unwrap();
    assert_eq!(to_json(&stanza)["priority"], json!(-3));
    assert_eq!(to_json(&stanza)["type"], "available");
}

#[test]
fn names_the_place_of_what_it_cannot_say() {
    let unknown = Fault::UnknownKey;
    let cases: &[(Value, &str, Fault)] = &[
        (json!([]), "", Fault::NotA("an object")),
        (json!({}), "/kind", Fault::Missing),
        (json!({"kind": "message", "cpu": 4}), "/cpu", unknown.clone()),
        (json!({"kind": "message", "a/b~c": 4}), "/a~1b~0c", unknown.clone()),
        (json!({"kind": "message", "show": "away"}), "/show", unknown.clone()),
        (json!({"kind": "message", "error": {"condition": "gone"}}), "/error", unknown.clone()),
        (json!({"kind": "iq"}), "/type", Fault::Missing),
        (json!({"kind": "message", "body": 1}), "/body", Fault::NotA("a string")),
        (json!({"kind": "message", "body": "\u{1}"}), "/body", Fault::NotXml),
        (json!({"kind": "message", "id": "\u{fffe}"}), "/id", Fault::NotXml),
        (json!({"kind": "message", "lang": "\u{0}"}), "/lang", Fault::NotXml),
        (json!({"kind": "presence", "priority": 200}), "/priority", Fault::NotA("a number from -128 to 127")),
        (json!({"kind": "presence", "show": "x"}), "/show", Fault::NotOneOf(&["away", "chat", "dnd", "xa"])),
        (json!({"kind": "message", "attrs": {"to": "a"}}), "/attrs/to", unknown.clone()),
        (json!({"kind": "message", "attrs": {"xmlns": "a"}}), "/attrs/xmlns", Fault::NotXml),
        (json!({"kind": "message", "attrs": {"xmlns:a": "a"}}), "/attrs/xmlns:a", Fault::NotXml),
        (json!({"kind": "message", "attrs": {"a b": "a"}}), "/attrs/a b", Fault::NotXml),
        (json!({"kind": "message", "children": {}}), "/children", Fault::NotA("a list")),
        (json!({"kind": "message", "children": [1]}), "/children/0", Fault::NotA("a string or an object")),
        (json!({"kind": "message", "children": ["\u{b}"]}), "/children/0", Fault::NotXml),
        (json!({"kind": "message", "children": ["", {"name": "x", "foo": 1}]}), "/children/1/foo", unknown.clone()),
        (json!({"kind": "message", "children": [{"name": "x y='1'"}]}), "/children/0/name", Fault::NotXml),
        (json!({"kind": "message", "children": [{"name": "p:x"}]}), "/children/0/name", Fault::NotXml),
        (
            json!({"kind": "message", "children": [{"name": "x", "xmlns": "http://www.w3.org/2000/xmlns/"}]}),
            "/children/0/xmlns",
            Fault::NotXml,
        ),
        (
            json!({"kind": "message", "children": [{"name": "x", "text": "", "children": []}]}),
            "/children/0/text",
            Fault::Contradiction,
        ),
        (
            json!({"kind": "message", "children": [{"name": "x", "children": [{"name": "y", "attrs": {"a": 1}}]}]}),
            "/children/0/children/0/attrs/a",
            Fault::NotA("a string"),
        ),
        (json!({"kind": "iq", "type": "error", "error": {"condition": "x"}}), "/error/condition", {
            Fault::NotA("a condition of RFC 6120, section 8.3.3")
        }),
        (json!({"xml": "<message/>", "kind": "iq"}), "/xml", Fault::Contradiction),
    ];
    for (value, pointer, fault) in cases {
        let error = from_json(value).unwrap_err();
        assert_eq!((error.pointer.as_str(), &error.fault), (*pointer, fault), "{value}");
    }
    for (value, pointer) in [
        (json!({"kind": "message", "to": "@"}), "/to"),
        (json!({"kind": "message", "children": [{"xml": "<x><y/>"}]}), "/children/0/xml"),
        (json!({"xml": "<x/>"}), "/xml"),
        (json!({"xml": "<message>"}), "/xml"),
        (json!({"xml": "<message/><message/>"}), "/xml"),
        (json!({"xml": "</x><message/><x>"}), "/xml"),
        (json!({"xml": "<message/>x"}), "/xml"),
        (json!({"kind": "message", "children": [{"xml": "<x/>y"}]}), "/children/0/xml"),
        (json!({"kind": "x"}), "/kind"),
        (json!({"kind": "iq", "type": "chat"}), "/type"),
    ] {
        assert_eq!(from_json(&value).unwrap_err().pointer, pointer, "{value}");
    }
}

#[test]
fn a_text_cannot_break_out_of_its_element() {
    let json = json!({"kind": "message", "body": "</body><x/>", "id": "'/><x a='",
        "children": [{"name": "x", "xmlns": "u' y='1", "attrs": {"a": "'><y/>"}, "text": "]]>&<"}]});
    let element = from_json(&json).unwrap().to_element();
    assert_eq!(element.children().count(), 2);
    assert_eq!(element.attribute("id"), Some("'/><x a='"));
    assert_eq!(element.children().next().unwrap().content(), "</body><x/>");
    assert_eq!(element.find("x", "u' y='1").unwrap().attribute("a"), Some("'><y/>"));
}

#[test]
fn what_nests_deep_travels_as_xml() {
    let deep = |n: usize| format!("<message>{}{}</message>", "<x xmlns='urn:x'>".repeat(n), "</x>".repeat(n));
    for n in [1, super::MAX_DEPTH, super::MAX_DEPTH + 1, 90] {
        let stanza = Stanza::parse(&deep(n)).unwrap();
        let json = to_json(&stanza);
        assert_eq!(json["children"][0].get("xml").is_some(), n > super::MAX_DEPTH, "{n}");
        assert!(parse_json(json.to_string().as_bytes(), 64).is_ok(), "{n}");
        assert_eq!(from_json(&json).unwrap().to_element(), stanza.to_element(), "{n}");
    }
}
