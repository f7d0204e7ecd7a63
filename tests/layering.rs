//! The arrows of the house: which crate may import which, read from the manifests.
//!
//! A new crate needs a row here, and so a decision.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// Each crate and the crates below it that it may import, from the ground up.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("convoke-xmpp", &[]),
    ("convoke-store", &[]),
    ("convoke-net", &["convoke-xmpp"]),
    ("convoke-pubsub", &["convoke-xmpp", "convoke-store"]),
    ("convoke-s2s", &["convoke-xmpp", "convoke-net"]),
    ("convoke-c2s", &["convoke-xmpp", "convoke-net", "convoke-store"]),
    ("convoke-cluster", &["convoke-xmpp", "convoke-net"]),
    ("convoke-gateways", &["convoke-xmpp", "convoke-net", "convoke-store"]),
    // It opens sockets and speaks TLS itself: what it says is no negotiation that net's driver could perform.
    ("convoke-conformance", &["convoke-xmpp", "convoke-net", "convoke-s2s"]),
    (
        "convoke",
        &[
            "convoke-xmpp",
            "convoke-store",
            "convoke-net",
            "convoke-pubsub",
            "convoke-s2s",
            "convoke-c2s",
            "convoke-cluster",
            "convoke-gateways",
        ],
    ),
    ("convoke-dev", &[]),
    ("convoke-counting-allocator", &[]),
    ("convoke-daemon", &["convoke", "convoke-conformance", "convoke-dev"]),
    ("convoke-fuzz", &["convoke-xmpp", "convoke-store", "convoke-pubsub", "convoke-s2s"]),
    (SIMULATION, &["convoke-xmpp", "convoke-net", "convoke-s2s"]),
    (BENCHES, &["convoke-xmpp", "convoke-net", "convoke-s2s", "convoke", "convoke-dev", "convoke-counting-allocator"]),
    ("xtask", &[]),
];

/// What every crate may import for its tests, besides what it may import anyway.
const FOR_TESTS: [&str; 3] = ["convoke-dev", "convoke-conformance", UNSAFE];

/// The one crate with unsafe code that others import: a global allocator cannot be written without.
const UNSAFE: &str = "convoke-counting-allocator";

/// The simulation: what stands in for the operating system's random numbers is known to the program by its linker name.
const SIMULATION: &str = "convoke-simulation";

/// The benchmarks: to measure a C library beside ours it has to be called, and CPU clocks are foreign functions too.
const BENCHES: &str = "convoke-benches";

/// The tables of a manifest in which dependencies are named.
const IMPORTS: [&str; 2] = ["dependencies", "build-dependencies"];
const TEST_IMPORTS: [&str; 1] = ["dev-dependencies"];

/// A manifest of the workspace.
struct Manifest {
    path: PathBuf,
    table: Table,
}

impl Manifest {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        let table = text.parse().unwrap_or_else(|error| panic!("{} is not TOML: {error}", path.display()));
        Self { path, table }
    }

    fn name(&self) -> &str {
        self.table["package"]["name"].as_str().unwrap()
    }

    /// The workspace's own crates named in these tables, also in those of one platform alone.
    fn imports(&self, kinds: &[&str], own: &BTreeSet<String>) -> BTreeSet<String> {
        let platforms = self.table.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
        let places = platforms.filter_map(Value::as_table).chain([&self.table]);
        let tables = places.flat_map(|place| kinds.iter().filter_map(|kind| place.get(*kind)?.as_table()));
        tables.flatten().map(|(key, value)| package(key, value)).filter(|name| own.contains(name)).collect()
    }
}

