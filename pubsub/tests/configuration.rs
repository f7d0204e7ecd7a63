//! XEP-0060, sections 8.1.2, 8.1.3, 8.2 and 8.3: the configuration of nodes.

use convoke_pubsub::{AccessModel, NodeConfig, PubSubConfig};

use crate::support::{House, NODE, field_values, form, item_ids, open_config, verdict, with_node_config};

const HAMLET: &str = "hamlet@denmark.lit/elsinore";
const CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";

fn create(fields: &[(&str, &[&str])]) -> String {
    format!("<create node='princely_musings'/><configure>{}</configure>", form(CONFIG, fields))
}

fn configure(fields: &[(&str, &[&str])]) -> String {
    format!("<configure node='princely_musings'>{}</configure>", form(CONFIG, fields))
}

fn configured(house: &House, name: &str) -> String {
    let answers = house.owner_request(HAMLET, "get", "<configure node='princely_musings'/>");
    field_values(&answers[0], name)
}

/// The form that examples 140 and 154 show, of a node that is as the service makes it.
fn filled(access_model: &str, title: &str) -> String {
    let boolean = |name: &str, label: &str, value: &str| {
        format!("<field var='pubsub#{name}' type='boolean' label='{label}'><value>{value}</value></field>")
    };
    let list = |name: &str, label: &str, options: &[&str], value: &str| {
        let options: String = options.iter().map(|o| format!("<option><value>{o}</value></option>")).collect();
        format!("<field var='pubsub#{name}' type='list-single' label='{label}'>{options}<value>{value}</value></field>")
    };
    let max = |name: &str, label: &str| {
        format!(
            "<field var='pubsub#{name}' type='text-single' label='{label}'>
               <validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='pubsub:integer-or-max'>
                 <range min='1'/>
               </validate>
               <value>max</value>
             </field>"
        )
    };
    let models = ["open", "presence", "roster", "authorize", "whitelist"];
    [
        format!(
            "<x xmlns='jabber:x:data' type='form'>
               <field var='FORM_TYPE' type='hidden'>
                 <value>http://jabber.org/protocol/pubsub#node_config</value>
               </field>
               <field var='pubsub#title' type='text-single' label='A friendly name for the node'>{title}</field>
               <field var='pubsub#description' type='text-single' label='A description of the node'/>
               <field var='pubsub#type' type='text-single' label='The namespace of the payloads'/>
               <field var='pubsub#language' type='text-single' label='The default language of the node'/>
               <field var='pubsub#dataform_xslt' type='text-single'
                      label='The URL of an XSL transformation of payloads into data forms'/>
               <field var='pubsub#contact' type='jid-multi' label='The addresses of those to contact with questions'/>"
        ),
        list("access_model", "Who may subscribe and retrieve items", &models, access_model),
        "<field var='pubsub#roster_groups_allowed' type='text-multi'
                label='The roster groups allowed to subscribe and retrieve items'/>"
            .to_owned(),
        list("publish_model", "Who may publish", &["publishers", "subscribers", "open"], "publishers"),
        boolean("persist_items", "Whether to persist items to storage", "1"),
        max("max_items", "The maximum number of items to persist"),
        max("item_expire", "Seconds after which to automatically purge items"),
        list(
            "publish_node_full",
            "What to do when publishing on a full node",
            &["retract-oldest", "discard-oldest", "reject"],
            "retract-oldest",
        ),
        "<field var='pubsub#max_payload_size' type='text-single' label='The maximum payload size in bytes'>
           <value>65536</value>
         </field>"
            .to_owned(),
        boolean("deliver_notifications", "Whether to deliver event notifications", "1"),
        boolean("deliver_payloads", "Whether to deliver payloads with event notifications", "1"),
        boolean("subscribe", "Whether to allow subscriptions", "1"),
        boolean("notify_config", "Whether to notify subscribers when the configuration changes", "0"),
        boolean("notify_delete", "Whether to notify subscribers when the node is deleted", "1"),
        boolean("notify_retract", "Whether to notify subscribers when items are removed", "1"),
        boolean("notify_sub", "Whether to notify owners about new subscribers and unsubscribes", "0"),
        list(
            "send_last_published_item",
            "When to send the last published item",
            &["never", "on_sub", "on_sub_and_presence"],
            "on_sub_and_presence",
        ),
        boolean("presence_based_delivery", "Whether to deliver notifications to available users only", "0"),
        list("notification_type", "The delivery style for notifications", &["headline", "normal"], "headline"),
        list("itemreply", "Whether items name their publisher", &["none", "publisher"], "none"),
        boolean("purge_offline", "Whether to purge a publisher&apos;s items when it goes offline", "0"),
        boolean("tempsub", "Whether subscriptions end with the subscriber&apos;s presence", "0"),
        "</x>".to_owned(),
    ]
    .concat()
}

