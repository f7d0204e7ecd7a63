//! XEP-0060, sections 6.3 and 6.4: subscription options.

use crate::support::{House, field_values, form, open_config, verdict};

const BARRACKS: &str = "francisco@denmark.lit/barracks";
const OPTIONS: &str = "http://jabber.org/protocol/pubsub#subscribe_options";

fn subscribed() -> House {
    let house = House::with_node(open_config());
    house.done(BARRACKS, "set", "<subscribe node='princely_musings' jid='francisco@denmark.lit'/>");
    house
}

fn submitted(fields: &[(&str, &[&str])]) -> String {
    format!("<options node='princely_musings' jid='francisco@denmark.lit'>{}</options>", form(OPTIONS, fields))
}

/// What is chosen at the moment, by the short names of the fields.
fn chosen(house: &House, name: &str) -> String {
    let answers = house.request(BARRACKS, "get", "<options node='princely_musings' jid='francisco@denmark.lit'/>");
    field_values(&answers[0], name)
}

/// Examples 55 and 56.
#[test]
fn a_subscriber_is_shown_the_options_and_what_is_chosen() {
    subscribed().exchange(
        "<iq type='get' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='options1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <options node='princely_musings' jid='francisco@denmark.lit'/>
           </pubsub>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='options1'>
             <pubsub xmlns='http://jabber.org/protocol/pubsub'>
               <options node='princely_musings' jid='francisco@denmark.lit'>
                 <x xmlns='jabber:x:data' type='form'>
                   <field var='FORM_TYPE' type='hidden'>
                     <value>http://jabber.org/protocol/pubsub#subscribe_options</value>
                   </field>
                   <field var='pubsub#deliver' type='boolean' label='Whether to deliver notifications'>
                     <value>1</value>
                   </field>
                   <field var='pubsub#digest' type='boolean' label='Whether to collect notifications into digests'>
                     <value>0</value>
                   </field>
                   <field var='pubsub#digest_frequency' type='text-single'
                          label='The milliseconds between two digests'><value>60000</value></field>
                   <field var='pubsub#expire' type='text-single'
                          label='When the subscription ends: a moment, or `presence`'/>
                   <field var='pubsub#show-values' type='list-multi'
                          label='The presence states in which to deliver notifications'>
                     <option><value>away</value></option>
                     <option><value>chat</value></option>
                     <option><value>dnd</value></option>
                     <option><value>online</value></option>
                     <option><value>xa</value></option>
                     <value>away</value>
                     <value>chat</value>
                     <value>dnd</value>
                     <value>online</value>
                     <value>xa</value>
                   </field>
                 </x>
               </options>
             </pubsub>
           </iq>"],
    );
}

/// Examples 64 and 65; what the form leaves out stays as it is (XEP-0004).
#[test]
fn a_subscriber_chooses_options() {
    let house = subscribed();
    house.done(BARRACKS, "set", &submitted(&[("pubsub#digest_frequency", &["5000"])]));
    house.exchange(
        "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='options2'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <options node='princely_musings' jid='francisco@denmark.lit'>
               <x xmlns='jabber:x:data' type='submit'>
                 <field var='FORM_TYPE' type='hidden'>
                   <value>http://jabber.org/protocol/pubsub#subscribe_options</value>
                 </field>
                 <field var='pubsub#deliver'><value>0</value></field>
                 <field var='pubsub#digest'><value>0</value></field>
                 <field var='pubsub#include_body'><value>false</value></field>
                 <field var='pubsub#show-values'>
                   <value>chat</value>
                   <value>online</value>
                   <value>away</value>
                 </field>
               </x>
             </options>
           </pubsub>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='options2'/>"],
    );
    assert_eq!(chosen(&house, "pubsub#deliver"), "0");
    assert_eq!(chosen(&house, "pubsub#digest_frequency"), "5000");
    assert_eq!(chosen(&house, "pubsub#show-values"), "away chat online");
    assert!(house.publish("1", "<a xmlns='urn:a'/>").is_empty(), "nothing is to be delivered");
}

