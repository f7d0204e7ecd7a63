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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_tells_who_is_there_and_how() {
        let available = |show, absent| Some(Presence::Available { show, absent });
        for (content, expected) in [
            ("/>", available(Show::Online, None)),
            ("><show>dnd</show><status>x</status></presence>", available(Show::DoNotDisturb, None)),
            ("><show>nonsense</show></presence>", available(Show::Online, None)),
            (
                "><show>xa</show><ago xmlns='urn:xmpp:ago:0' secs='86511'/></presence>",
                available(Show::ExtendedAway, Some(Duration::from_secs(86_511))),
            ),
            ("><ago xmlns='urn:xmpp:ago:0' secs='-1'/></presence>", available(Show::Online, None)),
            (" type='unavailable'/>", Some(Presence::Unavailable)),
            (" type='subscribe'/>", None),
        ] {
            let stanza = Stanza::parse(&format!("<presence from='a@a.example/x'{content}")).unwrap();
            let read = read_presence(&stanza, &Origin::Local);
            assert_eq!(read.map(|(_, presence)| presence), expected, "{content}");
        }
    }

    #[test]
    fn who_is_out_of_reach_has_not_left() {
        let lost = Origin::RouteLost(convoke_xmpp::Domainpart::new("a.example").unwrap());
        let stanza = Stanza::parse("<presence from='a@a.example/x' type='unavailable'/>").unwrap();
        assert_eq!(read_presence(&stanza, &lost).map(|(_, presence)| presence), Some(Presence::Unreachable));
    }
}
