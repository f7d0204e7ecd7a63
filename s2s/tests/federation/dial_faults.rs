//! A target is good when the final features have arrived and not before: whatever it does until then, the next one is
//! tried, once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use convoke_dev::{CertificateAuthority, Issued, Subject};
use convoke_s2s::{DialReport, Stage};
use convoke_xmpp::stream::{OtherHost, StreamError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::wire::{
    END, NO_FEATURES, PROCEED, SASL_FEATURES, STARTTLS, SUCCESS, TLS_FAILURE, TLS_FEATURES, Wire, answer, sasl_failure,
    server,
};
use crate::world::{Node, SERVICE, SOON, World, domain, message};

/// How long a silent peer is borne with: long enough for a peer that is only slow on a busy machine.
const PATIENCE: Duration = Duration::from_secs(4);

/// What the first target does wrong.
#[derive(Debug, Clone, Copy)]
enum Fault {
    NobodyListens,
    NeverAccepts,
    BreaksOff,
    SaysNothing,
    SaysNonsense,
    DoesNotServeTheDomain,
    SpeaksAsClient,
    RefusesTls,
    IsInjectedInto,
    AnswersTlsWithHttp,
    IsSilentInTls,
    RefusesOurCertificateByAlert,
    ShowsAnotherName,
    ShowsAnUnknownAuthority,
    GoesDown,
    OffersNoExternal,
    RefusesToAuthenticate,
    HasTooMuchToDo,
    DemandsAnUnknownFeature,
    IsSilentAtLast,
    BreaksOffAtLast,
}

use Fault::*;

/// Each fault with its code and the stage that it is met at.
const FAULTS: &[(Fault, &str, Stage)] = &[
    (NobodyListens, "tcp-refused", Stage::Connection),
    (NeverAccepts, "tcp-timeout", Stage::Connection),
    (BreaksOff, "disconnected", Stage::Opening),
    (SaysNothing, "silence", Stage::Opening),
    (SaysNonsense, "peer-malformed", Stage::Opening),
    (DoesNotServeTheDomain, "stream-host-unknown", Stage::Opening),
    (SpeaksAsClient, "peer-namespace", Stage::Opening),
    (RefusesTls, "tls-refused", Stage::StartTls),
    (IsInjectedInto, "tls-injection", Stage::Tls),
    (AnswersTlsWithHttp, "tls-handshake", Stage::Tls),
    (IsSilentInTls, "silence", Stage::Tls),
    (RefusesOurCertificateByAlert, "tls-alert", Stage::Secured),
    (ShowsAnotherName, "certificate-wrong-name", Stage::Tls),
    (ShowsAnUnknownAuthority, "certificate-unknown-issuer", Stage::Tls),
    (GoesDown, "stream-system-shutdown", Stage::Secured),
    (OffersNoExternal, "sasl-no-external", Stage::Secured),
    (RefusesToAuthenticate, "sasl-not-authorized", Stage::Authentication),
    (HasTooMuchToDo, "stream-resource-constraint", Stage::Authenticated),
    (DemandsAnUnknownFeature, "peer-demands-feature", Stage::Authenticated),
    (IsSilentAtLast, "silence", Stage::Authenticated),
    (BreaksOffAtLast, "disconnected", Stage::Authenticated),
];

fn stream_error(condition: &str) -> String {
    format!("<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>{END}")
}

/// A host that serves `b` and does something wrong on the way.
struct Host {
    world: Arc<World>,
    name: String,
    shown: Issued,
}

impl Host {
    fn new(world: &Arc<World>, name: &str, fault: Fault) -> Self {
        let named = if matches!(fault, ShowsAnotherName) { "c.example" } else { name };
        let unknown = CertificateAuthority::new("Nobody's CA").unwrap();
        let authority = if matches!(fault, ShowsAnUnknownAuthority) { &unknown } else { &world.authority };
        let shown = authority.issue(&Subject::domain(named)).unwrap();
        Self { world: Arc::clone(world), name: name.to_owned(), shown }
    }

    fn answer(&self, id: &str) -> String {
        answer(&self.name, "a.example", id)
    }

    async fn play(self, mut wire: Wire, fault: Fault) {
        wire.hear("xml:lang='en'>").await;
        match fault {
            BreaksOff => return,
            SaysNothing => return hang_up(wire).await,
            SaysNonsense => return wire.say("HTTP/1.1 400 Bad Request\r\n\r\n").await,
            DoesNotServeTheDomain => return wire.say(self.answer("1") + &stream_error("host-unknown")).await,
            SpeaksAsClient => return wire.say(self.answer("1").replace("jabber:server", "jabber:client")).await,
            _ => wire.say(self.answer("1") + TLS_FEATURES).await,
        }
        wire.hear(STARTTLS).await;
        match fault {
            RefusesTls => wire.say(TLS_FAILURE.to_owned() + END).await,
            IsInjectedInto => wire.say(PROCEED.to_owned() + "<presence/>").await,
            _ => {
                wire.say(PROCEED).await;
                self.play_tls(wire, fault).await;
            }
        }
    }

    async fn play_tls(self, wire: Wire, fault: Fault) {
        match fault {
            AnswersTlsWithHttp => {
                // Sooner it would be ahead of the handshake, which is another fault.
                let mut stream = wire.into_tcp();
                stream.read_u8().await.unwrap();
                return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            }
            IsSilentInTls => return hang_up(wire).await,
            RefusesOurCertificateByAlert => {
                let other = CertificateAuthority::new("Another CA").unwrap();
                let acceptor = TlsAcceptor::from(Arc::new(server(&other, &self.shown)));
                assert!(timeout(SOON, acceptor.accept(wire.into_tcp())).await.unwrap().is_err());
                return;
            }
            _ => {}
        }
        let wire = wire.secured_as_server(server(&self.world.authority, &self.shown)).await;
        self.play_sasl(wire, fault).await;
    }

    async fn play_sasl(self, mut wire: Wire, fault: Fault) {
        if matches!(fault, ShowsAnotherName | ShowsAnUnknownAuthority) {
            return drop(wire.rest().await);
        }
        wire.hear("xml:lang='en'>").await;
        match fault {
            GoesDown => return wire.say(self.answer("2") + &stream_error("system-shutdown")).await,
            OffersNoExternal => return wire.say(self.answer("2") + &SASL_FEATURES.replace("EXTERNAL", "PLAIN")).await,
            _ => wire.say(self.answer("2") + SASL_FEATURES).await,
        }
        wire.hear("</auth>").await;
        if matches!(fault, RefusesToAuthenticate) {
            return wire.say(sasl_failure("not-authorized") + END).await;
        }
        wire.say(SUCCESS).await;
        wire.hear("xml:lang='en'>").await;
        match fault {
            HasTooMuchToDo => wire.say(self.answer("3") + &stream_error("resource-constraint")).await,
            DemandsAnUnknownFeature => wire.say(self.answer("3") + &demanding()).await,
            IsSilentAtLast => hang_up(wire).await,
            BreaksOffAtLast => {}
            fault => panic!("{fault:?} happens earlier"),
        }
    }
}

fn demanding() -> String {
    NO_FEATURES.replace("/>", "><x xmlns='urn:x'><required/></x></stream:features>")
}

/// Says nothing more until the peer has given up.
async fn hang_up(mut wire: Wire) {
    wire.bytes().await;
}

/// A port that takes no connection: the queue of its listener is full, which nobody empties.
async fn never_accepting() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        filling.push(stream);
    }
    (listener, filling)
}