#[test]
fn a_form_that_is_cancelled_changes_nothing() {
    let house = subscribed();
    let cancelled = "<options node='princely_musings' jid='francisco@denmark.lit'>\
                     <x xmlns='jabber:x:data' type='cancel'/></options>";
    house.done(BARRACKS, "set", cancelled);
    assert_eq!(chosen(&house, "pubsub#deliver"), "1");
}

/// Examples 67 and 68.
#[test]
fn an_entity_subscribes_and_chooses_options_at_once() {
    let house = House::with_node(open_config());
    house.exchange(
        "<iq type='set' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='sub1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <subscribe node='princely_musings' jid='francisco@denmark.lit'/>
             <options>
               <x xmlns='jabber:x:data' type='submit'>
                 <field var='FORM_TYPE' type='hidden'>
                   <value>http://jabber.org/protocol/pubsub#subscribe_options</value>
                 </field>
                 <field var='pubsub#deliver'><value>1</value></field>
                 <field var='pubsub#digest'><value>1</value></field>
                 <field var='pubsub#include_body'><value>false</value></field>
               </x>
             </options>
           </pubsub>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='sub1'>
             <pubsub xmlns='http://jabber.org/protocol/pubsub'>
               <subscription node='princely_musings' jid='francisco@denmark.lit' subscription='subscribed'/>
               <options>
                 <x xmlns='jabber:x:data' type='result'>
                   <field var='FORM_TYPE' type='hidden'>
                     <value>http://jabber.org/protocol/pubsub#subscribe_options</value>
                   </field>
                   <field var='pubsub#deliver'><value>1</value></field>
                   <field var='pubsub#digest'><value>1</value></field>
                   <field var='pubsub#digest_frequency'><value>60000</value></field>
                   <field var='pubsub#expire'/>
                   <field var='pubsub#show-values'>
                     <value>away</value>
                     <value>chat</value>
                     <value>dnd</value>
                     <value>online</value>
                     <value>xa</value>
                   </field>
                 </x>
               </options>
             </pubsub>
           </iq>"],
    );
    assert_eq!(chosen(&house, "pubsub#digest"), "1");
}

/// Examples 69 to 71: of a node and of the service.
#[test]
fn the_default_options_are_told_to_everybody() {
    let house = House::with_node(open_config());
    for (request, opening) in
        [("<default node='princely_musings'/>", "<default node='princely_musings'>"), ("<default/>", "<default>")]
    {
        house.exchange(
            &format!(
                "<iq type='get' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='def1'>
                   <pubsub xmlns='http://jabber.org/protocol/pubsub'>{request}</pubsub>
                 </iq>"
            ),
            &[&format!(
                "<iq type='result' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='def1'>
                   <pubsub xmlns='http://jabber.org/protocol/pubsub'>
                     {opening}
                       <x xmlns='jabber:x:data' type='result'>
                         <field var='FORM_TYPE' type='hidden'>
                           <value>http://jabber.org/protocol/pubsub#subscribe_options</value>
                         </field>
                         <field var='pubsub#deliver'><value>1</value></field>
                         <field var='pubsub#digest'><value>0</value></field>
                         <field var='pubsub#digest_frequency'><value>60000</value></field>
                         <field var='pubsub#expire'/>
                         <field var='pubsub#show-values'>
                           <value>away</value>
                           <value>chat</value>
                           <value>dnd</value>
                           <value>online</value>
                           <value>xa</value>
                         </field>
                       </x>
                     </default>
                   </pubsub>
                 </iq>"
            )],
        );
    }
    assert_eq!(verdict(&house.request(BARRACKS, "get", "<default node='nowhere'/>")), "item-not-found");
}

