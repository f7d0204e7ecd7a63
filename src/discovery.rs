//! What every entity answers about itself: disco#info, disco#items, ping and version (XEP-0030, 0199, 0092).

use convoke_xmpp::payload::{Identity, disco_info, disco_items, version};
use convoke_xmpp::{Condition, Element, IqType, Kind, Stanza, StanzaError, namespace};

/// What an entity says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its identities (XEP-0030, section 3.1).
    pub identities: Vec<Identity>,
    /// Its features besides those of this module.
    pub features: Vec<String>,
}

impl About {
    /// An entity of one identity and no further features.
    pub fn new(category: &'static str, kind: &'static str, name: impl Into<String>) -> Self {
        Self { identities: vec![Identity { category, kind, name: name.into() }], features: Vec::new() }
    }

    /// With a further feature.
    pub fn feature(mut self, feature: impl Into<String>) -> Self {
        self.features.push(feature.into());
        self
    }

    /// The name of the first identity.
    pub fn name(&self) -> &str {
        self.identities.first().map_or("", |identity| &identity.name)
    }

    /// The answer to one of the four requests; `None` for anything else. `items` are addresses with names.
    pub(crate) fn answer<'a>(
        &self,
        stanza: &Stanza,
        items: impl FnOnce() -> Vec<(String, String)> + 'a,
    ) -> Option<Stanza> {
        if stanza.kind() != Kind::Iq(IqType::Get) {
            return None;
        }
        let payload = match stanza.payload_name()? {
            ("ping", namespace::PING) => None,
            ("query", namespace::VERSION) => Some(version("Convoke", env!("CARGO_PKG_VERSION"))),
            ("query", namespace::DISCO_INFO | namespace::DISCO_ITEMS) if names_a_node(stanza) => {
                return stanza.bounce(&StanzaError::new(Condition::ItemNotFound));
            }
            ("query", namespace::DISCO_INFO) => Some(self.info()),
            ("query", namespace::DISCO_ITEMS) => {
                let items = items();
                Some(disco_items(items.iter().map(|(jid, name)| (jid.as_str(), name.as_str()))))
            }
            _ => return None,
        };
        Some(stanza.result(payload))
    }

    fn info(&self) -> Element {
        let own = [namespace::DISCO_ITEMS, namespace::PING, namespace::VERSION];
        disco_info(&self.identities, own.into_iter().chain(self.features.iter().map(String::as_str)))
    }
}

/// None of our entities has nodes of its own; those that do answer for themselves.
fn names_a_node(stanza: &Stanza) -> bool {
    stanza.payload().is_some_and(|query| query.attribute("node").is_some_and(|node| !node.is_empty()))
}
