//! TLSA records of a domain's servers, as far as DNSSEC secures the way to them (RFC 7673).

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use convoke_xmpp::Domainpart;
use hickory_resolver::TokioResolver;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::rr::{RData, RecordType};
use thiserror::Error;

use crate::identity::{Evidence, TlsaRecord};
use crate::resolver::nameservers;
use crate::target::Service;

/// How many servers of a domain, and records of each, are looked at: DNS answers are under the control of others.
const MAX_RECORDS: usize = 16;

/// The least time for which an answer is believed, whatever it says: a domain shall not be looked up without end.
const SHORTEST: Duration = Duration::from_secs(60);

/// The most time for which records are believed.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it is believed that there are none: whoever publishes the first ones wants them to count soon.
const NONE: Duration = Duration::from_secs(10 * 60);

/// Why it is not known whether a domain has TLSA records.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DaneError {
    /// DNS cannot be used.
    #[error("DNS cannot be used: {0}")]
    Setup(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The keys that are to be trusted cannot be read.
    #[error("the trust anchor is no list of DNSKEY records: {0}")]
    Anchor(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// DNS gave no answer, or none that passes DNSSEC where it should.
    #[error("DNS gave no answer about {name} that can be believed: {cause}")]
    Lookup {
        /// The name that was asked for.
        name: String,
        /// What the resolver said.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer should have been secured and was not.
    #[error("the answer of DNS about {name} fails DNSSEC")]
    Bogus {
        /// The name that was asked for.
        name: String,
    },
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

impl DaneResolver {
    /// Asks these nameservers, which have to pass on what DNSSEC needs, and believes keys of the root of the internet.
    pub fn new(nameservers: &[SocketAddr]) -> Result<Self, DaneError> {
        Self::with(nameservers, TrustAnchors::default())
    }

    /// Believes these keys and no others: DNSKEY records as zone files write them.
    pub fn with_anchor(nameservers: &[SocketAddr], anchor: &str) -> Result<Self, DaneError> {
        Self::with(nameservers, TrustAnchors::from_str(anchor).map_err(|cause| DaneError::Anchor(Box::new(cause)))?)
    }

    fn with(servers: &[SocketAddr], anchors: TrustAnchors) -> Result<Self, DaneError> {
        let builder = TokioResolver::builder_with_config(nameservers(servers), TokioRuntimeProvider::default());
        let mut builder = builder.with_trust_anchor(Arc::new(anchors));
        builder.options_mut().validate = true;
        Ok(Self { dns: builder.build().map_err(|cause| DaneError::Setup(Box::new(cause)))? })
    }

    /// The TLSA records of every server that the domain names by SRV, for both services; no records where DNSSEC does not
    /// reach, or where there are none (RFC 7673, section 3).
    ///
    /// Fails where it cannot be told, be it by an accident or by somebody who suppresses answers: what was known before
    /// had better be believed until its end.
    pub async fn evidence(&self, domain: &Domainpart) -> Result<Evidence, DaneError> {
        let (mut tlsa, mut until) = (Vec::new(), Instant::now() + LONGEST);
        for service in [Service::StartTls, Service::DirectTls] {
            let name = format!("{}.{}", service.label(), domain.to_ascii());
            let Some(servers) = self.secure(name, RecordType::SRV, server).await? else { continue };
            until = until.min(servers.until);
            for name in servers.data {
                let Some(records) = self.secure(name, RecordType::TLSA, tlsa_record).await? else { continue };
                until = until.min(records.until);
                tlsa.extend(records.data);
            }
        }
        let longest = if tlsa.is_empty() { NONE } else { LONGEST };
        let lifetime = until.saturating_duration_since(Instant::now()).clamp(SHORTEST, longest);
        Ok(Evidence { tlsa, posh: Vec::new(), until: SystemTime::now() + lifetime })
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

impl fmt::Debug for DaneResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DaneResolver").finish_non_exhaustive()
    }
}

/// The name of the TLSA records of a server (RFC 7673, section 3.2); none for the target `.`.
fn server(data: &RData) -> Option<String> {
    let RData::SRV(srv) = data else { return None };
    (!srv.target.is_root()).then(|| format!("_{}._tcp.{}", srv.port, srv.target.to_ascii().trim_end_matches('.')))
}

fn tlsa_record(data: &RData) -> Option<TlsaRecord> {
    let RData::TLSA(record) = data else { return None };
    TlsaRecord::new(record.cert_usage.into(), record.selector.into(), record.matching.into(), &record.cert_data)
}
