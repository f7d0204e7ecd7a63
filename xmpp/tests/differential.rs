//! Nothing is accepted that expat refuses, nothing is refused that a stream may hold, and what is read is the same.

use std::collections::BTreeMap;
use std::env;

use convoke_xmpp::Element;

use crate::agreement::{Agreement, Rule, compare_all};
use crate::cases;
use crate::expat::Expat;
use crate::mutants::{Random, mutant, shrink};
use crate::pieces::pieces_of;
use crate::reading::{OPEN_CLIENT, OPEN_SERVER, in_stanza, in_stream};
use crate::{conformance_suite, corpus};

/// How many mutants are tried; 100,000 if it is not set.
const MUTANTS: &str = "CONVOKE_MUTANTS";

/// The seed of the mutants; the same ones every time if it is not set.
const SEED: &str = "CONVOKE_SEED";

/// Each worker asks an oracle of its own.
const WORKERS: usize = 2;

/// How many documents go to the oracle at once.
const BATCH: usize = 250;

/// How many disagreements are printed before the rest is only counted.
const SHOWN: usize = 25;

#[test]
fn the_bad_cases_are_refused_by_both() {
    let texts = cases::BAD.iter().map(|text| text.as_bytes()).chain(cases::BAD_BYTES.iter().copied());
    let documents = texts.flat_map(everywhere).chain(whole(cases::BAD_DOCUMENTS)).collect();
    expect("the bad cases", documents, |agreement| agreement == Agreement::Rejected);
}

#[test]
fn the_good_cases_are_accepted_by_both_and_say_the_same() {
    let texts = cases::GOOD.iter().flat_map(|text| everywhere(text.as_bytes()));
    let documents = texts.chain(whole(cases::GOOD_DOCUMENTS)).collect();
    expect("the good cases", documents, |agreement| agreement == Agreement::Accepted);
}

#[test]
fn what_is_no_stream_is_refused_for_the_rule_that_it_breaks() {
    let documents = whole(cases::RESTRICTED_DOCUMENTS).collect();
    expect("the restricted cases", documents, |agreement| matches!(agreement, Agreement::Restricted(_)));
}

#[test]
fn nothing_is_read_behind_the_end_of_the_stream() {
    let documents = whole(cases::DATA_BEHIND_THE_ROOT).collect();
    expect("data behind the root", documents, |agreement| agreement == Agreement::Accepted);
}

#[test]
fn the_corpus_is_accepted_by_both_and_says_the_same() {
    let documents = corpus::texts().iter().flat_map(|text| everywhere(text)).collect();
    expect("the corpus", documents, |agreement| agreement == Agreement::Accepted);
}

/// A document is no stream, so each is tried in four forms: as it is (only the rule about roots may part us from
/// expat), with its root made a stream element, as the first-level content of a stream, and as the content of a stanza.
#[test]
fn the_conformance_suite_is_read_as_expat_reads_it() {
    let documents = conformance_suite::cases().into_iter().flat_map(|case| {
        let document = &case.document;
        [
            (format!("{} as it is", case.path), document.clone()),
            (format!("{} as a stream", case.path), as_stream(document)),
            (format!("{} in a stream", case.path), in_stream(document, OPEN_CLIENT)),
            (format!("{} in a stanza", case.path), in_stanza(document, OPEN_SERVER)),
        ]
    });
    expect("the conformance suite", documents.collect(), |agreement| {
        // Nothing in the suite is as long as the limits of this test, and no form has a stanza with a bad address.
        !matches!(agreement, Agreement::Restricted(Rule::Size | Rule::Address))
    });
}

#[test]
fn elements_that_stand_alone_are_read_as_expat_reads_documents() {
    let suite = conformance_suite::cases().into_iter().map(|case| case.document);
    let lists = [cases::BAD, cases::GOOD, cases::BAD_DOCUMENTS, cases::GOOD_DOCUMENTS].concat();
    let texts = lists.iter().map(|text| cases::as_document(text)).chain(suite).chain(corpus::texts());
    let texts: Vec<String> = texts.filter_map(|bytes| String::from_utf8(bytes).ok()).collect();
    let verdicts = Expat::start().judge_elements(&texts);
    let wrong: Vec<_> = texts
        .iter()
        .zip(&verdicts)
        .filter_map(|(text, verdict)| {
            // One element and nothing around it: what a document may have besides is no part of it.
            let is_one_element =
                verdict.accepted && !verdict.data_behind_root && text.ends_with('>') && !text.starts_with("<?");
            let is_one_element = is_one_element && text.starts_with('<') && text.len() < 100_000;
            match std::panic::catch_unwind(|| Element::parse(text)).unwrap_or_else(|_| panic!("PANIC on {text:?}")) {
                Ok(_) if !verdict.accepted || verdict.data_behind_root => {
                    Some(format!("accepted {text:?}: {}", verdict.reason))
                }
                Ok(element) => {
                    let theirs: Vec<_> =
                        verdict.pieces.iter().cloned().map(|p| p.with_client_content().told()).collect();
                    (pieces_of(&element) != theirs).then(|| format!("differs: {text:?}"))
                }
                Err(error) => is_one_element.then(|| format!("refused ({error}) {text:?}")),
            }
        })
        .collect();
    report("elements that stand alone", wrong.len(), &wrong);
}

