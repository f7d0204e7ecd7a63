//! Which server: everything that is not the same for both.

use std::fmt;
use std::path::Path;
use std::process::Command;

use super::builder::Plan;
use super::{PeerError, ejabberd, prosody};

/// A server of another maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Software {
    /// Prosody; tried with 0.12.3 of Debian 12.
    Prosody,
    /// ejabberd; tried with 23.01 of Debian 12.
    Ejabberd,
}

impl Software {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Prosody, Self::Ejabberd];

    /// The Debian packages that have to be installed.
    #[must_use]
    pub fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Prosody => &["prosody", "lua-unbound"],
            Self::Ejabberd => &["ejabberd"],
        }
    }

    /// Writes its configuration into the directory, and makes the accounts that have to be there before it starts.
    pub(super) async fn prepare(self, plan: &Plan, directory: &Path) -> Result<(), PeerError> {
        match self {
            Self::Prosody => prosody::prepare(plan, directory).await,
            Self::Ejabberd => ejabberd::prepare(plan, directory),
        }
    }

    /// The command that starts it in the foreground, as the process that is the server.
    pub(super) fn command(self, directory: &Path) -> Result<Command, PeerError> {
        match self {
            Self::Prosody => Ok(prosody::command(directory)),
            Self::Ejabberd => ejabberd::command(directory),
        }
    }

    /// A file that it writes once it is ready, besides listening; `None` if it writes none.
    pub(super) fn ready_file(self) -> Option<&'static str> {
        match self {
            Self::Prosody => None,
            Self::Ejabberd => Some(ejabberd::READY_FILE),
        }
    }

    /// Where it looks addresses up, if it does not ask DNS for them.
    pub(super) fn hosts_file(self) -> Option<&'static str> {
        match self {
            Self::Prosody => None,
            Self::Ejabberd => Some(ejabberd::HOSTS_FILE),
        }
    }

    /// A line of the log which says that a part is missing without which it runs, but not for us.
    pub(super) fn sign_of_a_missing_part(self) -> Option<&'static str> {
        match self {
            Self::Prosody => Some("missing lua-unbound"),
            Self::Ejabberd => None,
        }
    }
}

impl fmt::Display for Software {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Prosody => "Prosody",
            Self::Ejabberd => "ejabberd",
        })
    }
}
