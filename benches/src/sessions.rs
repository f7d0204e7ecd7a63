//! The memory of idle sessions: connection, TLS, task, reader and outbox.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use convoke::Domain;
use convoke_counting_allocator as counting;
use convoke_net::session::{SessionSettings, Stop, run};
use convoke_net::{Outbox, SessionHandler, TlsContext, negotiate};
use convoke_s2s::{IdentityVerifier, Initiating, InitiatingConfig};
use convoke_xmpp::stream::StreamError;
use convoke_xmpp::{Domainpart, Limits, Stanza};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::federation::World;
use crate::report::Report;
use crate::{Effort, Error};

/// Nothing takes as long here.
const DEADLINE: Duration = Duration::from_secs(30);

/// Reports the heap of an idle stream between servers, per end; the process has to allocate by the counting allocator.
///
/// Both ends live on one thread, so that one tally has all of it. What the kernel holds is not in it.
pub fn measure(effort: Effort, report: &mut Report) -> Result<(), Error> {
    let count = effort.choose(4, 400);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let bytes = runtime.block_on(idle_bytes(count))?;
    report.figure("session: heap of an idle one, per end", bytes / 1024.0, "KiB");
    Ok(())
}

async fn idle_bytes(count: usize) -> Result<f64, Error> {
    let mut dialer = Dialer::new().await?;
    // What is made once, for the first of all sessions, is not theirs.
    dialer.dial().await?;
    settle().await?;
    let before = counting::tally().live;
    for _ in 0..count {
        dialer.dial().await?;
    }
    settle().await?;
    let after = counting::tally().live;
    if dialer.sessions.try_join_next().is_some() {
        return Err("a session ended while it was idle".into());
    }
    Ok((after - before) as f64 / (2 * count) as f64)
}

/// Waits until nothing moves any more: the last writes of a negotiation have been read.
async fn settle() -> Result<(), Error> {
    let settling = async {
        let mut last = counting::tally().live;
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = counting::tally().live;
            if now == last {
                return;
            }
            last = now;
        }
    };
    Ok(tokio::time::timeout(DEADLINE, settling).await?)
}

/// Opens streams as `a.example` to `b.example` and keeps them.
struct Dialer {
    world: World,
    tls: TlsContext,
    verifier: Arc<IdentityVerifier>,
    sessions: JoinSet<()>,
    _listening: Domain,
}

impl Dialer {
    async fn new() -> Result<Self, Error> {
        let mut world = World::new(&["b.example"]).await?;
        let listening = world.start("b.example").await?;
        let tls = TlsContext::new([(Domainpart::new("a.example")?, world.credentials("a.example")?)])?;
        let verifier = Arc::new(IdentityVerifier::with_default_algorithms(world.trust()?));
        Ok(Self { world, tls, verifier, sessions: JoinSet::new(), _listening: listening })
    }

    async fn dial(&mut self) -> Result<(), Error> {
        let port = self.world.port("b.example").ok_or("no listener")?;
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        let config = InitiatingConfig::new(Domainpart::new("a.example")?, Domainpart::new("b.example")?);
        let initiating = Initiating::new(config, self.verifier.clone(), Instant::now());
        let negotiated = negotiate(initiating, socket, &self.tls, Limits::before_authentication()).await?;
        self.sessions.spawn(async move {
            let (outbox, stop) = (Outbox::default(), Stop::default());
            let _end = run(negotiated.connection, &outbox, &mut Ignore, SessionSettings::default(), &stop).await;
        });
        Ok(())
    }
}

struct Ignore;

impl SessionHandler for Ignore {
    fn stanza(&mut self, _: Stanza) -> Result<(), StreamError> {
        Ok(())
    }
}
