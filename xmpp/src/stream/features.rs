//! Stream features (RFC 6120, section 4.3.2).

use crate::namespace;
use crate::xml::Element;

/// Stream features (RFC 6120, section 4.3.2), as far as a negotiation reads them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    /// STARTTLS is offered.
    pub starttls: bool,
    /// The SASL mechanisms that are offered, in order.
    pub mechanisms: Vec<String>,
    /// The largest element that the peer accepts, in bytes (XEP-0478).
    pub max_bytes: Option<u64>,
    /// The stream may carry stanzas in both directions, if that is asked for (XEP-0288).
    pub bidi: bool,
    /// Stanzas may be acknowledged (XEP-0198).
    pub stream_management: bool,
    /// Further domains may be authorised on the stream (XEP-0220, section 2.4; XEP-0344).
    pub dialback: bool,
    /// Names and namespaces of features not known here that are marked as required.
    pub unknown_required: Vec<(String, String)>,
}

impl Features {
    /// Reads `stream:features`; `None` for other elements.
    pub fn from_element(element: &Element) -> Option<Self> {
        if !element.is("features", namespace::STREAM) {
            return None;
        }
        let mut features = Self::default();
        for feature in element.children() {
            features.read(feature);
        }
        Some(features)
    }

    fn read(&mut self, feature: &Element) {
        match (feature.name(), feature.namespace()) {
            ("starttls", namespace::TLS) => self.starttls = true,
            ("mechanisms", namespace::SASL) => {
                let names = feature.children().filter(|e| e.is("mechanism", namespace::SASL));
                self.mechanisms.extend(names.map(Element::content));
            }
            ("limits", namespace::STREAM_LIMITS) => self.max_bytes = max_bytes(feature),
            ("bidi", namespace::BIDI_FEATURE) => self.bidi = true,
            ("sm", namespace::STREAM_MANAGEMENT) => self.stream_management = true,
            ("dialback", namespace::DIALBACK_FEATURE) => self.dialback = true,
            (name, uri) if feature.children().any(|child| child.name() == "required") => {
                self.unknown_required.push((name.to_owned(), uri.to_owned()));
            }
            _ => {}
        }
    }

    /// An empty `stream:features`.
    pub fn element() -> Element {
        Element::new("features", namespace::STREAM)
    }

    /// The STARTTLS feature, marked as required (RFC 6120, section 5.4.1).
    pub fn starttls_required() -> Element {
        Element::new("starttls", namespace::TLS).child(Element::new("required", namespace::TLS))
    }

    /// The SASL feature (RFC 6120, section 6.4.1).
    pub fn sasl(mechanisms: &[&str]) -> Element {
        let names = mechanisms.iter().map(|name| Element::new("mechanism", namespace::SASL).text(*name));
        Element::new("mechanisms", namespace::SASL).with_children(names)
    }

    /// The feature of bidirectional streams (XEP-0288, section 2.1).
    pub fn bidi() -> Element {
        Element::new("bidi", namespace::BIDI_FEATURE)
    }

    /// The feature of stream management (XEP-0198, section 2).
    pub fn stream_management() -> Element {
        Element::new("sm", namespace::STREAM_MANAGEMENT)
    }

    /// The feature of further domains on one stream, errors included (XEP-0220, section 2.4.2).
    pub fn dialback() -> Element {
        Element::new("dialback", namespace::DIALBACK_FEATURE).child(Element::new("errors", namespace::DIALBACK_FEATURE))
    }

    /// The request that the stream carry stanzas in both directions (XEP-0288, section 2.2), with the largest element in
    /// bytes that this side accepts, which has no features to say it in (XEP-0478, section 3.2).
    pub fn bidi_request(accepted: Option<usize>) -> Element {
        Element::new("bidi", namespace::BIDI).with_children(accepted.map(Self::limits))
    }

    /// The largest element in bytes that the peer accepts, as its request for both directions says (XEP-0478, section 3.2).
    pub fn accepted_by(bidi_request: &Element) -> Option<u64> {
        bidi_request.find("limits", namespace::STREAM_LIMITS).and_then(max_bytes)
    }

    /// The limits feature (XEP-0478, section 3).
    pub fn limits(max_bytes: usize) -> Element {
        Element::new("limits", namespace::STREAM_LIMITS)
            .child(Element::new("max-bytes", namespace::STREAM_LIMITS).text(max_bytes.to_string()))
    }
}

fn max_bytes(limits: &Element) -> Option<u64> {
    limits.find("max-bytes", namespace::STREAM_LIMITS)?.content().trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_unknown_required_features_from_voluntary_ones() {
        let element = Features::element()
            .child(Features::starttls_required())
            .child(Features::sasl(&["EXTERNAL"]))
            .child(Features::limits(10_000))
            .child(Element::new("c", "urn:c"))
            .child(Element::new("x", "urn:x").child(Element::new("required", "urn:x")));
        let features = Features::from_element(&element).unwrap();
        assert!(features.starttls);
        assert_eq!(features.mechanisms, ["EXTERNAL"]);
        assert_eq!(features.max_bytes, Some(10_000));
        assert_eq!(features.unknown_required, [("x".to_owned(), "urn:x".to_owned())]);
    }

    /// XEP-0288: the namespace of the feature is not that of the request.
    #[test]
    fn reads_the_features_of_extensions_by_their_own_namespaces() {
        let offered = Features::element()
            .child(Features::bidi())
            .child(Features::dialback())
            .child(Features::stream_management());
        let features = Features::from_element(&offered).unwrap();
        assert!(features.bidi && features.dialback && features.stream_management);
        let misnamed = Features::element()
            .child(Element::new("bidi", namespace::BIDI))
            .child(Element::new("dialback", namespace::DIALBACK))
            .child(Element::new("sm", "urn:xmpp:sm:2"));
        assert_eq!(Features::from_element(&misnamed), Some(Features::default()));
    }

    #[test]
    fn a_request_for_both_directions_may_name_a_limit() {
        assert_eq!(Features::accepted_by(&Features::bidi_request(Some(10_000))), Some(10_000));
        assert_eq!(Features::accepted_by(&Features::bidi_request(None)), None);
    }
}
