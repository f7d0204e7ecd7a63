//! `[gateway]`: the HTTP side.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use convoke::gateways::{Target, Tokens};
use toml::Spanned;

use super::GatewayConfig;
use super::addresses::free;
use super::error::{ConfigError, Problem};
use super::file::GatewayTable;
use super::source::Source;

/// The port that XMPP servers use for HTTP by custom.
const DEFAULT_PORT: u16 = 5280;
/// The token file of `convoke token add`.
const DEFAULT_TOKENS: &str = "gateway-tokens.toml";

/// Reads the table; `in_use` are the addresses that are listened on otherwise.
pub(super) fn gateway(
    source: &Source<'_>,
    table: &GatewayTable,
    in_use: &[SocketAddr],
) -> Result<GatewayConfig, ConfigError> {
    let listen = match &table.listen {
        Some(text) => free(source, text, "127.0.0.1:5280", in_use)?,
        None => (Ipv4Addr::LOCALHOST, DEFAULT_PORT).into(),
    };
    let targets = table.targets.iter().map(|text| target(source, text)).collect::<Result<_, _>>()?;
    Ok(GatewayConfig { listen, tokens: tokens(source, table)?, targets })
}

fn tokens(source: &Source<'_>, table: &GatewayTable) -> Result<Tokens, ConfigError> {
    let named = table.tokens.as_ref();
    let path = source.resolve(named.map_or(Path::new(DEFAULT_TOKENS), |path| path.get_ref()));
    Tokens::load(path).map_err(|cause| source.at_key(named, Problem::Tokens(cause)))
}

fn target(source: &Source<'_>, text: &Spanned<String>) -> Result<Target, ConfigError> {
    text.get_ref().parse().map_err(|cause| source.at(text, Problem::Target(cause)))
}
