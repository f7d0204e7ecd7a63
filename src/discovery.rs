//! What every entity answers about itself: disco#info, disco#items, ping and version (XEP-0030, 0199, 0092).

use convoke_xmpp::capabilities::Capabilities;
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

    /// Whether it has nodes as every account has them (XEP-0163), which it does not serve itself.
    pub(crate) fn is_account(&self) -> bool {
        self.identities.iter().any(|identity| (identity.category, identity.kind) == ("pubsub", "pep"))
    }

    /// Whether it is a publish-subscribe service by itself.
    #[cfg(feature = "pubsub")]
    pub(crate) fn serves_pubsub(&self) -> bool {
        self.identities.iter().any(|identity| identity.category == "pubsub")
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
            ("query", namespace::DISCO_INFO | namespace::DISCO_ITEMS) if node(stanza).is_some() => {
                let Some(info) = self.info_at(stanza) else {
                    return stanza.bounce(&StanzaError::new(Condition::ItemNotFound));
                };
                Some(info)
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

    /// What goes into its presence (XEP-0115); `None` where what it says could be read in two ways.
    pub(crate) fn capabilities(&self) -> Option<Capabilities> {
        Capabilities::of(&self.info(), SOFTWARE).ok()
    }

    /// The answer about the node that stands for its capabilities (XEP-0115, section 6.2), which is the only one it has.
    fn info_at(&self, stanza: &Stanza) -> Option<Element> {
        let (node, (_, namespace)) = (node(stanza)?, stanza.payload_name()?);
        let is_own = namespace == namespace::DISCO_INFO && self.capabilities()?.disco_node() == node;
        is_own.then(|| self.info().attr("node", node))
    }

    fn info(&self) -> Element {
        let own = [namespace::CAPABILITIES, namespace::DISCO_ITEMS, namespace::PING, namespace::VERSION];
        disco_info(&self.identities, own.into_iter().chain(self.features.iter().map(String::as_str)))
    }
}

/// By what the capabilities name this software.
const SOFTWARE: &str = env!("CARGO_PKG_REPOSITORY");

/// The node that is asked about.
fn node(stanza: &Stanza) -> Option<String> {
    stanza.payload()?.attribute("node").filter(|node| !node.is_empty()).map(str::to_owned)
}

/// Whether a request is about a node that stands for something else than the capabilities of this software.
pub(crate) fn is_about_a_node(stanza: &Stanza) -> bool {
    node(stanza).is_some_and(|node| node.strip_prefix(SOFTWARE).is_none_or(|rest| !rest.starts_with('#')))
}
