//! XEP-0060, sections 6.1.4, 8.6 and 8.7: subscriptions that an owner approves.

use convoke_xmpp::Stanza;

use crate::support::{House, NODE, field_values, form, open_config, verdict};

const HAMLET: &str = "hamlet@denmark.lit/elsinore";
const AUTHORIZATION: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";
const REQUEST: &str = "<iq type='set' from='horatio@denmark.lit/mobile' to='pubsub.shakespeare.lit' id='sub1'>
       <pubsub xmlns='http://jabber.org/protocol/pubsub'>
         <subscribe node='princely_musings' jid='horatio@denmark.lit'/>
       </pubsub>
     </iq>";

fn authorizing() -> House {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#access_model", &["authorize"])]);
    house
}

fn pending() -> House {
    let house = authorizing();
    house.done("horatio@denmark.lit/mobile", "set", "<subscribe node='princely_musings' jid='horatio@denmark.lit'/>");
    house
}

fn decision(from: &str, kind: &str, allow: &str) -> String {
    let fields: &[(&str, &[&str])] =
        &[("pubsub#node", &[NODE]), ("pubsub#subscriber_jid", &["horatio@denmark.lit"]), ("pubsub#allow", &[allow])];
    let form = form(AUTHORIZATION, fields).replace("type='submit'", &format!("type='{kind}'"));
    format!("<message from='{from}' to='pubsub.shakespeare.lit' id='approve1'>{form}</message>")
}

fn told(state: &str) -> String {
    format!(
        "<message type='headline' from='pubsub.shakespeare.lit' to='horatio@denmark.lit'>
           <event xmlns='http://jabber.org/protocol/pubsub#event'>
             <subscription node='princely_musings' jid='horatio@denmark.lit' subscription='{state}'/>
           </event>
         </message>"
    )
}

const AUTHORIZATION_REQUEST: &str = "<message from='pubsub.shakespeare.lit' to='hamlet@denmark.lit'>
       <x xmlns='jabber:x:data' type='form'>
         <field var='FORM_TYPE' type='hidden'>
           <value>http://jabber.org/protocol/pubsub#subscribe_authorization</value>
         </field>
         <field var='pubsub#node' type='text-single' label='Node ID'><value>princely_musings</value></field>
         <field var='pubsub#subscriber_jid' type='jid-single' label='Subscriber Address'>
           <value>horatio@denmark.lit</value>
         </field>
         <field var='pubsub#allow' type='boolean' label='Allow this address to subscribe to this node?'>
           <value>false</value>
         </field>
       </x>
     </message>";

