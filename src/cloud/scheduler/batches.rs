//! Batches: how they are taken, and who hears of their end.

use std::time::Duration;

use convoke_store::StoreError;
use convoke_xmpp::{Condition, Element, Jid, JidRef, MessageType, Origin, Stanza, StanzaError};
use tokio::sync::oneshot;

use super::dispatch::Dispatch;
use super::keeping::Keeping;
use super::leases::Manager;
use super::publication::BATCHES;
use super::{Batch, Command, SchedulerEvent, SubmitError};
use crate::cloud::board::BatchStatistics;
use crate::cloud::journal::Kept;
use crate::cloud::lease::later;
use crate::cloud::task::{self, Submission};

/// When a submitter may try again whose batch could not be made durable.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Who waits for the end of a batch.
#[derive(Default)]
pub(super) struct Waiting {
    local: Vec<oneshot::Sender<BatchStatistics>>,
    remote: Option<Jid>,
}

/// Who waits to hear whether a batch is taken.
pub(super) enum Submitter {
    Local(oneshot::Sender<Result<Batch, SubmitError>>),
    /// By this request.
    Remote(Box<Stanza>),
}

impl Dispatch {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Submit { submission, taken } => self.submit(submission, Submitter::Local(taken)),
            Command::Watch { batch, watching } => {
                let _caller_gone = watching.send(self.watch(&batch));
            }
            Command::Statistics { batch, reading } => {
                let _caller_gone = reading.send(self.board.statistics(&batch));
            }
        }
    }

    /// Only entities of this process's domains may give it work.
    pub(super) fn take_submission(&mut self, request: &Stanza, payload: &Element, origin: &Origin) {
        if *origin != Origin::Local {
            return self.component.reply(request, Err(Condition::Forbidden.into()));
        }
        match Submission::from_element(payload) {
            Ok(submission) => self.submit(submission, Submitter::Remote(Box::new(request.clone()))),
            Err(error) => self.component.reply(request, Err(error)),
        }
    }

    /// Takes a batch, once it is durable.
    fn submit(&mut self, submission: Submission, submitter: Submitter) {
        if let Err(error) = self.check(&submission) {
            return self.refuse(submitter, error);
        }
        self.taking.insert(submission.batch.clone(), submission.tasks.len() as u64);
        match self.journal.submitted(&submission, submitter.address().as_ref()) {
            Some(durable) => drop(self.keeping.spawn(async move {
                let result = durable.wait().await;
                Keeping::Submission { submission, submitter, result }
            })),
            None => self.submitted(submission, submitter, Ok(())),
        }
    }

    fn check(&self, submission: &Submission) -> Result<(), SubmitError> {
        if self.taking.contains_key(&submission.batch) {
            return Err(SubmitError::Exists(submission.batch.clone()));
        }
        self.board.check(submission, self.taking.values().sum())
    }

    /// A batch is durable, or cannot be made so.
    pub(super) fn submitted(&mut self, submission: Submission, submitter: Submitter, result: Result<(), StoreError>) {
        let (name, tasks) = (submission.batch.clone(), submission.tasks.len());
        self.taking.remove(&name);
        if result.is_err() {
            self.journal.forget(&name);
            return self.refuse(submitter, SubmitError::NotDurable);
        }
        self.board.submit(submission);
        self.publication.submitted(&name);
        self.managers.values_mut().for_each(Manager::ask_now);
        let waiting = self.accept(submitter, &name, tasks);
        self.waiting.insert(name.clone(), waiting);
        // Behind the answer: nobody hears of the end of a batch before it was taken.
        self.finish_if_done(&name);
        self.forget_old_batches();
    }

    fn accept(&self, submitter: Submitter, batch: &str, tasks: usize) -> Waiting {
        let remote = submitter.address();
        match submitter {
            Submitter::Local(taken) => {
                let (local, finished) = oneshot::channel();
                let _caller_gone = taken.send(Ok(Batch { finished }));
                Waiting { local: vec![local], remote }
            }
            Submitter::Remote(request) => {
                let taken = Element::new("submitted", task::NAMESPACE).attr("batch", batch).attr("tasks", tasks);
                self.component.reply(&request, Ok(Some(taken)));
                Waiting { local: Vec::new(), remote }
            }
        }
    }

    fn refuse(&self, submitter: Submitter, error: SubmitError) {
        match submitter {
            Submitter::Local(taken) => {
                let _caller_gone = taken.send(Err(error));
            }
            Submitter::Remote(request) => self.component.reply(&request, Err(refusal(&error))),
        }
    }

    /// Goes on with the batches of earlier runs.
    pub(super) fn restore(&mut self, kept: Vec<Kept>) {
        let without_nodes = kept.len().saturating_sub(BATCHES);
        for (at, Kept { submission, outcomes, submitter }) in kept.into_iter().enumerate() {
            let name = submission.batch.clone();
            self.board.restore(submission, &outcomes);
            let is_finished = self.board.statistics(&name).is_some_and(|statistics| statistics.is_finished());
            if at >= without_nodes {
                self.publication.restored(&name, &outcomes, is_finished);
            }
            if !is_finished || submitter.is_some() {
                self.waiting.insert(name.clone(), Waiting { local: Vec::new(), remote: submitter });
            }
            self.finish_if_done(&name);
        }
        self.forget_old_batches();
    }

    fn watch(&mut self, batch: &str) -> Option<Batch> {
        let statistics = self.board.statistics(batch)?;
        let (local, finished) = oneshot::channel();
        if statistics.is_finished() {
            let _told = local.send(statistics);
        } else {
            let waiting = self.waiting.entry(batch.to_owned()).or_default();
            waiting.local.retain(|other| !other.is_closed());
            waiting.local.push(local);
        }
        Some(Batch { finished })
    }

    /// Tells those who wait for the end of a batch, if it has come.
    pub(super) fn finish_if_done(&mut self, batch: &str) {
        let Some(statistics) = self.board.statistics(batch).filter(BatchStatistics::is_finished) else { return };
        let Some(waiting) = self.waiting.remove(batch) else { return };
        for local in waiting.local {
            let _caller_gone = local.send(statistics);
        }
        if let Some(remote) = waiting.remote {
            let payload = Element::new("finished", task::NAMESPACE)
                .attr("batch", batch)
                .attr("tasks", statistics.tasks)
                .attr("failed", statistics.failed)
                .attr_opt("sum", statistics.sum);
            let message = Stanza::message(MessageType::Normal).with_to(&remote).with_payload(payload);
            self.component.route(message.with_from(self.component.jid()));
            self.journal.told(batch, statistics.sum.is_some());
        }
        self.tell(SchedulerEvent::Finished { batch: batch.to_owned(), statistics });
    }

    /// What the board does not remember is not kept either.
    pub(super) fn forget_old_batches(&mut self) {
        for batch in self.board.take_forgotten() {
            self.journal.forget(&batch);
        }
    }
}

impl Submitter {
    /// Who is told of the end of the batch by a message.
    fn address(&self) -> Option<Jid> {
        match self {
            Self::Local(_) => None,
            Self::Remote(request) => request.from().map(JidRef::to_owned),
        }
    }
}

/// What the submitter of a batch that was not taken is told.
fn refusal(error: &SubmitError) -> StanzaError {
    let condition = match error {
        SubmitError::Exists(_) => Condition::Conflict,
        SubmitError::Twice(_) => Condition::BadRequest,
        SubmitError::TooMany => Condition::ResourceConstraint,
        SubmitError::NotDurable => return later("no-store", TRY_AGAIN),
        SubmitError::Ended => Condition::RecipientUnavailable,
    };
    StanzaError::new(condition).with_text(error.to_string())
}
