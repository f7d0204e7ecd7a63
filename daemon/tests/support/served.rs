use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::SOON;
use super::site::command;

/// A daemon under way; killed when the test is done with it.
pub(crate) struct Served {
    process: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Served {
    /// Starts `convoke serve` and waits until it serves.
    pub(crate) fn start(directory: &Path, config: &str) -> Self {
        let mut served = Self::spawn(directory, config);
        served.wait_for("serving");
        served
    }

    pub(crate) fn spawn(directory: &Path, config: &str) -> Self {
        let mut process =
            command(directory).args(["serve", "--config", config]).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, lines, seen: Vec::new() }
    }

    /// The first log line whose message begins so, of those that were not read yet.
    pub(crate) fn wait_for(&mut self, message: &str) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            let line = self.lines.recv_timeout(deadline - Instant::now());
            let line = line.unwrap_or_else(|error| panic!("no {message:?}: {error}; {:#?}", self.seen));
            self.seen.push(line.clone());
            if let Some(log) = said(&line, message) {
                return log;
            }
        }
    }

    /// The first log line whose message begins so, whether it was read already or not.
    pub(crate) fn logged(&mut self, message: &str) -> Value {
        let seen = self.seen.iter().find_map(|line| said(line, message));
        seen.unwrap_or_else(|| self.wait_for(message))
    }

    /// Where it listens, by the key of the configuration; it serves already.
    pub(crate) fn address(&self, key: &str) -> SocketAddr {
        let logs = self.seen.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let listening = logs.filter(|log| log["message"] == "listening").find(|log| log["key"] == key);
        listening.unwrap()["address"].as_str().unwrap().parse().unwrap()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &process]).status().unwrap().success());
    }

    /// Waits for the end and gives the exit code and the lines that were logged since the last wait.
    pub(crate) fn end(mut self) -> (i32, Vec<String>) {
        let deadline = Instant::now() + SOON;
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(deadline - Instant::now()) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:#?} {rest:#?}", self.seen),
            }
        }
        // Its stderr is closed: it has ended.
        (self.process.wait().unwrap().code().unwrap(), rest)
    }
}

/// The log line, if its message begins so.
fn said(line: &str, message: &str) -> Option<Value> {
    let log: Value = serde_json::from_str(line).ok()?;
    log["message"].as_str()?.starts_with(message).then_some(log)
}

impl Drop for Served {
    fn drop(&mut self) {
        // One that has ended already cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
