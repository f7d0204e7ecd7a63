//! Who may create nodes (XEP-0060, section 8.1.1).

use std::collections::BTreeSet;

use convoke_pubsub::{Creators, PubSubConfig, PubSubService};
use convoke_xmpp::{Jid, Origin, Service, Stanza};

use crate::support::{Recorder, domain, verdict};

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
