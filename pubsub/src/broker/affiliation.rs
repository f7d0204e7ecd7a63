//! What an entity is to a node (XEP-0060, section 4.1).

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
}
