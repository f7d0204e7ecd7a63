//! Fetches what a domain vouches for by HTTPS (POSH, RFC 7711).

mod https;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use convoke_xmpp::Domainpart;
use reqwest::{Client, StatusCode, Url};
use thiserror::Error;

use crate::identity::{Evidence, IdentityVerifier, PoshDocument, PoshError, PoshFingerprint};
use crate::resolver::{Resolver, literal};
use crate::vouching::{EvidenceError, EvidenceSource};

/// The document of servers (RFC 7711, section 8.1; RFC 7712, section 4.2.2).
const PATH: &str = "/.well-known/posh/xmpp-server.json";

/// The port of HTTPS.
const PORT: u16 = 443;

/// How large a document may be: many times the fingerprints of a server and its successor.
const MAX_BYTES: usize = 64 * 1024;

/// The least time for which a document is believed, whatever it says: a domain shall not be asked without end.
const SHORTEST: Duration = Duration::from_secs(60);

/// The most time for which a document is believed (RFC 7711, section 6: it may be less than what the document says).
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long it is believed that there is none: whoever publishes the first one wants it to count soon.
const NONE: Duration = Duration::from_secs(10 * 60);

/// Why it is not known whether a domain has a POSH document.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PoshFetchError {
    /// An IP address has no certificate by which it could be believed.
    #[error("{host} is an IP address, which vouches for nothing")]
    Address {
        /// The domain, or the host that it refers to.
        host: String,
    },
    /// The document refers to something that is no URI of a host.
    #[error("it refers to {url:?}, which cannot be fetched")]
    Reference {
        /// What it refers to.
        url: String,
    },
    /// What is referred to refers to something else again (RFC 7711, section 3.2).
    #[error("{url} refers elsewhere again")]
    Chain {
        /// The second document.
        url: Url,
    },
    /// TLS cannot be used.
    #[error("HTTPS cannot be used: {0}")]
    Setup(#[source] tokio_rustls::rustls::Error),
    /// The HTTP client cannot be made.
    #[error("HTTPS cannot be used: {}", https::innermost(.0))]
    Client(#[source] reqwest::Error),
    /// The request failed, be it by DNS, TCP, TLS, an untrusted certificate or silence.
    #[error("{url} cannot be fetched: {}", https::innermost(cause))]
    Http {
        /// What was asked for.
        url: Url,
        /// What went wrong.
        #[source]
        cause: reqwest::Error,
    },
    /// The web server answered with something else than a document; redirects are not followed.
    #[error("{url} cannot be fetched: HTTP status {status}")]
    Status {
        /// What was asked for.
        url: Url,
        /// The answer.
        status: StatusCode,
    },
    /// The document is too large.
    #[error("{url} is larger than {MAX_BYTES} bytes")]
    TooLarge {
        /// What was asked for.
        url: Url,
    },
    /// The document vouches for nothing.
    #[error("{url} is no POSH document: {cause}")]
    Document {
        /// What was asked for.
        url: Url,
        /// What is wrong with it.
        #[source]
        cause: PoshError,
    },
}

/// Asks web servers for POSH documents; one connection for each request, and no more than two requests for a domain.
///
/// A web server is believed if its certificate names it and leads to a root that is asked about the domain for which it
/// speaks. To be asked about domains that policy names, and never because a stranger calls itself so.
pub struct PoshClient {
    resolver: Arc<dyn Resolver>,
    port: u16,
}

impl PoshClient {
    /// Finds web servers by this resolver, on port 443.
    pub fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, port: PORT }
    }

    /// Asks domains on another port, for rehearsals on a machine where 443 is not to be had.
    #[must_use]
    pub fn on_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The fingerprints of a domain and how long they may be believed; none if it has no document.
    ///
    /// Takes 20 s at most.
    pub async fn fingerprints(
        &self,
        domain: &Domainpart,
        judge: &Arc<IdentityVerifier>,
    ) -> Result<Evidence, PoshFetchError> {
        let client = https::client(Arc::clone(&self.resolver), Arc::clone(judge), domain)?;
        let (fingerprints, expires) = match get(&client, self.url(domain)?).await? {
            None => (Vec::new(), NONE),
            Some(PoshDocument::Fingerprints { fingerprints, expires }) => (fingerprints, expires),
            Some(PoshDocument::Reference { url, expires }) => {
                let (fingerprints, theirs) = referred(&client, &url).await?;
                (fingerprints, expires.min(theirs))
            }
        };
        let until = SystemTime::now() + expires.clamp(SHORTEST, LONGEST);
        Ok(Evidence { tlsa: Vec::new(), posh: fingerprints, until })
    }

    fn url(&self, domain: &Domainpart) -> Result<Url, PoshFetchError> {
        let host = domain.to_ascii();
        let port = if self.port == PORT { String::new() } else { format!(":{}", self.port) };
        fetchable(&format!("https://{host}{port}{PATH}"))
    }
}

#[async_trait]
impl EvidenceSource for PoshClient {
    async fn evidence(&self, domain: &Domainpart, judge: &Arc<IdentityVerifier>) -> Result<Evidence, EvidenceError> {
        Ok(self.fingerprints(domain, judge).await?)
    }
}

/// The fingerprints at the place that a document refers to, which have to be there.
async fn referred(client: &Client, url: &str) -> Result<(Vec<PoshFingerprint>, Duration), PoshFetchError> {
    let url = fetchable(url)?;
    match get(client, url.clone()).await? {
        Some(PoshDocument::Fingerprints { fingerprints, expires }) => Ok((fingerprints, expires)),
        Some(PoshDocument::Reference { .. }) => Err(PoshFetchError::Chain { url }),
        None => Err(PoshFetchError::Status { url, status: StatusCode::NOT_FOUND }),
    }
}

/// A URI with a host that has a name; that it is `https`, the client insists on.
fn fetchable(text: &str) -> Result<Url, PoshFetchError> {
    let url = Url::parse(text).ok().filter(|url| url.username().is_empty() && url.password().is_none());
    let unusable = || PoshFetchError::Reference { url: text.chars().take(256).collect() };
    let url = url.ok_or_else(unusable)?;
    match url.host_str() {
        Some(host) if literal(host).is_some() => Err(PoshFetchError::Address { host: host.to_owned() }),
        Some(_) => Ok(url),
        None => Err(unusable()),
    }
}

/// A document; `None` where there is none (RFC 7711, section 3, step 2).
async fn get(client: &Client, url: Url) -> Result<Option<PoshDocument>, PoshFetchError> {
    let failed = |cause| PoshFetchError::Http { url: url.clone(), cause };
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    match response.status() {
        StatusCode::NOT_FOUND => return Ok(None),
        status if !status.is_success() => return Err(PoshFetchError::Status { url, status }),
        _ => {}
    }
    let mut json = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(failed)? {
        if json.len() + bytes.len() > MAX_BYTES {
            return Err(PoshFetchError::TooLarge { url });
        }
        json.extend_from_slice(&bytes);
    }
    PoshDocument::parse(&json).map(Some).map_err(|cause| PoshFetchError::Document { url, cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_from_hosts_with_names_alone() {
        for text in ["https://hosting.example/x.json", "https://hosting.example:8443/", "https://b\u{fc}cher.example/"]
        {
            assert!(fetchable(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "hosting.example",
            "https://",
            "https://192.0.2.1/",
            "https://[2001:db8::1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://user@hosting.example/",
            "https://user:pass@hosting.example/",
        ] {
            assert!(fetchable(text).is_err(), "{text}");
        }
    }
}
