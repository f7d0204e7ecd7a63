//! An account of a real peer in the hands of slixmpp, as a process of its own: its plugins for XEP-0060 and XEP-0163 know
//! nothing of Convoke.

use std::collections::VecDeque;
use std::process::Stdio;

use convoke_dev::peers::{Peer, password};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::within_deadline;

/// Debian's own interpreter, which finds Debian's slixmpp, whatever else is on the path.
const PYTHON: &str = "/usr/bin/python3";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/slixmpp_account.py");

/// A logged-in account; dropping it kills the process, by its id.
pub(crate) struct Slixmpp {
    _process: Child,
    requests: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// Events that nobody has waited for yet, oldest first.
    events: VecDeque<Value>,
    /// How many requests it has been led to.
    asked: u64,
}

impl Slixmpp {
    /// Starts it, and waits until it has logged in at this server and become available.
    pub(crate) async fn login(peer: &Peer, account: &str) -> Self {
        let address = peer.c2s();
        let mut command = Command::new(PYTHON);
        // Alone with Debian's packages: `-I` looks neither at the environment nor beside the script.
        command.args(["-I", SCRIPT, &address.ip().to_string(), &address.port().to_string()]);
        command.args([format!("{account}@{}", peer.domain()), password(account)]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().unwrap();
        let (requests, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let lines = BufReader::new(output).lines();
        let events = VecDeque::new();
        let mut slixmpp = Self { _process: process, requests, lines, events, asked: 0 };
        let ready = slixmpp.line("its login; `cargo xtask test` installs python3-slixmpp").await;
        assert!(ready["ready"].is_string(), "no login, but {ready}");
        slixmpp
    }

    /// Has it do this, as the script names it, and gives the result; an error fails the test.
    pub(crate) async fn ask(&mut self, what: &str, with: Value) -> Value {
        let outcome = self.try_to(what, with).await;
        outcome.unwrap_or_else(|error| panic!("{what} was answered with {error}"))
    }

    /// Has it do this, and gives the error that was the answer as `type condition`, and behind these, if there is one, the
    /// condition of XEP-0060.
    pub(crate) async fn refused(&mut self, what: &str, with: Value) -> String {
        let error = self.try_to(what, with).await.expect_err(what);
        let part = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        [part("type"), part("condition"), part("pubsub")].join(" ").trim().to_owned()
    }

    /// The next event: what a notification said.
    pub(crate) async fn event(&mut self) -> Value {
        while self.events.is_empty() {
            let line = self.line("an event").await;
            self.keep(line);
        }
        self.events.pop_front().unwrap()
    }

    async fn try_to(&mut self, what: &str, with: Value) -> Result<Value, Value> {
        self.asked += 1;
        let request = json!({ "id": self.asked, "do": what, "with": with }).to_string() + "\n";
        self.requests.write_all(request.as_bytes()).await.unwrap();
        loop {
            let mut line = self.line(what).await;
            if line["id"] == self.asked {
                return if line["error"].is_null() { Ok(line["result"].take()) } else { Err(line["error"].take()) };
            }
            self.keep(line);
        }
    }

    fn keep(&mut self, mut line: Value) {
        assert!(line["event"].is_object(), "neither an event nor awaited: {line}");
        self.events.push_back(line["event"].take());
    }

    async fn line(&mut self, awaited: &str) -> Value {
        let line = within_deadline(awaited, self.lines.next_line()).await.unwrap();
        serde_json::from_str(&line.unwrap_or_else(|| panic!("slixmpp ended before {awaited}"))).unwrap()
    }
}