/// Examples 57, 59, 63 and 66, and what section 6.3 says without an example; SubIDs are ignored.
#[test]
fn a_wrong_request_for_options_is_refused_with_its_own_condition() {
    let house = subscribed();
    let options = |attributes: &str, fields: &[(&str, &[&str])]| {
        format!("<options {attributes}>{}</options>", form(OPTIONS, fields))
    };
    let own = "node='princely_musings' jid='francisco@denmark.lit'";
    let foreign = "node='princely_musings' jid='bernardo@denmark.lit'";
    let along = |options: &str| format!("<subscribe {own}/>{options}");
    for (kind, verb, expected) in [
        ("get", format!("<options {foreign}/>"), "forbidden"),
        ("set", options(foreign, &[]), "forbidden"),
        ("get", format!("<options {own} subid='none-was-given'/>"), "result"),
        ("get", "<options node='princely_musings'/>".to_owned(), "bad-request/jid-required"),
        ("get", "<options jid='francisco@denmark.lit'/>".to_owned(), "bad-request/nodeid-required"),
        ("get", "<options node='nowhere' jid='francisco@denmark.lit'/>".to_owned(), "item-not-found"),
        ("set", options("node='nowhere' jid='francisco@denmark.lit'", &[]), "item-not-found"),
        ("set", format!("<options {own}/>"), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#deliver", &["perhaps"])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#deliver", &["1", "0"])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#show-values", &["drunk"])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#show-values", &[])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#digest_frequency", &["99"])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#digest_frequency", &["86400001"])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#expire", &["2006-02-28T11:59:59Z"])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#expire", &["soon"])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#expire", &["9999-12-31T23:59:59-23:59"])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#include_body", &["true"])]), "bad-request/invalid-options"),
        ("set", options(own, &[("pubsub#subscription_type", &["items"])]), "result"),
        (
            "set",
            options(own, &[("pubsub#subscription_type", &["nodes"])]),
            "feature-not-implemented/unsupported collections",
        ),
        (
            "set",
            options(own, &[("pubsub#subscription_depth", &["all"])]),
            "feature-not-implemented/unsupported collections",
        ),
        ("set", options(own, &[("x-unheard-of", &["1"])]), "result"),
        (
            "set",
            format!("<options {own}>{}</options>", form("http://jabber.org/protocol/pubsub#node_config", &[])),
            "bad-request/invalid-options",
        ),
        ("set", along(&options("node='princely_musings'", &[])), "bad-request"),
        ("set", along(&options("jid='francisco@denmark.lit'", &[])), "bad-request"),
        ("set", format!("{}<subscribe {own}/>", options("", &[])), "bad-request"),
        ("set", along(&options("", &[("pubsub#deliver", &["perhaps"])])), "bad-request/invalid-options"),
    ] {
        assert_eq!(verdict(&house.request(BARRACKS, kind, &verb)), expected, "{verb}");
    }
    assert_eq!(chosen(&house, "pubsub#deliver"), "1");
}

/// Example 58.
#[test]
fn who_is_no_subscriber_has_no_options() {
    House::with_node(open_config()).exchange(
        "<iq type='get' from='francisco@denmark.lit/barracks' to='pubsub.shakespeare.lit' id='options1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub'>
             <options node='princely_musings' jid='francisco@denmark.lit'/>
           </pubsub>
         </iq>",
        &["<iq type='error' from='pubsub.shakespeare.lit' to='francisco@denmark.lit/barracks' id='options1'>
             <error type='modify'>
               <unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
               <not-subscribed xmlns='http://jabber.org/protocol/pubsub#errors'/>
             </error>
           </iq>"],
    );
}

/// A subscription that could not be made with its options is not made without them.
#[test]
fn options_that_are_refused_refuse_the_subscription() {
    let house = House::with_node(open_config());
    let verb = format!(
        "<subscribe node='princely_musings' jid='francisco@denmark.lit'/><options>{}</options>",
        form(OPTIONS, &[("pubsub#digest", &["often"])])
    );
    assert_eq!(verdict(&house.request(BARRACKS, "set", &verb)), "bad-request/invalid-options");
    assert!(house.publish("1", "<a xmlns='urn:a'/>").is_empty());
}
