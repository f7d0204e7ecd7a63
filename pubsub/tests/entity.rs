//! XEP-0060, section 5: entity use cases.

use convoke_xmpp::{Element, Stanza, namespace};

use crate::support::{House, open_config, verdict};

fn query(house: &House, namespace: &str, node: &str) -> Vec<Stanza> {
    house.send(&format!(
        "<iq type='get' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='d'>\
         <query xmlns='{namespace}'{node}/></iq>"
    ))
}

/// Examples 7, 8 and 54.
#[test]
fn the_service_tells_its_identity_and_the_features_it_has() {
    let house = House::new();
    let info = query(&house, namespace::DISCO_INFO, "")[0].payload().unwrap();
    let identity = info.find("identity", namespace::DISCO_INFO).unwrap();
    assert_eq!((identity.attribute("category"), identity.attribute("type")), (Some("pubsub"), Some("service")));
    let has = |name: &str| info.children().any(|feature| feature.attribute("var") == Some(name));
    for name in FEATURES.split_whitespace() {
        assert!(has(&format!("http://jabber.org/protocol/pubsub#{name}")), "{name}");
    }
    assert!(has("http://jabber.org/protocol/pubsub"));
    let of_pubsub = |feature: &Element| {
        let var = feature.attribute("var").unwrap_or_default();
        var.starts_with("http://jabber.org/protocol/pubsub#")
    };
    assert_eq!(info.children().filter(|feature| of_pubsub(feature)).count(), FEATURES.split_whitespace().count());
}

/// All of section 11 and of the registry (17.3), but what depends on the configuration, on collections, and
/// on the presence of accounts.
const FEATURES: &str = "access-open config-node config-node-max create-and-configure create-nodes delete-items \
    delete-nodes get-pending instant-nodes item-ids last-published leased-subscription manage-subscriptions \
    member-affiliation meta-data modify-affiliations multi-items outcast-affiliation persistent-items \
    presence-notifications publish publish-node-full publish-only-affiliation publish-options publisher-affiliation \
    purge-nodes retract-items retrieve-affiliations retrieve-default retrieve-default-sub retrieve-items \
    retrieve-subscriptions rsm since subscribe subscription-notifications subscription-options";

/// Examples 9 and 10.
#[test]
fn the_service_lists_its_nodes() {
    let house = House::new();
    for node in ["Romeoance", "Julliennui"] {
        house.done("hamlet@denmark.lit", "set", &format!("<create node='{node}'/>"));
    }
    house.exchange(
        "<iq type='get' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='disco1'>
           <query xmlns='http://jabber.org/protocol/disco#items'/>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='disco1'>
             <query xmlns='http://jabber.org/protocol/disco#items'>
               <item node='Julliennui' jid='pubsub.shakespeare.lit'/>
               <item node='Romeoance' jid='pubsub.shakespeare.lit'/>
             </query>
           </iq>"],
    );
}

/// Examples 11 to 14.
#[test]
fn a_node_tells_that_it_is_a_leaf_and_whose() {
    let house = House::with_node(open_config());
    house.subscribe("francisco@denmark.lit");
    let info = query(&house, namespace::DISCO_INFO, " node='princely_musings'")[0].payload().unwrap();
    assert_eq!(info.attribute("node"), Some("princely_musings"));
    assert_eq!(info.find("identity", namespace::DISCO_INFO).unwrap().attribute("type"), Some("leaf"));
    let form = info.find("x", namespace::DATA_FORMS).unwrap();
    for (name, value) in [
        ("FORM_TYPE", "http://jabber.org/protocol/pubsub#meta-data"),
        ("pubsub#creator", "hamlet@denmark.lit"),
        ("pubsub#owner", "hamlet@denmark.lit"),
        ("pubsub#access_model", "open"),
        ("pubsub#publish_model", "publishers"),
        ("pubsub#max_items", "1000"),
        ("pubsub#num_subscribers", "1"),
    ] {
        let field = form.children().find(|field| field.attribute("var") == Some(name)).unwrap();
        assert_eq!(field.children().map(Element::content).collect::<String>(), value, "{name}");
    }
}

