//! The committed corpus: real first-level elements, one in each file of `corpus/`.

use std::fs;
use std::path::Path;

/// Their texts, in the order of their names.
pub(crate) fn texts() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = fs::read_dir(&folder).unwrap_or_else(|cause| panic!("cannot read {}: {cause}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
    paths.sort();
    assert!(paths.len() >= 60, "the corpus is incomplete: {} files", paths.len());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}
