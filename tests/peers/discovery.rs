//! What each side answers about itself (XEP-0030, XEP-0199, XEP-0092).

use std::sync::Arc;

use convoke::cloud::{LeaseTimes, ResourceManager, ResourceManagerConfig};
use convoke::store::RedbStore;
use convoke::xmpp::payload::ping;
use convoke::xmpp::{Condition, Element, namespace};

use convoke_dev::peers::Software;

use super::neighbours::{Neighbours, OURS, THEIRS, jid};
use crate::support::DEADLINE;
use crate::support::client::{Client, attribute, child};

const RESOURCES: &str = "resources@volunteers.lan";
const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";

super::with_each_peer!(our_component_discovers_and_pings_the_peer);

/// What the account is answered by that address: a result, and its payload.
async fn answered(account: &mut Client, to: &str, payload: &str) -> String {
    let answer = account.request("get", Some(to), payload).await;
    assert_eq!((attribute(&answer, "type"), attribute(&answer, "from")), (Some("result"), Some(to)), "{answer}");
    answer
}

fn identity(info: &str) -> (Option<&str>, Option<&str>) {
    let identity = child(info, "identity").unwrap();
    (attribute(identity, "category"), attribute(identity, "type"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_discovers_our_domain_and_its_resource_manager() {
    let neighbours = Neighbours::new(Software::Prosody).await;
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(RedbStore::open(directory.path()).unwrap());
    let config = ResourceManagerConfig { store, allow: Vec::new(), times: LeaseTimes::default(), publish_to: None };
    ResourceManager::start(&neighbours.ours, config).await.unwrap();
    let mut juliet = neighbours.juliet().await;

    let info = answered(&mut juliet, OURS, INFO).await;
    assert_eq!(identity(&info), (Some("server"), Some("im")));
    assert!(info.contains("<feature var='urn:convoke:role:0'/>"), "{info}");
    let items = answered(&mut juliet, OURS, ITEMS).await;
    assert_eq!(child(&items, "item").and_then(|item| attribute(item, "jid")), Some(RESOURCES), "{items}");
    let info = answered(&mut juliet, RESOURCES, INFO).await;
    assert_eq!(identity(&info), (Some("component"), Some("generic")));
    assert!(info.contains("<feature var='urn:convoke:lease:0'/>"), "{info}");
    for to in [OURS, RESOURCES] {
        answered(&mut juliet, to, "<ping xmlns='urn:xmpp:ping'/>").await;
        let version = answered(&mut juliet, to, "<query xmlns='jabber:iq:version'/>").await;
        assert!(version.contains("<name>Convoke</name>"), "{version}");
    }
    answered(&mut juliet, RESOURCES, ITEMS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_told_that_what_is_not_there_is_not_available() {
    let neighbours = Neighbours::new(Software::Prosody).await;
    let mut juliet = neighbours.juliet().await;
    for (to, payload) in [(OURS, "<query xmlns='urn:example:unknown'/>"), ("nobody@volunteers.lan", INFO)] {
        let answer = juliet.request("get", Some(to), payload).await;
        assert_eq!((attribute(&answer, "type"), attribute(&answer, "from")), (Some("error"), Some(to)), "{answer}");
        assert!(child(&answer, "service-unavailable").is_some(), "{answer}");
    }
}

async fn our_component_discovers_and_pings_the_peer(software: Software) {
    let neighbours = Neighbours::new(software).await;
    let asker = neighbours.ours.component("asker").unwrap();
    assert_eq!(asker.get(&jid(THEIRS), ping(), DEADLINE).await.unwrap(), None);
    let query = Element::new("query", namespace::DISCO_INFO);
    let info = asker.get(&jid(THEIRS), query, DEADLINE).await.unwrap().unwrap();
    let identity = info.find("identity", namespace::DISCO_INFO).unwrap();
    assert_eq!((identity.attribute("category"), identity.attribute("type")), (Some("server"), Some("im")));
    let query = Element::new("query", "urn:example:unknown");
    let error = asker.get(&jid(THEIRS), query, DEADLINE).await.unwrap_err();
    assert_eq!(error.stanza_error().unwrap().condition, Condition::ServiceUnavailable);
}
