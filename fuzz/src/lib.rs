//! What must hold whatever bytes come: one body for each fuzz target.
//!
//! A body takes any bytes, never panics on good code, and asserts what is promised about the result. Two runners share
//! the bodies and the corpus in `corpus/<target>/`: the binary of this crate, which mutates by chance on any toolchain,
//! and the libFuzzer wrappers in `libfuzzer/`, which are led by coverage and need a nightly one.

mod addresses;
mod dictionary;
mod header;
mod mutation;
mod negotiation;
mod proofs;
mod pubsub;
mod reader;
mod stanza;

pub use addresses::jid;
pub use dictionary::tokens;
pub use header::header;
pub use mutation::{LONGEST, Mutator};
pub use negotiation::negotiation;
pub use pubsub::pubsub;
pub use reader::reader;
pub use stanza::stanza_round_trip;

use std::path::PathBuf;
use std::{fs, io};

/// One target: its name, which is that of its corpus, and its body.
#[derive(Clone, Copy)]
pub struct Target {
    /// The name.
    pub name: &'static str,
    /// Runs one input; panics when something does not hold.
    pub body: fn(&[u8]),
    /// How many inputs of a cheap target take as long as one of it, about: where mutants are counted, it gets fewer.
    pub cost: u64,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "reader", body: reader, cost: 1 },
    Target { name: "header", body: header, cost: 1 },
    Target { name: "jid", body: jid, cost: 1 },
    Target { name: "stanza_round_trip", body: stanza_round_trip, cost: 1 },
    Target { name: "negotiation", body: negotiation, cost: 1 },
    Target { name: "pubsub", body: pubsub, cost: 10 },
];

impl Target {
    /// The committed inputs, in the order of their names.
    pub fn corpus(&self) -> io::Result<Vec<Vec<u8>>> {
        let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name);
        let mut paths = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        paths.iter().map(fs::read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_holds_over_its_committed_corpus() {
        for target in TARGETS {
            let corpus = target.corpus().unwrap_or_else(|error| panic!("no corpus of {}: {error}", target.name));
            assert!(!corpus.is_empty(), "{} has no inputs", target.name);
            corpus.iter().for_each(|input| (target.body)(input));
        }
    }

    #[test]
    fn the_committed_corpus_stays_small() {
        for target in TARGETS {
            let corpus = target.corpus().unwrap();
            assert!(corpus.len() <= 200, "{} has {} inputs", target.name, corpus.len());
            assert!(corpus.iter().all(|input| input.len() <= LONGEST), "an input of {} is too long", target.name);
        }
    }

    #[test]
    fn every_target_has_its_libfuzzer_wrapper() {
        let wrappers = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/fuzz_targets");
        for target in TARGETS {
            let wrapper = fs::read_to_string(wrappers.join(format!("{}.rs", target.name))).unwrap();
            assert!(wrapper.contains(&format!("convoke_fuzz::{}(data)", target.name)), "{wrapper}");
        }
        assert_eq!(fs::read_dir(wrappers).unwrap().count(), TARGETS.len());
    }
}