/// The first target of `name`, which plays its fault once.
async fn first_target(world: &Arc<World>, name: &str, fault: Fault, plays: &mut JoinSet<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    match fault {
        NobodyListens => drop(listener),
        NeverAccepts => {
            let (listener, filling) = never_accepting().await;
            let port = listener.local_addr().unwrap().port();
            plays.spawn(async move {
                let _full = (listener, filling);
                std::future::pending().await
            });
            return port;
        }
        _ => {
            let host = Host::new(world, name, fault);
            plays.spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                host.play(Wire::accepted(stream), fault).await;
                // Nobody comes twice.
                listener.accept().await.unwrap();
                panic!("{fault:?} was met twice");
            });
        }
    }
    port
}

/// A well-made domain behind the second of its targets.
async fn second_target(world: &World, name: &str) -> Node {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.found_by_srv(name, 2, listener.local_addr().unwrap().port());
    let issued = world.authority.issue(&Subject::domain(name)).unwrap();
    world.node_on(listener, name, &issued, |_| {})
}

async fn dialer(world: &World) -> Node {
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let change = |config: &mut convoke_s2s::FederationConfig| {
        config.timeouts.answer = PATIENCE;
        config.timeouts.connect = PATIENCE;
    };
    world.node_with("a.example", &issued, change).await
}

