//! TLSA records of a domain's servers, as far as DNSSEC secures the way to them (RFC 7673).

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use convoke_xmpp::Domainpart;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{ResolverBuilder, TokioResolver};
use thiserror::Error;
use tokio::time::timeout;

use crate::identity::{Evidence, IdentityVerifier, TlsaRecord};
use crate::resolver::nameservers;
use crate::target::Service;
use crate::vouching::{EvidenceError, EvidenceSource};

/// How many servers of a domain, and records of each, are looked at: DNS answers are under the control of others.
const MAX_RECORDS: usize = 16;

/// The least time for which an answer is believed, whatever it says: a domain shall not be looked up without end.
const SHORTEST: Duration = Duration::from_secs(60);

/// The most time for which records are believed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it is believed that there are none: whoever publishes the first ones wants them to count soon.
const NONE: Duration = Duration::from_secs(10 * 60);

/// How long all questions about one domain may take: those about some servers, each with a retry.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why it is not known whether a domain has TLSA records.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DaneError {
    /// DNS cannot be used.
    #[error("DNS cannot be used: {0}")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// DNS gave no answer, or none that passes DNSSEC where it should.
    #[error("DNS gave no answer about {name} that can be believed: {cause}")]
    Lookup {
        /// The name that was asked for.
        name: String,
        /// What the resolver said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// DNS gave no answer in time.
    #[error("DNS gave no answer about the TLSA records of {domain} in time")]
    TimedOut {
        /// The domain.
        domain: Domainpart,
    },
    /// An answer should have been secured and was not.
    #[error("the answer of DNS about {name} fails DNSSEC")]
    Bogus {
        /// The name that was asked for.
        name: String,
    },
}

/// The DNSSEC keys from which everything is proved: by default those of the root of the internet.
#[derive(Clone, Default)]
pub struct DnssecAnchors(Arc<TrustAnchors>);

/// A text holds no keys that could be trusted.
#[derive(Debug, Error)]
#[error("it is no list of DNSKEY records: {0}")]
pub struct DnssecAnchorsError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl FromStr for DnssecAnchors {
    type Err = DnssecAnchorsError;

    /// Reads DNSKEY records as zone files write them; they are believed, and no others.
    fn from_str(text: &str) -> Result<Self, DnssecAnchorsError> {
        let anchors = TrustAnchors::from_str(text).map_err(|cause| DnssecAnchorsError(Box::new(cause)))?;
        if anchors.is_empty() {
            return Err(DnssecAnchorsError("there is none".into()));
        }
        Ok(Self(Arc::new(anchors)))
    }
}

impl fmt::Debug for DnssecAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnssecAnchors").field("keys", &self.0.len()).finish()
    }
}

/// Asks DNS for TLSA records, and verifies DNSSEC itself: what the nameserver says of its own checks is not believed.
///
/// To be asked about domains that policy names, ahead of time, and never because a stranger calls itself so.
pub struct DaneResolver {
    dns: TokioResolver,
}

/// Data that DNSSEC has secured, and until when.
struct Secure<T> {
    data: Vec<T>,
    until: Instant,
}

/// Where an SRV record leads: the base of the name of TLSA records.
struct Server {
    host: String,
    port: u16,
}

