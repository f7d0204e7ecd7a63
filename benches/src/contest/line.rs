//! A domain of the generator, and where it is dialled.

use std::time::Duration;

use convoke_dev::peers::Service;
use convoke_dev::{CertificateAuthority, LoopbackDns};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::stream::{Incoming, Outgoing, dial, receive};
use super::{Contestant, Identity};
use crate::Error;

/// Nothing takes as long but by a mistake.
const DEADLINE: Duration = Duration::from_secs(30);

/// A domain of the generator, and where it is dialled.
pub(crate) struct Line {
    pub(crate) own: Identity,
    listener: TcpListener,
}

impl Line {
    /// A domain of the generator, which servers find.
    pub(crate) async fn new(domain: &str, authority: &CertificateAuthority, dns: &LoopbackDns) -> Result<Self, Error> {
        let own = Identity::new(domain, authority)?;
        let listener = own.listen(dns).await?;
        Ok(Self { own, listener })
    }

    /// A stream to this domain of the server.
    pub(crate) async fn out(&self, contestant: &Contestant, domain: &str) -> Result<Outgoing, Error> {
        let address = contestant.address(Service::StartTls);
        timeout(DEADLINE, dial(&self.own, domain, address, Service::StartTls)).await?
    }

    /// A stream to this domain of the server, and the one that it dials to send there what it answers to a first request.
    pub(crate) async fn both_ways(
        &self,
        contestant: &Contestant,
        domain: &str,
        first: &str,
    ) -> Result<(Outgoing, Incoming), Error> {
        let mut out = self.out(contestant, domain).await?;
        out.write_all(first.as_bytes()).await?;
        out.flush().await?;
        let back = timeout(DEADLINE, receive(&self.own, domain, &self.listener)).await;
        Ok((out, back.map_err(|_| format!("{domain} does not dial {}", self.own.domain))??))
    }
}
