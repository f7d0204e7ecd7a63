//! `dane` and `posh` of `[trust]`: which domains may vouch for their certificates themselves.

use std::fs;
use std::net::IpAddr;
use std::num::NonZeroU16;

use convoke::s2s::{DnssecAnchors, DomainPattern};
use toml::Spanned;

use super::error::{ConfigError, Problem};
use super::file::{DnsTable, TrustTable};
use super::s2s::patterns;
use super::source::Source;

/// Which domains are asked what they vouch for, and how.
#[derive(Debug, Default)]
pub(crate) struct EvidenceConfig {
    /// Those whose TLSA records count.
    pub(crate) dane: Vec<DomainPattern>,
    /// Those whose POSH documents count.
    pub(crate) posh: Vec<DomainPattern>,
    /// Where their web servers listen; `None` for 443.
    pub(crate) posh_port: Option<NonZeroU16>,
    /// From which keys DNSSEC proves TLSA records.
    pub(crate) anchors: DnssecAnchors,
}

/// Reads who may vouch for himself.
pub(super) fn evidence(source: &Source<'_>, trust: &TrustTable, dns: &DnsTable) -> Result<EvidenceConfig, ConfigError> {
    Ok(EvidenceConfig {
        dane: domains(source, &trust.dane)?,
        posh: domains(source, &trust.posh)?,
        posh_port: trust.posh_port,
        anchors: anchors(source, dns)?,
    })
}

/// Patterns of domains, which have names: an address has neither DNS records nor a certificate of its own.
fn domains(source: &Source<'_>, texts: &[Spanned<String>]) -> Result<Vec<DomainPattern>, ConfigError> {
    let is_address = |text: &&Spanned<String>| text.get_ref().trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    match texts.iter().find(is_address) {
        Some(text) => Err(source.at(text, Problem::AddressVouches { text: text.get_ref().clone() })),
        None => patterns(source, texts),
    }
}

/// The keys of the file, or those of the root of the internet.
fn anchors(source: &Source<'_>, dns: &DnsTable) -> Result<DnssecAnchors, ConfigError> {
    let Some(named) = &dns.dnssec_anchors else { return Ok(DnssecAnchors::default()) };
    let file = source.resolve(named.get_ref());
    let unreadable = |cause| Problem::DnssecAnchorsFile { file: file.clone(), cause };
    let text = fs::read_to_string(&file).map_err(|cause| source.at(named, unreadable(cause)))?;
    let unusable = |cause| Problem::DnssecAnchors { file: file.clone(), cause };
    text.parse().map_err(|cause| source.at(named, unusable(cause)))
}
