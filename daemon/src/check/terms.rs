//! From the command line to the terms of a check: who checks whom, and by what.

use std::net::SocketAddr;
use std::path::PathBuf;

use convoke::net::{Credentials, pem};
use convoke::s2s::{DnsResolver, IdentityVerifier, Trust, TrustAnchors};
use convoke::xmpp::Domainpart;
use convoke_conformance::{Authority, Identity, Listening, Setup, Target};
use tokio::net::{TcpListener, lookup_host};

use super::CheckError;
use crate::cli::CheckArguments;
use crate::config::{Config, system_roots};

/// Everything that the checker needs.
pub(super) async fn setup(arguments: &CheckArguments) -> Result<Setup, CheckError> {
    let Checker { us, trust, nameservers } = checker(arguments)?;
    let mut setup = Setup::new(target(arguments, nameservers.as_deref()).await?, us);
    setup.verifier = Some(IdentityVerifier::with_default_algorithms(trust));
    if let Some([certificate, key]) = arguments.authority.as_deref() {
        setup.authority = Some(Authority::from_files(certificate, key)?);
    }
    if let Some(address) = arguments.listen {
        setup.listening = Some(listening(address, arguments.fresh_names).await?);
    }
    setup.parallel = arguments.parallel;
    Ok(setup)
}

/// Who checks.
struct Checker {
    us: Identity,
    trust: Trust,
    nameservers: Option<Vec<SocketAddr>>,
}

fn checker(arguments: &CheckArguments) -> Result<Checker, CheckError> {
    match (&arguments.config, &arguments.from, &arguments.certificate, &arguments.key) {
        (Some(path), from, ..) => configured(Config::load(path)?, from.as_ref()),
        (None, Some(from), Some(certificate), Some(key)) => {
            let us = Identity { domain: from.clone(), credentials: Credentials::from_files(certificate, key)? };
            let nameservers = (!arguments.nameservers.is_empty()).then(|| arguments.nameservers.clone());
            Ok(Checker { us, trust: trust(&arguments.trust)?, nameservers })
        }
        _ => Err(CheckError::NoChecker),
    }
}

/// A domain of a configuration: the first one, unless another is named.
fn configured(config: Config, from: Option<&Domainpart>) -> Result<Checker, CheckError> {
    let named = |name: &Domainpart| from.is_none_or(|from| from == name);
    let (trust, nameservers) = (config.trust, config.nameservers);
    match (config.domains.into_iter().find(|domain| named(&domain.name)), from) {
        (Some(domain), _) => {
            Ok(Checker { us: Identity { domain: domain.name, credentials: domain.credentials }, trust, nameservers })
        }
        (None, Some(from)) => Err(CheckError::NoSuchDomain { domain: from.clone() }),
        (None, None) => Err(CheckError::NoChecker),
    }
}

/// The roots that are named, or the system's.
fn trust(files: &[PathBuf]) -> Result<Trust, CheckError> {
    let mut roots = Vec::new();
    for file in files {
        roots.extend(pem::certificates(file)?.iter().map(|root| root.to_vec()));
    }
    if files.is_empty() {
        roots = system_roots().map_err(|problem| CheckError::SystemRoots(Box::new(problem)))?;
    }
    Ok(TrustAnchors::new(roots, Vec::new())?.into())
}

async fn target(arguments: &CheckArguments, nameservers: Option<&[SocketAddr]>) -> Result<Target, CheckError> {
    let domain = arguments.domain.clone();
    if let Some(address) = &arguments.address {
        let failed = |cause| CheckError::Address { address: address.clone(), cause };
        return Ok(Target { domain, addresses: lookup_host(address).await.map_err(failed)?.collect() });
    }
    let resolver = match nameservers {
        Some(nameservers) => DnsResolver::new(nameservers)?,
        None => DnsResolver::system()?,
    };
    Ok(Target::find(domain, &resolver).await?)
}

async fn listening(address: SocketAddr, fresh_names: bool) -> Result<Listening, CheckError> {
    let listener = TcpListener::bind(address).await.map_err(|cause| CheckError::Listen { address, cause })?;
    Ok(if fresh_names { Listening::with_fresh_names(listener) } else { Listening::new(listener) })
}
