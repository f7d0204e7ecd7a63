//! POSH documents on a real web server (RFC 7711).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use convoke_dev::{CertificateAuthority, LoopbackDns, LoopbackWeb, Subject};
use convoke_s2s::{DnsResolver, IdentityVerifier, PoshClient, PoshFetchError, Trust, TrustAnchors, TrustGroup};

use crate::judge::{domain, verifier};

const PATH: &str = "/.well-known/posh/xmpp-server.json";

/// 32 zeros.
const HASH: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A web server for all hosts below `posh.example`, the names that lead to it, and somebody who trusts its authority.
struct Rehearsal {
    dns: LoopbackDns,
    web: LoopbackWeb,
    client: PoshClient,
    judge: Arc<IdentityVerifier>,
}

fn trust(authority: &CertificateAuthority) -> TrustAnchors {
    TrustAnchors::from_pem(authority.certificate_pem()).unwrap()
}

impl Rehearsal {
    async fn new(authority: &CertificateAuthority, trust: impl Into<Trust>) -> Self {
        let dns = LoopbackDns::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let names = Subject::domain("posh.example").dns_names(["*.posh.example"]);
        let web = LoopbackWeb::start(&authority.issue(&names).unwrap()).await.unwrap();
        let resolver = Arc::new(DnsResolver::new(&[dns.address()]).unwrap());
        let client = PoshClient::new(resolver).on_port(web.address().port());
        Self { dns, web, client, judge: verifier(trust.into()) }
    }

    fn leads_here(&self, host: &str) {
        let IpAddr::V4(address) = self.web.address().ip() else { panic!("{:?}", self.web) };
        self.dns.a(host, address).unwrap();
    }

    /// How many fingerprints the domain has, and for how many seconds; or what is wrong.
    async fn fetched(&self, name: &str) -> Result<(usize, u64), PoshFetchError> {
        let evidence = self.client.fingerprints(&domain(name), &self.judge).await?;
        assert_eq!(evidence.tlsa, []);
        let left = evidence.until.duration_since(SystemTime::now()).unwrap();
        // A moment has passed since; none of the times below is within a minute of another.
        Ok((evidence.posh.len(), (left + Duration::from_secs(59)).as_secs() / 60 * 60))
    }
}

