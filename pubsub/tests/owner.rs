//! XEP-0060, section 8: owner use cases.

use convoke_pubsub::client;

use crate::support::{House, open_config, verdict};

const HAMLET: &str = "hamlet@denmark.lit/elsinore";

/// Examples 125, 129 and 133.
#[test]
fn a_node_is_created_once() {
    let house = House::new();
    let create = "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='create1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='princely_musings'/></pubsub>
         </iq>";
    house.exchange(
        create,
        &["<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='create1'>
             <pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='princely_musings'/></pubsub>
           </iq>"],
    );
    house.exchange(
        create,
        &["<iq type='error' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='create1'>
             <error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>
           </iq>"],
    );
}

/// Examples 131 and 132.
#[test]
fn an_instant_node_is_given_a_name_of_its_own() {
    let house = House::new();
    let create = || house.request(HAMLET, "set", "<create/>")[0].payload().unwrap();
    let (one, other) = (create(), create());
    let (one, other) = (client::created_node(&one).unwrap(), client::created_node(&other).unwrap());
    assert_ne!(one, other);
    assert!(house.done(HAMLET, "get", &format!("<items node='{one}'/>")).is_empty());
}

/// Examples 158 to 160: the subscribers learn where the node went, and its name is free again.
#[test]
fn an_owner_deletes_a_node_and_the_subscribers_are_notified() {
    let house = House::with_node(open_config());
    house.publish("1", "<a xmlns='urn:a'/>");
    for jid in ["bernardo@denmark.lit", "francisco@denmark.lit"] {
        house.subscribe(jid);
    }
    let deleted = |to: &str| {
        format!(
            "<message type='headline' from='pubsub.shakespeare.lit' to='{to}'>
               <event xmlns='http://jabber.org/protocol/pubsub#event'>
                 <delete node='princely_musings'><redirect uri='xmpp:hamlet@denmark.lit?;node=blog'/></delete>
               </event>
             </message>"
        )
    };
    house.exchange(
        "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='delete1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
             <delete node='princely_musings'><redirect uri='xmpp:hamlet@denmark.lit?;node=blog'/></delete>
           </pubsub>
         </iq>",
        &[
            "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='delete1'/>",
            &deleted("bernardo@denmark.lit"),
            &deleted("francisco@denmark.lit"),
        ],
    );
    house.done("claudius@denmark.lit", "set", "<create node='princely_musings'/>");
    let items = house.request(HAMLET, "get", "<items node='princely_musings'/>");
    assert!(client::parse_items(&items[0].payload().unwrap()).unwrap().is_empty());
}

/// Examples 161 and 162; no answer of the service tells more than that.
#[test]
fn only_an_owner_deletes_a_node_and_only_one_that_exists() {
    let house = House::with_node(open_config());
    let delete = |from, node: &str| verdict(&house.owner_request(from, "set", &format!("<delete {node}/>")));
    assert_eq!(delete("francisco@denmark.lit", "node='princely_musings'"), "forbidden");
    assert_eq!(delete(HAMLET, "node='nowhere'"), "item-not-found");
    assert_eq!(delete(HAMLET, ""), "bad-request/nodeid-required");
    assert_eq!(delete("hamlet@denmark.lit/another", "node='princely_musings'"), "result");
}

/// Examples 197, 198, 202 and 203.
#[test]
fn an_owner_changes_and_retrieves_affiliations() {
    let house = House::with_node(open_config());
    house.affiliate("bard@shakespeare.lit/globe", "publisher");
    house.affiliate("polonius@denmark.lit", "outcast");
    house.affiliate("laertes@denmark.lit", "member");
    house.affiliate("laertes@denmark.lit", "none");
    house.exchange(
        "<iq type='get' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='ent1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='princely_musings'/></pubsub>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='ent1'>
             <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
               <affiliations node='princely_musings'>
                 <affiliation jid='bard@shakespeare.lit' affiliation='publisher'/>
                 <affiliation jid='hamlet@denmark.lit' affiliation='owner'/>
                 <affiliation jid='polonius@denmark.lit' affiliation='outcast'/>
               </affiliations>
             </pubsub>
           </iq>"],
    );
}

/// Examples 208, 209 and 210: what cannot be is told as it is, and all else is changed (section 8.9.2.4).
#[test]
fn a_node_keeps_an_owner_and_the_other_changes_are_made() {
    let house = House::with_node(open_config());
    house.affiliate("polonius@denmark.lit", "member");
    house.exchange(
        "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='ent3'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
             <affiliations node='princely_musings'>
               <affiliation jid='hamlet@denmark.lit' affiliation='none'/>
               <affiliation jid='polonius@denmark.lit' affiliation='none'/>
               <affiliation jid='bard@shakespeare.lit' affiliation='publisher'/>
             </affiliations>
           </pubsub>
         </iq>",
        &[
            "<iq type='error' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='ent3'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
                 <affiliations node='princely_musings'>
                   <affiliation jid='hamlet@denmark.lit' affiliation='owner'/>
                 </affiliations>
               </pubsub>
               <error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>
             </iq>",
            &affiliated("polonius@denmark.lit", "none"),
            &affiliated("bard@shakespeare.lit", "publisher"),
        ],
    );
    let publish = "<publish node='princely_musings'><item><a xmlns='urn:a'/></item></publish>";
    assert_eq!(verdict(&house.request("bard@shakespeare.lit", "set", publish)), "result");
    assert_eq!(verdict(&house.request(HAMLET, "set", publish)), "result");
}

/// As the service words it: the example of section 8.9.4 misspells the element.
fn affiliated(jid: &str, affiliation: &str) -> String {
    format!(
        "<message type='headline' from='pubsub.shakespeare.lit' to='{jid}'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <affiliations node='princely_musings'><affiliation jid='{jid}' affiliation='{affiliation}'/></affiliations>
           </pubsub>
         </message>"
    )
}

/// Examples 200, 201, 206 and 207, and what section 8.9 says without an example.
#[test]
fn a_wrong_change_of_affiliations_is_refused_with_its_own_condition() {
    let house = House::with_node(open_config());
    let entry =
        |attributes: &str| format!("<affiliations node='princely_musings'><affiliation {attributes}/></affiliations>");
    let list = |node: &str| format!("<affiliations node='{node}'/>");
    assert_eq!(verdict(&house.owner_request("claudius@denmark.lit", "get", &list("princely_musings"))), "forbidden");
    assert_eq!(verdict(&house.owner_request(HAMLET, "get", &list("nowhere"))), "item-not-found");
    for (from, verb, expected) in [
        ("claudius@denmark.lit", entry("jid='claudius@denmark.lit' affiliation='owner'"), "forbidden"),
        (HAMLET, "<affiliations node='nowhere'/>".to_owned(), "item-not-found"),
        (HAMLET, "<affiliations/>".to_owned(), "bad-request/nodeid-required"),
        (HAMLET, entry("affiliation='member'"), "bad-request/jid-required"),
        (HAMLET, entry("jid='@' affiliation='member'"), "bad-request/invalid-jid"),
        (HAMLET, entry("jid='a.example' affiliation='king'"), "bad-request"),
        (HAMLET, entry("jid='hamlet@denmark.lit'"), "result"),
    ] {
        assert_eq!(verdict(&house.owner_request(from, "set", &verb)), expected, "{verb}");
    }
}

#[test]
fn an_outcast_is_a_subscriber_no_longer() {
    let house = House::with_node(open_config());
    house.subscribe("polonius@denmark.lit/arras");
    house.affiliate("polonius@denmark.lit", "outcast");
    assert!(house.publish("1", "<a xmlns='urn:a'/>").is_empty());
}
