//! The table in the documentation of the crate says the truth: every rule has a row, every row its tests, and they exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const LIB: &str = include_str!("../../src/lib.rs");

/// How many rules there are.
const RULES: u32 = 76;

/// Where tests of rules may stand.
const PLACES: [&str; 5] = ["src", "tests", "../xmpp/src", "../net/src", "../net/tests"];

/// The rules and the tests that each row of the table names.
fn rows() -> Vec<(Vec<u32>, Vec<&'static str>)> {
    let rows =
        LIB.lines().filter_map(|line| line.strip_prefix("//! | ")).filter(|row| row.starts_with(char::is_numeric));
    rows.map(row).collect()
}

fn row(row: &'static str) -> (Vec<u32>, Vec<&'static str>) {
    let cells: Vec<_> = row.trim_end_matches(" |").split(" | ").collect();
    let [rules, _, _, tests] = cells[..] else { panic!("not four cells: {row}") };
    let rules = rules.split(", ").map(|number| number.parse().unwrap()).collect();
    (rules, tests.split('`').skip(1).step_by(2).collect())
}

/// What stands ahead of each test function, by its name: its documentation and attributes.
fn tests(places: &[&str]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for place in places {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(place), &mut found);
    }
    found
}

fn collect(place: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            collect_file(&fs::read_to_string(&path).unwrap(), found);
        }
    }
}

fn collect_file(text: &str, found: &mut BTreeMap<String, String>) {
    let mut ahead = String::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("///") || line.starts_with("#[") {
            ahead += line;
            ahead.push('\n');
            continue;
        }
        let signature = line.strip_prefix("async ").unwrap_or(line);
        if let Some(name) = signature.strip_prefix("fn ").filter(|_| is_test(&ahead)) {
            found.insert(name.split('(').next().unwrap().to_owned(), std::mem::take(&mut ahead));
        }
        ahead.clear();
    }
}

fn is_test(ahead: &str) -> bool {
    ahead.contains("#[test]") || ahead.contains("#[tokio::test")
}

#[test]
fn every_rule_has_a_row_and_every_row_a_test() {
    let rows = rows();
    let covered: BTreeSet<u32> = rows.iter().flat_map(|(rules, _)| rules).copied().collect();
    assert_eq!(covered, (1..=RULES).collect());
    assert!(rows.iter().all(|(_, tests)| !tests.is_empty()), "{rows:?}");
    assert!(rows.is_sorted_by_key(|(rules, _)| rules[0]));
}

#[test]
fn every_test_that_the_table_names_exists() {
    let known = tests(&PLACES);
    let named: BTreeSet<_> = rows().into_iter().flat_map(|(_, tests)| tests).collect();
    let missing: Vec<_> = named.into_iter().filter(|name| !known.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The rules that a documentation names, as in "Rule 50, RFC 6120 section 6.4.6, and rule 53, section 4.3.6".
fn named_rules(documentation: &str) -> BTreeSet<u32> {
    let lower = documentation.to_lowercase();
    let numbers = lower.split("rule ").skip(1).filter_map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// Not the other way round alone: a test of a rule that the table forgets would not be found by its readers.
#[test]
fn every_test_here_that_names_a_rule_stands_in_its_row() {
    let rows = rows();
    let in_row =
        |name: &str, rule: u32| rows.iter().any(|(rules, tests)| rules.contains(&rule) && tests.contains(&name));
    let mut astray = Vec::new();
    for (name, documentation) in tests(&["tests/rules"]) {
        let rules = named_rules(&documentation).into_iter().filter(|rule| *rule <= RULES);
        astray.extend(rules.filter(|rule| !in_row(&name, *rule)).map(|rule| format!("{rule}: {name}")));
    }
    assert!(astray.is_empty(), "{astray:#?}");
}
