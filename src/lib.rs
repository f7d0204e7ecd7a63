//! XMPP messaging middleware for volunteer clouds.
