//! Versions of TLS, offered by hand: no TLS library of today would offer them.

use convoke_net::NegotiationError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::greeting::{SOON, header_of_a, receive, sockets, tls};

/// An alert record with `protocol_version` (RFC 8446, section 6), whatever version the record says.
fn refuses_the_version(answer: &[u8]) -> bool {
    matches!(answer, [21, 3, _, 0, 2, 2, 70])
}

fn client_hello(version: u16, supported: &[u16]) -> Vec<u8> {
    padded_client_hello(version, supported, 0)
}

/// A ClientHello with common cipher suites and curves but no key share, that names `version` in its old place and, if
/// any, the versions of the extension `supported_versions` (RFC 8446, section 4.2.1), padded (RFC 7685).
pub(crate) fn padded_client_hello(version: u16, supported: &[u16], padding: usize) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    // TLS_AES_128_GCM_SHA256, ECDHE with ECDSA and with RSA, and what TLS 1.0 had.
    body.extend([0, 12, 0x13, 0x01, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x09, 0xc0, 0x13, 0x00, 0x2f]);
    body.extend([1, 0]);
    let mut extensions = Vec::new();
    extension(&mut extensions, 10, &[0, 2, 0, 23]);
    extension(&mut extensions, 11, &[1, 0]);
    extension(&mut extensions, 13, &[0, 6, 4, 3, 8, 4, 2, 1]);
    if !supported.is_empty() {
        let mut versions = vec![supported.len() as u8 * 2];
        versions.extend(supported.iter().flat_map(|version| version.to_be_bytes()));
        extension(&mut extensions, 43, &versions);
        extension(&mut extensions, 51, &[0, 0]);
    }
    extension(&mut extensions, 21, &vec![0; padding]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut message = vec![1, 0];
    message.extend((body.len() as u16).to_be_bytes());
    message.extend(body);
    message.chunks(1 << 14).flat_map(record).collect()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    let length = (fragment.len() as u16).to_be_bytes();
    [22, 3, 1].into_iter().chain(length).chain(fragment.iter().copied()).collect()
}

fn extension(extensions: &mut Vec<u8>, kind: u16, data: &[u8]) {
    extensions.extend(kind.to_be_bytes());
    extensions.extend((data.len() as u16).to_be_bytes());
    extensions.extend(data);
}

/// What the receiving entity answers to these bytes in place of a handshake, and why it gave up.
async fn answer_to(hello: &[u8]) -> (Vec<u8>, String) {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    let peer = async {
        far.write_all(header_of_a().as_bytes()).await.unwrap();
        far.write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") {
            seen.push(timeout(SOON, far.read_u8()).await.unwrap().unwrap());
        }
        far.write_all(hello).await.unwrap();
        let mut answer = Vec::new();
        // The end may be a reset.
        let _ = timeout(SOON, far.read_to_end(&mut answer)).await.unwrap();
        answer
    };
    let (outcome, answer) = tokio::join!(receive(near, &tls), peer);
    let Err(NegotiationError::Refused(refusal)) = outcome else { panic!("{outcome:?}") };
    (answer, refusal.to_string())
}

/// RFC 7590, section 3.3, by RFC 9325, section 3.1.1.
#[tokio::test]
async fn refuses_a_client_that_offers_less_than_tls_1_2() {
    let (ssl3, tls10, tls11, tls12) = (0x0300, 0x0301, 0x0302, 0x0303);
    for hello in [
        client_hello(tls11, &[]),
        client_hello(tls10, &[]),
        client_hello(ssl3, &[]),
        client_hello(tls12, &[tls11, tls10]),
    ] {
        let (answer, reason) = answer_to(&hello).await;
        assert!(refuses_the_version(&answer), "{answer:02x?}");
        assert!(reason.contains("Tls12NotOffered"), "{reason}");
    }
}

/// The counterpart, without which the test above could not tell a bad version from a bad greeting: the same bytes for
/// TLS 1.2 are answered by a ServerHello.
#[tokio::test]
async fn answers_the_same_client_if_it_offers_tls_1_2() {
    let (_, tls) = tls();
    let (near, mut far) = sockets().await;
    let peer = async {
        far.write_all(header_of_a().as_bytes()).await.unwrap();
        far.write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") {
            seen.push(timeout(SOON, far.read_u8()).await.unwrap().unwrap());
        }
        far.write_all(&client_hello(0x0303, &[])).await.unwrap();
        let mut answer = [0; 6];
        timeout(SOON, far.read_exact(&mut answer)).await.unwrap().unwrap();
        drop(far);
        answer
    };
    let (outcome, answer) = tokio::join!(receive(near, &tls), peer);
    assert!(outcome.is_err());
    // A handshake record of TLS 1.2, with a ServerHello first.
    assert!(matches!(answer, [22, 3, 3, _, _, 2]), "{answer:02x?}");
}

/// SSL 2 wrote its greeting in another form, which is no TLS record at all.
#[tokio::test]
async fn refuses_the_greeting_of_ssl_2() {
    let (answer, _) = answer_to(&[0x80, 0x2e, 0x01, 0x00, 0x02, 0x00, 0x15, 0x00, 0x00, 0x00, 0x10, 0x07]).await;
    assert!(answer.is_empty() || answer[0] == 21, "{answer:02x?}");
}
