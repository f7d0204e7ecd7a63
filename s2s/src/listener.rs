//! Incoming streams: negotiated, guarded, routed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use convoke_net::tcp::{TcpListener, TcpStream};
use convoke_net::{Negotiated, negotiate};
use convoke_xmpp::Limits;
use convoke_xmpp::stream::{StreamCondition, StreamError};
use tracing::{debug, info, warn};

use crate::federation::Shared;
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
        warn!(%local, %remote, "too many streams or links; incoming stream refused");
        let error = StreamError::new(StreamCondition::ResourceConstraint);
        return connection.close(&error.with_text("too many streams of this pair of domains")).await;
    };
    connection.set_limits(shared.limits);
    let settings = shared.session_settings(established.identity.not_after());
    incoming.carry(connection, &established, settings).await;
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
