//! A stream in the hands of a test, which reads what it is sent and says what it likes.

use std::sync::Arc;

use convoke_net::session::{SessionSettings, Stop, run};
use convoke_net::{Connection, End, Outbox, SessionHandler};
use convoke_xmpp::Stanza;
use convoke_xmpp::stream::StreamError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::world::SOON;

pub(crate) struct Peer {
    outbox: Arc<Outbox>,
    heard: UnboundedReceiver<Stanza>,
    session: JoinSet<End>,
}

struct Hear(UnboundedSender<Stanza>);

impl SessionHandler for Hear {
    fn stanza(&mut self, stanza: Stanza) -> Result<(), StreamError> {
        self.0.send(stanza).unwrap();
        Ok(())
    }
}

impl Peer {
    /// Runs this stream until it ends or the peer is dropped.
    pub(crate) fn new(connection: Connection) -> Self {
        let outbox = Arc::new(Outbox::default());
        let (heard, heard_here) = unbounded_channel();
        let (mut session, queue) = (JoinSet::new(), Arc::clone(&outbox));
        session.spawn(async move {
            let stop = Stop::default();
            run(connection, &queue, &mut Hear(heard), SessionSettings::default(), &stop).await
        });
        Self { outbox, heard: heard_here, session }
    }

    pub(crate) fn send(&self, stanza: Stanza) {
        self.outbox.push(stanza).unwrap();
    }

    /// The next stanza that it was sent.
    pub(crate) async fn next(&mut self) -> Stanza {
        timeout(SOON, self.heard.recv()).await.unwrap().unwrap()
    }

    /// How the stream ends, and what it was sent until then that nobody has looked at.
    pub(crate) async fn end(mut self) -> (End, Vec<Stanza>) {
        let end = timeout(SOON, self.session.join_next()).await.unwrap().unwrap().unwrap();
        (end, std::iter::from_fn(|| self.heard.try_recv().ok()).collect())
    }
}