#[tokio::test]
async fn whatever_the_first_target_does_wrong_the_second_one_is_reached_exactly_once() {
    let world = Arc::new(World::new().await);
    let a = Arc::new(dialer(&world).await);
    let (mut plays, mut dials) = (JoinSet::new(), JoinSet::new());
    for (number, (fault, code, stage)) in FAULTS.iter().enumerate() {
        let name = format!("b{number}.example");
        let port = first_target(&world, &name, *fault, &mut plays).await;
        world.found_by_srv(&name, 1, port);
        let b = second_target(&world, &name).await;
        let a = Arc::clone(&a);
        dials.spawn(async move {
            a.send(message("a.example", &name, "1"));
            assert_eq!(b.routed().await.0.id(), Some("1"), "{fault:?}");
            let link = a.link(&name).unwrap();
            assert_eq!((link.dials, link.failures), (1, 0), "{fault:?}");
            let report = link.last_report.unwrap();
            check(&report, code, *stage);
            let incoming = b.link("a.example").unwrap();
            assert_eq!((incoming.incoming_streams, incoming.stanzas_in), (1, 1), "{fault:?}");
            assert!(b.has_routed_nothing().await, "{fault:?}");
            // To the end of the test: a stream that is lost would be dialled anew.
            b
        });
    }
    let reached = timeout(3 * SOON, dials.join_all()).await.unwrap();
    assert_eq!(reached.len(), FAULTS.len());
    // The first targets have nothing to complain of.
    while let Some(play) = plays.try_join_next() {
        play.unwrap();
    }
}

/// One attempt that failed so, and one that succeeded.
fn check(report: &DialReport, code: &str, stage: Stage) {
    let [first, second] = &report.attempts[..] else { panic!("{report:#?}") };
    assert_eq!((first.fault.as_ref().unwrap().code.to_string(), first.stage), (code.to_owned(), stage), "{report:#?}");
    assert_eq!((first.target.priority, second.target.priority), (1, 2));
    assert_eq!((second.fault.as_ref(), second.stage), (None, Stage::Established), "{report:#?}");
    assert_eq!(second.tls.as_ref().unwrap().version, "TLSv1.3");
    assert!(report.is_established() && report.fault.is_none());
}

