//! From the file as it is written to a configuration that holds.

use std::path::PathBuf;

use convoke::xmpp::{Domainpart, Jid};
use toml::Spanned;

use super::error::{ConfigError, Problem};
use super::file::{AllowTable, DomainTable, File, LogTable, SchedulerTable, StoreTable};
use super::named::NamedTrust;
use super::source::Source;
use super::{AllowConfig, Config, DomainConfig, LogConfig, Named, Role, RolesConfig};
use super::{addresses, credentials, evidence, gateway, names, roles, s2s, trust};
use crate::logging;

/// Starts, ends, and what an operator may have to act upon, but no line per stanza.
const DEFAULT_FILTER: &str = "info";

/// Checks everything; the first fault is the answer.
pub(super) fn config(source: &Source<'_>) -> Result<Config, ConfigError> {
    let file = parse(source)?;
    let run = roles::roles(source, &file.roles.run)?;
    let s2s = s2s::s2s(source, &file.s2s)?;
    let store = store(source, &file.store)?;
    check_needs(source, &file, &run)?;
    let domains = domains(source, &file.domain)?;
    let managers = managers(source, &file.scheduler, &domains)?;
    let trust = trust::trust(source, &file.trust)?;
    let gateway = file.gateway.as_ref().filter(|_| run.contains(&Role::Gateway));
    Ok(Config {
        trust,
        evidence: evidence::evidence(source, &file.trust, &file.dns)?,
        gateway: gateway.map(|table| gateway::gateway(source, table, &s2s.addresses())).transpose()?,
        nameservers: addresses::nameservers(source, &file.dns)?,
        log: log(source, &file.log)?,
        unused: unused(&file, &run),
        roles: RolesConfig { run, managers, allow: allowances(source, &file.allow)? },
        named: named(source, &domains, file),
        domains,
        s2s,
        store,
    })
}

/// Keeps what is read again while the daemon runs.
fn named(source: &Source<'_>, domains: &[DomainConfig], file: File) -> Named {
    let names = domains.iter().map(|domain| domain.name.clone());
    let text = || source.text().to_owned();
    Named {
        path: source.path().to_owned(),
        text: text(),
        domains: names.zip(file.domain).collect(),
        trust: NamedTrust { text: text(), trust: file.trust, dns: file.dns },
    }
}

/// The tables of the file, which are what they should be one by one.
pub(super) fn parse(source: &Source<'_>) -> Result<File, ConfigError> {
    toml::from_str(source.text()).map_err(|error| match error.span() {
        Some(span) => source.at_bytes(span, toml_problem(error)),
        None => source.whole(toml_problem(error)),
    })
}

/// serde says which keys it knows, and TOML's own faults, in words; the first two kinds deserve better ones.
fn toml_problem(error: toml::de::Error) -> Problem {
    let mut words = error.message().split('`').skip(1).step_by(2);
    let key = words.next().unwrap_or_default().to_owned();
    if error.message().starts_with("unknown field ") {
        let remedy = names::remedy(&key, words);
        Problem::UnknownKey { key, remedy }
    } else if error.message().starts_with("missing field ") {
        Problem::MissingKey { key }
    } else {
        Problem::Toml(Box::new(error))
    }
}

/// The needs of one part for another.
fn check_needs(source: &Source<'_>, file: &File, roles: &[Role]) -> Result<(), ConfigError> {
    let entry = |role: Role| file.roles.run.iter().find(|name| name.get_ref() == role.name());
    let missing = |role, problem| entry(role).map_or(Ok(()), |entry| Err(source.at(entry, problem)));
    if roles.contains(&Role::Resources) && file.store.path.is_none() {
        missing(Role::Resources, Problem::ResourcesWithoutStore)?;
    }
    if roles.contains(&Role::Gateway) && file.gateway.is_none() {
        missing(Role::Gateway, Problem::GatewayWithoutTable)?;
    }
    Ok(())
}

