//! XEP-0060, sections 6.1.3.11 and 8.4: nodes that were deleted in favour of another place.

use std::collections::BTreeSet;
use std::sync::Arc;

use convoke_pubsub::{Contacts, PubSubConfig, PubSubService, client};
use convoke_store::{MemoryStore, Store};
use convoke_xmpp::{Condition, Jid, Stanza};

use crate::support::{House, NODE, open_config, verdict};

const HAMLET: &str = "hamlet@denmark.lit/elsinore";
const BARRACKS: &str = "francisco@denmark.lit/barracks";
const URI: &str = "xmpp:pubsub.shakespeare.lit?;node=some-other-node";

/// Hamlet's contacts.
struct Roster;

impl Contacts for Roster {
    fn shares_presence(&self, owner: &Jid, contact: &Jid) -> bool {
        owner.as_str() == "hamlet@denmark.lit" && matches!(contact.local(), Some("friend" | "servant"))
    }

    fn is_in_group(&self, owner: &Jid, contact: &Jid, groups: &BTreeSet<String>) -> bool {
        owner.as_str() == "hamlet@denmark.lit" && contact.local() == Some("servant") && groups.contains("servants")
    }
}

fn delete(node: &str, uri: &str) -> String {
    format!("<delete node='{node}'><redirect uri='{uri}'/></delete>")
}

fn move_away(house: &House) {
    assert_eq!(verdict(&house.owner_request(HAMLET, "set", &delete(NODE, URI))), "result");
}

fn subscribe(house: &House, jid: &str) -> Vec<Stanza> {
    house.request(jid, "set", &format!("<subscribe node='{NODE}' jid='{jid}'/>"))
}

/// Where an answer says that something has gone.
fn alternate(answers: &[Stanza]) -> Option<String> {
    let error = answers[0].error().filter(|error| error.condition == Condition::Gone)?;
    Some(error.alternate.expect("a place to turn to"))
}

