//! What is read does not depend on how the bytes arrive.

use convoke_xmpp::Limits;

use crate::mutants::{Random, mutant};
use crate::reading::{OPEN_CLIENT, OPEN_SERVER, in_stanza, in_stream, read};
use crate::{cases, corpus};

const SIZES: [usize; 6] = [1, 2, 3, 7, 64, 4096];

/// A sample; the differential test has many more, in one piece each.
const MUTANTS: u64 = 2000;

#[test]
fn the_events_and_the_error_are_the_same_for_every_chunking() {
    for document in documents() {
        for limits in [Limits::default(), Limits::before_authentication()] {
            let whole = read(&document, document.len().max(1), limits);
            for size in SIZES {
                let parts = read(&document, size, limits);
                assert_eq!(parts, whole, "chunks of {size} of {}", document.escape_ascii());
            }
        }
    }
}

fn documents() -> Vec<Vec<u8>> {
    let lists = [cases::GOOD, cases::BAD].concat().into_iter().map(str::as_bytes);
    let texts: Vec<Vec<u8>> =
        lists.chain(cases::BAD_BYTES.iter().copied()).map(<[u8]>::to_vec).chain(corpus::texts()).collect();
    let wholes =
        [cases::GOOD_DOCUMENTS, cases::BAD_DOCUMENTS, cases::RESTRICTED_DOCUMENTS, cases::DATA_BEHIND_THE_ROOT];
    let wholes = wholes.concat().into_iter().map(cases::as_document);
    let mutants = (0..MUTANTS).map(|seed| in_stream(&mutant(&mut Random::new(seed), &texts), OPEN_SERVER));
    let placed = texts.iter().flat_map(|text| [in_stream(text, OPEN_SERVER), in_stanza(text, OPEN_CLIENT)]);
    placed.chain(wholes).chain(mutants).chain(long_ones()).collect()
}

/// A long stream of everything good, and elements that break each of the limits in their midst.
fn long_ones() -> [Vec<u8>; 5] {
    let many_attributes: String = (0..70).map(|n| format!(" a{n}='{n}'")).collect();
    [
        in_stream(&corpus::texts().concat(), OPEN_SERVER),
        in_stream(format!("<message><body>{}</body></message>", "x".repeat(300_000)).as_bytes(), OPEN_SERVER),
        in_stream(format!("<message id='{}'/>", "x".repeat(10_000)).as_bytes(), OPEN_SERVER),
        in_stream(format!("<message><x{many_attributes}/></message>").as_bytes(), OPEN_SERVER),
        in_stream(format!("{}{}", "<a>".repeat(150), "</a>".repeat(150)).as_bytes(), OPEN_SERVER),
    ]
}
