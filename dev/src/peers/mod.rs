//! Servers of other makers as neighbours: Debian's Prosody and ejabberd, each with its own directory, certificate,
//! loopback address and ports.
//!
//! A peer takes nothing from the machine's own configuration and never runs as a service. It asks our DNS server alone,
//! speaks to other servers only with TLS and a certificate that proves their domain, and knows no dialback: so whoever
//! exchanges stanzas with it has done SASL EXTERNAL. Nothing of it is left when it is dropped.
//!
//! Its domain should lie under `.lan`: the library by which Prosody asks DNS denies `.test` by itself.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use convoke_dev::peers::{Peer, Service, Software};
//! use convoke_dev::{CertificateAuthority, LoopbackDns};
//!
//! let dns = LoopbackDns::start("127.0.0.1:0".parse()?).await?;
//! let authority = CertificateAuthority::new("Test CA")?;
//! let builder = Peer::builder(Software::Ejabberd, "ejabberd.lan", &authority)?;
//! let peer = builder.accounts(["juliet"]).services([Service::DirectTls]).start(&dns).await?;
//! println!("clients of {} connect to {}", peer.domain(), peer.c2s());
//! # Ok(())
//! # }
//! ```

mod addresses;
mod builder;
mod ejabberd;
mod error;
mod peer;
mod prosody;
mod software;

pub use addresses::Service;
pub use builder::PeerBuilder;
pub use error::PeerError;
pub use peer::{Peer, password};
pub use software::Software;