/// Example 40.
#[test]
fn who_subscribes_to_a_node_that_has_moved_learns_where_to() {
    let house = House::with_node(open_config());
    move_away(&house);
    house.exchange(
        "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='sub1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <subscribe node='princely_musings' jid='francisco@denmark.lit'/>
           </pubsub>
         </iq>",
        &["<iq type='error' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='sub1'>
             <error type='modify'>
               <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:pubsub.shakespeare.lit?;node=some-other-node</gone>
             </error>
           </iq>"],
    );
}

/// Section 8.4.1: requests might be redirected, whatever they ask for.
#[test]
fn every_request_to_a_node_that_has_moved_is_told_where_to() {
    let house = House::with_node(open_config());
    house.subscribe(BARRACKS);
    move_away(&house);
    for (kind, verb) in [
        ("get", format!("<items node='{NODE}'/>")),
        ("set", format!("<publish node='{NODE}'><item><a xmlns='urn:a'/></item></publish>")),
        ("set", format!("<retract node='{NODE}'><item id='1'/></retract>")),
        ("set", format!("<unsubscribe node='{NODE}' jid='{BARRACKS}'/>")),
        ("get", format!("<options node='{NODE}' jid='{BARRACKS}'/>")),
        ("get", format!("<default node='{NODE}'/>")),
        ("get", format!("<subscriptions node='{NODE}'/>")),
        ("get", format!("<affiliations node='{NODE}'/>")),
    ] {
        assert_eq!(alternate(&house.request(BARRACKS, kind, &verb)).as_deref(), Some(URI), "{verb}");
    }
    for (kind, verb) in [
        ("get", format!("<configure node='{NODE}'/>")),
        ("set", format!("<delete node='{NODE}'/>")),
        ("set", format!("<purge node='{NODE}'/>")),
        ("get", format!("<subscriptions node='{NODE}'/>")),
        ("get", format!("<affiliations node='{NODE}'/>")),
    ] {
        assert_eq!(alternate(&house.owner_request(HAMLET, kind, &verb)).as_deref(), Some(URI), "{verb}");
    }
    for query in ["info", "items"] {
        let answers = house.send(&format!(
            "<iq type='get' from='{BARRACKS}' to='pubsub.shakespeare.lit' id='1'>\
             <query xmlns='http://jabber.org/protocol/disco#{query}' node='{NODE}'/></iq>"
        ));
        assert_eq!(alternate(&answers).as_deref(), Some(URI), "{query}");
    }
}

/// Whoever was not admitted to the node when it went is told no more than of one that never was.
#[test]
fn where_a_node_has_gone_is_told_to_those_whom_it_had_admitted() {
    let roles = ["hamlet", "publisher", "publish-only", "member", "servant", "friend", "stranger", "outcast"];
    for (model, admitted) in [
        ("open", [true, true, true, true, true, true, true, false]),
        ("authorize", [true, true, true, true, true, true, true, false]),
        ("presence", [true, true, true, true, true, true, false, false]),
        ("roster", [true, true, true, true, true, false, false, false]),
        ("whitelist", [true, true, true, true, false, false, false, false]),
    ] {
        let address = Jid::new("pubsub.shakespeare.lit").unwrap();
        let house = House::of(PubSubService::new(address, open_config()).with_contacts(Arc::new(Roster)));
        house.done(HAMLET, "set", &format!("<create node='{NODE}'/>"));
        house.configure(&[("pubsub#access_model", &[model]), ("pubsub#roster_groups_allowed", &["servants"])]);
        for affiliation in ["publisher", "publish-only", "member", "outcast"] {
            house.affiliate(&format!("{affiliation}@denmark.lit"), affiliation);
        }
        move_away(&house);
        for (role, is_admitted) in roles.into_iter().zip(admitted) {
            let answers = subscribe(&house, &format!("{role}@denmark.lit"));
            assert_eq!(verdict(&answers), if is_admitted { "gone" } else { "item-not-found" }, "{model} {role}");
        }
    }
}

#[test]
fn a_node_that_was_deleted_without_more_is_not_found() {
    let house = House::with_node(open_config());
    house.owner_request(HAMLET, "set", &format!("<delete node='{NODE}'/>"));
    assert_eq!(verdict(&subscribe(&house, BARRACKS)), "item-not-found");
}

#[test]
fn a_node_that_is_made_again_has_not_moved() {
    let house = House::with_node(open_config());
    move_away(&house);
    house.done("claudius@denmark.lit", "set", &format!("<create node='{NODE}'/>"));
    assert_eq!(verdict(&subscribe(&house, BARRACKS)), "result");
    house.owner_request("claudius@denmark.lit", "set", &format!("<delete node='{NODE}'/>"));
    assert_eq!(verdict(&subscribe(&house, BARRACKS)), "item-not-found");
}

/// Those that went last.
#[test]
fn a_service_remembers_no_more_nodes_that_have_moved_than_allowed() {
    for (limit, known) in [(0, vec![]), (1, vec!["c"]), (2, vec!["b", "c"])] {
        let house = House::with(PubSubConfig { max_moved_nodes: limit, ..open_config() });
        for node in ["a", "b", "c"] {
            house.done(HAMLET, "set", &format!("<create node='{node}'/>"));
        }
        for node in ["a", "b", "c"] {
            house.owner_request(HAMLET, "set", &delete(node, URI));
        }
        let is_known = |node: &&str| {
            let answers = house.request(BARRACKS, "get", &format!("<items node='{node}'/>"));
            alternate(&answers).is_some()
        };
        assert_eq!(["a", "b", "c"].into_iter().filter(is_known).collect::<Vec<_>>(), known);
    }
}

/// RFC 6120, section 8.3.3.5: what stands in the condition must be a URI.
#[test]
fn a_redirection_must_be_to_a_uri() {
    let long = format!("xmpp:{}", "x".repeat(4_092));
    for wrong in ["", "elsewhere", "xmpp:", "1st:x", "xmpp:with space", "a b:c", long.as_str()] {
        let house = House::with_node(open_config());
        assert_eq!(verdict(&house.owner_request(HAMLET, "set", &delete(NODE, wrong))), "bad-request", "{wrong}");
        assert_eq!(verdict(&subscribe(&house, BARRACKS)), "result");
    }
    for right in ["https://denmark.lit/feed", "xmpp:hamlet@denmark.lit?;node=blog", &long[..4_096]] {
        let house = House::with_node(open_config());
        assert_eq!(verdict(&house.owner_request(HAMLET, "set", &delete(NODE, right))), "result", "{right}");
        assert_eq!(alternate(&subscribe(&house, BARRACKS)).as_deref(), Some(right));
    }
}

#[test]
fn a_service_that_starts_again_knows_where_nodes_have_gone() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let start = || {
        let address = Jid::new("pubsub.shakespeare.lit").unwrap();
        House::of(PubSubService::open(address, open_config(), store.clone()).unwrap())
    };
    let before = start();
    before.done(HAMLET, "set", &format!("<create node='{NODE}'/>"));
    before.configure(&[("pubsub#access_model", &["whitelist"])]);
    before.affiliate("francisco@denmark.lit", "member");
    move_away(&before);
    drop(before);
    let after = start();
    assert_eq!(alternate(&subscribe(&after, BARRACKS)).as_deref(), Some(URI));
    assert_eq!(verdict(&subscribe(&after, "bernardo@denmark.lit")), "item-not-found");
    after.done(HAMLET, "set", &format!("<create node='{NODE}'/>"));
    drop(after);
    assert_eq!(verdict(&subscribe(&start(), BARRACKS)), "result");
}

/// The other side reads the place from the error.
#[test]
fn a_client_is_told_of_the_move_when_it_happens_and_when_it_asks() {
    let house = House::with_node(open_config());
    house.subscribe(BARRACKS);
    let told = house.owner_request(HAMLET, "set", &delete(NODE, URI));
    let expected = client::Event::Deleted { node: NODE.to_owned(), redirect: Some(URI.to_owned()) };
    assert_eq!(client::parse_event(&told[1]), Some(expected));
    assert_eq!(alternate(&subscribe(&house, BARRACKS)).as_deref(), Some(URI));
}