/// Examples 139 and 140.
#[test]
fn an_owner_is_shown_the_configuration() {
    let house = House::new();
    let fields: &[(&str, &[&str])] =
        &[("pubsub#access_model", &["whitelist"]), ("pubsub#title", &["Princely Musings (Atom)"])];
    house.done(HAMLET, "set", &create(fields));
    house.exchange(
        "<iq type='get' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='config1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='princely_musings'/></pubsub>
         </iq>",
        &[&format!(
            "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='config1'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
                 <configure node='princely_musings'>{}</configure>
               </pubsub>
             </iq>",
            filled("whitelist", "<value>Princely Musings (Atom)</value>")
        )],
    );
}

/// Examples 152 and 154.
#[test]
fn everybody_is_shown_the_default_configuration() {
    House::new().exchange(
        "<iq type='get' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='def1'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><default/></pubsub>
         </iq>",
        &[&format!(
            "<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='def1'>
               <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><default>{}</default></pubsub>
             </iq>",
            filled("open", "")
        )],
    );
}

/// Example 153: there are no collections.
#[test]
fn only_leaves_have_a_default_configuration() {
    let house = House::new();
    let default = |attributes: &str| verdict(&house.owner_request(HAMLET, "get", &format!("<default {attributes}/>")));
    assert_eq!(default("type='collection'"), "feature-not-implemented/unsupported collections");
    assert_eq!(default("type='leaf'"), "result");
}

#[test]
fn a_node_has_the_configuration_of_the_service_where_nothing_else_is_said() {
    let node = NodeConfig { access_model: AccessModel::Whitelist, max_items: Some(7), ..NodeConfig::default() };
    let config = PubSubConfig { max_items_per_node: 5, max_payload_bytes: 100, ..with_node_config(node) };
    let house = House::with_node(config);
    assert_eq!(configured(&house, "pubsub#access_model"), "whitelist");
    assert_eq!(configured(&house, "pubsub#max_items"), "5");
    assert_eq!(configured(&house, "pubsub#max_payload_size"), "100");
}

/// Examples 134, 135, 137 and 138: all that the example configures is so afterwards; `body_xslt` is not understood and
/// ignored (XEP-0004, section 3.2).
#[test]
fn a_node_is_created_and_configured_at_once() {
    let house = House::new();
    let fields: &[(&str, &[&str])] = &[
        ("pubsub#title", &["Princely Musings (Atom)"]),
        ("pubsub#deliver_notifications", &["1"]),
        ("pubsub#deliver_payloads", &["1"]),
        ("pubsub#persist_items", &["1"]),
        ("pubsub#max_items", &["10"]),
        ("pubsub#item_expire", &["604800"]),
        ("pubsub#access_model", &["whitelist"]),
        ("pubsub#publish_model", &["open"]),
        ("pubsub#purge_offline", &["0"]),
        ("pubsub#send_last_published_item", &["never"]),
        ("pubsub#presence_based_delivery", &["0"]),
        ("pubsub#notification_type", &["normal"]),
        ("pubsub#notify_config", &["0"]),
        ("pubsub#notify_delete", &["0"]),
        ("pubsub#notify_retract", &["0"]),
        ("pubsub#notify_sub", &["0"]),
        ("pubsub#max_payload_size", &["1028"]),
        ("pubsub#type", &["urn:example:e2ee:bundle"]),
        ("pubsub#dataform_xslt", &["http://jabxslt.jabberstudio.org/atom_dataform.xslt"]),
    ];
    let with_unknown: Vec<_> =
        fields.iter().copied().chain([("pubsub#body_xslt", &["http://x.example"][..])]).collect();
    let answers = house.request(HAMLET, "set", &create(&with_unknown));
    assert_eq!((answers.len(), verdict(&answers).as_str()), (1, "result"));
    for (name, values) in fields {
        assert_eq!(configured(&house, name), values.join(" "), "{name}");
    }
}

