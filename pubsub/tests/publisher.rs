//! XEP-0060, section 7: publisher use cases.

use convoke_pubsub::{ItemReply, NodeConfig, NotificationType, PubSubConfig, client};

use crate::support::{House, item_ids, open_config, verdict, with_node_config};

const BLOGBOT: &str = "hamlet@denmark.lit/blogbot";
const RETRACT: &str = "<retract node='princely_musings'><item id='ae890ac52d0df67ed7cfdf51b644e901'/></retract>";
const RETRACTED: &str = "<message type='headline' from='pubsub.shakespeare.lit' to='francisco@denmark.lit'>
       <event xmlns='http://jabber.org/protocol/pubsub#event'>
         <items node='princely_musings'><retract id='ae890ac52d0df67ed7cfdf51b644e901'/></items>
       </event>
     </message>";

fn notified(to: &str, item: &str) -> String {
    format!(
        "<message type='headline' from='pubsub.shakespeare.lit' to='{to}'>
           <event xmlns='http://jabber.org/protocol/pubsub#event'>
             <items node='princely_musings'>{item}</items>
           </event>
         </message>"
    )
}

/// Examples 96, 98 and 100: the publisher is answered first, then every subscriber is notified once.
#[test]
fn a_publisher_publishes_an_item_and_every_subscriber_is_notified() {
    let house = House::with_node(open_config());
    let subscribers =
        ["bernardo@denmark.lit", "francisco@denmark.lit", "horatio@denmark.lit/full", "bard@shakespeare.lit"];
    for jid in subscribers {
        house.subscribe(jid);
    }
    let item = "<item id='bnd81g37d61f49fgn581'>
           <entry xmlns='http://www.w3.org/2005/Atom'>
             <title>Soliloquy</title>
             <summary>To be, or not to be: that is the question</summary>
             <link rel='alternate' type='text/html' href='http://denmark.lit/2003/12/13/atom03'/>
           </entry>
         </item>";
    let result = "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/blogbot' id='publish1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='princely_musings'/></pubsub>
         </iq>";
    let events = subscribers.map(|jid| notified(jid, item));
    let received: Vec<_> = [result].into_iter().chain(events.iter().map(String::as_str)).collect();
    house.exchange(
        &format!(
            "<iq type='set' from='hamlet@denmark.lit/blogbot' to='pubsub.shakespeare.lit' id='publish1'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='princely_musings'>{item}</publish></pubsub>
             </iq>"
        ),
        &received,
    );
}

