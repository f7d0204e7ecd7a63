//! Where the server under test finds the checker, to dial it.

use tokio::net::TcpListener;
use tokio::sync::Mutex;

/// A listener to which DNS leads for the checker's domain.
#[derive(Debug)]
pub struct Listening {
    pub(crate) listener: Mutex<TcpListener>,
    pub(crate) names: Names,
}

/// As whom the checker is dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// Always as its own domain.
    Own,
    /// As a domain below its own, another for each case.
    Fresh,
}

impl Listening {
    /// DNS leads here for the checker's own domain.
    ///
    /// Servers that remember whom they failed to reach may not dial in later cases, which are then inconclusive.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener: Mutex::new(listener), names: Names::Own }
    }

    /// DNS leads here for every domain below the checker's own too (a wildcard record): each case is dialled by a name of
    /// its own, `<key of the case>.<domain>`, for which the [`Authority`](crate::Authority) issues a certificate.
    pub fn with_fresh_names(listener: TcpListener) -> Self {
        Self { listener: Mutex::new(listener), names: Names::Fresh }
    }
}
