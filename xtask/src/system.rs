//! What the tests need from the machine: parts of the toolchain, and Debian's Prosody, ejabberd and slixmpp.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::command::{show, succeeds};

/// A server of another maker.
struct Peer {
    packages: &'static [&'static str],
    /// What would be started at every boot, and the package that asks for it.
    services: &'static [(&'static str, &'static str)],
    /// What the tests run of it, besides what every Debian has.
    programs: &'static [&'static str],
}

/// With the library by which it asks a DNS server of our choice.
const PROSODY: Peer = Peer {
    packages: &["prosody", "lua-unbound"],
    services: &[("prosody", "prosody.service")],
    programs: &["prosody", "prosodyctl"],
};

/// With what gives it a hosts file of its own.
const EJABBERD: Peer = Peer {
    packages: &["ejabberd"],
    services: &[("ejabberd", "ejabberd.service"), ("erlang-base", "epmd.service"), ("erlang-base", "epmd.socket")],
    programs: &["erl", "unshare", "mount"],
};

/// A client library, by which somebody else's idea of publish-subscribe meets ours, and what runs it.
const SLIXMPP: &str = "python3-slixmpp";
const PYTHON: &str = "/usr/bin/python3";

const INSTALL: [&str; 3] = ["install", "--yes", "--no-install-recommends"];

/// Where Debian's packages ask whether they may start their service (invoke-rc.d(8)).
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Where services have their scripts that are no units of systemd.
const SCRIPTS: &str = "/etc/init.d";

/// What such a policy answers to forbid it.
const FORBIDDEN: i32 = 101;

/// Forbids services to start, runs a command, and lifts the ban again, also when the command fails or Ctrl-C ends it.
/// `set -C` makes the shell refuse to overwrite a policy that somebody else has put there in the meantime.
const UNDER_BAN: &str = r#"
policy=$1; shift
set -eC
printf '#!/bin/sh\nexit 101\n' > "$policy"
trap 'rm -f "$policy"' EXIT
trap 'exit 130' HUP INT TERM
chmod 755 "$policy"
"$@"
"#;

/// Adds rustfmt and clippy to the toolchain if they are missing.
pub(crate) fn ensure_components() -> Result<(), String> {
    for (program, component) in [("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")] {
        if !succeeds(program, &["--version"]) {
            show(Command::new("rustup").args(["component", "add", component]))
                .map_err(|reason| format!("{component} is missing and could not be added: {reason}"))?;
        }
    }
    Ok(())
}

/// Installs Prosody if it is missing, without letting it start as a service.
pub(crate) fn ensure_prosody() -> Result<(), String> {
    ensure(&PROSODY)
}

/// Installs ejabberd if it is missing, without letting it start as a service.
pub(crate) fn ensure_ejabberd() -> Result<(), String> {
    ensure(&EJABBERD)
}

/// Installs slixmpp for Debian's own Python if it is missing: the tests run it there, whatever else is on the path.
pub(crate) fn ensure_slixmpp() -> Result<(), String> {
    let is_here = || succeeds(PYTHON, &["-I", "-c", "import slixmpp.plugins.xep_0060, slixmpp.plugins.xep_0163"]);
    if is_here() {
        println!("{SLIXMPP}: installed");
        return Ok(());
    }
    install("slixmpp", &[SLIXMPP])?;
    if is_here() { Ok(()) } else { Err(format!("{SLIXMPP} was installed, but {PYTHON} cannot import slixmpp")) }
}

fn ensure(peer: &Peer) -> Result<(), String> {
    let packages = peer.packages.join(" and ");
    if peer.is_here() {
        println!("{packages}: installed");
        return Ok(());
    }
    check_that_apt_can_install(peer.packages[0], peer.packages)?;
    let new = peer.services.iter().filter(|(package, _)| !is_installed(package)).map(|(_, service)| *service);
    let new: Vec<_> = new.collect();
    show(Command::new("apt-get").arg("update"))?;
    install_without_starting(peer)?;
    keep_from_starting_at_boot(&new)?;
    if peer.is_here() { Ok(()) } else { Err(format!("{packages}: installed, but cannot be found")) }
}

impl Peer {
    fn is_here(&self) -> bool {
        let programs = self.programs.iter().all(|program| on_path(program));
        // Where there is no dpkg, the tests themselves find out about the rest.
        programs && (!on_path("dpkg-query") || self.packages.iter().all(|package| is_installed(package)))
    }
}

