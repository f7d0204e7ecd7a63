//! A conformance checker of XMPP server-to-server streams, for any server.
//!
//! Each [`Case`] is a rule of a standard, with its section and level, and the bytes that try it: it opens connections of
//! its own to the server under test, says what no polite server would, and judges the answer. Some cases want the server
//! to dial: they provoke it by a ping, and play the receiving entity.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use convoke_conformance::{Identity, Selection, Setup, Target, run};
//! use convoke_net::Credentials;
//! use convoke_s2s::DnsResolver;
//! use convoke_xmpp::Domainpart;
//!
//! let target = Target::find(Domainpart::new("xmpp.example")?, &DnsResolver::system()?).await?;
//! let credentials = Credentials::from_files("check.example.pem", "check.example.key")?;
//! let us = Identity { domain: Domainpart::new("check.example")?, credentials };
//! let report = run(Setup::new(target, us), &Selection::default(), |_| ()).await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```
//!
//! The checker shares the XML reader of Convoke, and nothing of its negotiation: what it sends is written out in the
//! cases, so that a mistake of ours does not cancel itself out.

pub mod authority;
pub mod case;
pub mod listening;
pub mod report;
pub mod run;
pub mod setup;
pub mod verdict;

mod bench;
mod cases;
mod dialled;
mod expectation;
mod probe;
mod script;
mod tls;
mod transcript;
mod wire;

pub use authority::{Authority, AuthorityError};
pub use case::{Case, Level, Section};
pub use cases::cases;
pub use listening::Listening;
pub use report::{Outcome, Report};
pub use run::{RunError, Selection, run};
pub use setup::{Identity, Setup, Target, TargetError};
pub use verdict::Verdict;
