//! The bytes of a stanza: its own, and those that it has in common with others.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

/// Valid UTF-8 in two pieces, cut between two attributes or behind everything.
#[derive(Clone)]
pub(super) struct Content {
    own: Bytes,
    /// What follows, held once for all recipients of a broadcast.
    shared: Option<Arc<str>>,
}

impl Content {
    pub(super) fn new(text: impl Into<Bytes>) -> Self {
        Self { own: text.into(), shared: None }
    }

    pub(super) fn with_shared(own: String, shared: Arc<str>) -> Self {
        Self { own: own.into(), shared: Some(shared) }
    }

    pub(super) fn parts(&self) -> [&[u8]; 2] {
        [&self.own, self.shared.as_deref().unwrap_or_default().as_bytes()]
    }

    pub(super) fn size(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Looks at every byte; copies them where some are shared.
    pub(super) fn text(&self) -> Cow<'_, str> {
        // The bytes come from text alone: this is valid.
        let own = std::str::from_utf8(&self.own).unwrap_or_default();
        match &self.shared {
            None => Cow::Borrowed(own),
            Some(shared) => Cow::Owned([own, shared].concat()),
        }
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        let [own, shared] = self.parts();
        let [other_own, other_shared] = other.parts();
        own.len() + shared.len() == other_own.len() + other_shared.len()
            && own.iter().chain(shared).eq(other_own.iter().chain(other_shared))
    }
}
