//! Which results of a batch count.

use std::borrow::Cow;

use convoke_xmpp::{Element, Jid};
use sha2::{Digest, Sha256};

use crate::cloud::task::NAMESPACE;
use crate::nodes::{Fields, ItemError, NodeItem};

/// The result of a task that counts; the item's id is the name of the task, its node is `urn:convoke:results/BATCH`.
///
/// It is published once: the scheduler lets one result of a task count, and no other takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskResult {
    /// The task.
    pub task: String,
    /// The SHA-256 of the output.
    pub digest: [u8; 32],
    /// The full JID of the node that did it.
    pub by: Jid,
}

impl TaskResult {
    /// The result of this output.
    pub fn new(task: &str, output: &str, by: Jid) -> Self {
        Self { task: task.to_owned(), digest: Sha256::digest(output).into(), by }
    }
}

impl NodeItem for TaskResult {
    const NODE: &'static str = "urn:convoke:results";
    const OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("pubsub#persist_items", "true"),
        ("pubsub#max_items", "max"),
        // A month: a scheduler that comes again deletes what is older than its last batches, one that does not cannot.
        ("pubsub#item_expire", "2592000"),
        ("pubsub#send_last_published_item", "never"),
        ("pubsub#notify_retract", "true"),
    ];

    fn id(&self) -> Cow<'_, str> {
        (&*self.task).into()
    }

    fn payload(&self) -> Element {
        let digest: String = self.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Element::new("done", NAMESPACE)
            .attr("task", &self.task)
            .attr("digest", format!("{PREFIX}{digest}"))
            .attr("by", &self.by)
    }

    fn read(id: &str, payload: &Element) -> Result<Self, ItemError> {
        let fields = Fields::of(payload, "done", NAMESPACE)?;
        Ok(Self {
            task: fields.same_as_id("task", id)?.to_owned(),
            digest: fields.read("digest", parse_digest)?,
            by: fields.value("by")?,
        })
    }
}

const PREFIX: &str = "sha-256:";

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix(PREFIX)?.as_bytes();
    let mut digest = [0; 32];
    if digits.len() != 2 * digest.len() {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sixty_four_hexadecimal_digits() {
        let of_abc = "sha-256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let result = TaskResult::new("t", "abc", Jid::new("a@b.example/x").unwrap());
        assert_eq!(result.payload().attribute("digest"), Some(of_abc));
        assert_eq!(parse_digest(of_abc), Some(result.digest));
        for bad in
            ["", "sha-256:", &of_abc[..71], &of_abc[8..], &of_abc.replace("ba", "+a"), &of_abc.replace("5ad", "5é")]
        {
            assert_eq!(parse_digest(bad), None, "{bad}");
        }
    }
}
