//! A disk that is really full: the system lets the file of the store grow no further.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Receiver;

use convoke_pubsub::PubSubConfig;
use convoke_xmpp::{Stanza, StanzaError};

use super::campaign::lines;
use super::child::{self, DEADLINE, Killed, Running, count_items, tell};
use super::model::SERVICE;
use crate::support::open_config;

/// What the file of the store may grow to, in blocks of 512 bytes: a few dozen items.
const BLOCKS: usize = 8 * 1024;

fn config() -> PubSubConfig {
    PubSubConfig { max_answer_bytes: usize::MAX, ..open_config() }
}

#[test]
fn a_full_disk_is_answered_with_resource_constraint_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let task = format!("fill {}", directory.path().display());
    // A process that takes no notice of the signal is told of the limit by an error, as of a full disk.
    let limits = format!("trap '' XFSZ; ulimit -S -f {BLOCKS}");
    let mut child = Killed(child::command(&task, Some(&limits)).spawn().unwrap());
    let lines = lines(&mut child);
    let accepted = accepted_until_full(&lines);
    wait_for(&lines, "waiting");
    make_room(child.0.id());
    child.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    wait_for(&lines, "done");
    drop(child);
    let house = Running::start(directory.path(), config());
    assert_eq!(count_items(&items(&house)), accepted + 1);
}

/// How many items were accepted; what was refused is not there, and what was accepted is.
fn accepted_until_full(lines: &Receiver<String>) -> usize {
    let (mut refused, mut full) = (None, None);
    while full.is_none() {
        let line = lines.recv_timeout(DEADLINE).expect("the child works");
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["refused", id, condition, kind] => {
                assert_eq!((condition, kind), ("resource-constraint", "Wait"));
                refused = Some(id.to_owned());
            }
            ["full", accepted, present] => {
                assert_eq!(accepted, present);
                full = Some(accepted.parse().unwrap());
            }
            _ => {}
        }
    }
    assert_eq!(refused, full.map(|accepted: usize| format!("0:{accepted}")));
    full.unwrap_or_default()
}

fn wait_for(lines: &Receiver<String>, awaited: &str) {
    while lines.recv_timeout(DEADLINE).expect("the child works") != awaited {}
}

/// The soft limit alone was set, and so its owner may raise it.
fn make_room(process: u32) {
    let mut prlimit = Command::new("prlimit");
    let status = prlimit.args(["--pid", &process.to_string(), "--fsize=unlimited:"]).status();
    assert!(status.expect("prlimit of util-linux is installed").success());
}

/// In the child: publishes until the disk is full, shows that the service goes on, and publishes again when there is room.
pub(super) fn fill(directory: &Path) {
    let house = Running::start(directory, config());
    request(&house, "create", "<create node='n'/>");
    let accepted = (0..).find(|number| publish(&house, *number).is_some()).unwrap();
    // Nothing of it is there, and the service answers what needs no disk.
    tell(&format!("full {accepted} {}", count_items(&items(&house))));
    assert!(publish(&house, accepted).is_some(), "still full");
    tell("waiting");
    io::stdin().read_line(&mut String::new()).unwrap();
    assert_eq!(publish(&house, accepted), None);
    tell("done");
}

/// Publishes an item; gives the error if there is one.
fn publish(house: &Running, number: usize) -> Option<StanzaError> {
    let text = format!("{number} ").repeat(10_000);
    let item = format!("<publish node='n'><item id='{number}'><n xmlns='urn:n'>{text}</n></item></publish>");
    request(house, &number.to_string(), &item).error()
}

fn items(house: &Running) -> Stanza {
    let ids: String = (0..1_000).map(|id| format!("<item id='{id}'/>")).collect();
    request_of(house, "get", "items", &format!("<items node='n'>{ids}</items>"))
}

fn request(house: &Running, id: &str, verb: &str) -> Stanza {
    request_of(house, "set", id, verb)
}

fn request_of(house: &Running, kind: &str, id: &str, verb: &str) -> Stanza {
    house.ask(0, &format!(
        "<iq type='{kind}' from='owner@example.org' to='{SERVICE}' id='0:{id}'><pubsub xmlns='http://jabber.org/protocol/pubsub'>{verb}</pubsub></iq>"
    ))
}
