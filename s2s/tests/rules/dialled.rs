//! A real dialer, `a.example`, and the server of the test's own that it reaches, `b.example`.

use convoke_dev::{Issued, Subject};
use convoke_s2s::FederationConfig;
use convoke_xmpp::Undelivered;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::listening::plain;
use crate::wire::{
    NO_FEATURES, PROCEED, SASL_FEATURES, STARTTLS, SUCCESS, TLS_FEATURES, Wire, answer, auth, header, server,
};
use crate::world::{Node, SOON, World, message};

/// `a.example` as authorization identity.
pub(crate) const AUTHZID: &str = "YS5leGFtcGxl";

pub(crate) struct Dialled {
    pub(crate) world: World,
    pub(crate) a: Node,
    pub(crate) listener: TcpListener,
    pub(crate) shown: Issued,
}

impl Dialled {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The dialer has these changes.
    pub(crate) async fn with(change: impl FnOnce(&mut FederationConfig)) -> Self {
        let world = World::new().await;
        let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
        let change = |config: &mut FederationConfig| {
            plain(config);
            change(config);
        };
        let a = world.node_with("a.example", &issued, change).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        world.found_by_srv("b.example", 0, listener.local_addr().unwrap().port());
        let shown = world.authority.issue(&Subject::domain("b.example")).unwrap();
        Self { world, a, listener, shown }
    }

    /// The dialer has a stanza to send and connects.
    pub(crate) async fn connected(&self) -> Wire {
        self.a.send(message("juliet@a.example", "romeo@b.example", "first"));
        self.accepted().await
    }

    pub(crate) async fn accepted(&self) -> Wire {
        Wire::accepted(timeout(SOON, self.listener.accept()).await.expect("no connection").unwrap().0)
    }

    /// After the header in the clear, which has been answered by a header.
    pub(crate) async fn opened(&self) -> Wire {
        self.open(self.connected().await).await
    }

    async fn open(&self, mut host: Wire) -> Wire {
        assert_eq!(host.hear(">").await + &host.hear(">").await, header("a.example", "b.example"));
        host.say(answer("b.example", "a.example", "first")).await;
        host
    }

    /// After `<starttls/>`.
    pub(crate) async fn asked_for_tls(&self) -> Wire {
        self.offer_tls(self.opened().await).await
    }

    async fn offer_tls(&self, mut host: Wire) -> Wire {
        host.say(TLS_FEATURES).await;
        assert_eq!(host.hear(STARTTLS).await, STARTTLS);
        host
    }

    /// After the handshake and the header within TLS, which has been answered by a header.
    pub(crate) async fn secured(&self) -> Wire {
        self.secure(self.connected().await).await
    }

    /// The same on a connection that has just been accepted.
    pub(crate) async fn secure(&self, host: Wire) -> Wire {
        let mut host = self.offer_tls(self.open(host).await).await;
        host.say(PROCEED).await;
        let mut host = host.secured_as_server(server(&self.world.authority, &self.shown)).await;
        assert_eq!(host.hear("xml:lang='en'>").await, header("a.example", "b.example"));
        host.say(answer("b.example", "a.example", "second")).await;
        host
    }

    /// After `<auth/>`.
    pub(crate) async fn asked_for_success(&self) -> Wire {
        self.ask(self.secured().await).await
    }

    async fn ask(&self, mut host: Wire) -> Wire {
        host.say(SASL_FEATURES).await;
        assert_eq!(host.hear("</auth>").await, auth(AUTHZID));
        host
    }

    /// After the header behind `<success/>`, which has been answered by a header.
    pub(crate) async fn authenticated(&self) -> Wire {
        self.authenticate(self.asked_for_success().await).await
    }

    async fn authenticate(&self, mut host: Wire) -> Wire {
        host.say(SUCCESS).await;
        assert_eq!(host.hear("xml:lang='en'>").await, header("a.example", "b.example"));
        host.say(answer("b.example", "a.example", "third")).await;
        host
    }

    /// After the last features; the stanza that dialled has been heard.
    pub(crate) async fn established(&self) -> Wire {
        self.establish(self.secured().await).await
    }

    /// The same on a connection on which TLS and a header have been exchanged.
    pub(crate) async fn establish(&self, secured: Wire) -> Wire {
        let mut host = self.authenticate(self.ask(secured).await).await;
        host.say(NO_FEATURES).await;
        assert!(host.hear("</message>").await.contains(" id='first'"));
        host
    }

    /// The stanza that dialled comes back.
    pub(crate) async fn given_back(&self) -> Undelivered {
        let undelivered = self.a.undelivered().await;
        assert_eq!(undelivered.stanza.id(), Some("first"));
        undelivered
    }
}