/// What is configured for roles that do not run, and the like: no fault, since roles are switched on and off, but worth a
/// word.
fn unused(file: &File, roles: &[Role]) -> Vec<&'static str> {
    let mut unused = Vec::new();
    if file.gateway.is_some() && !roles.contains(&Role::Gateway) {
        unused.push("[gateway] is not used: the role \"gateway\" is not run");
    }
    if !file.allow.is_empty() && !roles.contains(&Role::Resources) {
        unused.push("[[allow]] is not used: the role \"resources\" is not run");
    }
    if file.scheduler.managers.is_some() && !roles.contains(&Role::Scheduler) {
        unused.push("[scheduler] is not used: the role \"scheduler\" is not run");
    }
    if file.trust.posh_port.is_some() && file.trust.posh.is_empty() {
        unused.push("trust.posh_port is not used: trust.posh names no domain");
    }
    if file.s2s.dialback_secret.is_some() && file.s2s.dialback.is_empty() {
        unused.push("s2s.dialback_secret is not used: s2s.dialback names no domain");
    }
    if file.dns.dnssec_anchors.is_some() && file.trust.dane.is_empty() {
        unused.push("dns.dnssec_anchors is not used: trust.dane names no domain");
    }
    unused
}

fn domains(source: &Source<'_>, tables: &[DomainTable]) -> Result<Vec<DomainConfig>, ConfigError> {
    if tables.is_empty() {
        return Err(source.whole(Problem::NoDomain));
    }
    let mut domains: Vec<DomainConfig> = Vec::new();
    for table in tables {
        let name = new_name(source, &table.name, domains.iter().map(|domain| &domain.name))?;
        let credentials = credentials::credentials(source, table, &name)?.credentials;
        domains.push(DomainConfig { name, credentials });
    }
    Ok(domains)
}

/// The managers of `[scheduler]`, or those of the served domains.
fn managers(source: &Source<'_>, table: &SchedulerTable, domains: &[DomainConfig]) -> Result<Vec<Jid>, ConfigError> {
    let Some(managers) = &table.managers else {
        let own = |domain: &DomainConfig| Jid::from_parts(Some(Role::Resources.name()), domain.name.as_str(), None);
        // A name that was parsed already and a localpart of letters always make an address.
        return Ok(domains.iter().filter_map(|domain| own(domain).ok()).collect());
    };
    let read = |text: &Spanned<String>| {
        let malformed = |cause| source.at(text, Problem::Manager { address: text.get_ref().clone(), cause });
        Jid::new(text.get_ref()).map_err(malformed)
    };
    managers.iter().map(read).collect()
}

fn allowances(source: &Source<'_>, tables: &[AllowTable]) -> Result<Vec<AllowConfig>, ConfigError> {
    let mut allowances: Vec<AllowConfig> = Vec::new();
    for table in tables {
        let domain = new_name(source, &table.domain, allowances.iter().map(|allowance| &allowance.domain))?;
        let nodes = *table.nodes.get_ref();
        if nodes == 0 {
            return Err(source.at(&table.nodes, Problem::NoNodes));
        }
        allowances.push(AllowConfig { domain, nodes });
    }
    Ok(allowances)
}

/// A domain name that is not among those that came before.
pub(super) fn new_name<'a>(
    source: &Source<'_>,
    text: &Spanned<String>,
    mut before: impl Iterator<Item = &'a Domainpart>,
) -> Result<Domainpart, ConfigError> {
    let malformed = |cause| source.at(text, Problem::Name { name: text.get_ref().clone(), cause });
    let name = Domainpart::new(text.get_ref()).map_err(malformed)?;
    if before.any(|other| *other == name) {
        return Err(source.at(text, Problem::NameTwice { name }));
    }
    Ok(name)
}

fn store(source: &Source<'_>, table: &StoreTable) -> Result<Option<PathBuf>, ConfigError> {
    let Some(named) = &table.path else { return Ok(None) };
    let path = source.resolve(named.get_ref());
    if path.exists() && !path.is_dir() {
        return Err(source.at(named, Problem::StorePath { path }));
    }
    Ok(Some(path))
}

fn log(source: &Source<'_>, table: &LogTable) -> Result<LogConfig, ConfigError> {
    let text = table.filter.as_ref().map_or(DEFAULT_FILTER, |text| text.get_ref());
    let malformed = |cause| source.at_key(table.filter.as_ref(), Problem::LogFilter { text: text.to_owned(), cause });
    Ok(LogConfig { filter: logging::parse_filter(text).map_err(malformed)?, format: table.format })
}
