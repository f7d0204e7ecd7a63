//! The crypto provider: chosen at compile time and always passed explicitly.
//!
//! A library must not install a process-wide default, nor rely on one: other crates of the process may do the same.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::CryptoProvider;

/// The provider of this build; with both features on, ring, so that adding a feature changes nothing.
pub fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "ring")]
    return Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    return Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
}
