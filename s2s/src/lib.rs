//! XMPP server-to-server federation: SRV, STARTTLS, mutual certificates, SASL EXTERNAL, links.
