use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `convoke` in this directory until it ends.
pub(crate) fn convoke(directory: &Path, arguments: &[&str]) -> Outcome {
    let output = command(directory).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// `convoke` in this directory, with an environment that does not reach into the test.
pub(super) fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
    command.current_dir(directory).env_remove("RUST_LOG");
    command
}

/// A directory with certificates and a token, made by the binary.
pub(crate) struct Site {
    directory: TempDir,
    /// The token of alice, who may do everything.
    pub(crate) token: String,
}

impl Site {
    pub(crate) fn new(domains: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let certs = convoke(directory.path(), &[&["certs", "--out", "certs"], domains].concat());
        assert_eq!(certs.code, 0, "{certs:?}");
        let scopes = ["stanza:send", "events:read", "service:admin"];
        let add = [&["token", "add", "alice", "--scope"], &scopes[..]].concat();
        let added = convoke(directory.path(), &add);
        assert_eq!(added.code, 0, "{added:?}");
        Self { token: added.stdout.trim_end().to_owned(), directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        convoke(self.directory(), arguments)
    }
}

/// The configuration of one domain with every role, on ports of the system's choice.
pub(crate) fn configuration(domain: &str) -> String {
    format!(
        r#"[[domain]]
name = "{domain}"
certificate = "certs/{domain}.pem"
private_key = "certs/{domain}.key"
[trust]
roots = ["certs/ca.pem"]
[s2s]
listen = ["127.0.0.1:0"]
[roles]
run = ["resources", "scheduler", "monitor", "pubsub", "gateway"]
[[allow]]
domain = "client.example"
nodes = 200
[gateway]
listen = "127.0.0.1:0"
[store]
path = "data-{domain}/"
[log]
format = "json"
"#
    )
}