/// Example 15.
#[test]
fn a_node_lists_its_items_without_a_node_attribute() {
    let house = House::with_node(open_config());
    house.publish("368866411b877c30064a5f62b917cffe", "<a xmlns='urn:a'/>");
    house.publish("3300659945416e274474e469a1f0154c", "<a xmlns='urn:a'/>");
    house.exchange(
        "<iq type='get' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='items1'>
           <query xmlns='http://jabber.org/protocol/disco#items' node='princely_musings'/>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='items1'>
             <query xmlns='http://jabber.org/protocol/disco#items' node='princely_musings'>
               <item jid='pubsub.shakespeare.lit' name='368866411b877c30064a5f62b917cffe'/>
               <item jid='pubsub.shakespeare.lit' name='3300659945416e274474e469a1f0154c'/>
             </query>
           </iq>"],
    );
}

#[test]
fn a_node_that_does_not_exist_is_not_found() {
    let house = House::new();
    for namespace in [namespace::DISCO_INFO, namespace::DISCO_ITEMS] {
        assert_eq!(verdict(&query(&house, namespace, " node='nowhere'")), "item-not-found");
    }
}

#[test]
fn the_service_answers_ping_and_version() {
    House::new().exchange(
        "<iq type='get' from='a@b.example/c' to='pubsub.shakespeare.lit' id='p'><ping xmlns='urn:xmpp:ping'/></iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='a@b.example/c' id='p'/>"],
    );
    let version = query(&House::new(), namespace::VERSION, "")[0].payload().unwrap();
    assert_eq!(version.find("name", namespace::VERSION).unwrap().content(), "Convoke");
}

/// RFC 6120, section 8.2.3.
#[test]
fn every_request_is_answered_exactly_once_and_nothing_else_is() {
    let house = House::with_node(open_config());
    let pubsub = "xmlns='http://jabber.org/protocol/pubsub'";
    for (kind, payload, expected) in [
        ("get", "<query xmlns='urn:unknown'/>".to_owned(), "service-unavailable"),
        ("set", "<query xmlns='http://jabber.org/protocol/disco#info'/>".to_owned(), "service-unavailable"),
        ("get", String::new(), "bad-request"),
        ("get", "<a xmlns='urn:a'/><b xmlns='urn:b'/>".to_owned(), "bad-request"),
        ("set", format!("<pubsub {pubsub}/>"), "bad-request"),
        ("set", format!("<pubsub {pubsub}><unheard-of/></pubsub>"), "bad-request"),
        ("get", format!("<pubsub {pubsub}><publish node='princely_musings'/></pubsub>"), "bad-request"),
        ("set", format!("<pubsub {pubsub}><items node='princely_musings'/></pubsub>"), "bad-request"),
        ("set", "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'/>".to_owned(), "bad-request"),
    ] {
        let iq = format!("<iq type='{kind}' from='a@b.example' to='pubsub.shakespeare.lit' id='1'>{payload}</iq>");
        let answers = house.send(&iq);
        assert_eq!((answers.len(), verdict(&answers).as_str()), (1, expected), "{iq}");
        assert_eq!(answers[0].id(), Some("1"));
    }
    for ignored in [
        "<iq type='result' from='a@b.example' to='pubsub.shakespeare.lit' id='1'/>",
        "<iq type='error' from='a@b.example' to='pubsub.shakespeare.lit' id='1'/>",
        "<message type='error' from='a@b.example' to='pubsub.shakespeare.lit' id='1'/>",
        "<message type='headline' from='a@b.example' to='pubsub.shakespeare.lit' id='1'/>",
        "<presence from='a@b.example' to='pubsub.shakespeare.lit'/>",
    ] {
        assert!(house.send(ignored).is_empty(), "{ignored}");
    }
    let bounced = house.send("<message from='a@b.example' to='pubsub.shakespeare.lit'><body>hi</body></message>");
    assert_eq!(verdict(&bounced), "service-unavailable");
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    let answers = House::new()
        .send("<iq type='get' from='a@b.example' to='pubsub@alias.example' id='1'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert_eq!(answers[0].from().unwrap().as_str(), "pubsub@alias.example");
}
