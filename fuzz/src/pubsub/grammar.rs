//! Four bytes as one thing that happens: what, who, to which node, and how.

use convoke_xmpp::Origin;

use super::stage::{ACCOUNT, SERVICE, Stage};

const PEOPLE: [&str; 5] =
    ["owner@house.example", "juliet@house.example", "romeo@away.example", "mallory@evil.example", "away.example"];
const NODES: [&str; 4] = ["n", "m", "http://jabber.org/protocol/tune", "\u{e9}'&amp;"];
const FIELDS: [(&str, &str); 24] = [
    ("access_model", "open"),
    ("access_model", "presence"),
    ("access_model", "roster"),
    ("access_model", "authorize"),
    ("access_model", "whitelist"),
    ("publish_model", "open"),
    ("publish_model", "subscribers"),
    ("persist_items", "0"),
    ("persist_items", "1"),
    ("deliver_payloads", "0"),
    ("deliver_notifications", "0"),
    ("max_items", "1"),
    ("max_items", "max"),
    ("item_expire", "5"),
    ("publish_node_full", "reject"),
    ("publish_node_full", "discard-oldest"),
    ("notify_config", "1"),
    ("notify_sub", "1"),
    ("purge_offline", "1"),
    ("tempsub", "1"),
    ("presence_based_delivery", "1"),
    ("roster_groups_allowed", "Friends"),
    ("send_last_published_item", "never"),
    ("itemreply", "publisher"),
];
const OPTIONS: [(&str, &str); 6] = [
    ("deliver", "0"),
    ("digest", "1"),
    ("expire", "presence"),
    ("expire", "1970-01-01T00:10:00Z"),
    ("show-values", "away"),
    ("digest_frequency", "1000"),
];
const AFFILIATIONS: [&str; 7] = ["owner", "publisher", "publish-only", "member", "none", "outcast", "king"];

/// Does what the four bytes say.
pub(super) fn act(word: &[u8], stage: &Stage) {
    let [what, who, node, how] = *word else { return };
    let act = Act { who: one_of(&PEOPLE, who), to: to(who), node: one_of(&NODES, node), how };
    match what % 24 {
        0 => stage.pass(u64::from(how)),
        1 => stage.bounce_last(how),
        2 => stage.answer_question(how),
        3 => stage.hand_in_from(&act.presence(), Origin::RouteLost),
        4..=6 => stage.hand_in_text(&act.presence()),
        7 => stage.hand_in_text(&act.approval()),
        8 => stage.hand_in_text(&act.discovery()),
        other => stage.hand_in_text(&act.request(other)),
    }
}

fn one_of<T: Copy>(all: &[T], byte: u8) -> T {
    all[usize::from(byte) % all.len()]
}

/// The high bit says whether it is for the service or for an account.
fn to(who: u8) -> &'static str {
    if who & 0x80 == 0 { SERVICE } else { ACCOUNT }
}

struct Act {
    who: &'static str,
    to: &'static str,
    node: &'static str,
    how: u8,
}

impl Act {
    fn stanza(&self, name: &str, kind: &str, content: &str) -> String {
        let (who, to) = (self.who, self.to);
        format!("<{name} type='{kind}' from='{who}/desk' to='{to}' id='i{}'>{content}</{name}>", self.how)
    }

    fn presence(&self) -> String {
        let (who, to) = (self.who, self.to);
        let resource = if self.how & 2 == 0 { "/desk" } else { "/phone" };
        if self.how & 1 == 0 {
            return format!("<presence type='unavailable' from='{who}{resource}' to='{to}'/>");
        }
        let shows = ["", "<show>away</show>", "<ago xmlns='urn:xmpp:ago:0' secs='9'/>"];
        let caps =
            "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:c' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>";
        let caps = if self.how & 4 == 0 { "" } else { caps };
        format!("<presence from='{who}{resource}' to='{to}'>{}{caps}</presence>", one_of(&shows, self.how >> 3))
    }

