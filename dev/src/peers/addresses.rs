//! Where a peer listens, and how other servers learn it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::{DnsError, LoopbackDns};

/// A service by which servers find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// `_xmpp-server._tcp`: TLS by STARTTLS (RFC 6120, section 3.2.1).
    StartTls,
    /// `_xmpps-server._tcp`: TLS from the first byte (XEP-0368).
    DirectTls,
}

impl Service {
    /// The service and protocol labels, such as `_xmpp-server._tcp`.
    #[must_use]
    pub fn labels(self) -> &'static str {
        match self {
            Self::StartTls => "_xmpp-server._tcp",
            Self::DirectTls => "_xmpps-server._tcp",
        }
    }
}

/// The address of a peer, and its ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) host: Ipv4Addr,
    pub(super) c2s: u16,
    pub(super) s2s: u16,
    pub(super) s2s_direct: u16,
}

impl Addresses {
    /// Free ports on a loopback address that no other peer of this machine uses at the same time.
    pub(super) fn free() -> io::Result<Self> {
        let host = free_host();
        // All are held until all are known, lest one is given twice.
        let bind = || TcpListener::bind((host, 0));
        let listeners = [bind()?, bind()?, bind()?];
        let ports = listeners.map(|listener| Ok(listener.local_addr()?.port()));
        let [c2s, s2s, s2s_direct]: [io::Result<u16>; 3] = ports;
        Ok(Self { host, c2s: c2s?, s2s: s2s?, s2s_direct: s2s_direct? })
    }

    pub(super) fn all(self) -> [SocketAddr; 3] {
        [self.c2s, self.s2s, self.s2s_direct].map(|port| self.at(port))
    }

    pub(super) fn at(self, port: u16) -> SocketAddr {
        SocketAddrV4::new(self.host, port).into()
    }

    /// Adds the records by which other servers find these services of the domain, each of the same priority.
    pub(super) fn announce(self, dns: &LoopbackDns, domain: &str, services: &[Service]) -> Result<(), DnsError> {
        let target = format!("xmpp.{domain}");
        for service in services {
            let port = match service {
                Service::StartTls => self.s2s,
                Service::DirectTls => self.s2s_direct,
            };
            dns.srv(domain, service.labels(), 0, 0, port, &target)?;
        }
        dns.a(&target, self.host)
    }
}

/// The process and a count within it choose the address, so that a port seen free stays free.
fn free_host() -> Ipv4Addr {
    static COUNT: AtomicU16 = AtomicU16::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let [_, count] = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, 64 | high & 0x3f, low, count.max(1))
}
