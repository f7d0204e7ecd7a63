//! What the checker and the servers under test share: an authority and a DNS server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use convoke_conformance::{
    Authority, Identity, Listening, Outcome, Report, Section, Selection, Setup, Target, cases, run,
};
use convoke_dev::{CertificateAuthority, LoopbackDns, Subject};
use convoke_net::{Credentials, pem};
use convoke_s2s::{DnsResolver, IdentityVerifier, TrustAnchors};
use convoke_xmpp::Domainpart;
use tokio::net::TcpListener;

/// The domain of the server under test.
pub(crate) const SERVER: &str = "server.example";
/// The domain of the checker.
pub(crate) const CHECKER: &str = "checker.example";

const SERVICE: &str = "_xmpp-server._tcp";
const DIRECT_SERVICE: &str = "_xmpps-server._tcp";

pub(crate) struct World {
    pub(crate) authority: CertificateAuthority,
    pub(crate) dns: LoopbackDns,
    keys: tempfile::TempDir,
    /// Where the checker listens.
    checker: OnceLock<SocketAddr>,
}

pub(crate) fn domain(name: &str) -> Domainpart {
    Domainpart::new(name).unwrap()
}

impl World {
    pub(crate) async fn new() -> Self {
        let authority = CertificateAuthority::new("Test CA").unwrap();
        let keys = tempfile::tempdir().unwrap();
        authority.write_to(keys.path()).unwrap();
        let dns = LoopbackDns::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        Self { authority, dns, keys, checker: OnceLock::new() }
    }

    pub(crate) fn trust(&self) -> TrustAnchors {
        let pem = self.authority.certificate_pem().as_bytes();
        let roots = pem::certificates_in(pem, "ca.pem".as_ref()).unwrap();
        TrustAnchors::new(roots.iter().map(|root| root.to_vec()).collect(), Vec::new()).unwrap()
    }

    pub(crate) fn resolver(&self) -> DnsResolver {
        DnsResolver::new(&[self.dns.address()]).unwrap()
    }

    pub(crate) fn credentials(&self, name: &str) -> Credentials {
        let issued = self.authority.issue(&Subject::domain(name)).unwrap();
        Credentials::from_pem(&issued.chain_pem, &issued.key_pem).unwrap()
    }

    /// A listener to which DNS leads for this domain.
    pub(crate) async fn listener(&self, name: &str) -> TcpListener {
        self.listener_for(SERVICE, name).await
    }

    /// A listener to which DNS leads for direct TLS with this domain.
    pub(crate) async fn direct_listener(&self, name: &str) -> TcpListener {
        self.listener_for(DIRECT_SERVICE, name).await
    }

    async fn listener_for(&self, service: &str, name: &str) -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.found(service, name, listener.local_addr().unwrap().port());
        listener
    }

    /// A checker with everything that it can use, whose every case is dialled by a name of its own.
    pub(crate) async fn setup(&self, patience: Duration) -> Setup {
        let target = Target::find(domain(SERVER), &self.resolver()).await.unwrap();
        let us = Identity { domain: domain(CHECKER), credentials: self.credentials(CHECKER) };
        let listener = self.listener(CHECKER).await;
        let port = self.checker.get_or_init(|| listener.local_addr().unwrap()).port();
        for case in cases().filter(|case| case.section == Section::Dialling) {
            self.found(SERVICE, &format!("{}.{CHECKER}", case.key), port);
        }
        let key = |name: &str| self.keys.path().join(name);
        let mut setup = Setup::new(target, us);
        setup.authority = Some(Authority::from_files(key("ca.pem"), key("ca.key")).unwrap());
        setup.verifier = Some(IdentityVerifier::with_default_algorithms(self.trust()));
        setup.listening = Some(Listening::with_fresh_names(listener));
        setup.patience = patience;
        setup.deadline = Duration::from_secs(90);
        setup.parallel = 4;
        setup
    }

    /// Where the checker of the last [`setup`](Self::setup) listens.
    pub(crate) fn checker(&self) -> SocketAddr {
        *self.checker.get().unwrap()
    }

    fn found(&self, service: &str, name: &str, port: u16) {
        let host = format!("xmpp.{name}");
        self.dns.srv(name, service, 0, 0, port, &host).unwrap();
        self.dns.a(&host, Ipv4Addr::LOCALHOST).unwrap();
    }
}

/// Runs everything.
pub(crate) async fn check(setup: Setup) -> Report {
    run(setup, &Selection::default(), |_| ()).await.unwrap()
}

/// These outcomes with their transcripts, to be read when a test fails.
pub(crate) fn told<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> String {
    outcomes.into_iter().map(|outcome| format!("{outcome}\n{}\n", outcome.transcript)).collect()
}
