//! `[s2s]`: where other domains' servers connect, and with which of them this one federates.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use convoke::s2s::dialback::Secret;
use convoke::s2s::{DomainPattern, DomainPolicy, Rate, RateRule};
use convoke::xmpp::Domainpart;
use toml::Spanned;

use super::addresses::free;
use super::error::{ConfigError, Problem};
use super::file::{RateTable, S2sTable};
use super::source::Source;

/// The registered port for servers (RFC 6120, section 14.7).
const PORT: u16 = 5269;

/// How many seconds of its rate a domain may send at once: what it had to say while a link was broken.
const DEFAULT_BURST: u32 = 10;

/// As many bytes as the keys have that are made from it (XEP-0185, section 3).
const SHORTEST_SECRET: usize = 32;

/// How this daemon federates.
#[derive(Debug)]
pub(crate) struct S2sConfig {
    /// Where connections begin in the clear, with STARTTLS to follow.
    pub(crate) listen: Vec<SocketAddr>,
    /// Where connections begin with TLS (XEP-0368).
    pub(crate) direct_tls_listen: Vec<SocketAddr>,
    /// With whom.
    pub(crate) policy: DomainPolicy,
    /// For whom dialback is good enough.
    pub(crate) dialback: Vec<DomainPattern>,
    /// What the keys of dialback are made from; `None` for random bits.
    pub(crate) dialback_secret: Option<Arc<Secret>>,
    /// How fast they may send.
    pub(crate) rates: Vec<RateRule>,
    /// To whom a stream is kept at all times.
    pub(crate) persistent: Vec<Domainpart>,
}

impl S2sConfig {
    /// All addresses that it listens on.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.listen.iter().chain(&self.direct_tls_listen).copied().collect()
    }
}

/// Reads the table.
pub(super) fn s2s(source: &Source<'_>, table: &S2sTable) -> Result<S2sConfig, ConfigError> {
    let default = || vec![(Ipv4Addr::LOCALHOST, PORT).into()];
    let listen = match &table.listen {
        Some(texts) => addresses(source, texts, "127.0.0.1:5269", &[])?,
        None => default(),
    };
    let direct_tls_listen = addresses(source, &table.direct_tls_listen, "127.0.0.1:5270", &listen)?;
    let policy = DomainPolicy { allow: patterns(source, &table.allow)?, block: patterns(source, &table.block)? };
    Ok(S2sConfig {
        listen,
        direct_tls_listen,
        policy,
        dialback: patterns(source, &table.dialback)?,
        dialback_secret: table.dialback_secret.as_ref().map(|file| secret(source, file)).transpose()?,
        rates: rates(source, &table.rate)?,
        persistent: domains(source, &table.persistent)?,
    })
}

/// The addresses of a list, no two of them the same, and none of those in use.
fn addresses(
    source: &Source<'_>,
    texts: &[Spanned<String>],
    example: &'static str,
    in_use: &[SocketAddr],
) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut taken = in_use.to_vec();
    for text in texts {
        taken.push(free(source, text, example, &taken)?);
    }
    Ok(taken.split_off(in_use.len()))
}

/// The patterns of a list.
pub(super) fn patterns(source: &Source<'_>, texts: &[Spanned<String>]) -> Result<Vec<DomainPattern>, ConfigError> {
    let read = |text: &Spanned<String>| {
        let malformed = |cause| source.at(text, Problem::Pattern { text: text.get_ref().clone(), cause });
        text.get_ref().parse().map_err(malformed)
    };
    texts.iter().map(read).collect()
}

fn domains(source: &Source<'_>, texts: &[Spanned<String>]) -> Result<Vec<Domainpart>, ConfigError> {
    let read = |text: &Spanned<String>| {
        let malformed = |cause| source.at(text, Problem::Name { name: text.get_ref().clone(), cause });
        Domainpart::new(text.get_ref()).map_err(malformed)
    };
    texts.iter().map(read).collect()
}

/// The secret in a file; white space at its end is the editor's, not the secret's.
fn secret(source: &Source<'_>, named: &Spanned<PathBuf>) -> Result<Arc<Secret>, ConfigError> {
    let file = source.resolve(named.get_ref());
    let unreadable = |cause| source.at(named, Problem::DialbackSecretFile { file: file.clone(), cause });
    let text = fs::read(&file).map_err(unreadable)?;
    let secret = text.trim_ascii_end();
    if secret.len() < SHORTEST_SECRET {
        let bytes = secret.len();
        return Err(source.at(named, Problem::DialbackSecretTooShort { file, bytes, least: SHORTEST_SECRET }));
    }
    Ok(Arc::new(Secret::new(secret)))
}

/// The rules of `[[s2s.rate]]`, in their order.
fn rates(source: &Source<'_>, tables: &[RateTable]) -> Result<Vec<RateRule>, ConfigError> {
    let read = |table: &RateTable| {
        let bytes_per_second = *table.bytes_per_second.get_ref();
        if bytes_per_second == 0 {
            return Err(source.at(&table.bytes_per_second, Problem::NoRate));
        }
        let burst = table.burst.unwrap_or_else(|| bytes_per_second.saturating_mul(DEFAULT_BURST));
        let rate = Rate { bytes_per_second, burst };
        Ok(RateRule { domains: patterns(source, &table.domains)?, rate })
    };
    tables.iter().map(read).collect()
}
