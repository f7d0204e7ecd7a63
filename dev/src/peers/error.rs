//! Why a peer is not there.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use thiserror::Error;

use super::Software;
use crate::{CertificateError, DnsError};

/// Why a peer could not be started, or did not do what was waited for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The server, or a part of it, is not installed.
    #[error(
        "{software} is missing ({what}); run `cargo xtask test` as root, or `apt-get install --no-install-recommends {}`",
        software.packages().join(" ")
    )]
    Missing {
        /// Which server.
        software: Software,
        /// What could not be found or started.
        what: String,
    },
    /// Its certificate could not be issued or written.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its records could not be announced.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// A file of it could not be written or read.
    #[error("cannot use {path}: {cause}", path = path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        cause: io::Error,
    },
    /// No loopback address or port is free, or a process could not be handled.
    #[error("the operating system refuses what a peer needs: {0}")]
    System(#[from] io::Error),
    /// An account could not be made.
    #[error("{software} cannot make the account {account}: {output}")]
    Account {
        /// Which server.
        software: Software,
        /// The localpart.
        account: String,
        /// What its tool printed.
        output: String,
    },
    /// The process ended by itself.
    #[error("{software} ended with {status}; its log:\n{log}")]
    Ended {
        /// Which server.
        software: Software,
        /// How it ended.
        status: ExitStatus,
        /// All that it has logged.
        log: String,
    },
    /// What was waited for did not happen within a minute.
    #[error("{software} has not come so far within a minute: {awaited}; its log:\n{log}")]
    TimedOut {
        /// Which server.
        software: Software,
        /// What was waited for.
        awaited: String,
        /// All that it has logged.
        log: String,
    },
}

impl PeerError {
    /// For `map_err` where a file is written or read.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::File { path, cause }
    }
}
