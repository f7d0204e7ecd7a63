//! Whom to ask what other domains vouch for.

use std::net::SocketAddr;
use std::sync::Arc;

use convoke::s2s::{DaneError, DaneResolver, DnsResolver, EvidenceRule, PoshClient};

use crate::config::EvidenceConfig;

/// The rules of a configuration: DNS by these nameservers (the system's without any), web servers by this resolver.
///
/// DNS is asked first: where a domain has TLSA records nothing else counts.
pub(crate) fn rules(
    config: &EvidenceConfig,
    nameservers: Option<&[SocketAddr]>,
    resolver: &Arc<DnsResolver>,
) -> Result<Vec<EvidenceRule>, DaneError> {
    let mut rules = Vec::new();
    if !config.dane.is_empty() {
        let dane = match nameservers {
            Some(nameservers) => DaneResolver::new(nameservers, &config.anchors)?,
            None => DaneResolver::system(&config.anchors)?,
        };
        rules.push(EvidenceRule { domains: config.dane.clone(), source: Arc::new(dane) });
    }
    if !config.posh.is_empty() {
        let client = PoshClient::new(Arc::clone(resolver) as _);
        let client = match config.posh_port {
            Some(port) => client.on_port(port.get()),
            None => client,
        };
        rules.push(EvidenceRule { domains: config.posh.clone(), source: Arc::new(client) });
    }
    Ok(rules)
}
