//! A new file, which is there as a whole or not at all.
//!
//! redb marks a file as its own when everything else is in it. A process that ends before, by a crash or by a kill, would
//! leave a file that is no database, and no later start would get further.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::StoreError;

use super::database::{initialise, open_cause, redb_file};

/// Makes the file unless it is there, however many processes try at the same time.
pub(super) fn ensure(path: &Path) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    let cannot = |cause: io::Error| open_cause(path, cause.into());
    let unfinished = reserve(path).map_err(cannot)?;
    let built = build(&unfinished).map_err(|error| open_cause(path, error));
    let published = built.and_then(|()| publish(&unfinished, path).map_err(cannot));
    // Whoever opens the store removes what is left.
    let _ = fs::remove_file(&unfinished);
    published
}

/// Removes what processes have left that ended while they made the file. The store is open: nobody makes it any more.
pub(super) fn tidy(path: &Path) {
    for number in 0.. {
        if fs::remove_file(unfinished(path, number)).is_err() {
            return;
        }
    }
}

/// An empty file under a name that nobody else uses.
fn reserve(path: &Path) -> io::Result<PathBuf> {
    let mut number = 0;
    loop {
        let unfinished = unfinished(path, number);
        match File::create_new(&unfinished) {
            Ok(_) => return Ok(unfinished),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn unfinished(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}.new"));
    name.into()
}

fn build(path: &Path) -> Result<(), redb::Error> {
    initialise(&redb_file().create(path)?)?;
    Ok(())
}

/// Gives the finished file its name, unless another process was faster: a link replaces nothing.
fn publish(unfinished: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(unfinished, path) {
        Err(_) if path.exists() => Ok(()),
        // There are file systems without links; theirs is the name that nobody had a moment ago.
        Err(error) if error.kind() != ErrorKind::NotFound => fs::rename(unfinished, path),
        outcome => outcome,
    }?;
    synchronise_directory(path)
}

/// A file is as durable as the directory that names it.
#[cfg(unix)]
fn synchronise_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(not(unix))]
fn synchronise_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
