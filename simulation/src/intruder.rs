//! The attacker: has a good certificate for a domain of its own, and wants to pass for others.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use convoke_net::session::{SessionSettings, Stop, run};
use convoke_net::tcp::{TcpListener, TcpStream};
use convoke_net::{Outbox, SessionHandler, TlsContext, negotiate};
use convoke_s2s::{Federation, IdentityVerifier, Initiating, InitiatingConfig};
use convoke_xmpp::stream::StreamError;
use convoke_xmpp::{Limits, Origin, Outbound, Router, Stanza, Undelivered};
use tokio::io::AsyncWriteExt;
use tokio::time::{sleep, timeout};

use crate::names::{DOMAINS, Index, MALLORY, domainpart, now};
use crate::plan::SILENCE;
use crate::random::Generator;
use crate::world::{DIRECT_PORT, PORT, World};

/// How long one attempt may take before the next.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the attacker's router is told: nothing of an honest domain may come here.
struct Booty {
    world: Arc<World>,
}

impl Router for Booty {
    fn route(&self, stanza: Stanza, _: &Origin) -> Result<(), Undelivered> {
        self.world.ledger().stolen(now(), &stanza);
        Ok(())
    }

    fn undelivered(&self, _: Undelivered) {}
}

/// Attacks until it is silent.
pub(crate) async fn attack(world: Arc<World>, seed: u64) -> turmoil::Result {
    let mut random = Generator::new(seed ^ 0x6d61_6c6c_6f72_7900);
    let stolen = DOMAINS[random.within(0..DOMAINS.len() as u64) as usize];
    // Whoever is led here by DNS, or is dialled from here, sees the stolen name and the wrong certificate for it.
    let booty = Booty { world: Arc::clone(&world) };
    let impostor = Federation::new(world.config(stolen, MALLORY), Arc::new(booty))?;
    impostor.serve(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?);
    impostor.serve_direct(TcpListener::bind((Ipv4Addr::UNSPECIFIED, DIRECT_PORT)).await?);
    while now() < SILENCE {
        sleep(random.time(Duration::from_millis(100)..Duration::from_secs(8))).await;
        let victim = random.within(0..DOMAINS.len() as u64) as Index;
        let attempt = random.within(0..4);
        world.ledger().attack(now(), attempt, victim);
        let attacking = async {
            match attempt {
                0 => forge(&world, victim, &mut random).await,
                1 => babble(victim, &mut random).await,
                2 => stall(victim, &mut random).await,
                _ => drop(impostor.send(forged(stolen, victim, 0))),
            }
        };
        // An attempt that fails is none.
        let _ = timeout(PATIENCE, attacking).await;
    }
    impostor.shutdown(PATIENCE).await;
    Ok(())
}

/// Authenticates as what it is and then speaks for others.
async fn forge(world: &World, victim: Index, random: &mut Generator) {
    let Ok(tcp) = TcpStream::connect((DOMAINS[victim], PORT)).await else { return };
    let tls = TlsContext::new([(domainpart(MALLORY), world.certificates.of(MALLORY))]).unwrap();
    let verifier = Arc::new(IdentityVerifier::with_default_algorithms(world.certificates.trust()));
    let config = InitiatingConfig::new(domainpart(MALLORY), domainpart(DOMAINS[victim]));
    let initiating = Initiating::new(config, verifier, tokio::time::Instant::now().into_std());
    let Ok(negotiated) = negotiate(initiating, tcp, &tls, Limits::before_authentication()).await else { return };
    let outbox = Outbox::default();
    for number in 0..random.within(1..5) {
        // Numbers of stanzas that honest domains have sent, too: a copy is no better.
        let from = random.one_of(&DOMAINS);
        let _ = outbox.push(forged(from, victim, number * random.within(1..100)));
    }
    run(negotiated.connection, &outbox, &mut Ignore, SessionSettings::default(), &Stop::default()).await;
}

/// Says something that is no stream, or no end of one.
async fn babble(victim: Index, random: &mut Generator) {
    let Ok(mut tcp) = TcpStream::connect((DOMAINS[victim], PORT)).await else { return };
    let opening = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' version='1.0' \
                   xmlns:stream='http://etherx.jabber.org/streams' from='a.example' to='b.example'>";
    let mut bytes = opening.as_bytes()[..random.within(0..opening.len() as u64 + 1) as usize].to_vec();
    bytes.extend((0..random.within(0..3000)).map(|_| random.next() as u8));
    let _ = tcp.write_all(&bytes).await;
    sleep(random.time(Duration::ZERO..PATIENCE)).await;
}

/// Connects and says nothing.
async fn stall(victim: Index, random: &mut Generator) {
    let tcp = TcpStream::connect((DOMAINS[victim], PORT)).await;
    sleep(random.time(Duration::ZERO..PATIENCE)).await;
    drop(tcp);
}

fn forged(from: &str, victim: Index, number: u64) -> Stanza {
    let victim = DOMAINS[victim];
    Stanza::parse(&format!("<message from='u0@{from}' to='u0@{victim}' id='{number}'><body>forged</body></message>"))
        .unwrap()
}

struct Ignore;

impl SessionHandler for Ignore {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        Ok(())
    }
}
