use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::SOON;

/// A raw TCP connection that waits no longer than a test does.
pub(crate) struct Connection(TcpStream);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, SOON).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self(stream)
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this text has come, and gives all that came.
    pub(crate) fn read_until(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        let mut bytes = [0; 4096];
        while !String::from_utf8_lossy(&read).contains(text) {
            let count = self.0.read(&mut bytes).unwrap();
            assert_ne!(count, 0, "closed without {text:?}: {}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8(read).unwrap()
    }

    fn read_to_end(&mut self) -> String {
        let mut text = String::new();
        self.0.read_to_string(&mut text).unwrap();
        text
    }
}

/// An answer by HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends one request with a JSON body, or none, and reads the answer.
pub(crate) fn request(address: SocketAddr, method_and_path: &str, token: &str, body: &str) -> Answer {
    let mut connection = Connection::open(address);
    connection.send(&format!(
        "{method_and_path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = connection.read_to_end();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), body: body.to_owned() }
}
