//! Results: which count, and what their nodes are told.

use std::time::Duration;

use convoke_store::StoreError;
use convoke_xmpp::{Element, Jid, Stanza};

use super::SchedulerEvent;
use super::dispatch::Dispatch;
use super::keeping::Keeping;
use crate::cloud::board::{Judgement, Outcome};
use crate::cloud::lease::{expired, fenced, later};
use crate::cloud::task::{self, Attempt, TaskError, Verdict};

/// When a node may tell a result again that is on its way to the disk.
const SHORTLY: Duration = Duration::from_secs(1);
/// The same where the disk did not take it.
const TRY_AGAIN: Duration = Duration::from_secs(5);

impl Dispatch {
    pub(super) fn take_result(&mut self, from: &Jid, request: &Stanza, payload: &Element) {
        let (attempt, outcome) = match task::result_from_element(payload) {
            Ok(result) => result,
            Err(error) => return self.component.reply(request, Err(error)),
        };
        self.recover(from);
        let nodes_fault = outcome.as_ref().is_err_and(|error| !matches!(error, TaskError::Input(_)));
        let judgement = self.board.result(from, &attempt, outcome);
        if !matches!(judgement, Judgement::Fenced { .. } | Judgement::Unknown) {
            self.free(from, &attempt, nodes_fault);
        }
        let verdict = match judgement {
            Judgement::Counts(index, outcome) => return self.keep(request, index, &outcome),
            Judgement::Again => {
                self.publication.reopened(&attempt);
                Ok(Verdict::Committed)
            }
            Judgement::Known(verdict) => Ok(verdict),
            Judgement::Keeping => Err(later("keeping", SHORTLY)),
            Judgement::Fenced { now } => {
                self.tell(SchedulerEvent::Fenced { node: from.clone(), epoch: attempt.lease.epoch });
                Err(fenced(attempt.lease.epoch, now))
            }
            Judgement::Unknown => Err(expired()),
        };
        self.component.reply(request, verdict.map(|verdict| Some(task::ack(&attempt, verdict))));
    }

    /// Nobody hears of what a task has come to before it is durable.
    fn keep(&mut self, request: &Stanza, index: u32, outcome: &Outcome) {
        let (request, attempt) = (Box::new(request.clone()), outcome.attempt.clone());
        match self.journal.concluded(index, outcome) {
            Some(durable) => drop(self.keeping.spawn(async move {
                let result = durable.wait().await;
                Keeping::Outcome { request, attempt, result }
            })),
            None => self.concluded(&request, &attempt, &Ok(())),
        }
    }

    /// What a task has come to is durable, or cannot be made so.
    pub(super) fn concluded(&mut self, request: &Stanza, attempt: &Attempt, result: &Result<(), StoreError>) {
        let kept = result.as_ref().ok().and_then(|()| self.board.kept(attempt));
        let Some((outcome, attempts)) = kept else {
            self.board.not_kept(attempt);
            self.publication.reopened(attempt);
            return self.component.reply(request, Err(later("no-store", TRY_AGAIN)));
        };
        let (batch, task) = (attempt.batch.clone(), attempt.task.clone());
        match outcome.result {
            Ok(output) => {
                self.publication.done(attempt, &output, &outcome.by);
                self.tell(SchedulerEvent::Done { batch, task, output, attempts });
            }
            Err(error) => {
                self.publication.failed(attempt);
                self.tell(SchedulerEvent::Failed { batch, task, error });
            }
        }
        self.component.reply(request, Ok(Some(task::ack(attempt, Verdict::Committed))));
        self.finish_if_done(&attempt.batch);
        self.forget_old_batches();
    }
}
