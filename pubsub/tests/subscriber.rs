//! XEP-0060, section 6: subscriber use cases.

use convoke_pubsub::{NodeConfig, SendLast};

use crate::support::{House, item_ids, open_config, verdict, with_node_config};

const BARRACKS: &str = "francisco@denmark.lit/barracks";

/// Examples 28 and 29; a repeated request tells the present state (section 6.1.6).
#[test]
fn an_entity_subscribes_to_a_node() {
    let house = House::with_node(open_config());
    for _ in 0..2 {
        house.exchange(
            "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='sub1'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub'>
                 <subscribe node='princely_musings' jid='francisco@denmark.lit'/>
               </pubsub>
             </iq>",
            &["<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='sub1'>
                 <pubsub xmlns='http://jabber.org/protocol/pubsub'>
                   <subscription node='princely_musings' jid='francisco@denmark.lit' subscription='subscribed'/>
                 </pubsub>
               </iq>"],
        );
    }
    assert_eq!(house.publish("1", "<a xmlns='urn:a'/>").len(), 1);
}

/// Example 30.
#[test]
fn an_entity_subscribes_nobody_else() {
    House::with_node(open_config()).exchange(
        "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='sub1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <subscribe node='princely_musings' jid='bernardo@denmark.lit'/>
           </pubsub>
         </iq>",
        &["<iq type='error' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='sub1'>
             <error type='modify'>
               <bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
               <invalid-jid xmlns='http://jabber.org/protocol/pubsub#errors'/>
             </error>
           </iq>"],
    );
}

/// Example 41.
#[test]
fn subscribing_to_a_node_that_does_not_exist_fails() {
    House::new().exchange(
        "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='sub1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <subscribe node='princely_musings' jid='francisco@denmark.lit'/>
           </pubsub>
         </iq>",
        &["<iq type='error' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='sub1'>
             <error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>
           </iq>"],
    );
}

/// Example 46, without the delay.
#[test]
fn a_new_subscriber_is_sent_the_last_published_item_and_nobody_else_is() {
    let house = House::with_node(open_config());
    house.subscribe("bernardo@denmark.lit");
    house.publish("older", "<entry xmlns='http://www.w3.org/2005/Atom'/>");
    house.publish(
        "ae890ac52d0df67ed7cfdf51b644e901",
        "<entry xmlns='http://www.w3.org/2005/Atom'><title>Soliloquy</title></entry>",
    );
    house.exchange(
        "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='sub1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <subscribe node='princely_musings' jid='francisco@denmark.lit'/>
           </pubsub>
         </iq>",
        &[
            "<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='sub1'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub'>
                 <subscription node='princely_musings' jid='francisco@denmark.lit' subscription='subscribed'/>
               </pubsub>
             </iq>",
            "<message type='headline' from='pubsub.shakespeare.lit' to='francisco@denmark.lit'>
               <event xmlns='http://jabber.org/protocol/pubsub#event'>
                 <items node='princely_musings'>
                   <item id='ae890ac52d0df67ed7cfdf51b644e901'>
                     <entry xmlns='http://www.w3.org/2005/Atom'><title>Soliloquy</title></entry>
                   </item>
                 </items>
               </event>
             </message>",
        ],
    );
}

#[test]
fn the_last_published_item_is_not_sent_where_the_service_is_told_so() {
    let config = with_node_config(NodeConfig { send_last_published_item: SendLast::Never, ..NodeConfig::default() });
    let house = House::with_node(config);
    house.publish("1", "<a xmlns='urn:a'/>");
    assert!(house.subscribe(BARRACKS).is_empty());
}

/// Examples 47 and 48; the SubID is ignored (section 6.2.3.5).
#[test]
fn a_subscriber_unsubscribes_and_hears_no_more() {
    let house = House::with_node(open_config());
    house.done(BARRACKS, "set", "<subscribe node='princely_musings' jid='francisco@denmark.lit'/>");
    house.exchange(
        "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='unsub1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <unsubscribe node='princely_musings' jid='francisco@denmark.lit' subid='none-was-given'/>
           </pubsub>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='unsub1'>
             <pubsub xmlns='http://jabber.org/protocol/pubsub'>
               <subscription node='princely_musings' jid='francisco@denmark.lit' subscription='none'/>
             </pubsub>
           </iq>"],
    );
    assert!(house.publish("1", "<a xmlns='urn:a'/>").is_empty());
}

/// Example 50.
#[test]
fn who_is_no_subscriber_cannot_unsubscribe() {
    House::with_node(open_config()).exchange(
        "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='unsub1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <unsubscribe node='princely_musings' jid='francisco@denmark.lit'/>
           </pubsub>
         </iq>",
        &["<iq type='error' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='unsub1'>
             <error type='cancel'>
               <unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
               <not-subscribed xmlns='http://jabber.org/protocol/pubsub#errors'/>
             </error>
           </iq>"],
    );
}

/// Examples 51, 52 and 94, and what section 6 says without an example.
#[test]
fn a_wrong_request_of_a_subscriber_is_refused_with_its_own_condition() {
    let house = House::with_node(open_config());
    house.subscribe("bernardo@denmark.lit");
    let own = "jid='francisco@denmark.lit'";
    for (kind, verb, expected) in [
        ("set", format!("<subscribe {own}/>"), "bad-request/nodeid-required"),
        ("set", "<subscribe node='princely_musings'/>".to_owned(), "bad-request/jid-required"),
        ("set", "<subscribe node='princely_musings' jid='@'/>".to_owned(), "bad-request/invalid-jid"),
        ("set", format!("<subscribe node='{}' {own}/>", "n".repeat(1024)), "not-acceptable"),
        ("set", "<unsubscribe node='princely_musings' jid='bernardo@denmark.lit'/>".to_owned(), "forbidden"),
        ("set", format!("<unsubscribe node='nowhere' {own}/>"), "item-not-found"),
        ("set", format!("<unsubscribe {own}/>"), "bad-request/nodeid-required"),
        ("get", "<items node='nowhere'/>".to_owned(), "item-not-found"),
        ("get", "<items/>".to_owned(), "bad-request/nodeid-required"),
        ("get", "<items node='princely_musings' max_items='0'/>".to_owned(), "bad-request"),
        ("get", "<items node='princely_musings' max_items='-1'/>".to_owned(), "bad-request"),
        ("get", "<items node='princely_musings'><item/></items>".to_owned(), "bad-request/item-required"),
    ] {
        assert_eq!(verdict(&house.request(BARRACKS, kind, &verb)), expected, "{verb}");
    }
    assert_eq!(house.publish("1", "<a xmlns='urn:a'/>").len(), 1, "bernardo is still subscribed");
}

/// Examples 74, 75 and 80 to 83 in one node.
#[test]
fn items_are_returned_in_the_order_of_their_publication() {
    let house = House::with_node(open_config());
    for id in
        ["368866411b877c30064a5f62b917cffe", "4e30f35051b7b8b42abe083742187228", "ae890ac52d0df67ed7cfdf51b644e901"]
    {
        house.publish(id, "<entry xmlns='http://www.w3.org/2005/Atom'/>");
    }
    let ask = |items: &str| item_ids(&house.request(BARRACKS, "get", items)).join(" ");
    let all = "368866411b877c30064a5f62b917cffe 4e30f35051b7b8b42abe083742187228 ae890ac52d0df67ed7cfdf51b644e901";
    assert_eq!(ask("<items node='princely_musings'/>"), all);
    assert_eq!(ask("<items node='princely_musings' max_items='2'/>"), all[33..]);
    assert_eq!(ask("<items node='princely_musings' max_items='9'/>"), all);
    assert_eq!(
        ask("<items node='princely_musings'><item id='ae890ac52d0df67ed7cfdf51b644e901'/><item id='gone'/>\
             <item id='368866411b877c30064a5f62b917cffe'/></items>"),
        "ae890ac52d0df67ed7cfdf51b644e901 368866411b877c30064a5f62b917cffe"
    );
}

/// Examples 78, 79 and 83.
#[test]
fn a_particular_item_is_returned_with_its_payload_as_it_was_published() {
    let house = House::with_node(open_config());
    let payload = "<p:entry xmlns:p='http://www.w3.org/2005/Atom' p:a='1'><b xmlns=''>x &lt; y</b></p:entry>";
    house.publish("ae890ac52d0df67ed7cfdf51b644e901", payload);
    let answers = house.request(
        BARRACKS,
        "get",
        "<items node='princely_musings'><item id='ae890ac52d0df67ed7cfdf51b644e901'/></items>",
    );
    let items = convoke_pubsub::client::parse_items(&answers[0].payload().unwrap()).unwrap();
    assert_eq!(items[0].payload, Some(convoke_xmpp::Element::parse(payload).unwrap()));
}

/// Examples 82 and 95.
#[test]
fn a_node_without_items_and_a_missing_item_give_an_empty_list() {
    let house = House::with_node(open_config());
    for items in ["<items node='princely_musings'/>", "<items node='princely_musings'><item id='gone'/></items>"] {
        house.exchange(
            &format!(
                "<iq type='get' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='items1'>
                   <pubsub xmlns='http://jabber.org/protocol/pubsub'>{items}</pubsub>
                 </iq>"
            ),
            &["<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='items1'>
                 <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='princely_musings'/></pubsub>
               </iq>"],
        );
    }
}

/// Section 4.6.2: a NodeID conforms to the profile of resourceparts.
#[test]
fn names_of_nodes_are_compared_in_their_normal_form() {
    let house = House::new();
    house.done("hamlet@denmark.lit", "set", "<create node='na\u{ef}ve'/>");
    assert_eq!(verdict(&house.request("hamlet@denmark.lit", "set", "<create node='nai\u{308}ve'/>")), "conflict");
    assert_eq!(verdict(&house.request("hamlet@denmark.lit", "set", "<create node='NA\u{cf}VE'/>")), "result");
}

fn error(id: &str, kind: &str, condition: &str, specific: &str) -> String {
    let specific = match specific {
        "" => String::new(),
        name => format!("<{name} xmlns='http://jabber.org/protocol/pubsub#errors'/>"),
    };
    format!(
        "<iq type='error' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='{id}'>
           <error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>{specific}</error>
         </iq>"
    )
}

fn sent(id: &str, kind: &str, verb: &str) -> String {
    format!(
        "<iq type='{kind}' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='{id}'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>{verb}</pubsub>
         </iq>"
    )
}

/// Examples 31, 32, 33 and 37.
#[test]
fn who_is_not_admitted_does_not_subscribe_and_learns_why() {
    for (model, kind, condition, specific) in [
        ("presence", "auth", "not-authorized", "presence-subscription-required"),
        ("roster", "auth", "not-authorized", "not-in-roster-group"),
        ("whitelist", "cancel", "not-allowed", "closed-node"),
        ("outcast", "auth", "forbidden", ""),
    ] {
        let subscribe = "<subscribe node='princely_musings' jid='francisco@denmark.lit'/>";
        closed(model).exchange(&sent("sub1", "set", subscribe), &[&error("sub1", kind, condition, specific)]);
    }
}

/// Examples 86, 89, 90, 91 and 93.
#[test]
fn who_is_not_admitted_retrieves_no_items_and_learns_why() {
    for (model, kind, condition, specific) in [
        ("authorize", "auth", "not-authorized", "not-subscribed"),
        ("presence", "auth", "not-authorized", "presence-subscription-required"),
        ("roster", "auth", "not-authorized", "not-in-roster-group"),
        ("whitelist", "cancel", "not-allowed", "closed-node"),
        ("outcast", "auth", "forbidden", ""),
    ] {
        let items = "<items node='princely_musings'/>";
        closed(model).exchange(&sent("items1", "get", items), &[&error("items1", kind, condition, specific)]);
    }
}

/// A node of this access model, or from which francisco is banned.
fn closed(model: &str) -> House {
    let house = House::with_node(open_config());
    match model {
        "outcast" => house.affiliate("francisco@denmark.lit", "outcast"),
        model => drop(house.configure(&[("pubsub#access_model", &[model])])),
    }
    house
}

/// Example 39 (`pubsub#subscribe`); who has subscribed before stays a subscriber.
#[test]
fn a_node_that_takes_no_subscriptions_says_so() {
    let house = House::with_node(open_config());
    house.subscribe("bernardo@denmark.lit");
    house.configure(&[("pubsub#subscribe", &["0"])]);
    house.exchange(
        &sent("sub1", "set", "<subscribe node='princely_musings' jid='francisco@denmark.lit'/>"),
        &["<iq type='error' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='sub1'>
             <error type='cancel'>
               <feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
               <unsupported xmlns='http://jabber.org/protocol/pubsub#errors' feature='subscribe'/>
             </error>
           </iq>"],
    );
    assert_eq!(house.publish("1", "<a xmlns='urn:a'/>").len(), 1);
}
