//! Our own domain as a process: the library behind its listeners, set up as the daemon does it, a publish-subscribe service,
//! and a component to send to.

use std::fs;
use std::io::{Read, Write, stdin, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use convoke::pubsub::{Creators, PubSubConfig};
use convoke::store::RedbStore;
use convoke::{Component, Domain};
use convoke_net::{AdmissionLimits, Credentials};
use convoke_s2s::{DnsResolver, FederationConfig, LocalDomain, TrustAnchors};
use convoke_xmpp::{Domainpart, MessageType, Stanza};
use tokio::net::TcpListener;

use crate::Error;

/// The files of the directory that the process is given.
pub(super) const CHAIN_FILE: &str = "chain.pem";
pub(super) const KEY_FILE: &str = "key.pem";
pub(super) const TRUST_FILE: &str = "trust.pem";

/// The component that takes messages.
pub(crate) const SINK: &str = "sink";

/// The component answers every so many messages with one that has the `id` of the last.
pub(crate) const ACKNOWLEDGED: usize = 64;

/// Serves the domain until the standard input ends; says the ports for STARTTLS and direct TLS in one line.
///
/// Publish-subscribe keeps its nodes in memory, or in a store in this directory, if one is named.
pub fn run(domain: &str, directory: &Path, nameserver: SocketAddr, store: Option<&Path>) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(start(domain, directory, nameserver, store))?;
    // Whoever measures holds the other end, and ends with it.
    stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(served.shutdown(Duration::from_secs(1)));
    Ok(())
}

async fn start(name: &str, directory: &Path, nameserver: SocketAddr, store: Option<&Path>) -> Result<Domain, Error> {
    let domain = Domain::builder(name).federation(federation(name, directory, nameserver)?).start().await?;
    tokio::spawn(acknowledge(domain.component(SINK)?));
    let pubsub = PubSubConfig { creators: Creators::Anyone, ..PubSubConfig::default() };
    match store {
        Some(store) => domain.serve_durable_pubsub(pubsub, Arc::new(RedbStore::open(store)?))?,
        None => domain.serve_pubsub(pubsub)?,
    };
    let starttls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let direct = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(stdout(), "{} {}", starttls.local_addr()?.port(), direct.local_addr()?.port())?;
    domain.listen(starttls);
    domain.listen_direct(direct);
    Ok(domain)
}

fn federation(name: &str, directory: &Path, nameserver: SocketAddr) -> Result<FederationConfig, Error> {
    let read = |file: &str| fs::read_to_string(directory.join(file));
    let credentials = Credentials::from_pem(&read(CHAIN_FILE)?, &read(KEY_FILE)?)?;
    let local = LocalDomain { name: Domainpart::new(name)?, credentials };
    let trust = TrustAnchors::from_pem(&read(TRUST_FILE)?)?;
    let mut config = FederationConfig::new(vec![local], trust, Arc::new(DnsResolver::new(&[nameserver])?));
    // As with the peers: what is measured is what the work costs, not what is allowed.
    config.admission = AdmissionLimits { burst: u32::MAX, ..AdmissionLimits::default() };
    Ok(config)
}

/// Takes messages, and lets the sender know how far it is.
async fn acknowledge(mut sink: Component) {
    let mut received = 0_usize;
    while let Some((message, _)) = sink.receive().await {
        received += 1;
        if received.is_multiple_of(ACKNOWLEDGED)
            && let (Some(id), Some(from)) = (message.id(), message.from())
        {
            let answer = Stanza::message(MessageType::Normal).with_id(id).with_to(&from.to_owned());
            // Without its answer the sender will tell that nothing comes any more.
            let _refused = sink.send(answer);
        }
    }
}
