//! The publish-subscribe service of Convoke (XEP-0060): a pure broker and its protocol mapping.
