//! Tasks on the wire, namespace `urn:convoke:task:0`.
//!
//! ```xml
//! <assign batch='pi' task='p1' try='1' lease='l7' epoch='9041' kind='primes'><input>0..100000</input></assign>
//! <result batch='pi' task='p1' try='1' lease='l7' epoch='9041' status='ok'><output>9592</output></result>
//! <ack task='p1' try='1' verdict='committed'/>
//! <submit batch='pi' kind='primes' reduce='sum'><range from='0' to='600000000' step='100000'/></submit>
//! <finished batch='pi' tasks='6000' failed='0' sum='31324703'/>
//! ```
//!
//! Inputs and outputs are text; what is binary is encoded by the worker.

use convoke_xmpp::{Condition, Element, StanzaError};
use thiserror::Error;

use super::lease::{LeaseRef, bad, number, required, too_large};

/// The namespace of tasks.
pub const NAMESPACE: &str = "urn:convoke:task:0";

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name, unique within the batch.
    pub id: String,
    /// The kind of worker that can do it.
    pub kind: String,
    /// What the worker gets.
    pub input: String,
}

/// Why a worker gave no output.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The input makes no sense to the worker: the task's own fault.
    #[error("bad input: {0}")]
    Input(String),
    /// The node lacks something: not the task's fault.
    #[error("the node cannot do it now: {0}")]
    Resource(String),
    /// No worker of that kind is installed.
    #[error("no worker for {0}")]
    UnknownKind(String),
}

/// One attempt at one task: what an order and its result have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The batch.
    pub batch: String,
    /// The task within it.
    pub task: String,
    /// Counts from 1.
    pub number: u32,
    /// The lease under which it runs.
    pub lease: LeaseRef,
}

/// The final word on a result. The node may forget the result once it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Committed,
    /// It counts already.
    Duplicate,
    /// Another result counts.
    Superseded,
}

impl Verdict {
    /// As it goes to the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Duplicate => "duplicate",
            Self::Superseded => "superseded",
        }
    }
}

impl Attempt {
    fn on(&self, element: Element) -> Element {
        self.lease.on(element.attr("batch", &self.batch).attr("task", &self.task).attr("try", self.number))
    }

    fn from_element(element: &Element) -> Result<Self, StanzaError> {
        Ok(Self {
            batch: required(element, "batch")?.to_owned(),
            task: required(element, "task")?.to_owned(),
            number: number(required(element, "try")?, "try")?,
            lease: LeaseRef::from_attributes(element)?,
        })
    }
}

/// The order to do a task: an iq set of the leaseholder, whose result means that the node has accepted it.
pub fn assign(attempt: &Attempt, task: &Task) -> Element {
    let input = Element::new("input", NAMESPACE).text(task.input.clone());
    attempt.on(Element::new("assign", NAMESPACE)).attr("kind", &task.kind).child(input)
}

pub(super) fn assign_from_element(element: &Element) -> Result<(Attempt, Task), StanzaError> {
    let attempt = Attempt::from_element(element)?;
    let input = element.find("input", NAMESPACE).map(Element::content).unwrap_or_default();
    let task = Task { id: attempt.task.clone(), kind: required(element, "kind")?.to_owned(), input };
    Ok((attempt, task))
}

/// What came of an attempt.
pub(super) fn result(attempt: &Attempt, outcome: &Result<String, TaskError>) -> Element {
    let element = attempt.on(Element::new("result", NAMESPACE));
    match outcome {
        Ok(output) => element.attr("status", "ok").child(Element::new("output", NAMESPACE).text(output.clone())),
        Err(error) => {
            let (status, text) = match error {
                TaskError::Input(text) => ("bad-input", text),
                TaskError::Resource(text) => ("no-resource", text),
                TaskError::UnknownKind(text) => ("unknown-kind", text),
            };
            element.attr("status", status).child(Element::new("output", NAMESPACE).text(text.clone()))
        }
    }
}

/// Reads a result, which the node sends as an iq set; `bad-request` names what is wrong.
pub fn result_from_element(element: &Element) -> Result<(Attempt, Result<String, TaskError>), StanzaError> {
    let output = element.find("output", NAMESPACE).map(Element::content).unwrap_or_default();
    let outcome = match required(element, "status")? {
        "ok" => Ok(output),
        "bad-input" => Err(TaskError::Input(output)),
        "no-resource" => Err(TaskError::Resource(output)),
        "unknown-kind" => Err(TaskError::UnknownKind(output)),
        _ => return Err(bad("`status` is unknown")),
    };
    Ok((Attempt::from_element(element)?, outcome))
}

