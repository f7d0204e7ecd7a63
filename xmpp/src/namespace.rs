//! XML namespaces, by the name their specification gives them.

/// The stream element itself (RFC 6120, section 4.8.1).
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// Content of server-to-server streams (RFC 6120, section 4.8.2).
pub const SERVER: &str = "jabber:server";
/// Content of client-to-server streams (RFC 6120, section 4.8.2).
pub const CLIENT: &str = "jabber:client";
/// STARTTLS (RFC 6120, section 5).
pub const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
/// SASL (RFC 6120, section 6).
pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
/// Stream error conditions (RFC 6120, section 4.9.3).
pub const STREAM_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-streams";
/// Stanza error conditions (RFC 6120, section 8.3.3).
pub const STANZA_ERRORS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";
/// The prefix `xml` (Namespaces in XML, section 3).
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The prefix `xmlns` (Namespaces in XML, section 3).
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
/// Service discovery, identities and features (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Entity capabilities (XEP-0115).
pub const CAPABILITIES: &str = "http://jabber.org/protocol/caps";
/// XMPP ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Software version (XEP-0092).
pub const VERSION: &str = "jabber:iq:version";
/// The roster (RFC 6121, section 2).
pub const ROSTER: &str = "jabber:iq:roster";
/// Data forms (XEP-0004).
pub const DATA_FORMS: &str = "jabber:x:data";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// Publish-subscribe (XEP-0060).
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Publish-subscribe notifications (XEP-0060).
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// Publish-subscribe error conditions (XEP-0060).
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// Publish-subscribe owner use cases (XEP-0060).
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// The stream feature of bidirectional server-to-server streams (XEP-0288).
pub const BIDI_FEATURE: &str = "urn:xmpp:features:bidi";
/// Bidirectional server-to-server streams (XEP-0288).
pub const BIDI: &str = "urn:xmpp:bidi";
/// Stream management (XEP-0198).
pub const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
/// Server dialback (XEP-0220).
pub const DIALBACK: &str = "jabber:server:dialback";
/// The stream feature of server dialback (XEP-0220, section 2.4).
pub const DIALBACK_FEATURE: &str = "urn:xmpp:features:dialback";
/// Stream limits (XEP-0478).
pub const STREAM_LIMITS: &str = "urn:xmpp:stream-limits:0";
/// Convoke's application error conditions.
pub const CONVOKE_ERRORS: &str = "urn:convoke:errors:0";
