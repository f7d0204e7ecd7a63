//! Streams that begin with TLS.

use convoke_dev::Subject;
use convoke_s2s::InitiatingConfig;
use convoke_xmpp::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::world::{Node, SOON, World, credentials, domain, message};

/// A node that serves two domains and takes direct TLS too, and the address for it.
async fn node(world: &World) -> (Node, std::net::SocketAddr) {
    let issued = world.authority.issue(&Subject::domain("a.example")).unwrap();
    let other = world.authority.issue(&Subject::domain("c.example")).unwrap();
    let node = world
        .node_with("a.example", &issued, |config| {
            let credentials = credentials(&other);
            config.domains.push(convoke_s2s::LocalDomain { name: domain("c.example"), credentials });
        })
        .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    node.federation.serve_direct(listener);
    (node, address)
}

/// XEP-0368, section 3: the certificate is that of the domain which the peer names by SNI.
#[tokio::test]
async fn stanzas_arrive_by_direct_tls_for_each_domain_that_is_served() {
    let world = World::new().await;
    let (a, address) = node(&world).await;
    for to in ["a.example", "c.example"] {
        let config = InitiatingConfig { direct_tls: true, ..InitiatingConfig::new(domain("b.example"), domain(to)) };
        let socket = TcpStream::connect(address).await.unwrap();
        let peer = world.intruder_on("b.example", socket, config).await;
        let sending = tokio::spawn(peer.send_and_wait([message("b.example", to, to)]));
        let (stanza, origin) = a.routed().await;
        assert_eq!((stanza.id(), origin), (Some(to), Origin::Remote(domain("b.example"))));
        assert!(a.federation.cut(&domain(to), &domain("b.example")));
        sending.await.unwrap();
    }
}

/// XEP-0368, section 3: nothing is said in the clear.
#[tokio::test]
async fn a_stream_header_in_the_clear_gets_no_answer_where_tls_comes_first() {
    let world = World::new().await;
    let (a, address) = node(&world).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"<?xml version='1.0'?><stream:stream to='a.example'>").await.unwrap();
    let mut heard = Vec::new();
    timeout(SOON, socket.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert!(!heard.contains(&b'<'), "{heard:?}");
    assert!(a.has_routed_nothing().await);
}
