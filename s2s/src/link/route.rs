//! Whether the remote domain is in reach, as the router is told.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use convoke_xmpp::{RouteChange, Router};

use super::{Pair, now};

/// How long a lost domain is looked for without a stanza that wants it: a day, in which what was cut off from each other
/// finds each other again, though neither side has anything to say.
const SOUGHT: Duration = Duration::from_secs(24 * 60 * 60);

/// The way to the remote domain. Its lock is held while the router is told, so that it hears of changes in their order.
#[derive(Default)]
pub(super) struct Route(Mutex<Reach>);

#[derive(Default, Clone, Copy)]
enum Reach {
    /// It was never reached.
    #[default]
    Unknown,
    Reached,
    Lost {
        at: Instant,
    },
}

impl Route {
    /// There is a stream, in whichever direction.
    pub(super) fn reached(&self, pair: &Pair, router: &dyn Router) {
        let mut reach = self.lock();
        let before = std::mem::replace(&mut *reach, Reach::Reached);
        if matches!(before, Reach::Lost { .. }) {
            router.route_changed(&pair.local, &pair.remote, RouteChange::Restored);
        }
    }

    /// A stream was lost and there is no other.
    pub(super) fn missed(&self, pair: &Pair, router: &dyn Router) {
        let mut reach = self.lock();
        if matches!(*reach, Reach::Reached) {
            *reach = Reach::Lost { at: now() };
            router.route_changed(&pair.local, &pair.remote, RouteChange::Lost);
        }
    }

    /// Whether the domain is lost and still looked for.
    pub(super) fn is_sought(&self) -> bool {
        matches!(*self.lock(), Reach::Lost { at } if at + SOUGHT > now())
    }

    /// Whether the domain, if it is missed now, is to be looked for.
    pub(super) fn is_worth_seeking(&self) -> bool {
        matches!(*self.lock(), Reach::Reached) || self.is_sought()
    }

    fn lock(&self) -> MutexGuard<'_, Reach> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
