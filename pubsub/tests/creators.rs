//! Who may create nodes, and which (XEP-0060, section 8.1.1).

use std::collections::BTreeSet;

use convoke_pubsub::{Creators, PubSubConfig, PubSubService};
use convoke_xmpp::{Jid, Origin, Service, Stanza};

use crate::support::{House, Recorder, domain, open_config, verdict};

/// Example 128.
#[test]
fn by_default_only_local_entities_of_the_own_domain_create_nodes() {
    let own = Origin::Local;
    let foreign = Origin::Remote(domain("a.example"));
    let domains = Creators::Domains(BTreeSet::from([domain("b.example")]));
    for (creators, from, origin, expected) in [
        (Creators::OwnDomain, "rm@a.example/x", &own, "result"),
        (Creators::OwnDomain, "a.example", &own, "result"),
        (Creators::OwnDomain, "rm@other.example/x", &own, "forbidden"),
        (Creators::OwnDomain, "rm@a.example.evil/x", &own, "forbidden"),
        (Creators::OwnDomain, "rm@a.example/x", &foreign, "forbidden"),
        (Creators::Anyone, "rm@other.example/x", &foreign, "result"),
        (domains.clone(), "rm@b.example/x", &foreign, "result"),
        (domains, "rm@a.example/x", &own, "forbidden"),
    ] {
        let config = PubSubConfig { creators: creators.clone(), ..PubSubConfig::default() };
        let service = PubSubService::new(Jid::new("pubsub@a.example").unwrap(), config);
        let router = Recorder::default();
        let create = format!(
            "<iq type='set' from='{from}' to='pubsub@a.example' id='1'>\
             <pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='n'/></pubsub></iq>"
        );
        service.handle(Stanza::parse(&create).unwrap(), origin, &router);
        assert_eq!(verdict(&router.take()), expected, "{creators:?} {from} {origin:?}");
    }
}

fn features(house: &House) -> String {
    let answers = house.send(
        "<iq type='get' from='a.example' to='pubsub.shakespeare.lit' id='1'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    );
    answers[0].to_element().to_string()
}

/// Example 126.
#[test]
fn a_service_where_nobody_creates_nodes_does_not_support_it() {
    let creators = Creators::Domains(BTreeSet::new());
    let house = House::with(PubSubConfig { creators, auto_create: true, ..PubSubConfig::default() });
    for create in ["<create node='n'/>", "<create/>"] {
        let answers = house.request("hamlet@denmark.lit/elsinore", "set", create);
        assert_eq!(verdict(&answers), "feature-not-implemented/unsupported create-nodes");
    }
    let publish = "<publish node='n'><item><a xmlns='urn:a'/></item></publish>";
    assert_eq!(verdict(&house.request("hamlet@denmark.lit", "set", publish)), "item-not-found");
    for feature in ["create-nodes", "create-and-configure", "instant-nodes", "auto-create"] {
        assert!(!features(&house).contains(&format!("pubsub#{feature}'")), "{feature}");
        let open = House::with(PubSubConfig { auto_create: true, ..open_config() });
        assert!(features(&open).contains(&format!("pubsub#{feature}'")), "{feature}");
    }
}

/// Example 130.
#[test]
fn a_service_without_instant_nodes_asks_for_a_name() {
    let house = House::with(PubSubConfig { instant_nodes: false, ..open_config() });
    house.exchange(
        "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='create2'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'><create/></pubsub>
         </iq>",
        &["<iq type='error' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='create2'>
             <error type='modify'>
               <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
               <nodeid-required xmlns='http://jabber.org/protocol/pubsub#errors'/>
             </error>
           </iq>"],
    );
    house.done("hamlet@denmark.lit/elsinore", "set", "<create node='n'/>");
    assert!(!features(&house).contains("pubsub#instant-nodes'"));
}
