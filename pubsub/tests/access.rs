//! Who may do what (XEP-0060, section 4.1), and who may create nodes (section 8.1.1).

use std::collections::BTreeSet;

use convoke_pubsub::{Creators, PubSubConfig, PubSubService};
use convoke_xmpp::{Jid, Origin, Service, Stanza};

use crate::support::{House, Recorder, domain, open_config, verdict};

const AFFILIATIONS: [&str; 6] = ["owner", "publisher", "publish-only", "member", "none", "outcast"];

/// One column for each of [`AFFILIATIONS`], in this order.
#[test]
fn an_affiliation_allows_what_the_table_says() {
    let yes = "result";
    let no = "forbidden";
    let subscribe = "<subscribe node='princely_musings' jid='bard@shakespeare.lit'/>";
    let publish = "<publish node='princely_musings'><item id='own'><a xmlns='urn:a'/></item></publish>";
    let table: [(&str, &str, &str, [&str; 6]); 7] = [
        ("", "set", subscribe, [yes, yes, no, yes, yes, no]),
        ("", "get", "<items node='princely_musings'/>", [yes, yes, no, yes, yes, no]),
        ("", "set", publish, [yes, yes, yes, no, no, no]),
        ("", "set", "<retract node='princely_musings'><item id='own'/></retract>", [yes, yes, yes, no, no, no]),
        ("", "set", "<retract node='princely_musings'><item id='other'/></retract>", [yes, no, no, no, no, no]),
        ("#owner", "get", "<affiliations node='princely_musings'/>", [yes, no, no, no, no, no]),
        ("#owner", "set", "<delete node='princely_musings'/>", [yes, no, no, no, no, no]),
    ];
    for (affiliation, column) in AFFILIATIONS.iter().zip(0..) {
        let house = House::with_node(open_config());
        house.publish("other", "<a xmlns='urn:a'/>");
        house.affiliate("bard@shakespeare.lit", affiliation);
        for (namespace, kind, verb, row) in &table {
            let answers = match *namespace {
                "" => house.request("bard@shakespeare.lit/globe", kind, verb),
                _ => house.owner_request("bard@shakespeare.lit/globe", kind, verb),
            };
            assert_eq!(verdict(&answers), row[column], "{affiliation}: {verb}");
        }
    }
}

#[test]
fn a_node_is_not_listed_for_an_outcast() {
    let house = House::with_node(open_config());
    house.affiliate("polonius@denmark.lit", "outcast");
    let items = |from: &str, node: &str| {
        house.send(&format!(
            "<iq type='get' from='{from}' to='pubsub.shakespeare.lit' id='1'>\
             <query xmlns='http://jabber.org/protocol/disco#items'{node}/></iq>"
        ))
    };
    assert_eq!(items("polonius@denmark.lit", "")[0].payload().unwrap().children().count(), 0);
    assert_eq!(items("laertes@denmark.lit", "")[0].payload().unwrap().children().count(), 1);
    assert_eq!(verdict(&items("polonius@denmark.lit", " node='princely_musings'")), "forbidden");
}

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
