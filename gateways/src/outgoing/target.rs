//! Where services may live.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use thiserror::Error;
use tokio::time::timeout;

use super::resolver::{Resolver, SpecialAddress, check_public};

/// How long the host of a new service may take to resolve.
const RESOLVE_TIME: Duration = Duration::from_secs(5);

/// An origin that services may live at although it is not public or not https, such as `http://127.0.0.1:8080`.
///
/// It exempts exactly this scheme, host and port. The host is compared as it is written, not by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    scheme: String,
    host: String,
    port: u16,
}

/// A text is no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is no target; give scheme, host and port only, such as http://127.0.0.1:8080")]
pub struct TargetError {
    text: String,
}

impl Target {
    /// Scheme, host and port of a URL.
    fn of(url: &Url) -> Option<Self> {
        let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        Some(Self { scheme: url.scheme().to_owned(), host, port })
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.path() == "/"
                && url.query().is_none()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        });
        url.as_ref().and_then(Self::of).ok_or_else(|| TargetError { text: text.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

/// Why a service may not live at a URL.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum BaseUrlError {
    #[error("it is no URL")]
    NoUrl,
    #[error("it holds a user name or a password")]
    UserInfo,
    #[error("it has a query or a fragment")]
    QueryOrFragment,
    #[error("only https is allowed, and the targets of the gateway's configuration")]
    NotHttps,
    #[error("it has no host")]
    NoHost,
    #[error("{0}")]
    SpecialAddress(#[from] SpecialAddress),
    #[error("its host cannot be resolved")]
    Unresolvable,
}

/// The URL of a service, with a path that ends with a slash: requests go below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl {
    pub(crate) url: Url,
    /// Whether the configuration names this origin as a target.
    pub(crate) is_target: bool,
}

impl BaseUrl {
    /// Checks what can be seen without asking DNS.
    ///
    /// The URL parser has already turned every way of writing an IPv4 address, such as `2130706433` or `0x7f.1`, into
    /// the usual one.
    pub(crate) fn parse(text: &str, targets: &[Target]) -> Result<Self, BaseUrlError> {
        // The parser would drop these silently (WHATWG URL, section 4.4): then text and URL would differ.
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(BaseUrlError::NoUrl);
        }
        let mut url = Url::parse(text).map_err(|_| BaseUrlError::NoUrl)?;
        if !url.username().is_empty() || url.password().is_some() || authority_of(text).contains('@') {
            return Err(BaseUrlError::UserInfo);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::QueryOrFragment);
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let is_target = Target::of(&url).is_some_and(|origin| targets.contains(&origin));
        if !is_target {
            check_public_https(&url)?;
        }
        Ok(Self { url, is_target })
    }

    /// Asks DNS and refuses a host that leads to an address of special purpose.
    ///
    /// This only tells the registrant early: what counts is the same check at each connection.
    pub(crate) async fn resolve(&self, resolver: &dyn Resolver) -> Result<(), BaseUrlError> {
        let host = self.url.host_str().ok_or(BaseUrlError::NoHost)?;
        if self.is_target || literal(host).is_some() {
            return Ok(());
        }
        match timeout(RESOLVE_TIME, resolver.resolve(host)).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(check_public(host, &addresses)?),
            _ => Err(BaseUrlError::Unresolvable),
        }
    }
}

fn check_public_https(url: &Url) -> Result<(), BaseUrlError> {
    if url.scheme() != "https" {
        return Err(BaseUrlError::NotHttps);
    }
    let host = url.host_str().ok_or(BaseUrlError::NoHost)?;
    match literal(host) {
        Some(address) => Ok(check_public(host, &[address])?),
        None => Ok(()),
    }
}

/// An empty user name leaves no trace in the parsed URL.
fn authority_of(text: &str) -> &str {
    let rest = text.split_once("//").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<Target> {
        vec!["http://127.0.0.1:8080".parse().unwrap(), "https://inside.example".parse().unwrap()]
    }

    #[test]
    fn takes_public_https_and_the_targets_of_the_configuration() {
        for (text, is_target) in [
            ("https://api.example.org", false),
            ("https://api.example.org/v1", false),
            ("https://api.example.org:8443/v1/", false),
            ("https://8.8.8.8/", false),
            ("https://[2606:4700::1111]/", false),
            ("http://127.0.0.1:8080", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://0x7f.1:8080/", true),
            ("https://inside.example:443/", true),
        ] {
            let base = BaseUrl::parse(text, &targets()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(base.is_target, is_target, "{text}");
            assert!(base.url.path().ends_with('/'), "{text}");
        }
    }

    #[test]
    fn refuses_every_way_to_the_inside() {
        for text in [
            "",
            "api.example.org",
            "ftp://api.example.org/",
            "file:///etc/passwd",
            "data:text/plain,x",
            "gopher://api.example.org/",
            "http://api.example.org/",
            "http://127.0.0.1/",
            "http://127.0.0.1:8081/",
            "https://127.0.0.1:8080/",
            "http://localhost:8080/",
            "http://inside.example/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://0/",
            "https://169.254.169.254/latest/meta-data/",
            "https://10.0.0.1/",
            "https://192.168.0.1/",
            "https://172.16.5.4/",
            "https://100.64.0.1/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[fd00:ec2::254]/",
            "https://[fe80::1]/",
            "https://[fe80::1%25eth0]/",
            "https://１２７.０.０.１/",
            "https://user@api.example.org/",
            "https://user:pass@api.example.org/",
            "https://@api.example.org/",
            "https://api.example.org@127.0.0.1/",
            "https://api.example.org\\@127.0.0.1/",
            "https://api.example.org/?to=http://127.0.0.1",
            "https://api.example.org/#x",
            "https://api.example.org/\r\nX: y",
            "https://api.exam\tple.org/",
            " https://api.example.org/",
        ] {
            assert!(BaseUrl::parse(text, &targets()).is_err(), "{text:?}");
        }
    }

    #[derive(Debug)]
    struct Fixed(Vec<IpAddr>);

    #[async_trait::async_trait]
    impl Resolver for Fixed {
        async fn resolve(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
            Ok(self.0.clone())
        }
    }

    #[tokio::test]
    async fn refuses_a_host_if_any_of_its_addresses_is_special() {
        let base = BaseUrl::parse("https://api.example.org", &[]).unwrap();
        let resolve = async |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            base.resolve(&Fixed(addresses)).await
        };
        assert!(resolve(&["8.8.8.8", "2606:4700::1111"]).await.is_ok());
        assert!(matches!(resolve(&["8.8.8.8", "127.0.0.1"]).await, Err(BaseUrlError::SpecialAddress(_))));
        assert!(matches!(resolve(&["8.8.8.8", "::ffff:8.8.8.8"]).await, Err(BaseUrlError::SpecialAddress(_))));
        assert!(matches!(resolve(&[]).await, Err(BaseUrlError::Unresolvable)));
    }

    #[test]
    fn a_target_is_scheme_host_and_port() {
        for text in ["127.0.0.1:8080", "ftp://a.example", "http://a.example/x", "http://u@a.example", "http://"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
        assert_eq!("http://a.example".parse::<Target>().unwrap().to_string(), "http://a.example:80");
    }
}
