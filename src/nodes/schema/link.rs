//! The ways to other domains.

use std::borrow::Cow;

#[cfg(feature = "s2s")]
use convoke_s2s::{LinkState, LinkStatistics};
use convoke_xmpp::{Domainpart, Element};

use crate::nodes::{Fields, ItemError, NodeItem};

const NAMESPACE: &str = "urn:convoke:link:0";

/// The way from one domain to another, as the first one sees it; the item's id is `FROM|TO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkReport {
    /// Who sees it.
    pub from: Domainpart,
    /// The other domain.
    pub to: Domainpart,
    /// What state it is in.
    pub condition: LinkCondition,
    /// Stanzas that wait for the way, or for the other side to acknowledge them.
    pub waiting: u64,
    /// How often the way could not be opened.
    pub failures: u64,
}

/// What state a way is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkCondition {
    /// There is a stream.
    Open,
    /// There is none, because nothing is to be sent.
    Idle,
    /// One is being opened.
    Opening,
    /// The other domain is out of reach.
    Down,
}

impl LinkCondition {
    const ALL: [Self; 4] = [Self::Open, Self::Idle, Self::Opening, Self::Down];

    /// As it goes to the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Idle => "idle",
            Self::Opening => "opening",
            Self::Down => "down",
        }
    }

    /// Reads what [`LinkCondition::as_str`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|condition| condition.as_str() == text)
    }
}

#[cfg(feature = "s2s")]
impl LinkReport {
    /// What the statistics of a link say.
    pub(crate) fn of(link: &LinkStatistics) -> Self {
        let condition = match link.state {
            LinkState::Open => LinkCondition::Open,
            LinkState::Dialing => LinkCondition::Opening,
            LinkState::Waiting => LinkCondition::Down,
            // An incoming stream shows that the other domain is there; there is no more to tell of one that is idle.
            _ => LinkCondition::Idle,
        };
        Self {
            from: link.local.clone(),
            to: link.remote.clone(),
            condition,
            waiting: (link.queued + link.unacknowledged) as u64,
            failures: link.failures,
        }
    }
}

impl NodeItem for LinkReport {
    const NODE: &'static str = "urn:convoke:links";
    const OPTIONS: &'static [(&'static str, &'static str)] = &[
        ("pubsub#persist_items", "true"),
        ("pubsub#max_items", "max"),
        ("pubsub#item_expire", "600"),
        ("pubsub#send_last_published_item", "never"),
    ];

    fn id(&self) -> Cow<'_, str> {
        format!("{}|{}", self.from, self.to).into()
    }

    fn payload(&self) -> Element {
        Element::new("link", NAMESPACE)
            .attr("from", &self.from)
            .attr("to", &self.to)
            .attr("state", self.condition.as_str())
            .attr("waiting", self.waiting)
            .attr("failures", self.failures)
    }

    fn read(id: &str, payload: &Element) -> Result<Self, ItemError> {
        let fields = Fields::of(payload, "link", NAMESPACE)?;
        let report = Self {
            from: fields.value("from")?,
            to: fields.value("to")?,
            condition: fields.read("state", LinkCondition::parse)?,
            waiting: fields.value("waiting")?,
            failures: fields.value("failures")?,
        };
        let named = report.id().into_owned();
        if named == id { Ok(report) } else { Err(ItemError::OtherId { id: id.to_owned(), named }) }
    }
}
