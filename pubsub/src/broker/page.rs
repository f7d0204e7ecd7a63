//! A part of a list (XEP-0059).

use super::Refusal;

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRequest {
    /// At most so many entries; none asks how many there are.
    pub(crate) max: Option<usize>,
    /// Where it starts.
    pub(crate) start: PageStart,
}

/// Where a page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PageStart {
    /// With the first entry.
    First,
    /// Behind the entry of this id.
    After(String),
    /// So that it ends ahead of the entry of this id.
    Before(String),
    /// So that it ends with the last entry.
    Last,
    /// With the entry of this index.
    Index(usize),
}

/// A part of a list; where an answer has no room for all of it, `keeps_end` says which end is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<T> {
    /// The entries, in the order of the list.
    pub(crate) entries: Vec<T>,
    /// The index of the first of them.
    pub(crate) first: usize,
    /// How many entries the list has.
    pub(crate) count: usize,
    /// Whether the last entries matter more than the first.
    pub(crate) keeps_end: bool,
    /// Whether a page was asked for, so that the answer says which it is.
    pub(crate) is_asked: bool,
}

impl<T> Page<T> {
    /// All entries, of which the last matter most.
    pub(crate) fn whole(entries: Vec<T>) -> Self {
        Self { first: 0, count: entries.len(), entries, keeps_end: true, is_asked: false }
    }

    /// The part of a list that is asked for, if `is` tells whether an entry has an id: one that is gone is not found
    /// (XEP-0059, section 2.4).
    pub(crate) fn of(
        entries: Vec<T>,
        request: Option<&PageRequest>,
        is: impl Fn(&T, &str) -> bool,
    ) -> Result<Self, Refusal> {
        let Some(request) = request else { return Ok(Self::whole(entries)) };
        let count = entries.len();
        let place = |wanted: &str| entries.iter().position(|entry| is(entry, wanted)).ok_or(Refusal::NoSuchItem);
        let (start, end, keeps_end) = match &request.start {
            PageStart::First => (0, count, false),
            PageStart::After(id) => (place(id)? + 1, count, false),
            PageStart::Before(id) => (0, place(id)?, true),
            PageStart::Last => (0, count, true),
            PageStart::Index(index) => ((*index).min(count), count, false),
        };
        let room = request.max.unwrap_or(usize::MAX).min(end - start);
        let first = if keeps_end { end - room } else { start };
        let entries = entries.into_iter().skip(first).take(room).collect();
        Ok(Self { entries, first, count, keeps_end, is_asked: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(max: Option<usize>, start: PageStart) -> Result<(String, usize), Refusal> {
        let all = ["a", "b", "c", "d", "e"].to_vec();
        let page = Page::of(all, Some(&PageRequest { max, start }), |entry, id| *entry == id)?;
        assert_eq!(page.count, 5);
        Ok((page.entries.concat(), page.first))
    }

    /// XEP-0059, sections 2.1 to 2.7.
    #[test]
    fn a_page_is_the_part_that_was_asked_for() {
        let id = |id: &str| id.to_owned();
        for (max, start, expected) in [
            (Some(2), PageStart::First, ("ab", 0)),
            (None, PageStart::First, ("abcde", 0)),
            (Some(2), PageStart::After(id("b")), ("cd", 2)),
            (Some(9), PageStart::After(id("e")), ("", 5)),
            (Some(2), PageStart::Before(id("d")), ("bc", 1)),
            (Some(2), PageStart::Before(id("a")), ("", 0)),
            (Some(2), PageStart::Last, ("de", 3)),
            (Some(2), PageStart::Index(3), ("de", 3)),
            (Some(2), PageStart::Index(9), ("", 5)),
            (Some(0), PageStart::First, ("", 0)),
        ] {
            assert_eq!(page(max, start.clone()), Ok((expected.0.to_owned(), expected.1)), "{max:?} {start:?}");
        }
        assert_eq!(page(Some(2), PageStart::After(id("gone"))), Err(Refusal::NoSuchItem));
        assert_eq!(page(Some(2), PageStart::Before(id("gone"))), Err(Refusal::NoSuchItem));
    }
}