/// Section 13.4.
#[test]
fn every_notification_has_an_id_of_its_own() {
    let house = House::with_node(open_config());
    for jid in ["bard@shakespeare.lit", "bernardo@denmark.lit"] {
        house.subscribe(jid);
    }
    let mut events = house.publish("1", "<a xmlns='urn:a'/>");
    events.extend(house.publish("1", "<a xmlns='urn:a'/>"));
    let mut ids: Vec<_> = events.iter().map(|event| event.id().unwrap()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

/// Examples 97 and 99.
#[test]
fn an_item_without_an_id_is_given_one() {
    let house = House::with_node(open_config());
    house.subscribe("francisco@denmark.lit");
    let answers =
        house.request(BLOGBOT, "set", "<publish node='princely_musings'><item><a xmlns='urn:a'/></item></publish>");
    let result = answers[0].payload().unwrap();
    let id = client::published_id(&result).unwrap();
    assert_eq!(id.len(), 32);
    assert_eq!(item_ids(&house.request(BLOGBOT, "get", "<items node='princely_musings'/>")), [id]);
    assert!(answers[1].text().contains(&format!("<item id='{id}'>")));
}

/// Section 7.1.2: "the service MUST overwrite the old item with the new item"; section 13.1: it becomes the newest.
#[test]
fn an_item_of_the_same_id_is_overwritten_and_notified_again() {
    let house = House::with_node(open_config());
    house.subscribe("francisco@denmark.lit");
    for (id, payload) in
        [("current", "<a xmlns='urn:a'/>"), ("b", "<a xmlns='urn:a'/>"), ("current", "<z xmlns='urn:z'/>")]
    {
        assert_eq!(house.publish(id, payload).len(), 1);
    }
    let answers = house.request(BLOGBOT, "get", "<items node='princely_musings'/>");
    let items = client::parse_items(&answers[0].payload().unwrap()).unwrap();
    assert_eq!(items.iter().map(|item| &*item.id).collect::<Vec<_>>(), ["b", "current"]);
    assert!(items[1].payload.as_ref().unwrap().is("z", "urn:z"));
}

/// Examples 102 and 103: the service makes the attribute; what the publisher writes there does not count.
#[test]
fn the_publisher_is_named_where_the_service_is_told_so() {
    let config = with_node_config(NodeConfig { item_reply: ItemReply::Publisher, ..NodeConfig::default() });
    let house = House::with_node(config);
    house.subscribe("francisco@denmark.lit");
    let publish = "<publish node='princely_musings'><item id='i' publisher='claudius@denmark.lit'>\
                   <a xmlns='urn:a'/></item></publish>";
    let event = &house.done(BLOGBOT, "set", publish)[0];
    let Some(client::Event::Items { changes, .. }) = client::parse_event(event) else { panic!("{event:?}") };
    let [client::Change::Published(item)] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!(item.publisher.as_ref().unwrap().as_str(), "hamlet@denmark.lit");
    let answers = house.request(BLOGBOT, "get", "<items node='princely_musings'/>");
    assert_eq!(client::parse_items(&answers[0].payload().unwrap()).unwrap().first(), Some(item));
}

#[test]
fn the_publisher_is_not_named_by_default() {
    let house = House::with_node(open_config());
    house.subscribe("francisco@denmark.lit");
    let event = &house.publish("i", "<a xmlns='urn:a'/>")[0];
    assert!(!event.text().contains("publisher"), "{event:?}");
}

#[test]
fn notifications_are_normal_messages_where_the_service_is_told_so() {
    let config = with_node_config(NodeConfig { notification_type: NotificationType::Normal, ..NodeConfig::default() });
    let house = House::with_node(config);
    house.subscribe("francisco@denmark.lit");
    let event = &house.publish("i", "<a xmlns='urn:a'/>")[0];
    assert_eq!(event.kind().type_attribute(), None);
}

/// Examples 105, 107, 109 to 112 and 114, and what section 7.1 says without an example.
#[test]
fn a_wrong_publication_is_refused_with_its_own_condition() {
    let config = PubSubConfig { max_payload_bytes: 100, ..open_config() };
    let house = House::with_node(config);
    house.subscribe("francisco@denmark.lit");
    let payload = "<a xmlns='urn:a'/>";
    let large = format!("<a xmlns='urn:a'>{}</a>", "x".repeat(100));
    for (node, content, expected) in [
        ("node='nowhere'", format!("<item>{payload}</item>"), "item-not-found"),
        ("", format!("<item>{payload}</item>"), "bad-request/nodeid-required"),
        ("node='princely_musings'", String::new(), "bad-request/item-required"),
        ("node='princely_musings'", "<item id='1'/>".to_owned(), "bad-request/payload-required"),
        ("node='princely_musings'", format!("<item>{payload}{payload}</item>"), "bad-request/invalid-payload"),
        ("node='princely_musings'", format!("<item>text{payload}</item>"), "bad-request/invalid-payload"),
        ("node='princely_musings'", format!("<item>{large}</item>"), "not-acceptable/payload-too-big"),
        ("node='princely_musings'", format!("<item>{payload}</item><item>{payload}</item>"), "bad-request"),
        ("node='princely_musings'", format!("<item id='{}'>{payload}</item>", "i".repeat(1024)), "not-acceptable"),
    ] {
        let answers = house.request(BLOGBOT, "set", &format!("<publish {node}>{content}</publish>"));
        assert_eq!((answers.len(), verdict(&answers).as_str()), (1, expected), "{content}");
    }
    assert!(item_ids(&house.request(BLOGBOT, "get", "<items node='princely_musings'/>")).is_empty());
}

/// Example 105.
#[test]
fn who_is_no_publisher_may_not_publish() {
    House::with_node(open_config()).exchange(
        "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='publish1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <publish node='princely_musings'><item><a xmlns='urn:a'/></item></publish>
           </pubsub>
         </iq>",
        &["<iq type='error' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='publish1'>
             <error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>
           </iq>"],
    );
}

/// Examples 115 to 117, with the attribute `notify` and without it.
#[test]
fn a_publisher_retracts_an_item_and_the_subscribers_are_notified() {
    let house = House::with_node(open_config());
    for notify in ["", " notify='true'", " notify='1'"] {
        house.publish("ae890ac52d0df67ed7cfdf51b644e901", "<a xmlns='urn:a'/>");
        house.subscribe("francisco@denmark.lit");
        house.exchange(
            &format!(
                "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='retract1'>
                   <pubsub xmlns='http://jabber.org/protocol/pubsub'>
                     <retract node='princely_musings'{notify}><item id='ae890ac52d0df67ed7cfdf51b644e901'/></retract>
                   </pubsub>
                 </iq>"
            ),
            &[
                "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='retract1'/>",
                RETRACTED,
            ],
        );
    }
    assert!(item_ids(&house.request(BLOGBOT, "get", "<items node='princely_musings'/>")).is_empty());
}

#[test]
fn a_retraction_is_silent_where_the_request_or_the_service_says_so() {
    let silent = with_node_config(NodeConfig { notify_retract: false, ..NodeConfig::default() });
    for (config, notify, events) in
        [(open_config(), " notify='false'", 0), (silent.clone(), "", 0), (silent, " notify='true'", 1)]
    {
        let house = House::with_node(config);
        house.subscribe("francisco@denmark.lit");
        house.publish("1", "<a xmlns='urn:a'/>");
        let retract = format!("<retract node='princely_musings'{notify}><item id='1'/></retract>");
        assert_eq!(house.done(BLOGBOT, "set", &retract).len(), events, "{notify}");
    }
}

/// Examples 119 to 122.
#[test]
fn a_wrong_retraction_is_refused_with_its_own_condition() {
    let house = House::with_node(open_config());
    house.publish("1", "<a xmlns='urn:a'/>");
    for (retract, expected) in [
        (RETRACT, "item-not-found"),
        ("<retract node='nowhere'><item id='1'/></retract>", "item-not-found"),
        ("<retract><item id='1'/></retract>", "bad-request/nodeid-required"),
        ("<retract node='princely_musings'/>", "bad-request/item-required"),
        ("<retract node='princely_musings'><item/></retract>", "bad-request/item-required"),
        ("<retract node='princely_musings'><item id='1'/><item id='2'/></retract>", "bad-request"),
        ("<retract node='princely_musings' notify='perhaps'><item id='1'/></retract>", "bad-request"),
    ] {
        assert_eq!(verdict(&house.request(BLOGBOT, "set", retract)), expected, "{retract}");
    }
    let stranger =
        house.request("claudius@denmark.lit", "set", "<retract node='princely_musings'><item id='1'/></retract>");
    assert_eq!(verdict(&stranger), "forbidden");
    assert_eq!(item_ids(&house.request(BLOGBOT, "get", "<items node='princely_musings'/>")), ["1"]);
}
