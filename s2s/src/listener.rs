//! Incoming streams: negotiated, guarded, routed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use convoke_net::session::{self, Stop};
use convoke_net::tcp::{TcpListener, TcpStream};
use convoke_net::{Negotiated, Outbox, SessionHandler, negotiate};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Domainpart, Limits, Origin, Stanza};
use tracing::{debug, info, warn};

use crate::federation::Shared;
use crate::link::Incoming;
use crate::negotiation::{Established, Receiving, ReceivingConfig};

/// Accepts server-to-server connections until shutdown and negotiates them as `receiving` says.
pub(crate) async fn listen(listener: TcpListener, receiving: ReceivingConfig, shared: Arc<Shared>) {
    let (connections, tasks) = (shared.connections, shared.tasks.clone());
    convoke_net::accept(listener, connections, tasks, |stream, address| {
        let (receiving, shared) = (receiving.clone(), Arc::clone(&shared));
        async move { receive(stream, address, receiving, shared).await }
    })
    .await;
}

async fn receive(stream: TcpStream, address: SocketAddr, receiving: ReceivingConfig, shared: Arc<Shared>) {
    let Some(admitted) = shared.admission.admit(address.ip(), now()) else {
        return debug!(%address, "too many connections of this address");
    };
    let receiving = Receiving::new(receiving, Arc::clone(&shared.verifier), now());
    let negotiating = negotiate(receiving, stream, &shared.tls, Limits::before_authentication());
    let negotiated = tokio::select! {
        negotiated = negotiating => negotiated,
        // Who is not known yet is owed no goodbye.
        () = shared.tasks.shutdown_token().cancelled() => return,
    };
    drop(admitted);
    match negotiated {
        Ok(negotiated) => carry(negotiated, shared).await,
        Err(error) => info!(%address, %error, "incoming stream refused"),
    }
}

async fn carry(negotiated: Negotiated<Established>, shared: Arc<Shared>) {
    let Negotiated { mut connection, established } = negotiated;
    let (local, remote) = (&established.local, established.identity.domain());
    let Some(incoming) = shared.register(local, remote) else {
        warn!(%local, %remote, "too many links; incoming stream refused");
        return connection.close(&StreamCondition::ResourceConstraint.into()).await;
    };
    info!(%local, %remote, tls = established.tls_version, "incoming stream established");
    connection.set_limits(shared.limits);
    let stop = Stop { shutdown: shared.tasks.shutdown_token().clone(), cut: incoming.cut.clone(), ..Stop::default() };
    let settings = shared.session_settings();
    let mut guard = Guard { origin: Origin::Remote(remote.clone()), remote: remote.clone(), incoming, shared };
    let end = session::run(connection, &Outbox::default(), &mut guard, settings, &stop).await;
    info!(%local, %remote, ?end, "incoming stream ended");
}

/// Lets through what the peer may send: from its proved domain, to a domain that is served here.
struct Guard {
    remote: Domainpart,
    origin: Origin,
    incoming: Incoming,
    shared: Arc<Shared>,
}

impl SessionHandler for Guard {
    fn stanza(&mut self, stanza: Stanza) -> Result<(), StreamError> {
        self.incoming.count(&stanza);
        self.check(&stanza).map_err(|condition| {
            let reason =
                format!("a {} from {:?} to {:?}", stanza.kind().name(), text(stanza.from()), text(stanza.to()));
            warn!(remote = %self.remote, %condition, reason, "incoming stanza refused");
            StreamError::new(condition)
        })?;
        if let Err(undelivered) = self.shared.router.route(stanza, &self.origin) {
            self.shared.router.undelivered(undelivered);
        }
        Ok(())
    }
}

impl Guard {
    /// RFC 6120, sections 8.1.1.2 and 8.1.2.2.
    fn check(&self, stanza: &Stanza) -> Result<(), StreamCondition> {
        let (Some(to), Some(from)) = (stanza.to(), stanza.from()) else {
            return Err(StreamCondition::ImproperAddressing);
        };
        // Exactly the proved domain: a sub-domain is another one.
        if from.domain() != self.remote.as_str() {
            return Err(StreamCondition::InvalidFrom);
        }
        if !self.shared.serves(to.domain()) {
            return Err(StreamCondition::HostUnknown);
        }
        Ok(())
    }
}

fn text(address: Option<convoke_xmpp::JidRef<'_>>) -> &str {
    address.map_or("", |jid| jid.as_str())
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
