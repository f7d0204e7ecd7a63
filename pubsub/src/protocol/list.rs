//! Lists in answers: as much of a page as one answer may hold (XEP-0060, section 6.5.4).

use convoke_xmpp::Element;

use super::rsm;
use crate::PubSubConfig;
use crate::broker::Page;

/// A page as an answer shows it.
pub(super) struct List<'a, T> {
    page: &'a Page<T>,
    start: usize,
    end: usize,
}

impl<'a, T> List<'a, T> {
    /// As many entries as there is room for: from the end that matters more, and one at least, as a list without
    /// anything would look like one of nothing.
    pub(super) fn of(page: &'a Page<T>, bytes: impl Fn(&T) -> usize, config: &PubSubConfig) -> Self {
        let mut room = config.max_answer_bytes;
        let fits = |entry: &&T| {
            let needed = bytes(entry);
            let fits = needed <= room;
            room = room.saturating_sub(needed);
            fits
        };
        let all = page.entries.len();
        let count = match page.keeps_end {
            true => page.entries.iter().rev().take_while(fits).count(),
            false => page.entries.iter().take_while(fits).count(),
        };
        let count = count.max(1).min(all);
        let start = if page.keeps_end { all - count } else { 0 };
        Self { page, start, end: start + count }
    }

    pub(super) fn shown(&self) -> &'a [T] {
        &self.page.entries[self.start..self.end]
    }

    /// Which part of the list is shown, if it is not all of it or if that was asked for (XEP-0059).
    pub(super) fn note(&self, id: impl Fn(&T) -> String) -> Option<Element> {
        let shown = self.shown();
        let is_part = self.page.is_asked && self.page.count > 0 || shown.len() < self.page.count;
        let ends = || Some((id(shown.first()?), id(shown.last()?)));
        let note = || {
            let ends = ends();
            let ends = ends.as_ref().map(|(first, last)| (first.as_str(), last.as_str()));
            rsm::note(ends, self.page.first + self.start, self.page.count)
        };
        is_part.then(note)
    }
}

/// The bytes of an entry's tags and the names of its attributes, generously.
pub(super) const EMPTY_ENTRY_BYTES: usize = 48;
/// The bytes of the longest state of an entry, and of the name of its attribute.
pub(super) const STATE_BYTES: usize = 32;

/// The bytes of a SubID with its attribute.
pub(super) const SUBID_BYTES: usize = 48;

/// The bytes of an attribute's value once its special characters are references.
pub(super) fn written_bytes(text: &str) -> usize {
    text.bytes()
        .map(|byte| if matches!(byte, b'&' | b'<' | b'>' | b'\'' | b'\t' | b'\n' | b'\r') { 6 } else { 1 })
        .sum()
}
