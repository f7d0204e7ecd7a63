//! From the command line to the terms of a check: who checks whom, and by what.

use std::net::SocketAddr;

use convoke::s2s::{IdentityVerifier, LocalDomain};
use convoke_conformance::{Authority, Identity, Listening, Setup, Target};
use tokio::net::{TcpListener, lookup_host};

use super::CheckError;
use crate::caller::Caller;
use crate::cli::CheckArguments;

/// Everything that the checker needs.
pub(super) async fn setup(arguments: &CheckArguments) -> Result<Setup, CheckError> {
    let caller = Caller::read(&arguments.caller, "checks")?;
    let target = target(arguments, &caller).await?;
    let Caller { local: LocalDomain { name: domain, credentials }, trust, .. } = caller;
    let mut setup = Setup::new(target, Identity { domain, credentials });
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

async fn target(arguments: &CheckArguments, caller: &Caller) -> Result<Target, CheckError> {
    let domain = arguments.domain.clone();
    let direct_addresses = match &arguments.direct_address {
        Some(address) => addresses(address).await?,
        None => Vec::new(),
    };
    if let Some(address) = &arguments.address {
        let addresses = addresses(address).await?;
        return Ok(Target { domain, addresses, direct_addresses });
    }
    let found = Target::find(domain, &caller.resolver()?).await?;
    Ok(if direct_addresses.is_empty() { found } else { Target { direct_addresses, ..found } })
}

async fn addresses(host_and_port: &str) -> Result<Vec<SocketAddr>, CheckError> {
    let failed = |cause| CheckError::Address { address: host_and_port.to_owned(), cause };
    Ok(lookup_host(host_and_port).await.map_err(failed)?.collect())
}

async fn listening(address: SocketAddr, fresh_names: bool) -> Result<Listening, CheckError> {
    let listener = TcpListener::bind(address).await.map_err(|cause| CheckError::Listen { address, cause })?;
    Ok(if fresh_names { Listening::with_fresh_names(listener) } else { Listening::new(listener) })
}
