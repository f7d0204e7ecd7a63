//! What a configuration comes to, in words.

use std::fmt;
use std::path::Path;

use convoke::s2s::DomainPattern;

use crate::config::{Config, GatewayConfig};

/// The answer of `convoke serve --check`: one line, and one for each thing that is configured but not used.
pub(super) struct Summary<'a> {
    pub(super) file: &'a Path,
    pub(super) config: &'a Config,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, config } = self;
        writeln!(f, "{} is valid: {}", file.display(), parts(config).join("; "))?;
        config.unused.iter().try_for_each(|unused| writeln!(f, "note: {unused}"))
    }
}

fn parts(config: &Config) -> Vec<String> {
    let listed = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let domains = config.domains.iter().map(|domain| domain.name.to_string()).collect();
    let roles = config.roles.run.iter().map(|role| role.name().to_owned()).collect();
    let starttls = config.s2s.listen.iter().map(ToString::to_string);
    let direct = config.s2s.direct_tls_listen.iter().map(|address| format!("{address} by direct TLS"));
    let s2s = starttls.chain(direct).collect();
    let allow = config.roles.allow.iter().map(|allow| format!("{} {}", allow.domain, allow.nodes)).collect();
    let mut parts = vec![
        format!("domains: {}", listed(domains)),
        format!("roles: {}", listed(roles)),
        format!("servers connect to: {}", listed(s2s)),
        format!("nodes allowed: {}", listed(allow)),
    ];
    parts.extend(evidence("DANE", &config.evidence.dane));
    parts.extend(evidence("POSH", &config.evidence.posh));
    parts.extend(config.gateway.as_ref().map(gateway));
    parts.push(config.store.as_ref().map_or("store: memory".to_owned(), |path| format!("store: {}", path.display())));
    parts
}

/// Who may vouch for himself in this way.
fn evidence(way: &str, domains: &[DomainPattern]) -> Option<String> {
    let listed: Vec<_> = domains.iter().map(ToString::to_string).collect();
    (!listed.is_empty()).then(|| format!("certificates by {way}: {}", listed.join(", ")))
}

fn gateway(gateway: &GatewayConfig) -> String {
    let tokens = gateway.tokens.callers().count();
    format!("gateway: http://{} with {tokens} token{}", gateway.listen, if tokens == 1 { "" } else { "s" })
}
