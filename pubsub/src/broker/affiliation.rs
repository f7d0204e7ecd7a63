//! What an entity is to a node, and what that allows (XEP-0060, section 4.1).

/// The affiliation of a bare address with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Affiliation {
    Owner,
    Publisher,
    PublishOnly,
    Member,
    None,
    Outcast,
}

/// What an entity wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Subscribe,
    Retrieve,
    Publish,
    /// Retract an item that the entity has published itself.
    RetractOwn,
    /// Retract an item of another publisher.
    RetractAny,
    /// Delete the node, change affiliations.
    Manage,
}

impl Affiliation {
    const ALL: [Self; 6] = [Self::Owner, Self::Publisher, Self::PublishOnly, Self::Member, Self::None, Self::Outcast];

    /// The value of the attribute `affiliation`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Publisher => "publisher",
            Self::PublishOnly => "publish-only",
            Self::Member => "member",
            Self::None => "none",
            Self::Outcast => "outcast",
        }
    }

    /// The affiliation of that name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|affiliation| affiliation.as_str() == text)
    }

    /// The table of section 4.1 under the access model `open` (section 4.5) and the publish model `publishers`.
    pub(super) fn may(self, action: Action) -> bool {
        match action {
            Action::Subscribe | Action::Retrieve => !matches!(self, Self::PublishOnly | Self::Outcast),
            Action::Publish | Action::RetractOwn => matches!(self, Self::Owner | Self::Publisher | Self::PublishOnly),
            Action::RetractAny | Action::Manage => self == Self::Owner,
        }
    }
}
