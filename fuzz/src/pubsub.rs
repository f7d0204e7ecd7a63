//! Publish-subscribe: whatever is sent to a service or to the nodes of accounts is answered once or not at all, and what
//! they keep is bounded and can be read again.

mod grammar;
mod stage;

use stage::Stage;

/// How many things happen for one input: enough for what they may bring about together.
const MOST_ACTS: usize = 64;

/// Hands one stanza after the other to a service and to personal eventing, and at the end opens both again.
///
/// A line that begins with `<` is a stanza; every other one is read as requests of a small grammar, four bytes for each.
pub fn pubsub(data: &[u8]) {
    let stage = Stage::new();
    data.split(|byte| *byte == b'\n').flat_map(acts).take(MOST_ACTS).for_each(|act| match act {
        Act::Stanza(text) => stage.hand_in_text(text),
        Act::Word(word) => grammar::act(word, &stage),
    });
    stage.reopen();
}

/// One thing that happens.
enum Act<'a> {
    Stanza(&'a str),
    Word(&'a [u8]),
}

fn acts(line: &[u8]) -> impl Iterator<Item = Act<'_>> {
    let text = std::str::from_utf8(line).ok().filter(|text| text.starts_with('<'));
    let words = if text.is_some() { &[] } else { line };
    text.map(Act::Stanza).into_iter().chain(words.chunks_exact(4).map(Act::Word))
}
