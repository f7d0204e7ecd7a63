//! HTTP/REST gateways of Convoke: ordinary web services and XMPP entities call each other.
