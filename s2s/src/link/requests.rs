//! What links want of the stream of another link.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;

use super::Link;

/// How many may wait at a time; the next dials for itself.
const MOST_REQUESTS: usize = 64;

/// A link that wants its stanzas carried.
pub(super) struct Request {
    pub(super) rider: Arc<Link>,
    /// Who is told that they are, and is told nothing if they are not; `None` if they are in the queue already.
    pub(super) answer: Option<oneshot::Sender<()>>,
}

/// A bounded queue from the tasks of other links to a stream.
#[derive(Default)]
pub(super) struct Requests(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    waker: Option<Waker>,
    closed: bool,
}

impl Requests {
    /// Queues a request. Where there is no stream any more or no room, it is dropped, and so is its answer.
    pub(super) fn push(&self, request: Request) {
        let mut queue = self.lock();
        if queue.closed || queue.waiting.len() >= MOST_REQUESTS {
            return;
        }
        queue.waiting.push_back(request);
        let waker = queue.waker.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Request> {
        let mut queue = self.lock();
        match queue.waiting.pop_front() {
            Some(request) => Poll::Ready(request),
            None => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The stream has ended: nothing is taken any more.
    pub(super) fn close(&self) {
        let waiting = {
            let mut queue = self.lock();
            queue.closed = true;
            std::mem::take(&mut queue.waiting)
        };
        drop(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
