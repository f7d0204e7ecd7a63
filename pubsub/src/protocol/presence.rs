//! What the presence of an address says (XEP-0060, section 13.6; XEP-0312).

use std::time::Duration;

use convoke_xmpp::namespace::CLIENT;
use convoke_xmpp::{Element, Jid, Kind, Origin, PresenceType, Stanza};

use crate::broker::Presence;
use crate::config::{Show, Word};

/// The namespace in which a subscriber says for how long it was away.
const AGO: &str = "urn:xmpp:ago:0";

/// Whose availability a stanza tells, and which; `None` if it tells none.
pub(crate) fn read_presence(stanza: &Stanza, origin: &Origin) -> Option<(Jid, Presence)> {
    let presence = match (stanza.kind(), origin) {
        (Kind::Presence(PresenceType::Available), _) => available(&stanza.to_element()),
        (Kind::Presence(PresenceType::Unavailable), Origin::RouteLost(_)) => Presence::Unreachable,
        (Kind::Presence(PresenceType::Unavailable), _) => Presence::Unavailable,
        _ => return None,
    };
    Some((stanza.from()?.to_owned(), presence))
}

fn available(presence: &Element) -> Presence {
    let show = presence.find("show", CLIENT).and_then(|show| Show::parse(&show.content()));
    let seconds = presence.find("ago", AGO).and_then(|ago| ago.attribute("secs")?.parse().ok());
    Presence::Available { show: show.unwrap_or_default(), absent: seconds.map(Duration::from_secs) }
}