/// Examples 146 and 148; what the form leaves out stays as it is (XEP-0004).
#[test]
fn an_owner_configures_a_node() {
    let house = House::with_node(open_config());
    house.exchange(
        "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='config2'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
             <configure node='princely_musings'>
               <x xmlns='jabber:x:data' type='submit'>
                 <field var='FORM_TYPE' type='hidden'>
                   <value>http://jabber.org/protocol/pubsub#node_config</value>
                 </field>
                 <field var='pubsub#title'><value>Princely Musings (Atom)</value></field>
                 <field var='pubsub#access_model'><value>roster</value></field>
                 <field var='pubsub#roster_groups_allowed'>
                   <value>friends</value>
                   <value>servants</value>
                   <value>courtiers</value>
                 </field>
                 <field var='pubsub#body_xslt'>
                   <value>http://jabxslt.jabberstudio.org/atom_body.xslt</value>
                 </field>
               </x>
             </configure>
           </pubsub>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='config2'/>"],
    );
    assert_eq!(configured(&house, "pubsub#access_model"), "roster");
    assert_eq!(configured(&house, "pubsub#roster_groups_allowed"), "courtiers friends servants");
    house.configure(&[("pubsub#title", &[""])]);
    assert_eq!(configured(&house, "pubsub#title"), "");
    assert_eq!(configured(&house, "pubsub#access_model"), "roster");
}

/// Example 147.
#[test]
fn an_owner_cancels_the_configuration() {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#title", &["before"])]);
    house.exchange(
        "<iq type='set' from='hamlet@denmark.lit/elsinore' to='pubsub.shakespeare.lit' id='config2'>
           <pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>
             <configure node='princely_musings'><x xmlns='jabber:x:data' type='cancel'/></configure>
           </pubsub>
         </iq>",
        &["<iq type='result' from='pubsub.shakespeare.lit' to='hamlet@denmark.lit/elsinore' id='config2'/>"],
    );
    assert_eq!(configured(&house, "pubsub#title"), "before");
}

/// Examples 142, 143, 145 and 149, and what sections 8.1 and 8.2 say without an example.
#[test]
fn a_wrong_configuration_is_refused_with_its_own_condition_and_changes_nothing() {
    let house = House::with_node(PubSubConfig { max_items_per_node: 100, ..open_config() });
    let form_of = |form_type: &str| format!("<configure node='{NODE}'>{}</configure>", form(form_type, &[]));
    for (from, kind, verb, expected) in [
        ("claudius@denmark.lit", "get", "<configure node='princely_musings'/>".to_owned(), "forbidden"),
        ("claudius@denmark.lit", "set", configure(&[("pubsub#title", &["mine"])]), "forbidden"),
        (HAMLET, "get", "<configure/>".to_owned(), "bad-request/nodeid-required"),
        (HAMLET, "set", "<configure/>".to_owned(), "bad-request/nodeid-required"),
        (HAMLET, "get", "<configure node='nowhere'/>".to_owned(), "item-not-found"),
        (HAMLET, "set", configure(&[]).replace("princely_musings", "nowhere"), "item-not-found"),
        (HAMLET, "set", "<configure node='princely_musings'/>".to_owned(), "bad-request"),
        (HAMLET, "set", form_of("http://jabber.org/protocol/pubsub#subscribe_options"), "bad-request"),
        (HAMLET, "set", configure(&[("pubsub#max_items", &["101"])]), "not-acceptable"),
        (HAMLET, "set", configure(&[("pubsub#max_items", &["0"])]), "not-acceptable"),
        (HAMLET, "set", configure(&[("pubsub#max_items", &["many"])]), "not-acceptable"),
        (HAMLET, "set", configure(&[("pubsub#max_payload_size", &["65537"])]), "not-acceptable"),
        (HAMLET, "set", configure(&[("pubsub#persist_items", &["perhaps"])]), "not-acceptable"),
        (HAMLET, "set", configure(&[("pubsub#contact", &["@"])]), "not-acceptable"),
        (HAMLET, "set", configure(&[("pubsub#title", &[&"t".repeat(1_025)])]), "not-acceptable"),
        (HAMLET, "set", configure(&[("pubsub#title", &["t"]), ("pubsub#itemreply", &["king"])]), "not-acceptable"),
        (HAMLET, "set", configure(&[("pubsub#node_type", &["leaf"])]), "result"),
        (HAMLET, "set", configure(&[("pubsub#collection", &[""])]), "result"),
    ] {
        assert_eq!(verdict(&house.owner_request(from, kind, &verb)), expected, "{verb}");
    }
    assert_eq!(configured(&house, "pubsub#title"), "");
}

