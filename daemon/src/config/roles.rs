//! The components that a daemon can run.

use toml::Spanned;

use super::error::{ConfigError, Problem};
use super::names;
use super::source::Source;

/// A component that a daemon can run in its domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The resource manager, `resources@DOMAIN`: leases the domain's nodes to other domains.
    Resources,
    /// The scheduler, `scheduler@DOMAIN`: leases nodes and gives them tasks.
    Scheduler,
    /// The monitor, `monitor@DOMAIN`: knows which nodes are there and alive.
    Monitor,
    /// The publish-subscribe service, `pubsub@DOMAIN` (XEP-0060).
    Pubsub,
    /// The HTTP side, `gateway@DOMAIN`, in the first domain alone: there is one listener, and one token is one entity.
    Gateway,
}

impl Role {
    /// All roles, in the order in which they are started: each after those that it talks to.
    pub(crate) const ALL: [Self; 5] = [Self::Pubsub, Self::Resources, Self::Monitor, Self::Scheduler, Self::Gateway];

    /// The name in the configuration, which is also the localpart of the component.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Resources => "resources",
            Self::Scheduler => "scheduler",
            Self::Monitor => "monitor",
            Self::Pubsub => "pubsub",
            Self::Gateway => "gateway",
        }
    }
}

/// Reads `roles.run`.
pub(super) fn roles(source: &Source<'_>, names: &[Spanned<String>]) -> Result<Vec<Role>, ConfigError> {
    let mut roles = Vec::new();
    for name in names {
        let role = role(name.get_ref()).map_err(|problem| source.at(name, problem))?;
        if roles.contains(&role) {
            return Err(source.at(name, Problem::RoleTwice { name: role.name() }));
        }
        roles.push(role);
    }
    roles.sort_by_key(|role| Role::ALL.iter().position(|known| known == role));
    Ok(roles)
}

fn role(name: &str) -> Result<Role, Problem> {
    let unknown = || {
        let remedy = names::remedy(name, Role::ALL.map(Role::name));
        Problem::UnknownRole { name: name.to_owned(), remedy }
    };
    Role::ALL.into_iter().find(|role| role.name() == name).ok_or_else(unknown)
}