/// The package behind a dependency: its key, unless it is renamed.
fn package(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

fn root() -> Manifest {
    Manifest::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
}

fn members() -> Vec<Manifest> {
    let root = root();
    let members = root.table["workspace"]["members"].as_array().unwrap().iter().map(|member| member.as_str().unwrap());
    let directory = root.path.parent().unwrap();
    members.map(|member| Manifest::read(directory.join(member).join("Cargo.toml"))).collect()
}

fn names(members: &[Manifest]) -> BTreeSet<String> {
    members.iter().map(|member| member.name().to_owned()).collect()
}

/// The arrows of this manifest that are not allowed, each in words.
fn wrong_arrows(manifest: &Manifest, own: &BTreeSet<String>) -> Vec<String> {
    let below = below(manifest.name());
    let product = manifest.imports(&IMPORTS, own).into_iter().filter(|import| !below.contains(&import.as_str()));
    let tests = manifest.imports(&TEST_IMPORTS, own).into_iter();
    let tests = tests.filter(|import| !FOR_TESTS.contains(&import.as_str()) && !below.contains(&import.as_str()));
    let product = product.map(|import| format!("{} -> {import}", manifest.name()));
    product.chain(tests.map(|import| format!("tests of {} -> {import}", manifest.name()))).collect()
}

fn below(name: &str) -> &'static [&'static str] {
    let row = MAY_IMPORT.iter().find(|row| row.0 == name);
    row.unwrap_or_else(|| panic!("{name} has no row in tests/layering.rs")).1
}

#[test]
fn every_crate_imports_only_what_is_below_it_and_tests_the_rehearsal_crate_too() {
    let members = members();
    let own = names(&members);
    let wrong: Vec<_> = members.iter().flat_map(|member| wrong_arrows(member, &own)).collect();
    assert!(wrong.is_empty(), "these arrows are not allowed: {wrong:#?}");
}

#[test]
fn a_wrong_arrow_is_found_however_it_is_written() {
    let own = ["convoke-xmpp", "convoke-net", "convoke-store", "convoke-dev"].map(str::to_owned).into();
    let manifest = r#"
        package.name = "convoke-store"
        dependencies.convoke-net.workspace = true
        dependencies.harmless = { package = "convoke-xmpp", path = "../xmpp" }
        dev-dependencies.convoke-dev.workspace = true
        dev-dependencies.convoke-xmpp.workspace = true
        build-dependencies.redb = "4"
        target."cfg(unix)".build-dependencies.convoke-dev.workspace = true
    "#;
    let manifest = Manifest { path: PathBuf::new(), table: manifest.parse().unwrap() };
    let wrong = ["net", "xmpp", "dev"].map(|import| format!("convoke-store -> convoke-{import}"));
    let mut expected: Vec<_> = wrong.into_iter().chain(["tests of convoke-store -> convoke-xmpp".to_owned()]).collect();
    expected.sort();
    let mut found = wrong_arrows(&manifest, &own);
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn arrows_point_down_only() {
    // Each row names only crates of rows above it: so there can be no cycle.
    let mut above = BTreeSet::new();
    for (name, below) in MAY_IMPORT {
        for import in *below {
            assert!(above.contains(import), "{name} -> {import} does not point down");
        }
        assert!(above.insert(name), "{name} has two rows");
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for member in members().iter().filter(|member| ![UNSAFE, SIMULATION, BENCHES].contains(&member.name())) {
        let lints = member.table.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
        assert_eq!(lints, Some(true), "{} lacks `[lints] workspace = true`", member.path.display());
    }
}

#[test]
fn the_workspace_forbids_unsafe_code() {
    let root = root();
    let lint = root.table["workspace"]["lints"]["rust"].get("unsafe_code");
    assert_eq!(lint.and_then(Value::as_str), Some("forbid"));
}

#[test]
fn crates_with_unsafe_code_are_never_shipped() {
    let members = members();
    let own = names(&members);
    for unshipped in members.iter().filter(|member| [UNSAFE, SIMULATION, BENCHES].contains(&member.name())) {
        assert_eq!(unshipped.table["package"].get("publish").and_then(Value::as_bool), Some(false));
    }
    for member in members.iter().filter(|member| member.name() != BENCHES) {
        assert!(!member.imports(&IMPORTS, &own).contains(UNSAFE), "{} ships unsafe code", member.name());
    }
}

#[test]
fn every_folder_with_a_manifest_is_a_member() {
    let root = root();
    let directory = root.path.parent().unwrap();
    let members: BTreeSet<_> = members().iter().map(|member| member.path.canonicalize().unwrap()).collect();
    let folders = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path().join("Cargo.toml"));
    for manifest in folders.filter(|manifest| manifest.is_file()) {
        assert!(members.contains(&manifest.canonicalize().unwrap()), "{} is not in the workspace", manifest.display());
    }
}
