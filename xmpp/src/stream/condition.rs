//! The defined conditions of stream errors and SASL failures (RFC 6120, sections 4.9.3 and 6.5).

use std::fmt;

macro_rules! named_conditions {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of the standard.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name of the element.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one of that name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|condition| condition.as_str() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named_conditions! {
    /// The defined stream error conditions, in the order of RFC 6120, section 4.9.3.
    StreamCondition {
        /// Bad XML that is well-formed.
        BadFormat = "bad-format",
        /// A prefix that cannot be used or is not declared.
        BadNamespacePrefix = "bad-namespace-prefix",
        /// A new stream conflicts with this one.
        Conflict = "conflict",
        /// The peer did not answer in time.
        ConnectionTimeout = "connection-timeout",
        /// The domain in `to` is no longer served here.
        HostGone = "host-gone",
        /// The domain in `to` is not served here.
        HostUnknown = "host-unknown",
        /// `to` or `from` of a stanza is missing or malformed.
        ImproperAddressing = "improper-addressing",
        /// The server failed.
        InternalServerError = "internal-server-error",
        /// `from` is not the domain that was authenticated.
        InvalidFrom = "invalid-from",
        /// The stream namespace or the content namespace is wrong.
        InvalidNamespace = "invalid-namespace",
        /// XML that does not follow its schema.
        InvalidXml = "invalid-xml",
        /// Something was sent before authentication that needs it.
        NotAuthorized = "not-authorized",
        /// Not well-formed XML.
        NotWellFormed = "not-well-formed",
        /// A policy is violated.
        PolicyViolation = "policy-violation",
        /// The server could not connect to another one that it needs.
        RemoteConnectionFailed = "remote-connection-failed",
        /// Features have changed: negotiate anew.
        Reset = "reset",
        /// There is not enough of something.
        ResourceConstraint = "resource-constraint",
        /// XML that streams may not hold.
        RestrictedXml = "restricted-xml",
        /// Connect to another host.
        SeeOtherHost = "see-other-host",
        /// The server is being shut down.
        SystemShutdown = "system-shutdown",
        /// None of the others.
        UndefinedCondition = "undefined-condition",
        /// An encoding other than UTF-8.
        UnsupportedEncoding = "unsupported-encoding",
        /// A mandatory feature that this entity does not know.
        UnsupportedFeature = "unsupported-feature",
        /// A first-level element that this entity does not know.
        UnsupportedStanzaType = "unsupported-stanza-type",
        /// A version that this entity does not speak.
        UnsupportedVersion = "unsupported-version",
    }
}

named_conditions! {
    /// The SASL failures, in the order of RFC 6120, section 6.5.
    SaslFailure {
        /// The exchange was aborted.
        Aborted = "aborted",
        /// The account is disabled.
        AccountDisabled = "account-disabled",
        /// The credentials have expired.
        CredentialsExpired = "credentials-expired",
        /// The mechanism needs TLS first.
        EncryptionRequired = "encryption-required",
        /// The data is not base64 as it must be.
        IncorrectEncoding = "incorrect-encoding",
        /// The peer may not act for that identity.
        InvalidAuthzid = "invalid-authzid",
        /// The mechanism was not offered.
        InvalidMechanism = "invalid-mechanism",
        /// The request is malformed.
        MalformedRequest = "malformed-request",
        /// The mechanism is too weak for this peer.
        MechanismTooWeak = "mechanism-too-weak",
        /// The credentials do not prove the identity.
        NotAuthorized = "not-authorized",
        /// A temporary failure.
        TemporaryAuthFailure = "temporary-auth-failure",
    }
}
