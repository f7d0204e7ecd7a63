//! What happens to a stanza that is addressed to the gateway.
//!
//! | to | iq get or set | iq result or error | message | presence |
//! |---|---|---|---|---|
//! | `gateway@D` | discovery, ping and version are answered | ignored | service-unavailable | ignored |
//! | a service | discovery and ping are answered, the rest becomes an HTTP request | ignored | service-unavailable | ignored |
//! | a client | an event if somebody reads, else recipient-unavailable | its own request's answer, else ignored | an event | an event |
//! | anybody else | service-unavailable | ignored | service-unavailable | ignored |
//!
//! A client that may not read events is unavailable for messages (service-unavailable) and deaf to presence; one that
//! may not send stanzas could never answer a request, which is service-unavailable too. A request that a client does
//! not answer in time is answered for it with remote-server-timeout.

use std::sync::Arc;

use convoke_xmpp::payload::{Identity, disco_info, disco_items, ping, version};
use convoke_xmpp::{Condition, Element, IqType, Kind, Router, Stanza, StanzaError, Undelivered, namespace};

use crate::client::Client;
use crate::gateway::Inner;
use crate::mapping::to_json;
use crate::outgoing;
use crate::registry::RestService;
use crate::tokens::Scope;

pub(crate) fn deliver(inner: &Arc<Inner>, stanza: Stanza, router: &dyn Router) {
    inner.metrics.received(stanza.kind());
    if let Some(fault) = stanza.fault() {
        return refuse(inner, stanza, fault, router);
    }
    let Some(name) = stanza.to().and_then(|to| to.resource()).map(str::to_owned) else {
        return to_gateway(inner, stanza, router);
    };
    if let Some(client) = inner.clients.get(&name) {
        to_client(inner, client, stanza, router);
    } else if let Some(service) = inner.services.get(&name) {
        to_service(inner, &service, stanza, router);
    } else {
        refuse(inner, stanza, Condition::ServiceUnavailable, router);
    }
}

/// Gives a stanza back to be bounced; presence and answers, which nobody bounces, are ignored and counted.
pub(crate) fn refuse(inner: &Inner, stanza: Stanza, error: impl Into<StanzaError>, router: &dyn Router) {
    if stanza.is_request() || matches!(stanza.kind(), Kind::Message(_)) {
        router.undelivered(Undelivered::new(stanza, error));
    } else {
        inner.metrics.ignored();
    }
}

fn to_gateway(inner: &Arc<Inner>, stanza: Stanza, router: &dyn Router) {
    match own_answer(inner, &stanza) {
        Some(payload) => answer(&stanza, payload, router),
        None => refuse(inner, stanza, Condition::ServiceUnavailable, router),
    }
}

fn answer(request: &Stanza, payload: Option<Element>, router: &dyn Router) {
    let origin = convoke_xmpp::Origin::Local;
    if let Err(undelivered) = router.route(request.result(payload), &origin) {
        router.undelivered(undelivered);
    }
}

/// What the gateway answers for itself: the payload of a result.
fn own_answer(inner: &Inner, stanza: &Stanza) -> Option<Option<Element>> {
    if stanza.kind() != Kind::Iq(IqType::Get) {
        return None;
    }
    match stanza.payload_name()? {
        ("query", namespace::DISCO_INFO) => {
            let identity = identity("gateway", "http", "Convoke HTTP gateway");
            let features = [namespace::DISCO_ITEMS, namespace::PING, namespace::VERSION, outgoing::CALL_NAMESPACE];
            Some(Some(disco_info(&[identity], features)))
        }
        ("query", namespace::DISCO_ITEMS) => {
            let services = inner.services.all();
            Some(Some(disco_items(services.iter().map(|service| (service.jid.as_str(), service.name.as_str())))))
        }
        ("query", namespace::VERSION) => Some(Some(version("Convoke gateway", env!("CARGO_PKG_VERSION")))),
        ("ping", namespace::PING) => Some(None),
        _ => None,
    }
}

/// What the gateway answers for a service, which speaks no XMPP.
fn service_answer(service: &RestService, stanza: &Stanza) -> Option<Option<Element>> {
    if stanza.kind() != Kind::Iq(IqType::Get) {
        return None;
    }
    match stanza.payload_name()? {
        ("query", namespace::DISCO_INFO) => {
            let identity = identity("component", "generic", &service.name);
            Some(Some(disco_info(&[identity], [namespace::PING, outgoing::CALL_NAMESPACE])))
        }
        ("query", namespace::DISCO_ITEMS) => Some(Some(disco_items([]))),
        (name, namespace) if ping().is(name, namespace) => Some(None),
        _ => None,
    }
}

fn identity(category: &'static str, kind: &'static str, name: &str) -> Identity {
    Identity { category, kind, name: name.to_owned() }
}

fn to_service(inner: &Arc<Inner>, service: &Arc<RestService>, stanza: Stanza, router: &dyn Router) {
    if !stanza.is_request() {
        return refuse(inner, stanza, Condition::ServiceUnavailable, router);
    }
    if inner.draining.is_cancelled() {
        return refuse(inner, stanza, Condition::RecipientUnavailable, router);
    }
    match service_answer(service, &stanza) {
        Some(payload) => answer(&stanza, payload, router),
        None => outgoing::call(inner, service, stanza, router),
    }
}

fn to_client(inner: &Arc<Inner>, client: &Arc<Client>, stanza: Stanza, router: &dyn Router) {
    match stanza.kind() {
        Kind::Iq(IqType::Result | IqType::Error) => {
            if !client.answered(stanza) {
                inner.metrics.ignored();
            }
        }
        Kind::Iq(IqType::Get | IqType::Set) => ask(inner, client, stanza, router),
        _ if !client.caller.may(Scope::EventsRead) => refuse(inner, stanza, Condition::ServiceUnavailable, router),
        _ => publish(client, &stanza),
    }
}

fn publish(client: &Client, stanza: &Stanza) {
    client.mailbox.publish(to_json(stanza).to_string());
}

/// Puts a request before the client and sees to it that it is answered once: by the client, or by the deadline.
fn ask(inner: &Arc<Inner>, client: &Arc<Client>, stanza: Stanza, router: &dyn Router) {
    if !client.caller.may(Scope::EventsRead) || !client.caller.may(Scope::StanzaSend) {
        return refuse(inner, stanza, Condition::ServiceUnavailable, router);
    }
    if !client.mailbox.has_reader() || inner.draining.is_cancelled() {
        return refuse(inner, stanza, Condition::RecipientUnavailable, router);
    }
    let answered = match client.ask(&stanza) {
        Ok(answered) => answered,
        Err(condition) => return refuse(inner, stanza, condition, router),
    };
    publish(client, &stanza);
    let (task_inner, client) = (Arc::clone(inner), Arc::clone(client));
    inner.spawn(async move {
        let condition = tokio::select! {
            _ = answered => return,
            () = tokio::time::sleep(task_inner.limits.question_time) => Condition::RemoteServerTimeout,
            () = task_inner.closed.cancelled() => Condition::RecipientUnavailable,
        };
        if client.settle(stanza.from().map(|from| from.as_str()), stanza.id()) {
            task_inner.router.undelivered(Undelivered::new(stanza, condition));
        }
    });
}
