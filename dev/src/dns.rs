//! A DNS server on loopback, for SRV records that lead from one rehearsed domain to the next.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use hickory_server::Server;
use hickory_server::dnssec::NxProofKind;
use hickory_server::net::runtime::{Time, TokioRuntimeProvider};
use hickory_server::proto::dnssec::DnsSecError;
use hickory_server::proto::rr::rdata::{A, AAAA, CNAME, NS, SOA, SRV, TLSA};
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneHandler, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

use crate::hosts::HostsFile;
use crate::names::to_ascii;
use crate::zone_key::ZoneKey;

/// Nothing is kept by resolvers: a rehearsal changes records and expects the change to be seen.
const TIME_TO_LIVE: u32 = 0;

/// How long an idle TCP connection of a resolver is kept.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// How many answers may wait on one TCP connection.
const TCP_ANSWERS: usize = 32;

/// How often a free pair of ports is looked for: the port that UDP gets may be taken for TCP.
const BIND_ATTEMPTS: usize = 32;

/// A real DNS server, authoritative for every name there is, whose records can be changed while it runs.
///
/// UDP and TCP answer on the same port. A name without records does not exist (NXDOMAIN). Dropping the server ends it.
pub struct LoopbackDns {
    address: SocketAddr,
    answers: Answers,
    /// With it, everything is signed.
    key: Option<ZoneKey>,
    records: Mutex<Records>,
    hosts: Mutex<Vec<(PathBuf, HostsFile)>>,
    /// Owns the tasks that serve: they are aborted with it.
    _server: Server<Answers>,
}

/// The records by owner name.
type Records = BTreeMap<LowerName, Vec<RData>>;