/// Installs Debian packages that start no service.
pub(crate) fn install(what: &str, packages: &[&str]) -> Result<(), String> {
    check_that_apt_can_install(what, packages)?;
    show(Command::new("apt-get").arg("update"))?;
    show(unattended(Command::new("apt-get").args(INSTALL).args(packages)))
}

fn is_installed(package: &str) -> bool {
    let status = Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]).output();
    status.is_ok_and(|output| output.stdout == b"installed")
}

fn check_that_apt_can_install(what: &str, packages: &[&str]) -> Result<(), String> {
    let packages = packages.join(" ");
    if !on_path("apt-get") {
        return Err(format!("{what} is missing and there is no apt-get here; install {packages} and run this again"));
    }
    if !is_root() {
        return Err(format!(
            "{what} is missing and only root can install it; run `sudo apt-get install --no-install-recommends {packages}` and this again"
        ));
    }
    Ok(())
}

fn install_without_starting(peer: &Peer) -> Result<(), String> {
    let command = [&["apt-get"], &INSTALL[..], peer.packages].concat();
    if !Path::new(SERVICE_POLICY).exists() {
        return show(unattended(&mut under_ban(SERVICE_POLICY, &command)));
    }
    if !forbids_services(SERVICE_POLICY) {
        let packages = peer.packages.join(" ");
        return Err(format!("{SERVICE_POLICY} lets services start; install {packages} yourself and run this again"));
    }
    show(unattended(Command::new(command[0]).args(&command[1..])))
}

/// Packages that would ask something take their defaults.
fn unattended(command: &mut Command) -> &mut Command {
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null())
}

/// The ban ends with the installation, but the packages have also asked for a start at every boot.
fn keep_from_starting_at_boot(services: &[&str]) -> Result<(), String> {
    if services.is_empty() {
        return Ok(());
    }
    if on_path("systemctl") {
        return show(Command::new("systemctl").arg("disable").args(services));
    }
    let scripts = services.iter().filter_map(|service| service.strip_suffix(".service"));
    let mut scripts = scripts.filter(|script| on_path("update-rc.d") && Path::new(SCRIPTS).join(script).exists());
    scripts.try_for_each(|script| show(Command::new("update-rc.d").args([script, "disable"])))
}

fn under_ban(policy: &str, command: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", UNDER_BAN, "sh", policy]).args(command);
    shell
}

fn forbids_services(policy: &str) -> bool {
    let answer = Command::new(policy).args(["prosody", "start"]).status();
    answer.is_ok_and(|status| status.code() == Some(FORBIDDEN))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{forbids_services, under_ban};

    fn policy(directory: &tempfile::TempDir) -> String {
        directory.path().join("policy-rc.d").to_str().unwrap().to_owned()
    }

    #[test]
    fn the_ban_holds_during_the_command_and_is_lifted_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let policy = policy(&directory);
        // The command runs the policy and expects its answer.
        let command = ["sh", "-c", "\"$0\" prosody start; test $? -eq 101", &policy];
        assert!(under_ban(&policy, &command).status().unwrap().success());
        assert!(!fs::exists(&policy).unwrap());
    }

    #[test]
    fn the_ban_is_lifted_when_the_command_fails() {
        let directory = tempfile::tempdir().unwrap();
        let policy = policy(&directory);
        assert_eq!(under_ban(&policy, &["sh", "-c", "exit 7"]).status().unwrap().code(), Some(7));
        assert!(!fs::exists(&policy).unwrap());
    }

    #[test]
    fn the_ban_is_lifted_when_the_run_is_interrupted() {
        let directory = tempfile::tempdir().unwrap();
        let policy = policy(&directory);
        // The command ends the shell that holds the ban. Not by the signal of Ctrl-C, which a run in the background ignores.
        let status = under_ban(&policy, &["sh", "-c", "kill -TERM $PPID"]).status().unwrap();
        assert_eq!(status.code(), Some(130));
        assert!(!fs::exists(&policy).unwrap());
    }

    #[test]
    fn a_policy_of_somebody_else_is_neither_overwritten_nor_removed() {
        let directory = tempfile::tempdir().unwrap();
        let policy = policy(&directory);
        fs::write(&policy, "theirs").unwrap();
        assert!(!under_ban(&policy, &["true"]).status().unwrap().success());
        assert_eq!(fs::read_to_string(&policy).unwrap(), "theirs");
        assert!(!forbids_services(&policy));
    }
}
