//! The sockets of Convoke: TLS, the negotiation driver, outboxes, listeners and shutdown.
