//! The records of a journal: their keys and their values.
//!
//! A key is the address of the scheduler, a zero byte, the number of the batch in eight bytes, the kind of the record in
//! one, and, but for a head, a number in four. All numbers are written with the highest byte first, so that the records of
//! a batch lie together, its head before its tasks and these before what has become of them. A text is its length in four
//! bytes, and its bytes. A head begins with the format of the batch in one byte.

use convoke_xmpp::Jid;

use crate::cloud::board::Outcome;
use crate::cloud::lease::LeaseRef;
use crate::cloud::task::{Submission, Task, TaskError};

const FORMAT: u8 = 1;

/// A record that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) number: u64,
    pub(super) part: Part,
}

/// What of a batch a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Head,
    /// Some of its tasks.
    Tasks(u32),
    /// What has become of the task at this place.
    Outcome(u32),
}

/// What is known of a batch besides its tasks.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) batch: String,
    pub(super) sums: bool,
    pub(super) tasks: u32,
    pub(super) parts: u32,
    pub(super) submitter: Option<Jid>,
}

impl Key {
    /// What each key of this scheduler begins with.
    pub(super) fn prefix(scheduler: &Jid) -> Vec<u8> {
        [scheduler.as_str().as_bytes(), &[0]].concat()
    }

    pub(super) fn write(self, scheduler: &Jid) -> Vec<u8> {
        let mut key = Self::prefix(scheduler);
        key.extend(self.number.to_be_bytes());
        let (kind, at) = match self.part {
            Part::Head => (0, None),
            Part::Tasks(at) => (1, Some(at)),
            Part::Outcome(at) => (2, Some(at)),
        };
        key.push(kind);
        key.extend(at.into_iter().flat_map(u32::to_be_bytes));
        key
    }

    pub(super) fn read(scheduler: &Jid, key: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader(key.strip_prefix(&*Self::prefix(scheduler)).ok_or(Damage)?);
        let number = u64::from_be_bytes(reader.bytes()?);
        let part = match reader.byte()? {
            0 => Part::Head,
            1 => Part::Tasks(reader.number()?),
            2 => Part::Outcome(reader.number()?),
            _ => return Err(Damage),
        };
        reader.end()?;
        Ok(Self { number, part })
    }
}

impl Head {
    pub(super) fn of(submission: &Submission, submitter: Option<&Jid>, parts: u32) -> Self {
        let tasks = u32::try_from(submission.tasks.len()).unwrap_or(u32::MAX);
        Self { batch: submission.batch.clone(), sums: submission.sums, tasks, parts, submitter: submitter.cloned() }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut value = vec![FORMAT, u8::from(self.sums)];
        value.extend(self.tasks.to_be_bytes());
        value.extend(self.parts.to_be_bytes());
        write_text(&mut value, &self.batch);
        write_text(&mut value, self.submitter.as_ref().map_or("", Jid::as_str));
        value
    }

    pub(super) fn read(value: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader(value);
        if reader.byte()? != FORMAT {
            return Err(Damage);
        }
        let sums = reader.byte()? == 1;
        let (tasks, parts) = (reader.number()?, reader.number()?);
        let batch = reader.text()?;
        let submitter = match &*reader.text()? {
            "" => None,
            text => Some(Jid::new(text).map_err(|_| Damage)?),
        };
        reader.end()?;
        Ok(Self { batch, sums, tasks, parts, submitter })
    }
}

pub(super) fn tasks(tasks: &[Task]) -> Vec<u8> {
    let mut value = Vec::new();
    for task in tasks {
        [&task.id, &task.kind, &task.input].iter().for_each(|text| write_text(&mut value, text));
    }
    value
}

pub(super) fn read_tasks(value: &[u8]) -> Result<Vec<Task>, Damage> {
    let mut reader = Reader(value);
    let mut tasks = Vec::new();
    while !reader.0.is_empty() {
        tasks.push(Task { id: reader.text()?, kind: reader.text()?, input: reader.text()? });
    }
    Ok(tasks)
}

pub(super) fn outcome(outcome: &Outcome) -> Vec<u8> {
    let (kind, text) = match &outcome.result {
        Ok(output) => (0, output),
        Err(TaskError::Input(text)) => (1, text),
        Err(TaskError::Resource(text)) => (2, text),
        Err(TaskError::UnknownKind(text)) => (3, text),
    };
    let mut value = vec![kind];
    value.extend(outcome.attempt.number.to_be_bytes());
    value.extend(outcome.attempt.lease.epoch.to_be_bytes());
    [outcome.attempt.lease.id.as_str(), outcome.by.as_str(), text].iter().for_each(|text| write_text(&mut value, text));
    value
}

/// The number of the attempt, its lease, the node, and what came of it.
type OutcomeRecord = (u32, LeaseRef, Jid, Result<String, TaskError>);

pub(super) fn read_outcome(value: &[u8]) -> Result<OutcomeRecord, Damage> {
    let mut reader = Reader(value);
    let kind = reader.byte()?;
    let number = reader.number()?;
    let epoch = u64::from_be_bytes(reader.bytes()?);
    let lease = LeaseRef { id: reader.text()?, epoch };
    let by = Jid::new(&reader.text()?).map_err(|_| Damage)?;
    let text = reader.text()?;
    reader.end()?;
    let result = match kind {
        0 => Ok(text),
        1 => Err(TaskError::Input(text)),
        2 => Err(TaskError::Resource(text)),
        3 => Err(TaskError::UnknownKind(text)),
        _ => return Err(Damage),
    };
    Ok((number, lease, by, result))
}

fn write_text(value: &mut Vec<u8>, text: &str) {
    // What comes in a stanza, or is held in memory as one task, is far from this length.
    value.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    value.extend(text.as_bytes());
}

/// What is left to read of a record.
struct Reader<'r>(&'r [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Damage> {
        Ok(self.bytes::<1>()?[0])
    }

    fn number(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_be_bytes(self.bytes()?))
    }

    fn text(&mut self) -> Result<String, Damage> {
        let length = self.number()? as usize;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Damage)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).map_err(|_| Damage)
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(Damage)?;
        self.0 = rest;
        Ok(*bytes)
    }

    /// Nothing may be left.
    fn end(self) -> Result<(), Damage> {
        if self.0.is_empty() { Ok(()) } else { Err(Damage) }
    }
}
