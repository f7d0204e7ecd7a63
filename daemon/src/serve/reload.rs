//! Certificates, keys, and whom to trust, as they change while the daemon runs.
//!
//! The files are looked at every few seconds and read at once on SIGHUP. To look is more robust than to be notified:
//! it does not matter whether a file is written over, renamed into place, or reached by a symbolic link that changes.
//! The configuration itself is read again on SIGHUP alone, and of it `[trust]`: it is edited by hand, step by step.
//! What other domains vouch for keeps itself fresh; whenever trust is read again it is looked up at once too.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use convoke::Domain;
use convoke::s2s::{DnsResolver, Federation};
use convoke::xmpp::Domainpart;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;
use tracing::{error, info};

use crate::config::{Certified, Named, Part, Read, Trusted};
use crate::evidence;
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
    pub(super) fn start(named: Named, running: Running, hangup: Hangup) -> Self {
        let mut task = JoinSet::new();
        task.spawn(run(Watch::new(named), running, hangup));
        Self { _task: task }
    }
}

async fn run(mut watch: Watch, running: Running, mut hangup: Hangup) {
    loop {
        let all = tokio::select! {
            () = sleep(INTERVAL) => false,
            () = hangup.next() => true,
        };
        // A file may be on a disk that does not answer.
        let looking = spawn_blocking(move || {
            let read = if all { watch.read_all() } else { watch.read_changed() };
            (watch, read)
        });
        let Ok((back, read)) = looking.await else { return };
        watch = back;
        read.into_iter().for_each(|read| running.apply(read));
    }
}

/// What uses the files.
pub(super) struct Running {
    pub(super) domain: Domain,
    /// Whom to ask for TLSA records; `None` for the system's.
    pub(super) nameservers: Option<Vec<SocketAddr>>,
    /// Where to find web servers.
    pub(super) resolver: Arc<DnsResolver>,
}

impl Running {
    /// Puts into force what was read. What cannot be used is told, and the old stays in force.
    fn apply(&self, read: Read) {
        let Some(federation) = self.domain.federation() else { return };
        match read {
            Read::Credentials(name, Ok(certified)) => replace_credentials(&name, &certified, federation),
            Read::Credentials(name, Err(fault)) => error!(domain = %name, %fault, "certificate not replaced"),
            Read::Trust(Ok(trusted)) => self.replace_trust(trusted, federation),
            Read::Trust(Err(fault)) => {
                error!(%fault, "trust not replaced");
                federation.refresh_evidence();
            }
        }
    }

    /// The evidence is looked up by the trust that was just read.
    fn replace_trust(&self, Trusted { trust, evidence }: Trusted, federation: &Federation) {
        match evidence::rules(&evidence, self.nameservers.as_deref(), &self.resolver) {
            Ok(rules) => {
                federation.replace_trust(trust);
                federation.replace_evidence_rules(rules);
                info!("trust replaced");
            }
            Err(fault) => error!(%fault, "trust not replaced"),
        }
    }
}

fn replace_credentials(name: &Domainpart, certified: &Certified, federation: &Federation) {
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
        Self { parts: watched(&named), named }
    }

    /// Reads the parts that have changed.
    fn read_changed(&mut self) -> Vec<Read> {
        let changed = self.parts.iter_mut().filter_map(|watched| watched.has_changed().then_some(&watched.part));
        changed.filter_map(|part| self.named.read(part)).collect()
    }

    /// Reads all parts, as the configuration names their files now.
    fn read_all(&mut self) -> Vec<Read> {
        let fault = self.named.read_again().err();
        self.parts = watched(&self.named);
        let parts = self.parts.iter().map(|watched| &watched.part);
        let sound = parts.filter(|part| fault.is_none() || **part != Part::Trust);
        let mut read: Vec<_> = sound.filter_map(|part| self.named.read(part)).collect();
        read.extend(fault.map(|fault| Read::Trust(Err(fault))));
        read
    }
}

/// The parts, as they look now.
fn watched(named: &Named) -> Vec<Watched> {
    let watched = |(part, files): (Part, Vec<PathBuf>)| {
        let looks = look_at(&files);
        Watched { part, files, in_force: looks.clone(), last: looks }
    };
    named.parts().into_iter().map(watched).collect()
}

impl Watched {
    fn has_changed(&mut self) -> bool {
        let looks = look_at(&self.files);
        let settled = looks == self.last;
        self.last.clone_from(&looks);
        let changed = settled && looks != self.in_force;
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