impl DaneResolver {
    /// Asks these nameservers, which have to pass on what DNSSEC needs, by UDP and by TCP on the same port.
    pub fn new(nameservers: &[SocketAddr], anchors: &DnssecAnchors) -> Result<Self, DaneError> {
        let config = self::nameservers(nameservers);
        Self::build(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()), anchors)
    }

    /// Asks the nameservers of the operating system, which have to pass on what DNSSEC needs.
    pub fn system(anchors: &DnssecAnchors) -> Result<Self, DaneError> {
        Self::build(TokioResolver::builder_tokio().map_err(|cause| DaneError::Setup(Box::new(cause)))?, anchors)
    }

    fn build(builder: ResolverBuilder<TokioRuntimeProvider>, anchors: &DnssecAnchors) -> Result<Self, DaneError> {
        let mut builder = builder.with_trust_anchor(Arc::clone(&anchors.0));
        builder.options_mut().validate = true;
        Ok(Self { dns: builder.build().map_err(|cause| DaneError::Setup(Box::new(cause)))? })
    }

    /// The TLSA records of every server that the domain names by SRV, for both services; no records where DNSSEC does not
    /// reach, be it to the SRV records, to the addresses of the server or to its TLSA records, or where there are none
    /// (RFC 7673, section 3).
    ///
    /// Fails where it cannot be told, be it by an accident or by somebody who suppresses answers: what was known before
    /// had better be believed until its end.
    pub async fn records(&self, domain: &Domainpart) -> Result<Evidence, DaneError> {
        // Whoever asks again wants to know what DNS says now.
        self.dns.clear_cache();
        let (mut tlsa, mut until) = (Vec::new(), Instant::now() + LONGEST);
        for service in [Service::StartTls, Service::DirectTls] {
            let name = format!("{}.{}", service.label(), domain.to_ascii());
            let Some(servers) = self.secure(name, RecordType::SRV, server).await? else { continue };
            until = until.min(servers.until);
            for server in servers.data {
                let Some(records) = self.records_of(server).await? else { continue };
                until = until.min(records.until);
                tlsa.extend(records.data);
            }
        }
        let longest = if tlsa.is_empty() { NONE } else { LONGEST };
        let lifetime = until.saturating_duration_since(Instant::now()).clamp(SHORTEST, longest);
        Ok(Evidence { tlsa, posh: Vec::new(), until: SystemTime::now() + lifetime })
    }

    /// The TLSA records of one server, which do not count unless its addresses are secure (RFC 7673, section 3.2).
    async fn records_of(&self, server: Server) -> Result<Option<Secure<TlsaRecord>>, DaneError> {
        if !self.has_secure_address(&server.host).await? {
            return Ok(None);
        }
        self.secure(format!("_{}._tcp.{}", server.port, server.host), RecordType::TLSA, tlsa_record).await
    }

    /// Whether the addresses of this host are secure, those of one family at least.
    ///
    /// Fails if none are and it cannot be told whether they should be: such a server must not be dialled.
    async fn has_secure_address(&self, host: &str) -> Result<bool, DaneError> {
        let lookup = |kind| self.secure(host.to_owned(), kind, RData::ip_addr);
        match tokio::join!(lookup(RecordType::AAAA), lookup(RecordType::A)) {
            (Ok(Some(_)), _) | (_, Ok(Some(_))) => Ok(true),
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(None), Ok(None)) => Ok(false),
        }
    }

    /// What `read` makes of the records of this name and kind; `None` if there are none, or if the zone is not signed.
    async fn secure<T>(
        &self,
        name: String,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Option<Secure<T>>, DaneError> {
        let found = match self.dns.lookup(format!("{name}."), kind).await {
            Ok(found) => found,
            // That a denial is proved where it has to be, the library has seen to.
            Err(error) if error.is_no_records_found() => return Ok(None),
            Err(cause) => return Err(DaneError::Lookup { name, cause: Box::new(cause) }),
        };
        let answers = found.answers();
        if answers.iter().all(|record| record.proof == Proof::Secure) {
            let data = answers.iter().filter_map(|record| read(&record.data)).take(MAX_RECORDS).collect();
            return Ok(Some(Secure { data, until: found.valid_until() }));
        }
        let unsigned = answers.iter().all(|record| matches!(record.proof, Proof::Secure | Proof::Insecure));
        if unsigned { Ok(None) } else { Err(DaneError::Bogus { name }) }
    }
}

#[async_trait]
impl EvidenceSource for DaneResolver {
    async fn evidence(&self, domain: &Domainpart, _: &Arc<IdentityVerifier>) -> Result<Evidence, EvidenceError> {
        let late = |_| Err(DaneError::TimedOut { domain: domain.clone() });
        Ok(timeout(PATIENCE, self.records(domain)).await.unwrap_or_else(late)?)
    }
}

impl fmt::Debug for DaneResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DaneResolver").finish_non_exhaustive()
    }
}

/// The server of an SRV record; none for the target `.`.
fn server(data: &RData) -> Option<Server> {
    let RData::SRV(srv) = data else { return None };
    let host = srv.target.to_ascii().trim_end_matches('.').to_owned();
    (!srv.target.is_root()).then_some(Server { host, port: srv.port })
}

fn tlsa_record(data: &RData) -> Option<TlsaRecord> {
    let RData::TLSA(record) = data else { return None };
    TlsaRecord::new(record.cert_usage.into(), record.selector.into(), record.matching.into(), &record.cert_data)
}