/// Example 136, and what sections 8.1.2 and 8.1.3 say without an example.
#[test]
fn a_node_that_cannot_be_configured_so_is_not_created() {
    for (verb, expected) in [
        (create(&[("pubsub#access_model", &["king"])]), "not-acceptable/unsupported-access-model"),
        (create(&[("pubsub#node_type", &["collection"])]), "feature-not-implemented/unsupported collections"),
        (create(&[("pubsub#collection", &["announcements"])]), "feature-not-implemented/unsupported collections"),
        (create(&[("pubsub#max_items", &["-1"])]), "not-acceptable"),
        ("<create node='princely_musings'/><configure node='princely_musings'/>".to_owned(), "bad-request"),
        ("<configure/><create node='princely_musings'/>".to_owned(), "bad-request"),
        (format!("<create node='{}'/>", "n".repeat(1024)), "not-acceptable"),
    ] {
        let house = House::new();
        assert_eq!(verdict(&house.request(HAMLET, "set", &verb)), expected, "{verb}");
        assert_eq!(verdict(&house.request(HAMLET, "get", "<items node='princely_musings'/>")), "item-not-found");
    }
    for verb in ["<create node='n'/><configure/>", "<create node='n'/>"] {
        assert_eq!(verdict(&House::new().request(HAMLET, "set", verb)), "result", "{verb}");
    }
}

/// Examples 150 and 151.
#[test]
fn subscribers_hear_of_a_changed_configuration_where_the_node_says_so() {
    let house = House::with_node(open_config());
    house.subscribe("francisco@denmark.lit");
    assert!(house.configure(&[("pubsub#title", &["silent"])]).is_empty());
    let told = house.configure(&[("pubsub#notify_config", &["1"]), ("pubsub#deliver_payloads", &["0"])]);
    let event = |told: &[convoke_xmpp::Stanza]| {
        let event = told[0].to_element();
        event.find("event", "http://jabber.org/protocol/pubsub#event").unwrap().children().next().unwrap().clone()
    };
    let expected = "<configuration xmlns='http://jabber.org/protocol/pubsub#event' node='princely_musings'/>";
    assert_eq!(event(&told).to_string(), expected);
    let told = house.configure(&[("pubsub#title", &["Musings"]), ("pubsub#deliver_payloads", &["1"])]);
    assert_eq!(event(&told).children().next().unwrap().attribute("type"), Some("result"));
    assert_eq!(field_values(&told[0], "pubsub#title"), "Musings");
    assert!(house.configure(&[("pubsub#title", &["Musings"])]).is_empty(), "nothing has changed");
}

/// What a node cannot keep any more goes, and subscribers hear of it.
#[test]
fn items_that_a_node_keeps_no_longer_are_retracted() {
    let house = House::with_node(open_config());
    house.subscribe("francisco@denmark.lit");
    for id in ["a", "b", "c"] {
        house.publish(id, "<a xmlns='urn:a'/>");
    }
    assert_eq!(house.configure(&[("pubsub#max_items", &["1"])]).len(), 2);
    assert_eq!(item_ids(&house.request(HAMLET, "get", "<items node='princely_musings'/>")), ["c"]);
    assert_eq!(house.configure(&[("pubsub#persist_items", &["0"])]).len(), 1);
    house.configure(&[("pubsub#persist_items", &["1"])]);
    assert!(item_ids(&house.request(HAMLET, "get", "<items node='princely_musings'/>")).is_empty());
}

/// Section 15.3: whoever may not subscribe any more is a subscriber no longer, and hears so (section 13.14).
#[test]
fn a_closer_access_model_ends_the_subscriptions_of_those_who_are_left_outside() {
    let house = House::with_node(open_config());
    house.affiliate("bernardo@denmark.lit", "member");
    house.subscribe("bernardo@denmark.lit");
    house.subscribe("francisco@denmark.lit");
    let told = house.configure(&[("pubsub#access_model", &["whitelist"])]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].to().unwrap().as_str(), "francisco@denmark.lit");
    assert!(told[0].text().contains("subscription='none'"));
    assert_eq!(house.publish("1", "<a xmlns='urn:a'/>").len(), 1);
}

/// Section 8.1.2: leaves are the only type there is, and what a form does not say stays the default.
#[test]
fn an_empty_form_is_the_default_configuration() {
    let house = House::new();
    house.done(HAMLET, "set", &create(&[]));
    assert_eq!(configured(&house, "pubsub#access_model"), "open");
}

/// Section 15.3: what a node is from now on is no matter of theirs.
#[test]
fn who_is_shut_out_by_a_configuration_hears_of_its_end_and_of_nothing_else() {
    let house = House::with_node(open_config());
    house.configure(&[("pubsub#notify_config", &["1"])]);
    house.publish("1", "<a xmlns='urn:a'/>");
    house.publish("2", "<a xmlns='urn:a'/>");
    house.subscribe("francisco@denmark.lit");
    let told = house.configure(&[("pubsub#access_model", &["whitelist"]), ("pubsub#max_items", &["1"])]);
    let [ended] = &told[..] else { panic!("{told:?}") };
    assert!(ended.text().contains("subscription='none'"), "{ended:?}");
}