/// What is known of a target that failed is what it has shown: without TLS nothing of TLS.
#[tokio::test]
async fn an_attempt_tells_what_tls_found_as_far_as_it_came() {
    let world = Arc::new(World::new().await);
    let a = dialer(&world).await;
    let mut plays = JoinSet::new();
    for (name, fault, verdict) in [
        ("b1.example", DoesNotServeTheDomain, None),
        ("b2.example", GoesDown, Some("Proved(Dns)")),
        ("b3.example", ShowsAnotherName, Some("WrongName")),
    ] {
        let port = first_target(&world, name, fault, &mut plays).await;
        world.found_by_srv(name, 1, port);
        let report = a.federation.dial(&a.name, &domain(name)).await;
        let found = report.attempts[0].tls.as_ref().map(|tls| format!("{:?}", tls.certificate));
        assert_eq!(found.is_some(), verdict.is_some(), "{report:#?}");
        assert!(found.unwrap_or_default().contains(verdict.unwrap_or_default()), "{report:#?}");
        assert_eq!(report.fault, report.attempts[0].fault);
    }
}

/// The fault that comes nearest to success is told: it is what has to be mended.
#[tokio::test]
async fn of_several_faults_that_of_the_furthest_attempt_is_told() {
    let world = Arc::new(World::new().await);
    let a = dialer(&world).await;
    let mut plays = JoinSet::new();
    for (priority, fault) in [(1, NobodyListens), (2, ShowsAnotherName), (3, DoesNotServeTheDomain)] {
        let port = first_target(&world, "b.example", fault, &mut plays).await;
        world.found_by_srv("b.example", priority, port);
    }
    a.send(message("a.example", "b.example", "1"));
    let error = a.undelivered().await.error;
    let code = error.application.unwrap();
    assert!(code.is("certificate-wrong-name", "urn:convoke:errors:0"), "{code}");
    let text = error.text.unwrap();
    assert!(text.contains("no connection") && text.contains("host-unknown"), "{text}");
    let link = a.link("b.example").unwrap();
    assert!(link.last_failure.unwrap().contains("certificate-wrong-name"));
    assert_eq!(link.last_report.unwrap().attempts.len(), 3);
}

