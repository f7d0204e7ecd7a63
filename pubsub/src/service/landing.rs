//! Where the store leaves word of what became of a batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use convoke_store::{OnDurable, StoreError};

/// Called when there is something to do: it must only pass the word on.
pub(super) type Wake = Box<dyn Fn() + Send + Sync>;

/// The outcome of the one batch that is under way.
///
/// The store's thread serves everybody: it leaves the outcome here, wakes whoever runs the service, and is done.
#[derive(Default)]
pub(super) struct Landing {
    outcome: Mutex<Option<Result<(), StoreError>>>,
    wake: Mutex<Option<Arc<Wake>>>,
}

impl Landing {
    pub(super) fn set_wake(&self, wake: Wake) {
        *lock(&self.wake) = Some(Arc::new(wake));
    }

    /// What the store is to call.
    pub(super) fn callback(self: &Arc<Self>) -> OnDurable {
        let landing = self.clone();
        Box::new(move |outcome| {
            *lock(&landing.outcome) = Some(outcome);
            let wake = lock(&landing.wake).clone();
            if let Some(wake) = wake {
                wake();
            }
        })
    }

    /// The outcome, once.
    pub(super) fn take(&self) -> Option<Result<(), StoreError>> {
        lock(&self.outcome).take()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