fn fingerprints(expires: u64) -> String {
    format!(r#"{{"fingerprints": [{{"sha-256": "{HASH}"}}, {{"sha-256": "{HASH}"}}], "expires": {expires}}}"#)
}

fn reference(url: &str, expires: u64) -> String {
    format!(r#"{{"url": "{url}", "expires": {expires}}}"#)
}

#[tokio::test]
async fn a_document_is_believed_as_long_as_it_says_and_its_reference_says_within_bounds() {
    let authority = CertificateAuthority::new("Web CA").unwrap();
    let here = Rehearsal::new(&authority, trust(&authority)).await;
    let elsewhere = format!("https://hosting.posh.example:{}/elsewhere.json", here.web.address().port());
    here.leads_here("hosting.posh.example");
    here.web.publish("hosting.posh.example", "/elsewhere.json", fingerprints(7200));
    for (name, document, expected) in [
        ("usual.posh.example", fingerprints(3600), (2, 3600)),
        ("short.posh.example", fingerprints(1), (2, 60)),
        ("long.posh.example", fingerprints(u64::MAX), (2, 86_400)),
        ("shorter-reference.posh.example", reference(&elsewhere, 1800), (2, 1800)),
        ("longer-reference.posh.example", reference(&elsewhere, 36_000), (2, 7200)),
    ] {
        here.leads_here(name);
        here.web.publish(name, PATH, document);
        assert_eq!(here.fetched(name).await.unwrap(), expected, "{name}");
    }
    here.leads_here("without.posh.example");
    assert_eq!(here.fetched("without.posh.example").await.unwrap(), (0, 600));
}

/// RFC 7711, sections 3.1 and 3.2, and section 10 about redirects.
#[tokio::test]
async fn what_is_no_document_of_the_domain_is_not_believed() {
    let authority = CertificateAuthority::new("Web CA").unwrap();
    let here = Rehearsal::new(&authority, trust(&authority)).await;
    let port = here.web.address().port();
    let chain = format!("https://chain.posh.example:{port}{PATH}");
    for (name, document, cause) in [
        ("text.posh.example", "hello".to_owned(), "is no POSH document: it is not JSON"),
        ("large.posh.example", " ".repeat(64 * 1024) + &fingerprints(3600), "is larger than 65536 bytes"),
        ("over.posh.example", fingerprints(0), "it has expired by its own account"),
        ("chain.posh.example", reference(&chain, 3600), "refers elsewhere again"),
        ("clear.posh.example", reference("http://chain.posh.example/", 3600), "not fetched by https"),
        ("number.posh.example", reference(&format!("https://127.0.0.1:{port}/"), 3600), "is an IP address"),
        ("user.posh.example", reference("https://u@chain.posh.example/", 3600), "cannot be fetched"),
        ("nowhere.posh.example", reference(&format!("https://a.posh.example:{port}/none"), 3600), "HTTP status 404"),
    ] {
        here.leads_here(name);
        here.leads_here("a.posh.example");
        here.web.publish(name, PATH, document);
        let fault = here.fetched(name).await.unwrap_err().to_string();
        assert!(fault.contains(cause), "{name}: {fault}");
    }
    for (status, location) in [(500, None), (302, Some(chain.as_str())), (301, Some("http://chain.posh.example/"))] {
        let name = format!("status{status}.posh.example");
        here.leads_here(&name);
        here.web.refuse(&name, PATH, status, location);
        let before = here.web.requests();
        let fault = here.fetched(&name).await.unwrap_err();
        assert!(matches!(&fault, PoshFetchError::Status { status: found, .. } if found.as_u16() == status), "{fault}");
        assert_eq!(here.web.requests(), before + 1, "a redirect was followed");
    }
    let before = here.web.requests();
    for address in ["127.0.0.1", "[::1]"] {
        let fault = here.fetched(address).await.unwrap_err();
        assert!(matches!(fault, PoshFetchError::Address { .. }), "{fault}");
    }
    assert_eq!(here.web.requests(), before);
}

/// RFC 7711, section 3: the client verifies the certificate of the web server by RFC 2818.
#[tokio::test]
async fn a_web_server_that_does_not_prove_its_name_is_not_believed() {
    let (authority, other) =
        (CertificateAuthority::new("Web CA").unwrap(), CertificateAuthority::new("Other").unwrap());
    let group = |suffix, anchors| TrustGroup { suffixes: vec![domain(suffix)], anchors, pins: Vec::new() };
    for (name, judged_by, cause) in [
        ("a.posh.example", Trust::from(trust(&authority)), None),
        // The authority of one federation does not speak for another.
        (
            "b.posh.example",
            Trust::from(trust(&authority)).with_group(group("posh.example", trust(&other))),
            Some("not trusted"),
        ),
        ("c.posh.example", Trust::from(trust(&other)).with_group(group("posh.example", trust(&authority))), None),
        ("d.posh.example", Trust::from(trust(&other)), Some("not trusted")),
        (
            "e.other.example",
            Trust::from(trust(&authority)),
            Some("does not name e.other.example but dNSName *.posh.example"),
        ),
    ] {
        let here = Rehearsal::new(&authority, judged_by).await;
        here.leads_here(name);
        here.web.publish(name, PATH, fingerprints(3600));
        match (here.fetched(name).await, cause) {
            (Ok(found), None) => assert_eq!(found, (2, 3600), "{name}"),
            (Err(fault), Some(cause)) => assert!(fault.to_string().contains(cause), "{name}: {fault}"),
            (outcome, _) => panic!("{name}: {outcome:?}"),
        }
        assert_eq!(here.web.requests() > 0, cause.is_none(), "{name}: nothing is asked of a stranger");
    }
}
