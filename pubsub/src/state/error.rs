//! Why a service's state cannot be read back.

use convoke_store::StoreError;
use convoke_xmpp::Jid;
use thiserror::Error;

/// Why what a store holds of a publish-subscribe service cannot be used.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A newer Convoke wrote it.
    #[error(
        "what the store holds of {address} has format {found}, but this version knows formats up to {supported}; run the newer version that wrote it"
    )]
    NewerFormat {
        /// The address of the service.
        address: Jid,
        /// The format that was found.
        found: u8,
        /// The newest format that this version reads and writes.
        supported: u8,
    },
    /// A record is not what this or an older version writes. None is left out: what depends on it could not be trusted.
    #[error("{record} of {address} in the store is damaged (key {key}); restore the store from a backup")]
    Damaged {
        /// The address of the service.
        address: Jid,
        /// Which kind of record it is.
        record: &'static str,
        /// The key of the record in hexadecimal.
        key: String,
    },
}
