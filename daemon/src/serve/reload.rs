//! Certificates, keys, roots and revocation lists that change while the daemon runs.
//!
//! The files are looked at every few seconds and read at once on SIGHUP. To look is more robust than to be notified:
//! it does not matter whether a file is written over, renamed into place, or reached by a symbolic link that changes.
//! What other domains vouch for keeps itself fresh; on SIGHUP it is looked up at once too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use convoke::Domain;
use convoke::s2s::Federation;
use convoke::xmpp::Domainpart;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use tracing::{error, info};

use crate::config::{Certified, Named, Part, Read};
use crate::signals::Hangup;

/// How often the files are looked at. A change is read when two looks in a row see the same, so that a pair of files
/// that is being written is not read in the middle: within five seconds, which is nothing beside any lifetime.
const INTERVAL: Duration = Duration::from_secs(2);

/// Keeps what a daemon shows and believes as the files are; dropping it ends that.
pub(super) struct Reloading {
    _task: JoinSet<()>,
}

impl Reloading {
    /// Starts to look after the files that are in force now.
    pub(super) fn start(named: Named, domain: Domain, hangup: Hangup) -> Self {
        let mut task = JoinSet::new();
        task.spawn(run(Watch::new(named), domain, hangup));
        Self { _task: task }
    }
}

async fn run(mut watch: Watch, domain: Domain, mut hangup: Hangup) {
    loop {
        let all = tokio::select! {
            () = sleep(INTERVAL) => false,
            () = hangup.next() => true,
        };
        // A file may be on a disk that does not answer.
        let looking = spawn_blocking(move || {
            let read = watch.look(all);
            (watch, read)
        });
        let Ok((back, read)) = looking.await else { return };
        watch = back;
        read.into_iter().for_each(|read| apply(read, &domain));
        if all {
            // By the trust that was just read.
            domain.federation().into_iter().for_each(Federation::refresh_evidence);
        }
    }
}

/// Puts into force what was read. What cannot be used is told, and the old stays in force.
fn apply(read: Read, domain: &Domain) {
    match read {
        Read::Credentials(name, Ok(certified)) => replace_credentials(&name, &certified, domain),
        Read::Credentials(name, Err(fault)) => error!(domain = %name, %fault, "certificate not replaced"),
        Read::Trust(Ok(trust)) => {
            domain.federation().into_iter().for_each(|federation| federation.replace_trust(trust.clone()));
            info!("trust replaced");
        }
        Read::Trust(Err(fault)) => error!(%fault, "trust not replaced"),
    }
}

fn replace_credentials(name: &Domainpart, certified: &Certified, domain: &Domain) {
    let Some(federation) = domain.federation() else { return };
    match federation.replace_credentials(name, &certified.credentials) {
        Ok(()) => info!(domain = %name, not_after = written(certified.not_after), "certificate replaced"),
        Err(fault) => error!(domain = %name, %fault, "certificate not replaced"),
    }
}

/// The time as RFC 3339 writes it.
fn written(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

/// Files, and how they looked.
struct Watch {
    named: Named,
    parts: Vec<Watched>,
}

struct Watched {
    part: Part,
    files: Vec<PathBuf>,
    in_force: Looks,
    last: Looks,
}

/// How some files look: when each was changed and how long it is, `None` for one that is not there.
type Looks = Vec<Option<(SystemTime, u64)>>;

impl Watch {
    fn new(named: Named) -> Self {
        let watched = |(part, files): (Part, Vec<PathBuf>)| {
            let looks = look_at(&files);
            Watched { part, files, in_force: looks.clone(), last: looks }
        };
        let parts = named.parts().into_iter().map(watched).collect();
        Self { named, parts }
    }

    /// Reads the parts that have changed, or all of them.
    fn look(&mut self, all: bool) -> Vec<Read> {
        let changed = self.parts.iter_mut().filter_map(|watched| watched.has_changed(all).then_some(&watched.part));
        changed.filter_map(|part| self.named.read(part)).collect()
    }
}

impl Watched {
    fn has_changed(&mut self, anyway: bool) -> bool {
        let looks = look_at(&self.files);
        let settled = looks == self.last;
        self.last.clone_from(&looks);
        let changed = anyway || (settled && looks != self.in_force);
        if changed {
            self.in_force = looks;
        }
        changed
    }
}

fn look_at(files: &[PathBuf]) -> Looks {
    let look = |file: &Path| {
        let metadata = fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(|file| look(file)).collect()
}
