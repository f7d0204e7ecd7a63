//! What waits for the disk before anybody is told of it.

use std::time::Duration;

use convoke_store::StoreError;
use convoke_xmpp::Stanza;

use super::batches::Submitter;
use super::dispatch::Dispatch;
use crate::cloud::task::{Attempt, Submission};

/// How long the end of a scheduler waits for what is on its way to the disk. A disk that takes longer is not going to
/// answer.
const LAST_COMMIT: Duration = Duration::from_secs(10);

/// What is durable now, or cannot be made so.
pub(super) enum Keeping {
    /// A batch is taken.
    Submission { submission: Submission, submitter: Submitter, result: Result<(), StoreError> },
    /// A task has come to its end by the result that this request brought.
    Outcome { request: Box<Stanza>, attempt: Attempt, result: Result<(), StoreError> },
}

impl Dispatch {
    pub(super) fn kept(&mut self, keeping: Keeping) {
        match keeping {
            Keeping::Submission { submission, submitter, result } => self.submitted(submission, submitter, result),
            Keeping::Outcome { request, attempt, result } => self.concluded(&request, &attempt, &result),
        }
    }

    /// What is on its way to the disk when the scheduler ends is still answered.
    pub(super) async fn keep_the_last(&mut self) {
        let last = async {
            while let Some(keeping) = self.keeping.join_next().await {
                keeping.into_iter().for_each(|keeping| self.kept(keeping));
            }
        };
        if tokio::time::timeout(LAST_COMMIT, last).await.is_err() {
            tracing::warn!("the store did not answer within {LAST_COMMIT:?}");
        }
    }
}
