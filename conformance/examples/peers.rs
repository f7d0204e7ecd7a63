//! Checks Debian's Prosody and ejabberd with every case, on loopback alone, and prints a report for each.
//!
//! ```text
//! cargo run -p convoke-conformance --example peers [-- prosody|ejabberd [PART OF A CASE'S NAME]]
//! ```
//!
//! Each server gets a certificate of a fresh authority, which the checker has too, and a DNS server that leads it back.

use std::net::{Ipv4Addr, SocketAddr};

use convoke_conformance::{
    Authority, Identity, Listening, Report, Section, Selection, Setup, Target, Verdict, cases, run,
};
use convoke_dev::peers::{Peer, Service, Software};
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use convoke_net::Credentials;
use convoke_s2s::{DnsResolver, IdentityVerifier, Trust};
use convoke_xmpp::Domainpart;
use tokio::net::TcpListener;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const CHECKER: &str = "checker.lan";

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let wanted = std::env::args().nth(1).map(|name| name.to_lowercase());
    let only = std::env::args().nth(2);
    for software in Software::ALL {
        let name = software.to_string().to_lowercase();
        if wanted.as_ref().is_none_or(|wanted| *wanted == name) {
            let report = check(software, &format!("{name}.lan"), only.clone()).await?;
            println!("{report}");
            let told = report.outcomes.iter().filter(|_| only.is_some());
            told.filter(|outcome| !matches!(outcome.verdict, Verdict::Passed { .. })).for_each(|outcome| {
                println!("{}\n{}", outcome.id, outcome.transcript);
            });
        }
    }
    Ok(())
}

async fn check(software: Software, domain: &str, only: Option<String>) -> Result<Report, AnyError> {
    let dns = LoopbackDns::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let authority = CertificateAuthority::new("Conformance CA")?;
    let builder = Peer::builder(software, domain, &authority)?;
    let peer = builder.services([Service::StartTls, Service::DirectTls]).extended().start(&dns).await?;
    let setup = setup(&authority, &dns, peer.domain()).await?;
    Ok(run(setup, &Selection { only, short: false }, |_| ()).await?)
}

/// Everything that the checker can use.
async fn setup(authority: &CertificateAuthority, dns: &LoopbackDns, domain: &str) -> Result<Setup, AnyError> {
    let target = Target::find(Domainpart::new(domain)?, &DnsResolver::new(&[dns.address()])?).await?;
    let issued = authority.issue(&Subject::domain(CHECKER))?;
    let credentials = Credentials::from_pem(&issued.chain_pem, &issued.key_pem)?;
    let mut setup = Setup::new(target, Identity { domain: Domainpart::new(CHECKER)?, credentials });
    let keys = tempfile::tempdir()?;
    authority.write_to(keys.path())?;
    setup.authority = Some(Authority::from_files(keys.path().join("ca.pem"), keys.path().join("ca.key"))?);
    setup.verifier = Some(IdentityVerifier::with_default_algorithms(Trust::from_pem(authority.certificate_pem())?));
    setup.listening = Some(Listening::with_fresh_names(listener(dns).await?));
    Ok(setup)
}

/// A listener to which DNS leads for every name by which the checker is dialled.
async fn listener(dns: &LoopbackDns) -> Result<TcpListener, AnyError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    for case in cases().filter(|case| case.section == Section::Dialling) {
        let (name, host) = (format!("{}.{CHECKER}", case.key), format!("xmpp.{}.{CHECKER}", case.key));
        dns.srv(&name, "_xmpp-server._tcp", 0, 0, port, &host)?;
        dns.a(&host, Ipv4Addr::LOCALHOST)?;
    }
    Ok(listener)
}
