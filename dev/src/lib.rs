//! A federation on one machine: a development certificate authority and a loopback DNS server, for rehearsals and tests.
//!
//! Several domains on one machine need what the internet gives to real ones: certificates from an authority that all of
//! them trust ([`CertificateAuthority`]) and SRV records that lead to each other ([`LoopbackDns`]). Both are real: real
//! X.509 and a real DNS server, so that a rehearsal takes every step that production takes; and so is the web server for
//! what domains publish by HTTPS ([`LoopbackWeb`]). The feature `peers` adds what
//! starts servers of other makers beside them.
//!
//! ```
//! use convoke_dev::{CertificateAuthority, Subject};
//!
//! let authority = CertificateAuthority::new("Rehearsal CA")?;
//! let issued = authority.issue(&Subject::domain("volunteers.example"))?;
//! assert!(issued.chain_pem.starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok::<(), convoke_dev::CertificateError>(())
//! ```

mod certificates;
mod dns;
mod hosts;
mod http;
mod names;
#[cfg(feature = "peers")]
pub mod peers;
mod web;
mod zone_key;

pub use certificates::{
    AUTHORITY_CERTIFICATE_FILE, AUTHORITY_KEY_FILE, CertificateAuthority, CertificateError, Eku, Issued, Subject,
};
pub use dns::{DnsError, LoopbackDns};
pub use http::{HttpClientError, http_client};
pub use web::{LoopbackWeb, WebError};
