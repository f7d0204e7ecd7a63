//! What Convoke costs, beside what others cost in the same process and run.
//!
//! * [`readers`]: bytes of a stream to events, by our reader, by libexpat and by rxml.
//! * [`routing`]: stanzas from one component to another within a domain.
//! * [`relay`]: stanzas between two federated domains, and the same bytes through plain TLS.
//! * [`s2s`] and [`pubsub`]: federation and publish-subscribe, beside Prosody and ejabberd as processes.
//! * [`sessions`]: the memory of an idle session.
//! * [`clock`], [`comparison`], [`contest`] and [`report`]: how it is measured and told.

pub mod clock;
pub mod comparison;
pub mod contest;
mod expat;
pub mod federation;
pub mod pubsub;
pub mod readers;
pub mod relay;
pub mod report;
pub mod routing;
pub mod s2s;
pub mod sessions;
pub mod traffic;

/// Why a measurement cannot be made.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// How much is measured: all of it, or just enough to see that it works.
///
/// Cargo passes `--bench` to what `cargo bench` runs, and not to what `cargo test` runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Enough to see that it works.
    Smoke,
    /// Enough for figures.
    Full,
}

impl Effort {
    /// What the command line asks for.
    pub fn from_arguments() -> Self {
        let asked = |name: &str| std::env::args().any(|argument| argument == name);
        if asked("--bench") && !asked("--test") { Self::Full } else { Self::Smoke }
    }

    /// One number or the other.
    pub fn choose<T>(self, smoke: T, full: T) -> T {
        match self {
            Self::Smoke => smoke,
            Self::Full => full,
        }
    }
}