/// The answer to a result: until it comes, the node keeps the result and sends it again.
pub fn ack(attempt: &Attempt, verdict: Verdict) -> Element {
    Element::new("ack", NAMESPACE)
        .attr("task", &attempt.task)
        .attr("try", attempt.number)
        .attr("verdict", verdict.as_str())
}

/// The error of a node that has no worker of that kind.
pub(super) fn unknown_kind(kind: &str) -> StanzaError {
    StanzaError::new(Condition::FeatureNotImplemented).with_text(format!("no worker for `{kind}`"))
}

/// A batch as a client submits it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submission {
    pub(super) batch: String,
    pub(super) tasks: Vec<Task>,
    /// Whether the outputs are numbers whose sum the submitter wants.
    pub(super) sums: bool,
}

/// How many tasks one submission may make.
const MAX_TASKS: u64 = 1_000_000;

impl Submission {
    /// Reads tasks that are listed, and those of a range that is cut into steps.
    pub(super) fn from_element(element: &Element) -> Result<Self, StanzaError> {
        let kind = required(element, "kind")?;
        let mut tasks = Vec::new();
        for child in element.children() {
            match child.name() {
                "task" => tasks.push(Task {
                    id: required(child, "id")?.to_owned(),
                    kind: kind.to_owned(),
                    input: child.content(),
                }),
                "range" => tasks.extend(range(child, kind, MAX_TASKS - tasks.len() as u64)?),
                _ => return Err(bad("a submission holds `task` and `range`")),
            }
            if tasks.len() as u64 > MAX_TASKS {
                return Err(too_large(MAX_TASKS));
            }
        }
        let sums = match element.attribute("reduce") {
            None => false,
            Some("sum") => true,
            Some(_) => return Err(bad("`reduce` is unknown")),
        };
        Ok(Self { batch: required(element, "batch")?.to_owned(), tasks, sums })
    }
}

/// The tasks of a range, if there is room for them.
fn range(element: &Element, kind: &str, room: u64) -> Result<Vec<Task>, StanzaError> {
    let value = |name| number::<u64>(required(element, name)?, name);
    let (from, to, step) = (value("from")?, value("to")?, value("step")?);
    if step == 0 || to < from {
        return Err(bad("a range needs a step, and an end behind its beginning"));
    }
    if (to - from).div_ceil(step) > room {
        return Err(too_large(MAX_TASKS));
    }
    let starts = std::iter::successors(Some(from), |start| start.checked_add(step)).take_while(|start| *start < to);
    let task = |start: u64| Task {
        id: format!("t{start}"),
        kind: kind.to_owned(),
        input: format!("{start}..{}", start.saturating_add(step).min(to)),
    };
    Ok(starts.map(task).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> Attempt {
        let lease = LeaseRef { id: "l1".into(), epoch: 9 };
        Attempt { batch: "b".into(), task: "t".into(), number: 2, lease }
    }

    #[test]
    fn orders_and_results_read_back_as_they_were_written() {
        let task = Task { id: "t".into(), kind: "primes".into(), input: "0..9 <&>".into() };
        assert_eq!(assign_from_element(&assign(&attempt(), &task)).unwrap(), (attempt(), task));
        for outcome in [Ok("4".to_owned()), Err(TaskError::Input("x".into())), Err(TaskError::Resource("y".into()))] {
            assert_eq!(result_from_element(&result(&attempt(), &outcome)).unwrap(), (attempt(), outcome));
        }
    }

    #[test]
    fn a_range_is_cut_without_gap_or_overlap() {
        let text = "<submit xmlns='urn:convoke:task:0' batch='b' kind='k' reduce='sum'><range from='5' to='17' step='5'/></submit>";
        let submission = Submission::from_element(&Element::parse(text).unwrap()).unwrap();
        let inputs: Vec<_> = submission.tasks.iter().map(|task| task.input.as_str()).collect();
        assert_eq!(inputs, ["5..10", "10..15", "15..17"]);
    }

    #[test]
    fn a_range_that_makes_too_many_tasks_is_refused_before_it_is_made() {
        let text = "<submit xmlns='urn:convoke:task:0' batch='b' kind='k'><range from='0' to='18446744073709551615' step='1'/></submit>";
        let error = Submission::from_element(&Element::parse(text).unwrap()).unwrap_err();
        assert_eq!(error.condition, Condition::NotAcceptable);
    }

    #[test]
    fn many_ranges_make_no_more_tasks_than_one() {
        let range = "<range from='0' to='600000' step='1'/>";
        let text = format!("<submit xmlns='urn:convoke:task:0' batch='b' kind='k'>{range}{range}</submit>");
        let error = Submission::from_element(&Element::parse(&text).unwrap()).unwrap_err();
        assert_eq!(error.condition, Condition::NotAcceptable);
    }
}
