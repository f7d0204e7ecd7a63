//! HTTP/REST gateways of Convoke: ordinary web services and XMPP entities call each other.
//!
//! A [`Gateway`] is the component `gateway@DOMAIN`. Both halves share one namespace of names:
//!
//! * **The way in.** Whoever holds the bearer token NAME is the XMPP entity `gateway@DOMAIN/NAME`. It sends stanzas by
//!   `POST /v1/stanzas` (a request waits for its answer) and receives what is addressed to it by `GET /v1/events`
//!   (server-sent events).
//! * **The way out.** `POST /v1/services` makes a REST service the XMPP entity `gateway@DOMAIN/NAME`: it is available
//!   as presence, and an iq to it becomes an HTTP request to the service.
//!
//! Stanza errors and HTTP statuses map both ways in [`errors`]; stanzas and JSON in [`mapping`], without loss.
//!
//! ```no_run
//! # async fn run(router: std::sync::Arc<dyn convoke_xmpp::Router>) -> Result<(), Box<dyn std::error::Error>> {
//! use convoke_gateways::{Gateway, GatewayConfig, Tokens};
//!
//! let tokens = Tokens::load("gateway-tokens.toml")?;
//! let config = GatewayConfig::new("gateway@volunteers.example".parse()?, tokens);
//! let gateway = Gateway::new(config, router)?; // and register it with the router as a Service
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:5280").await?;
//! gateway.serve(listener, tokio_util::sync::CancellationToken::new()).await?;
//! # Ok(())
//! # }
//! ```

mod client;
mod config;
mod events;
mod gateway;
mod http;
mod inbound;
mod metrics;
mod name;
mod outgoing;
mod problem;
mod registry;
mod secret;
mod server;
mod stall;
mod tokens;

pub mod errors;
pub mod mapping;

pub use config::{GatewayConfig, GatewayError, Limits};
pub use gateway::Gateway;
pub use name::{MAX_NAME_BYTES, NameError};
pub use outgoing::{Resolver, SystemResolver, Target, TargetError};
pub use registry::MAX_SERVICES;
pub use tokens::{Caller, Scope, TokenError, Tokens};