/// Why the DNS server could not start or take a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// The address is one that other machines can reach.
    #[error("{address} is not a loopback address; the rehearsal DNS server listens on this machine alone")]
    NotLoopback {
        /// The address as it was given.
        address: SocketAddr,
    },
    /// The sockets could not be bound.
    #[error("cannot listen for DNS on {address}: {cause}; choose another port")]
    Bind {
        /// The address as it was given.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// A name cannot be an owner or a target of a record.
    #[error("{name:?} is not a name that DNS can carry; use one like \"volunteers.example\"")]
    Name {
        /// The name as it was given.
        name: String,
    },
    /// The records cannot be signed.
    #[error("cannot sign the records: {cause}")]
    Sign {
        /// What the library said.
        #[source]
        cause: DnsSecError,
    },
    /// A hosts file could not be written.
    #[error("cannot write the hosts file {path}: {cause}", path = path.display())]
    Hosts {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
}

impl LoopbackDns {
    /// Starts the server on this loopback address; port 0 takes a free one, see [`address`](Self::address).
    ///
    /// Must be called within a tokio runtime with I/O and time. Fails with [`DnsError::NotLoopback`] or [`DnsError::Bind`].
    pub async fn start(address: SocketAddr) -> Result<Self, DnsError> {
        Self::start_with(address, None).await
    }

    /// Starts a server that signs all answers (DNSSEC) by a fresh key: see [`trust_anchor`](Self::trust_anchor).
    ///
    /// Fails as [`start`](Self::start) does, and with [`DnsError::Sign`].
    pub async fn start_signed(address: SocketAddr) -> Result<Self, DnsError> {
        let key = ZoneKey::generate().map_err(|cause| DnsError::Sign { cause })?;
        Self::start_with(address, Some(key)).await
    }

    async fn start_with(address: SocketAddr, key: Option<ZoneKey>) -> Result<Self, DnsError> {
        if !address.ip().is_loopback() {
            return Err(DnsError::NotLoopback { address });
        }
        let (udp, tcp, address) = bind(address).await.map_err(|cause| DnsError::Bind { address, cause })?;
        let answers = Answers::new(Zones::new(&Records::new(), key.as_ref())?);
        let mut server = Server::new(answers.clone());
        server.register_socket(udp);
        server.register_listener(tcp, TCP_TIMEOUT, TCP_ANSWERS);
        Ok(Self { address, answers, key, records: Mutex::default(), hosts: Mutex::default(), _server: server })
    }

    /// The address on which the server answers, by UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The DNSKEY record that a validating resolver has to trust, as a zone file writes it; `None` if nothing is signed.
    #[must_use]
    pub fn trust_anchor(&self) -> Option<String> {
        self.key.as_ref().map(ZoneKey::record)
    }

    /// Counts the queries that have arrived.
    #[must_use]
    pub fn queries(&self) -> usize {
        self.answers.0.queries.load(Ordering::Relaxed)
    }

    /// Adds an SRV record (RFC 2782) for a service such as `_xmpp-server._tcp` of this domain.
    ///
    /// Fails with [`DnsError::Name`] or [`DnsError::Hosts`].
    pub fn srv(
        &self,
        domain: &str,
        service: &str,
        priority: u16,
        weight: u16,
        port: u16,
        target: &str,
    ) -> Result<(), DnsError> {
        let record = RData::SRV(SRV::new(priority, weight, port, parse(target)?));
        self.add(parse(&format!("{service}.{domain}"))?, record)
    }

    /// Adds an address record. Fails with [`DnsError::Name`] or [`DnsError::Hosts`].
    pub fn a(&self, name: &str, address: Ipv4Addr) -> Result<(), DnsError> {
        self.add(parse(name)?, RData::A(A(address)))
    }

    /// Adds an address record of IPv6. Fails with [`DnsError::Name`].
    pub fn aaaa(&self, name: &str, address: Ipv6Addr) -> Result<(), DnsError> {
        self.add(parse(name)?, RData::AAAA(AAAA(address)))
    }

    /// Adds a TLSA record (RFC 6698) for the server on this TCP port of this host: usage, selector and matching type as
    /// they are. Fails with [`DnsError::Name`].
    pub fn tlsa(&self, host: &str, port: u16, fields: [u8; 3], association: &[u8]) -> Result<(), DnsError> {
        let [usage, selector, matching] = fields;
        let record = TLSA::new(usage.into(), selector.into(), matching.into(), association.to_vec());
        self.add(parse(&format!("_{port}._tcp.{host}"))?, RData::TLSA(record))
    }

    /// Makes the name an alias of another (CNAME), in place of all its records. Fails with [`DnsError::Name`].
    pub fn alias(&self, name: &str, canonical: &str) -> Result<(), DnsError> {
        let (owner, alias) = (parse(name)?, RData::CNAME(CNAME(parse(canonical)?)));
        self.change(|records| {
            records.insert(owner.into(), vec![alias]);
        })
    }

    /// Makes the name the origin of a zone of its own that is not signed: what is secure ends there (RFC 4035, section 5.2).
    /// Fails with [`DnsError::Name`].
    pub fn unsigned(&self, zone: &str) -> Result<(), DnsError> {
        let origin = parse(zone)?;
        self.add(origin.clone(), RData::NS(NS(origin)))
    }

    /// Says that the domain does not offer the service at all: one SRV record with the target `.` in place of all others
    /// (RFC 2782, "Target"). Fails with [`DnsError::Name`].
    pub fn no_service(&self, domain: &str, service: &str) -> Result<(), DnsError> {
        let owner = parse(&format!("{service}.{domain}"))?;
        let nowhere = RData::SRV(SRV::new(0, 0, 0, Name::root()));
        self.change(|records| {
            records.insert(owner.into(), vec![nowhere]);
        })
    }

    /// Removes the records of this name and of every name below it: a domain with all its services. Fails with [`DnsError::Name`].
    pub fn remove(&self, name: &str) -> Result<(), DnsError> {
        let gone = LowerName::from(parse(name)?);
        self.change(|records| records.retain(|owner, _| !gone.zone_of(owner)))
    }

    /// Keeps the address records in this file too, as hosts(5) wants them, from now on and for the life of the server:
    /// for peers that ask DNS for services but the C library for addresses. Fails with [`DnsError::Hosts`].
    pub fn keep_hosts(&self, path: &Path) -> Result<(), DnsError> {
        let file = HostsFile::create(path).map_err(|cause| DnsError::Hosts { path: path.to_owned(), cause })?;
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_owned(), file));
        self.change(|_| {})
    }

    fn add(&self, owner: Name, record: RData) -> Result<(), DnsError> {
        self.change(|records| records.entry(owner.into()).or_default().push(record))
    }

    /// Changes the records and publishes them, under one lock so that no change is lost.
    fn change(&self, change: impl FnOnce(&mut Records)) -> Result<(), DnsError> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut records);
        self.answers.publish(Zones::new(&records, self.key.as_ref())?);
        for (path, hosts) in &mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner) {
            hosts.write(addresses(&records)).map_err(|cause| DnsError::Hosts { path: path.clone(), cause })?;
        }
        Ok(())
    }
}

impl fmt::Debug for LoopbackDns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LoopbackDns").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What the server answers from, shared by its tasks and the handle.
#[derive(Clone)]
struct Answers(Arc<Shared>);

struct Shared {
    /// Replaced whole at each change, so that a query sees one state.
    zones: RwLock<Arc<Zones>>,
    queries: AtomicUsize,
}

impl Answers {
    fn new(zones: Zones) -> Self {
        Self(Arc::new(Shared { zones: RwLock::new(Arc::new(zones)), queries: AtomicUsize::new(0) }))
    }

    fn publish(&self, zones: Zones) {
        *self.0.zones.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(zones);
    }

