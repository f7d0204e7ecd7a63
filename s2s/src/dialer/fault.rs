//! What went wrong: as an error, and as it is told.

use std::fmt;
use std::io;

use convoke_net::NegotiationError;
use thiserror::Error;

use super::code::FaultCode;
use crate::dane::DaneError;
use crate::error::NegotiationFailure;
use crate::resolver::ResolveError;

/// Why a look-up or an attempt failed.
#[derive(Debug, Error)]
pub(super) enum Cause {
    /// DNS led nowhere.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// It cannot be told whether the domain has TLSA records, which are wanted.
    #[error(transparent)]
    Dane(#[from] DaneError),
    /// No TCP connection could be made.
    #[error("no connection: {0}")]
    Connect(#[source] io::Error),
    /// The stream could not be negotiated.
    #[error(transparent)]
    Negotiation(#[from] NegotiationError<NegotiationFailure>),
}

/// A fault as it is told: the code for programs, the text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Fault {
    /// Which kind of fault.
    pub code: FaultCode,
    /// What happened, in English; never to be parsed.
    pub text: String,
}

impl From<&Cause> for Fault {
    fn from(cause: &Cause) -> Self {
        Self { code: FaultCode::from(cause), text: cause.to_string() }
    }
}

impl From<&ResolveError> for Fault {
    fn from(error: &ResolveError) -> Self {
        Self { code: FaultCode::from(error), text: error.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.code)
    }
}
