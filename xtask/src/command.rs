//! Running other programs at the root of the workspace.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs cargo with these arguments and shows its output.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    cargo_with(arguments, &[])
}

/// Runs cargo with these arguments and environment variables and shows its output.
pub(crate) fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), String> {
    show(cargo_command(arguments).envs(environment.iter().copied()))
}

/// Runs cargo with these arguments and returns what it printed; what it complains about is shown.
pub(crate) fn cargo_output(arguments: &[&str]) -> Result<String, String> {
    let mut command = cargo_command(arguments);
    let output = command.stderr(Stdio::inherit()).output().map_err(|cause| not_started(&command, &cause))?;
    if !output.status.success() {
        return Err(format!("`{}` ended with {}", describe(&command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{}` printed something that is not text", describe(&command)))
}

/// Runs a program to its end and shows its output.
pub(crate) fn show(command: &mut Command) -> Result<(), String> {
    println!("$ {}", describe(command));
    let status = command.status().map_err(|cause| not_started(command, &cause))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", describe(command))) }
}

/// Runs a program without showing anything, and tells whether it succeeded; a program that is not there did not.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let silent =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    silent.is_ok_and(|status| status.success())
}

fn cargo_command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.args(arguments).current_dir(at_root("."));
    command
}

/// A path from the root of the workspace: the parent of this crate's folder, which cargo tells to what it runs.
pub(crate) fn at_root(path: &str) -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("xtask"), PathBuf::from);
    here.join("..").join(path)
}

fn describe(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn not_started(command: &Command, cause: &std::io::Error) -> String {
    format!("cannot start `{}`: {cause}", describe(command))
}
