//! The table in the documentation of the crate says the truth: every example has a row, every row its tests or the reason
//! for which there are none, and the tests exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const LIB: &str = include_str!("../src/lib.rs");

/// The examples of sections 5 to 8: all of them must have a row, of later ones those that are here.
const REQUIRED: std::ops::RangeInclusive<u32> = 7..=210;

/// One row of the table.
struct Row {
    examples: BTreeSet<u32>,
    tests: BTreeSet<&'static str>,
    is_left_out: bool,
}

fn rows() -> Vec<Row> {
    let rows = LIB.lines().filter_map(|line| line.strip_prefix("//! | "));
    rows.filter(|row| row.starts_with(char::is_numeric)).map(row).collect()
}

fn row(row: &'static str) -> Row {
    let (examples, rest) = row.split_once(" | ").unwrap_or_else(|| panic!("not two cells: {row}"));
    let tests = rest.split('`').skip(1).step_by(2).collect();
    Row { examples: numbers(examples), tests, is_left_out: rest.starts_with("left out: ") }
}

/// The numbers of a list such as `7, 8 and 10 to 12`.
fn numbers(text: &str) -> BTreeSet<u32> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty() && *word != "and");
    let (mut numbers, mut is_range) = (BTreeSet::new(), false);
    for word in words {
        if word == "to" {
            is_range = true;
            continue;
        }
        let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
        let Ok(number) = digits.parse() else { break };
        let first = if is_range { numbers.last().map_or(number, |last| last + 1) } else { number };
        numbers.extend(first..=number);
        is_range = false;
    }
    numbers
}

/// The documentation of each test, by its name.
fn tests() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            collect(&fs::read_to_string(&path).unwrap(), &mut found);
        }
    }
    found
}

fn collect(text: &str, found: &mut BTreeMap<String, String>) {
    let mut ahead = String::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("///") || line.starts_with("#[") {
            ahead += line.trim_start_matches('/');
            continue;
        }
        if let Some(name) = line.strip_prefix("fn ").filter(|_| ahead.contains("#[test]")) {
            found.insert(name.split('(').next().unwrap().to_owned(), std::mem::take(&mut ahead));
        }
        ahead.clear();
    }
}

/// The examples that a documentation names, as in "Examples 7, 8 and 54" and "example 86".
fn named(documentation: &str) -> BTreeSet<u32> {
    let lists = documentation.split("xample").skip(1);
    lists.flat_map(|list| numbers(list.trim_start_matches('s'))).collect()
}

#[test]
fn every_example_has_one_row_and_every_row_a_test_or_a_reason() {
    let mut seen = BTreeSet::new();
    for row in rows() {
        assert_eq!(row.is_left_out, row.tests.is_empty(), "{:?}", row.examples);
        let twice: Vec<_> = row.examples.iter().filter(|example| !seen.insert(**example)).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
    let missing: Vec<_> = REQUIRED.filter(|example| !seen.contains(example)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_test_that_the_table_names_exists() {
    let known = tests();
    let rows = rows();
    let missing: Vec<_> = rows.iter().flat_map(|row| &row.tests).filter(|name| !known.contains_key(**name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Not the other way round alone: a test of an example that the table forgets would not be found by its readers.
#[test]
fn every_test_that_names_an_example_stands_in_its_row() {
    let rows = rows();
    let in_row =
        |name: &str, example: u32| rows.iter().any(|row| row.examples.contains(&example) && row.tests.contains(name));
    let mut astray = Vec::new();
    for (name, documentation) in tests() {
        let examples = named(&documentation);
        astray.extend(examples.into_iter().filter(|example| !in_row(&name, *example)).map(|n| format!("{n}: {name}")));
    }
    assert!(astray.is_empty(), "{astray:#?}");
}
