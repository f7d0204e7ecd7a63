//! What the tests need from the machine: parts of the toolchain, and Debian's Prosody.

use std::path::Path;
use std::process::Command;

use crate::command::{show, succeeds};

/// Prosody, and the library by which it asks a DNS server of our choice.
const PACKAGES: [&str; 2] = ["prosody", "lua-unbound"];

const INSTALL: [&str; 3] = ["install", "--yes", "--no-install-recommends"];

/// Where Debian's packages ask whether they may start their service (invoke-rc.d(8)).
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

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
    if prosody_is_installed() {
        println!("{} are installed", PACKAGES.join(" and "));
        return Ok(());
    }
    check_that_apt_can_install("Prosody", &PACKAGES)?;
    let was_here = is_installed("prosody");
    show(Command::new("apt-get").arg("update"))?;
    install_prosody()?;
    if !was_here {
        keep_from_starting_at_boot()?;
    }
    if prosody_is_installed() {
        Ok(())
    } else {
        Err(format!("{} were installed but cannot be found", PACKAGES.join(" and ")))
    }
}

/// Installs Debian packages that start no service.
pub(crate) fn install(what: &str, packages: &[&str]) -> Result<(), String> {
    check_that_apt_can_install(what, packages)?;
    show(Command::new("apt-get").arg("update"))?;
    show(Command::new("apt-get").args(INSTALL).args(packages).env("DEBIAN_FRONTEND", "noninteractive"))
}

fn prosody_is_installed() -> bool {
    let programs = succeeds("prosodyctl", &["--help"]) && on_path("prosody");
    // Where there is no dpkg, the federation test itself finds out about lua-unbound.
    programs && (!on_path("dpkg-query") || PACKAGES.iter().all(|package| is_installed(package)))
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

fn install_prosody() -> Result<(), String> {
    let command = [&["apt-get"], &INSTALL[..], &PACKAGES].concat();
    if !Path::new(SERVICE_POLICY).exists() {
        return show(under_ban(SERVICE_POLICY, &command).env("DEBIAN_FRONTEND", "noninteractive"));
    }
    if !forbids_services(SERVICE_POLICY) {
        return Err(format!(
            "{SERVICE_POLICY} lets services start; install {} yourself and run this again",
            PACKAGES.join(" ")
        ));
    }
    show(Command::new(command[0]).args(&command[1..]).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// The ban ends with the installation, but the package has also asked for a start at every boot.
fn keep_from_starting_at_boot() -> Result<(), String> {
    if on_path("systemctl") {
        show(Command::new("systemctl").args(["disable", "prosody.service"]))
    } else if on_path("update-rc.d") {
        show(Command::new("update-rc.d").args(["prosody", "disable"]))
    } else {
        Ok(())
    }
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
        // The command interrupts the shell that holds the ban, as Ctrl-C would.
        let status = under_ban(&policy, &["sh", "-c", "kill -INT $PPID"]).status().unwrap();
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