/// Examples 42, 170 and 36: the subscription is pending, the owners are asked, and to ask again changes nothing.
#[test]
fn a_subscription_waits_for_the_approval_of_an_owner() {
    let house = authorizing();
    house.exchange(
        REQUEST,
        &[
            "<iq type='result' from='pubsub.shakespeare.lit' to='horatio@denmark.lit/mobile' id='sub1'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub'>
                 <subscription node='princely_musings' jid='horatio@denmark.lit' subscription='pending'/>
               </pubsub>
             </iq>",
            AUTHORIZATION_REQUEST,
        ],
    );
    house.exchange(
        REQUEST,
        &["<iq type='error' from='pubsub.shakespeare.lit' to='horatio@denmark.lit/mobile' id='sub1'>
             <error type='auth'>
               <not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
               <pending-subscription xmlns='http://jabber.org/protocol/pubsub#errors'/>
             </error>
           </iq>"],
    );
    assert!(house.publish("1", "<a xmlns='urn:a'/>").is_empty(), "section 4.2: nothing is sent yet");
    let items = house.request("horatio@denmark.lit", "get", "<items node='princely_musings'/>");
    assert_eq!(verdict(&items), "not-authorized/not-subscribed", "example 86");
}

/// Examples 171, 172 and 224; the last item follows (section 13.10).
#[test]
fn an_owner_approves_a_subscription() {
    let house = pending();
    house.publish("1", "<a xmlns='urn:a'/>");
    let last = "<message type='headline' from='pubsub.shakespeare.lit' to='horatio@denmark.lit'>
           <event xmlns='http://jabber.org/protocol/pubsub#event'>
             <items node='princely_musings'><item id='1'><a xmlns='urn:a'/></item></items>
           </event>
         </message>";
    house.exchange(&decision(HAMLET, "submit", "true"), &[&told("subscribed"), last]);
    assert_eq!(house.publish("2", "<a xmlns='urn:a'/>").len(), 1);
    house.exchange(&decision(HAMLET, "submit", "false"), &[]);
    assert_eq!(house.publish("3", "<a xmlns='urn:a'/>").len(), 1, "the first word counts (section 13.13)");
}

/// Examples 173, 174 and 225.
#[test]
fn an_owner_denies_a_subscription() {
    let house = pending();
    house.exchange(&decision(HAMLET, "submit", "0"), &[&told("none")]);
    assert_eq!(verdict(&house.send(REQUEST)), "result", "whoever was denied may ask again");
}

/// Example 175.
#[test]
fn a_subscription_stays_pending_when_an_owner_cancels_the_form() {
    let house = pending();
    house.exchange(&decision(HAMLET, "cancel", "true"), &[]);
    assert_eq!(verdict(&house.send(REQUEST)), "not-authorized/pending-subscription");
}

/// Section 15.2: who is no owner decides nothing.
#[test]
fn a_wrong_decision_is_refused_with_its_own_condition_and_changes_nothing() {
    let house = pending();
    let wrong = |from: &str, to: &str| decision(HAMLET, "submit", "1").replace(from, to);
    for (message, expected) in [
        (decision("claudius@denmark.lit", "submit", "1"), "forbidden"),
        (decision("horatio@denmark.lit/mobile", "submit", "1"), "forbidden"),
        (wrong(">princely_musings<", ">nowhere<"), "item-not-found"),
        (wrong(">princely_musings<", "><"), "bad-request/nodeid-required"),
        (wrong(">horatio@denmark.lit<", "><"), "bad-request/jid-required"),
        (wrong(">horatio@denmark.lit<", ">@<"), "bad-request/invalid-jid"),
        (decision(HAMLET, "submit", "perhaps"), "bad-request"),
        (decision(HAMLET, "submit", ""), "bad-request"),
        (decision(HAMLET, "result", "1"), "bad-request"),
        (wrong("subscribe_authorization", "node_config"), "service-unavailable"),
    ] {
        let answers = house.send(&message);
        assert_eq!((answers.len(), verdict(&answers).as_str()), (1, expected), "{message}");
    }
    assert_eq!(verdict(&house.send(REQUEST)), "not-authorized/pending-subscription");
}

/// Section 8.7.4: what an affiliation decides needs no owner's word any more.
#[test]
fn an_affiliation_approves_or_rejects_what_is_pending() {
    for (affiliation, state) in
        [("owner", "subscribed"), ("publisher", "subscribed"), ("member", "subscribed"), ("outcast", "none")]
    {
        let house = pending();
        let change = format!(
            "<affiliations node='{NODE}'><affiliation jid='horatio@denmark.lit' affiliation='{affiliation}'/></affiliations>"
        );
        let sent = house.owner_request(HAMLET, "set", &change);
        assert!(sent[1].text().contains(&format!("subscription='{state}'")), "{affiliation}: {sent:?}");
    }
}

/// Section 8.8.2: an owner's list of subscriptions leaves out those that are pending, and a change of it approves them.
#[test]
fn an_owner_approves_a_subscription_by_changing_it() {
    let house = pending();
    let list = house.owner_request(HAMLET, "get", "<subscriptions node='princely_musings'/>");
    assert!(!list[0].text().contains("horatio"));
    let approve = "<subscriptions node='princely_musings'>\
                   <subscription jid='horatio@denmark.lit' subscription='subscribed'/></subscriptions>";
    let sent = house.owner_request(HAMLET, "set", approve);
    assert!(sent[1].text().contains("subscription='subscribed'"), "{sent:?}");
}

fn command(from: &str, content: &str) -> String {
    format!(
        "<iq type='set' from='{from}' to='pubsub.shakespeare.lit' id='pending1'>
           <command xmlns='http://jabber.org/protocol/commands'
                    node='http://jabber.org/protocol/pubsub#get-pending' {content}
         </iq>"
    )
}

fn chosen(node: &str) -> String {
    let form = form(AUTHORIZATION, &[("pubsub#node", &[node])]);
    format!("action='execute' sessionid='get-pending'>{form}</command>")
}

/// Examples 176, 177, 182 and 183; the status is that of XEP-0050, where example 183 has an action.
#[test]
fn an_owner_asks_for_the_requests_that_are_pending() {
    let house = pending();
    house.done(HAMLET, "set", "<create node='news_from_elsinore'/>");
    house.exchange(
        &command(HAMLET, "action='execute'/>"),
        &["<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='pending1'>
             <command xmlns='http://jabber.org/protocol/commands' sessionid='get-pending'
                      node='http://jabber.org/protocol/pubsub#get-pending' status='executing'>
               <actions execute='complete'><complete/></actions>
               <x xmlns='jabber:x:data' type='form'>
                 <field var='FORM_TYPE' type='hidden'>
                   <value>http://jabber.org/protocol/pubsub#subscribe_authorization</value>
                 </field>
                 <field type='list-single' var='pubsub#node' label='The node'>
                   <option><value>princely_musings</value></option>
                 </field>
               </x>
             </command>
           </iq>"],
    );
    house.exchange(
        &command(HAMLET, &chosen("princely_musings")),
        &[
            "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='pending1'>
               <command xmlns='http://jabber.org/protocol/commands' sessionid='get-pending'
                        node='http://jabber.org/protocol/pubsub#get-pending' status='completed'/>
             </iq>",
            &AUTHORIZATION_REQUEST.replace("to='hamlet@denmark.lit'", "to='hamlet@denmark.lit/elsinore'"),
        ],
    );
    assert_eq!(field_values(&house.send(&command(HAMLET, &chosen("princely_musings")))[1], "pubsub#node"), NODE);
}

/// Examples 180 and 181, and what XEP-0050 says.
#[test]
fn a_wrong_command_is_refused_with_its_own_condition() {
    let house = pending();
    for (from, content, expected) in [
        ("claudius@denmark.lit", "action='execute'/>".to_owned(), "forbidden"),
        ("claudius@denmark.lit", chosen(NODE), "forbidden"),
        (HAMLET, chosen("nowhere"), "item-not-found"),
        (HAMLET, chosen(""), "bad-request/bad-payload"),
        (HAMLET, "action='prev'/>".to_owned(), "bad-request/bad-action"),
        (HAMLET, "action='cancel'/>".to_owned(), "result"),
        (HAMLET, "/>".to_owned(), "result"),
    ] {
        assert_eq!(verdict(&house.send(&command(from, &content))), expected, "{content}");
    }
    let error = house.send(&command("claudius@denmark.lit", "action='execute'/>"))[0].error().unwrap();
    assert_eq!(error.error_type, convoke_xmpp::ErrorType::Cancel, "as example 180 has it");
    let unknown = command(HAMLET, "/>").replace("#get-pending", "#unheard-of");
    assert_eq!(verdict(&house.send(&unknown)), "item-not-found");
}

/// XEP-0050, section 2.2.
#[test]
fn the_command_is_discovered() {
    let house = House::new();
    let query = |kind: &str, node: &str| -> Vec<Stanza> {
        house.send(&format!(
            "<iq type='get' from='{HAMLET}' to='pubsub.shakespeare.lit' id='d'>\
             <query xmlns='http://jabber.org/protocol/disco#{kind}' node='{node}'/></iq>"
        ))
    };
    let commands = query("items", "http://jabber.org/protocol/commands")[0].payload().unwrap();
    let names: Vec<_> = commands.children().filter_map(|item| item.attribute("node")).collect();
    assert_eq!(names, ["http://jabber.org/protocol/pubsub#get-pending"]);
    let info = query("info", names[0])[0].payload().unwrap();
    assert_eq!(info.children().next().unwrap().attribute("type"), Some("command-node"));
}