#[test]
fn mutants_are_read_as_expat_reads_them() {
    let (count, seed) = (number(MUTANTS).unwrap_or(100_000), number(SEED).unwrap_or(6120));
    let seeds: Vec<Vec<u8>> =
        corpus::texts().into_iter().chain(cases::GOOD.iter().map(|text| (*text).into())).collect();
    let work = |worker| try_mutants(&seeds, seed, (0..count).skip(worker * BATCH), WORKERS * BATCH);
    let results: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    results.iter().flat_map(|(counts, _)| counts).for_each(|(what, n)| *counts.entry(what.clone()).or_default() += n);
    println!("{count} mutants of seed {seed}: {counts:?}");
    let wrong: Vec<_> = results.into_iter().flat_map(|(_, wrong)| wrong).collect();
    report(&format!("mutants (again with {SEED}={seed} {MUTANTS}={count})"), wrong.len(), &wrong);
}

type Counts = BTreeMap<String, usize>;

/// Tries the first of these mutants, and then further batches, `stride` apart.
fn try_mutants(seeds: &[Vec<u8>], seed: u64, from: impl Iterator<Item = u64>, stride: usize) -> (Counts, Vec<String>) {
    let (mut expat, mut counts, mut wrong) = (Expat::start(), Counts::new(), Vec::new());
    let mut indices = from.peekable();
    while indices.peek().is_some() {
        let numbers: Vec<u64> = indices.by_ref().take(BATCH).collect();
        let documents: Vec<_> = numbers.iter().map(|number| document(seed.wrapping_add(*number), seeds)).collect();
        for ((result, document), number) in compare_all(&mut expat, &documents).into_iter().zip(&documents).zip(numbers)
        {
            match result {
                Ok(agreement) => *counts.entry(format!("{agreement:?}")).or_default() += 1,
                Err(reason) => {
                    let shown = if wrong.len() < SHOWN { shrunk(&mut expat, document) } else { document.clone() };
                    wrong.push(format!("mutant {number}: {reason}\n    shrunk: {}", shown.escape_ascii()));
                }
            }
        }
        indices.by_ref().take(stride - BATCH).for_each(drop);
    }
    (counts, wrong)
}

/// One mutant as a document: of a payload, in a stream or in a stanza, or of a whole stream.
fn document(seed: u64, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut random = Random::new(seed);
    let open = random.choose(&[OPEN_SERVER, OPEN_CLIENT]);
    match random.below(4) {
        0 | 1 => in_stream(&mutant(&mut random, seeds), open),
        2 => in_stanza(&mutant(&mut random, seeds), open),
        _ => {
            let payload = &seeds[random.below(seeds.len())];
            mutant(&mut random, &[in_stream(payload, open)])
        }
    }
}

fn shrunk(expat: &mut Expat, document: &[u8]) -> Vec<u8> {
    shrink(document, |shorter| compare_all(expat, &[shorter.to_vec()])[0].is_err())
}

/// This text as first-level content and within a stanza.
fn everywhere(text: &[u8]) -> [(String, Vec<u8>); 2] {
    let name = |form: &str| format!("{form}: {}", text.escape_ascii());
    [(name("in a stream"), in_stream(text, OPEN_CLIENT)), (name("in a stanza"), in_stanza(text, OPEN_SERVER))]
}

fn whole(texts: &'static [&str]) -> impl Iterator<Item = (String, Vec<u8>)> {
    texts.iter().map(|text| (format!("document: {}", text.escape_debug()), cases::as_document(text)))
}

/// The document with its root made a stream element, if a root with a name can be found at all.
fn as_stream(document: &[u8]) -> Vec<u8> {
    let found = document.windows(2).position(|pair| pair[0] == b'<' && !matches!(pair[1], b'!' | b'?'));
    let Some(start) = found.map(|at| at + 1) else { return document.to_vec() };
    let length = document[start..].iter().position(|byte| b" \t\r\n/>".contains(byte)).unwrap_or(0);
    let (name, behind) = document[start..].split_at(length);
    let end_tag = [b"</", name].concat();
    let end = behind.windows(end_tag.len()).rposition(|window| window == end_tag);
    let (content, tail) = behind.split_at(end.unwrap_or(behind.len()));
    let (close, tail) = if end.is_some() { (&b"</S:stream"[..], &tail[end_tag.len()..]) } else { (&b""[..], tail) };
    [&document[..start], cases::STREAM.as_bytes(), content, close, tail].concat()
}

/// Compares these documents, and fails unless all agree in the way that is wanted.
fn expect(what: &str, named: Vec<(String, Vec<u8>)>, wanted: impl Fn(Agreement) -> bool) {
    let (names, documents): (Vec<_>, Vec<_>) = named.into_iter().unzip();
    let mut expat = Expat::start();
    let results: Vec<_> = documents.chunks(BATCH).flat_map(|batch| compare_all(&mut expat, batch)).collect();
    let mut counts = Counts::new();
    results.iter().flatten().for_each(|agreement| *counts.entry(format!("{agreement:?}")).or_default() += 1);
    println!("{what}: {} documents, {counts:?}", documents.len());
    let wrong = names.iter().zip(results).filter_map(|(name, result)| match result {
        Ok(agreement) => (!wanted(agreement)).then(|| format!("{name}: {agreement:?}")),
        Err(reason) => Some(format!("{name}: {reason}")),
    });
    let wrong: Vec<_> = wrong.collect();
    report(what, wrong.len(), &wrong);
}

fn report(what: &str, count: usize, wrong: &[String]) {
    assert!(count == 0, "{what}: {count} disagreements\n{}", wrong[..count.min(SHOWN)].join("\n"));
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
