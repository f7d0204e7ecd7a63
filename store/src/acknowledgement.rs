//! A callback that is called exactly once, whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{OnDurable, StoreError};

/// Owes one answer; dropping it unanswered answers [`StoreError::Stopped`].
pub(crate) struct Acknowledgement(Option<OnDurable>);

impl Acknowledgement {
    pub(crate) fn new(on_durable: OnDurable) -> Self {
        Self(Some(on_durable))
    }

    pub(crate) fn answer(mut self, outcome: Result<(), StoreError>) {
        self.call(outcome);
    }

    fn call(&mut self, outcome: Result<(), StoreError>) {
        let Some(on_durable) = self.0.take() else { return };
        // One caller's panic must not cost the others their answers. The panic hook has already reported it.
        let _ = catch_unwind(AssertUnwindSafe(|| on_durable(outcome)));
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        self.call(Err(StoreError::Stopped));
    }
}