    fn zones(&self) -> Arc<Zones> {
        Arc::clone(&self.0.zones.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl RequestHandler for Answers {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, response: R) -> ResponseInfo {
        self.0.queries.fetch_add(1, Ordering::Relaxed);
        self.zones().of(request).handle_request::<R, T>(request, response).await
    }
}

/// The root, so that every unknown name is ours to deny, and the zones that are delegated from it.
struct Zones {
    all: Catalog,
    root: Catalog,
}

impl Zones {
    /// The root is signed if there is a key; a name with NS records is the origin of a zone that never is.
    fn new(records: &Records, key: Option<&ZoneKey>) -> Result<Self, DnsError> {
        let is_cut = |data: &[RData]| data.iter().any(|datum| datum.record_type() == RecordType::NS);
        let cuts = || records.iter().filter(|(_, data)| is_cut(data)).map(|(owner, _)| owner);
        let in_root = |(owner, datum): (&LowerName, &RData)| {
            let mut above = cuts().filter(|cut| cut.zone_of(owner));
            above.all(|cut| cut == owner && datum.record_type() == RecordType::NS)
        };
        let all = || records.iter().flat_map(|(owner, data)| data.iter().map(move |datum| (owner, datum)));
        let origin = LowerName::from(Name::root());
        let root = zone(&origin, all().filter(|record| in_root(*record)), key)?;
        let mut zones = Self { all: Catalog::new(), root: Catalog::new() };
        for cut in cuts() {
            zones.all.upsert(cut.clone(), vec![zone(cut, all().filter(|(owner, _)| cut.zone_of(owner)), None)?]);
        }
        zones.all.upsert(origin.clone(), vec![Arc::clone(&root)]);
        zones.root.upsert(origin, vec![root]);
        Ok(zones)
    }

    /// Who answers: about a delegation itself the zone above it (RFC 4035, section 3.1.4.1).
    fn of(&self, request: &Request) -> &Catalog {
        let is_about_delegation =
            request.request_info().is_ok_and(|request| request.query.query_type() == RecordType::DS);
        if is_about_delegation { &self.root } else { &self.all }
    }
}

/// A zone of these records.
fn zone<'r>(
    origin: &LowerName,
    records: impl Iterator<Item = (&'r LowerName, &'r RData)>,
    key: Option<&ZoneKey>,
) -> Result<Arc<dyn ZoneHandler>, DnsError> {
    let (name, denial) = (Name::from(origin), key.map(|_| NxProofKind::Nsec));
    let mut zone =
        InMemoryZoneHandler::<TokioRuntimeProvider>::empty(name.clone(), ZoneType::Primary, AxfrPolicy::Deny, denial);
    let authority = SOA::new(name.clone(), name.clone(), 1, 0, 0, 0, TIME_TO_LIVE);
    zone.upsert_mut(Record::from_rdata(name, TIME_TO_LIVE, RData::SOA(authority)), 1);
    for (owner, datum) in records {
        zone.upsert_mut(Record::from_rdata(owner.into(), TIME_TO_LIVE, datum.clone()), 1);
    }
    if let Some(key) = key {
        sign(&mut zone, key).map_err(|cause| DnsError::Sign { cause })?;
    }
    Ok(Arc::new(zone))
}

fn sign(zone: &mut InMemoryZoneHandler<TokioRuntimeProvider>, key: &ZoneKey) -> Result<(), DnsSecError> {
    zone.add_zone_signing_key_mut(key.signer()?)?;
    zone.secure_zone_mut()
}

/// The address records, each with its name as hosts(5) writes it.
fn addresses(records: &Records) -> impl Iterator<Item = (String, Ipv4Addr)> {
    let all = records.iter().flat_map(|(owner, data)| data.iter().map(move |datum| (owner, datum)));
    all.filter_map(|(owner, datum)| match datum {
        RData::A(A(address)) => Some((owner.to_string().trim_end_matches('.').to_owned(), *address)),
        _ => None,
    })
}

/// Binds UDP and TCP to one port; with port 0 tries again when the port that UDP got is taken for TCP.
async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let mut attempts = BIND_ATTEMPTS;
    loop {
        attempts -= 1;
        match bind_once(address).await {
            Err(cause) if address.port() == 0 && attempts > 0 && cause.kind() == io::ErrorKind::AddrInUse => continue,
            outcome => return outcome,
        }
    }
}

async fn bind_once(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let udp = UdpSocket::bind(address).await?;
    let bound = udp.local_addr()?;
    Ok((udp, TcpListener::bind(bound).await?, bound))
}

/// A fully qualified name; `.` is the root.
fn parse(name: &str) -> Result<Name, DnsError> {
    let error = || DnsError::Name { name: name.to_owned() };
    if name == "." {
        return Ok(Name::root());
    }
    let mut parsed = Name::from_ascii(to_ascii(name).ok_or_else(error)?).map_err(|_| error())?;
    parsed.set_fqdn(true);
    Ok(parsed)
}
