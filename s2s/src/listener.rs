//! Incoming streams: negotiated, verified, guarded, routed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use convoke_net::tcp::{TcpListener, TcpStream};
use convoke_net::{Connection, Negotiated, negotiate};
use convoke_xmpp::stream::{StreamCondition, StreamError};
use convoke_xmpp::{Condition, Limits};
use tracing::{debug, info, warn};

use crate::dialback::Content;
use crate::dialer::{DialError, FaultCode};
use crate::federation::Shared;
use crate::negotiation::{Claim, Established, Received, Receiving, ReceivingConfig};

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
    let welcome = async {
        let receiving = Receiving::new(receiving, Arc::clone(shared.trust.verifier()), now());
        let negotiating = negotiate(receiving, stream, &shared.tls, Limits::before_authentication());
        match negotiating.await {
            Ok(Negotiated { connection, established: Received::Proved(stream) }) => Some((connection, *stream)),
            Ok(Negotiated { connection, established: Received::Claimed(claim) }) => {
                verify(connection, *claim, &shared).await
            }
            Err(error) => {
                info!(%address, %error, "incoming stream refused");
                None
            }
        }
    };
    let welcomed = tokio::select! {
        welcomed = welcome => welcomed,
        // Who is not known yet is owed no goodbye.
        () = shared.tasks.shutdown_token().cancelled() => return,
    };
    drop(admitted);
    if let Some((connection, established)) = welcomed {
        carry(connection, &established, shared).await;
    }
}

/// Has the authoritative server of the domain judge the claim to it (XEP-0220, section 2.1.2); gives the stream, if it
/// does. A claim that is not confirmed ends it.
async fn verify(mut connection: Connection, claim: Claim, shared: &Shared) -> Option<(Connection, Established)> {
    let request = claim.request().clone();
    let (local, remote) = (&request.to, &request.from);
    let verdict = match shared.verifications.try_acquire() {
        Ok(_one_of_few) => shared.dialer.ask(claim.question()).await.map_err(|error| verdict(&error)),
        Err(_) => Err(Content::failed(Condition::ResourceConstraint)),
    };
    let judged = verdict.and_then(|dialed| {
        let established = claim.vouched_for(&dialed.established, SystemTime::now());
        shared.tasks.spawn(dialed.connection.finish());
        established.ok_or_else(|| Content::failed(Condition::InternalServerError))
    });
    let answer = judged.as_ref().map_or_else(Content::clone, |_| Content::Valid);
    shared.dialback.count(&answer);
    let is_told = connection.send(&request.answered(answer).to_element()).await;
    match judged {
        Ok(established) => is_told.then_some((connection, established)),
        Err(refusal) => {
            warn!(%local, %remote, ?refusal, "the peer is not the domain that it claims to be, as far as dialback can tell");
            if is_told {
                connection.finish().await;
            }
            None
        }
    }
}

/// XEP-0220, section 2.5.
fn verdict(error: &DialError) -> Content {
    match error.code() {
        FaultCode::DialbackRefused => Content::Invalid,
        FaultCode::DialbackFailed => Content::failed(Condition::RemoteServerNotFound),
        code if code.is_dns() => Content::failed(Condition::RemoteServerNotFound),
        _ => Content::failed(Condition::RemoteServerTimeout),
    }
}

async fn carry(mut connection: Connection, established: &Established, shared: Arc<Shared>) {
    let (local, remote) = (&established.local, established.identity.domain());
    let Some(incoming) = shared.register(local, remote) else {
        warn!(%local, %remote, "too many streams or links; incoming stream refused");
        let error = StreamError::new(StreamCondition::ResourceConstraint);
        return connection.close(&error.with_text("too many streams of this pair of domains")).await;
    };
    connection.set_limits(shared.limits);
    let settings = shared.session_settings(established.identity.not_after());
    incoming.carry(connection, established, settings).await;
}

/// The present, as tests with a paused clock see it too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