    fn approval(&self) -> String {
        let allow = if self.how & 1 == 0 { "0" } else { "true" };
        let subscriber = one_of(&PEOPLE, self.how >> 1);
        let form =
            form("subscribe_authorization", &[("node", self.node), ("subscriber_jid", subscriber), ("allow", allow)]);
        self.stanza("message", "normal", &form)
    }

    fn discovery(&self) -> String {
        let node = if self.how & 2 == 0 { String::new() } else { format!(" node='{}'", self.node) };
        let what = if self.how & 1 == 0 { "info" } else { "items" };
        self.stanza("iq", "get", &format!("<query xmlns='http://jabber.org/protocol/disco#{what}'{node}/>"))
    }

    fn request(&self, what: u8) -> String {
        let (kind, namespace, verb) = self.verb(what);
        let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub{namespace}'>{verb}</pubsub>");
        self.stanza("iq", kind, &pubsub)
    }

    fn verb(&self, what: u8) -> (&'static str, &'static str, String) {
        let (node, how, jid) = (self.node, self.how, one_of(&PEOPLE, self.how));
        let bare = |name: &str| format!("<{name} node='{node}'/>");
        let addressed = |name: &str| format!("<{name} node='{node}' jid='{}'/>", self.who);
        match what {
            9 => ("set", "", bare("create")),
            10 => (
                "set",
                "#owner",
                format!("<configure node='{node}'>{}</configure>", self.field("node_config", &FIELDS)),
            ),
            11 | 12 => ("set", "", addressed("subscribe")),
            13 => ("set", "", addressed("unsubscribe")),
            14 => {
                let form = self.field("subscribe_options", &OPTIONS);
                ("set", "", format!("<options node='{node}' jid='{}'>{form}</options>", self.who))
            }
            15..=17 => ("set", "", format!("<publish node='{node}'>{}</publish>", self.item())),
            18 => ("set", "", format!("<retract node='{node}'><item id='{}'/></retract>", how % 8)),
            19 => ("set", "#owner", if how == 0 { bare("delete") } else { bare("purge") }),
            20 => {
                let affiliation = one_of(&AFFILIATIONS, how >> 3);
                let entry = format!("<affiliation jid='{jid}' affiliation='{affiliation}'/>");
                ("set", "#owner", format!("<affiliations node='{node}'>{entry}</affiliations>"))
            }
            21 => {
                let state = one_of(&["none", "subscribed", "pending"], how >> 3);
                let entry = format!("<subscription jid='{jid}' subscription='{state}'/>");
                ("set", "#owner", format!("<subscriptions node='{node}'>{entry}</subscriptions>"))
            }
            22 => ("get", "", format!("<items node='{node}'/>{}", self.page())),
            _ => ("get", "#owner", bare(one_of(&["configure", "subscriptions", "affiliations", "default"], how))),
        }
    }

    fn item(&self) -> String {
        match self.how {
            0 => String::new(),
            1 => "<item/>".to_owned(),
            2 => "<item id='a'/>".to_owned(),
            how => format!("<item id='{}'><v xmlns='urn:v'>{how}</v></item>", how % 8),
        }
    }

    fn page(&self) -> String {
        let start = one_of(&["", "<before/>", "<after>1</after>", "<index>2</index>"], self.how);
        let max = self.how >> 6;
        format!("<set xmlns='http://jabber.org/protocol/rsm'><max>{max}</max>{start}</set>")
    }

    fn field(&self, purpose: &str, fields: &[(&str, &str)]) -> String {
        form(purpose, &[one_of(fields, self.how)])
    }
}

fn form(purpose: &str, fields: &[(&str, &str)]) -> String {
    let field = |(name, value): &(&str, &str)| format!("<field var='pubsub#{name}'><value>{value}</value></field>");
    format!(
        "<x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#{purpose}</value></field>{}</x>",
        fields.iter().map(field).collect::<String>()
    )
}
