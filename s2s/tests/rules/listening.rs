//! A real listener, `a.example`, and a peer of the test's own, `b.example`, that comes to it.

use convoke_dev::{Issued, Subject};
use convoke_s2s::FederationConfig;

use crate::wire::{CHALLENGE, FEATURES_END, PROCEED, SASL, STARTTLS, SUCCESS, Wire, auth, client, header};
use crate::world::{Node, World};

/// `b.example` as authorization identity.
pub(crate) const AUTHZID: &str = "Yi5leGFtcGxl";

/// Without the extensions: RFC 6120 alone.
pub(crate) fn plain(config: &mut FederationConfig) {
    (config.bidi, config.stream_management, config.multiplexing) = (false, false, false);
}

pub(crate) struct Listening {
    pub(crate) world: World,
    pub(crate) a: Node,
    pub(crate) shown: Issued,
}

impl Listening {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The listener has these changes.
    pub(crate) async fn with(change: impl FnOnce(&mut FederationConfig)) -> Self {
        let world = World::new().await;
        let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
        let change = |config: &mut FederationConfig| {
            plain(config);
            change(config);
        };
        let a = world.node_with("a.example", &issued, change).await;
        let shown = world.authority.issue(&Subject::domain("b.example")).unwrap();
        Self { world, a, shown }
    }

    pub(crate) async fn connected(&self) -> Wire {
        Wire::connect(self.a.address).await
    }

    /// What is answered to this text in the clear, until the end.
    pub(crate) async fn answer_to(&self, text: impl AsRef<[u8]>) -> String {
        let mut peer = self.connected().await;
        peer.say(text).await;
        peer.rest().await
    }

    /// After the features in the clear.
    pub(crate) async fn in_the_clear(&self) -> Wire {
        let mut peer = self.connected().await;
        peer.say(header("b.example", "a.example")).await;
        peer.hear(FEATURES_END).await;
        peer
    }

    /// After the handshake; no header has been said within TLS.
    pub(crate) async fn secured(&self) -> Wire {
        self.secured_with(Some(&self.shown)).await
    }

    /// The same with this certificate, or none.
    pub(crate) async fn secured_with(&self, shown: Option<&Issued>) -> Wire {
        let mut peer = self.in_the_clear().await;
        peer.say(STARTTLS).await;
        assert_eq!(peer.hear(PROCEED).await, PROCEED);
        peer.secured_as_client(client(&self.world.authority, shown), "a.example").await
    }

    /// After the offer of EXTERNAL.
    pub(crate) async fn offered(&self) -> Wire {
        let mut peer = self.secured().await;
        peer.say(header("b.example", "a.example")).await;
        peer.hear(FEATURES_END).await;
        peer
    }

    /// Within an exchange of SASL.
    pub(crate) async fn challenged(&self) -> Wire {
        let mut peer = self.offered().await;
        peer.say(format!("<auth {SASL} mechanism='EXTERNAL'/>")).await;
        assert_eq!(peer.hear(CHALLENGE).await, CHALLENGE);
        peer
    }

    /// After `<success/>`.
    pub(crate) async fn authenticated(&self) -> Wire {
        let mut peer = self.offered().await;
        peer.say(auth(AUTHZID)).await;
        assert_eq!(peer.hear(SUCCESS).await, SUCCESS);
        peer
    }

    /// After the last features.
    pub(crate) async fn established(&self) -> Wire {
        self.established_with("").await
    }

    /// The same where this was said ahead of SASL.
    pub(crate) async fn established_with(&self, ahead: &str) -> Wire {
        let mut peer = self.offered().await;
        peer.say(format!("{ahead}{}", auth(AUTHZID))).await;
        assert_eq!(peer.hear(SUCCESS).await, SUCCESS);
        peer.say(header("b.example", "a.example")).await;
        peer.hear(FEATURES_END).await;
        peer
    }

    /// What the listener says to this text on an established stream, until its end.
    pub(crate) async fn established_answer_to(&self, text: impl AsRef<[u8]>) -> String {
        let mut peer = self.established().await;
        peer.say(text).await;
        let said = peer.hear(crate::wire::END).await;
        peer.try_say(crate::wire::END).await.ok();
        peer.shut().await;
        said + &peer.rest().await
    }
}