/// Redirects to another host, within TLS or before.
async fn redirecting(world: &Arc<World>, listener: TcpListener, other: OtherHost, within_tls: bool) {
    let host = Host::new(world, "b.example", GoesDown);
    let (stream, _) = listener.accept().await.unwrap();
    let mut wire = Wire::accepted(stream);
    let error = StreamError::see_other_host(other).to_element().to_stream_xml() + END;
    wire.hear("xml:lang='en'>").await;
    if !within_tls {
        return wire.say(host.answer("1") + &error).await;
    }
    wire.say(host.answer("1") + TLS_FEATURES).await;
    wire.hear(STARTTLS).await;
    wire.say(PROCEED).await;
    let mut wire = wire.secured_as_server(server(&world.authority, &host.shown)).await;
    wire.hear("xml:lang='en'>").await;
    wire.say(host.answer("2") + &error).await;
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Dials `b.example` by way of so many hosts that send to the next one; gives how often that happened, and whether the
/// last one, which is well made, was reached.
async fn redirected(hosts: usize, within_tls: bool) -> (Vec<String>, bool) {
    let world = Arc::new(World::new().await);
    let a = dialer(&world).await;
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let (listener, mut next) = bind().await;
    let _b = world.node_on(listener, "b.example", &issued, |_| {});
    let mut plays = JoinSet::new();
    for _ in 0..hosts {
        let (listener, address) = bind().await;
        let (world, to) = (Arc::clone(&world), std::mem::replace(&mut next, address));
        let other = OtherHost { host: domain(&to.ip().to_string()), port: Some(to.port()) };
        plays.spawn(async move { redirecting(&world, listener, other, within_tls).await });
    }
    world.found_by_srv("b.example", 0, next.port());
    let report = a.federation.dial(&a.name, &domain("b.example")).await;
    let codes = report.attempts.iter().filter_map(|attempt| Some(attempt.fault.as_ref()?.code.to_string())).collect();
    (codes, report.is_established())
}

/// Rule 73, RFC 6120, section 4.9.3.19.
#[tokio::test]
async fn a_peer_that_sends_elsewhere_within_tls_is_followed_twice_and_no_more() {
    let redirect = "stream-see-other-host".to_owned();
    for hosts in [1, 2, 3] {
        let (codes, reached) = redirected(hosts, true).await;
        assert_eq!((codes, reached), (vec![redirect.clone(); hosts], hosts < 3));
    }
}

/// Rule 73: before TLS anybody could say it.
#[tokio::test]
async fn a_peer_that_sends_elsewhere_in_the_clear_is_not_followed() {
    assert_eq!(redirected(1, false).await, (vec!["stream-see-other-host".to_owned()], false));
}

/// RFC 6120, section 4.9.3.19: a host without a port is resolved as a domain is, and asked for the same domain.
#[tokio::test]
async fn another_host_without_a_port_is_found_by_its_own_records() {
    let world = Arc::new(World::new().await);
    let a = dialer(&world).await;
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let (listener, address) = bind().await;
    let _b = world.node_on(listener, "b.example", &issued, |_| {});
    world.found_by_srv("farm.example", 7, address.port());
    let (listener, address) = bind().await;
    world.found_by_srv("b.example", 0, address.port());
    let other = OtherHost { host: domain("farm.example"), port: None };
    let sender = Arc::clone(&world);
    let play = tokio::spawn(async move { redirecting(&sender, listener, other, true).await });
    let report = a.federation.dial(&a.name, &domain("b.example")).await;
    let hosts: Vec<_> = report.attempts.iter().map(|attempt| attempt.target.host.as_str()).collect();
    assert_eq!((hosts, report.is_established()), (vec!["xmpp0.b.example", "xmpp7.farm.example"], true), "{report:#?}");
    play.await.unwrap();
}

/// Some targets may be silent, and those who wait for an answer do not wait for all of them.
#[tokio::test]
async fn a_dial_as_a_whole_has_a_deadline() {
    let world = Arc::new(World::new().await);
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let change = |config: &mut convoke_s2s::FederationConfig| {
        config.timeouts.answer = Duration::from_millis(500);
        config.timeouts.dial = Duration::from_secs(1);
    };
    let a = world.node_with("a.example", &issued, change).await;
    let mut silent = Vec::new();
    for priority in 1..=6 {
        let (listener, address) = bind().await;
        world.found_by_srv("b.example", priority, address.port());
        silent.push(listener);
    }
    let report = a.federation.dial(&a.name, &domain("b.example")).await;
    assert!((1..=3).contains(&report.attempts.len()), "{report:#?}");
    assert_eq!(report.fault.as_ref().unwrap().code.to_string(), "silence");
}

#[tokio::test]
async fn a_target_that_failed_lately_is_tried_last_among_its_equals_and_still_tried() {
    let world = World::new().await;
    let a = dialer(&world).await;
    let dead = bind().await.1.port();
    let (listener, address) = bind().await;
    // The dead one comes first in all but one of 65,536 draws.
    for (host, weight, port) in [("dead.b.example", 65_535, dead), ("good.b.example", 0, address.port())] {
        world.dns.srv("b.example", SERVICE, 0, weight, port, host).unwrap();
        world.dns.a(host, Ipv4Addr::LOCALHOST).unwrap();
    }
    let issued = world.authority.issue(&Subject::domain("b.example")).unwrap();
    let b = world.node_on(listener, "b.example", &issued, |_| {});
    let hosts =
        |report: &DialReport| report.attempts.iter().map(|attempt| attempt.target.host.clone()).collect::<Vec<_>>();
    let first = a.federation.dial(&a.name, &b.name).await;
    let second = a.federation.dial(&a.name, &b.name).await;
    assert_eq!(hosts(&first), ["dead.b.example", "good.b.example"]);
    assert_eq!(hosts(&second), ["good.b.example"]);
    drop(b);
    let third = a.federation.dial(&a.name, &domain("b.example")).await;
    assert_eq!(hosts(&third), ["good.b.example", "dead.b.example"]);
}
