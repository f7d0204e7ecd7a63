//! An honest domain: a federation, a router that tells the witness, and what the plan has it do.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use convoke_net::tcp::TcpListener;
use convoke_s2s::Federation;
use convoke_xmpp::{Jid, Origin, Outbound, Router, Stanza, Undelivered};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

use crate::names::{DOMAINS, Index, domainpart, index, now};
use crate::plan::{Deed, SHUTDOWN};
use crate::world::{DIRECT_PORT, PORT, World};

/// How long a domain may take to say goodbye to two others that do the same.
const GOODBYE: Duration = Duration::from_secs(10);

/// Tells the witness, and passes on what wants an answer.
struct Recorder {
    world: Arc<World>,
    me: Index,
    requests: UnboundedSender<Stanza>,
}

impl Router for Recorder {
    fn route(&self, stanza: Stanza, origin: &Origin) -> Result<(), Undelivered> {
        self.world.ledger().routed(now(), self.me, &stanza, origin);
        if stanza.is_request() {
            // The node is gone only when nothing of it is left.
            let _ = self.requests.send(stanza);
        }
        Ok(())
    }

    fn undelivered(&self, undelivered: Undelivered) {
        let Undelivered { stanza, error } = undelivered;
        self.world.ledger().bounced(now(), self.me, &stanza, error);
    }
}

/// What runs on the host of a domain, from one start to the next crash or to its shutdown.
pub(crate) async fn run(world: Arc<World>, me: Index) -> turmoil::Result {
    tokio::select! {
        biased;
        () = world.crashed(me) => Ok(()),
        lived = live(Arc::clone(&world), me) => lived,
    }
}

async fn live(world: Arc<World>, me: Index) -> turmoil::Result {
    let (requests, requested) = unbounded_channel();
    let router = Recorder { world: Arc::clone(&world), me, requests };
    let federation = Federation::new(world.config(DOMAINS[me], DOMAINS[me]), Arc::new(router))?;
    federation.serve(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?);
    federation.serve_direct(TcpListener::bind((Ipv4Addr::UNSPECIFIED, DIRECT_PORT)).await?);
    let node = Node { world, me, federation };
    node.act(requested).await;
    let drained = node.federation.shutdown(GOODBYE).await;
    let queued = node.federation.statistics().iter().map(|link| link.queued).sum();
    node.world.ledger().shut_down(now(), me, drained.aborted, queued);
    Ok(())
}

struct Node {
    world: Arc<World>,
    me: Index,
    federation: Federation,
}

impl Node {
    /// Does what the plan says, from now on, and answers requests, until all shut down.
    async fn act(&self, mut requested: UnboundedReceiver<Stanza>) {
        let begun = now();
        let mut deeds = self.world.plan.deeds[self.me].iter().skip_while(|(time, _)| *time < begun).peekable();
        loop {
            let next = deeds.peek().map_or(SHUTDOWN, |(time, _)| *time);
            tokio::select! {
                biased;
                () = sleep(next.saturating_sub(now())) => match deeds.next() {
                    Some((_, deed)) => self.perform(*deed),
                    None => return,
                },
                Some(request) = requested.recv() => self.answer(&request),
            }
        }
    }

    fn perform(&self, deed: Deed) {
        match deed {
            Deed::Cut { to } => {
                let any = self.federation.cut(&domainpart(DOMAINS[self.me]), &domainpart(DOMAINS[to]));
                self.world.ledger().cut(now(), self.me, to, any);
            }
            Deed::Send { to, from_user, to_user, request } => {
                let (from, to_address) = (address(self.me, from_user), address(to, to_user));
                let text = if request {
                    format!("<iq type='get' from='{from}' to='{to_address}'><ping xmlns='urn:xmpp:ping'/></iq>")
                } else {
                    format!("<message from='{from}' to='{to_address}'><body>hello</body></message>")
                };
                self.send(to, &Stanza::parse(&text).unwrap());
            }
        }
    }

    /// The answer is a stanza like any other, except that it is never answered.
    fn answer(&self, request: &Stanza) {
        let Some(to) = request.from().and_then(|from| index(from.domain())) else { return };
        self.send(to, &request.result(None));
    }

    fn send(&self, to: Index, stanza: &Stanza) {
        let number = self.world.ledger().begin(now(), self.me, to);
        if let Err(undelivered) = self.federation.send(stanza.with_id(&number.to_string())) {
            self.world.ledger().refused(now(), number, undelivered.error);
        }
    }
}

fn address(domain: Index, user: u64) -> Jid {
    Jid::from_parts(Some(&format!("u{user}")), DOMAINS[domain], None).unwrap()
}
