//! Random lives of a service, beside a naive model of what XEP-0060 says of it.
//!
//! A seed makes steps: requests of several people, presence, time, commits that fail, and services that are opened again on
//! their stores. After each of them the service has answered each request once and as the model does, has told nobody
//! anything who has no access, and whoever keeps a view of a node by its notifications sees what is there, or a gap.
//! Steps that end otherwise are made fewer before they are shown.

mod faulty_store;
mod naive;
mod run;
mod step;
mod view;

use std::env;

use step::Step;

/// How many lives are led, unless this variable says otherwise.
const SEEDS: u64 = 120;
const SEEDS_VARIABLE: &str = "CONVOKE_PUBSUB_SEEDS";

/// The steps of one life.
const STEPS: usize = 80;

#[test]
fn a_service_does_what_a_naive_model_does_whatever_comes() {
    let seeds = env::var(SEEDS_VARIABLE).map_or(SEEDS, |number| number.parse().unwrap());
    let (mut accepted, mut told) = (0, 0);
    for seed in 1..=seeds {
        let steps = step::random(seed, STEPS);
        match run::play(&steps) {
            Ok(tally) => {
                accepted += tally.accepted;
                told += tally.told;
            }
            Err(reason) => panic!("seed {seed}: {reason}\n{:#?}", fewer(steps)),
        }
    }
    // Lives in which nothing happens would prove nothing.
    let steps = seeds * STEPS as u64;
    assert!(accepted > steps / 4 && told > steps / 4, "{accepted} requests accepted, {told} events");
}

/// Fewer steps that fail, too, and why: without any one of them they would not.
fn fewer(mut steps: Vec<Step>) -> (Vec<Step>, Option<String>) {
    while let Some(without) = one_less(&steps) {
        steps = without;
    }
    let reason = run::play(&steps).err();
    (steps, reason)
}

fn one_less(steps: &[Step]) -> Option<Vec<Step>> {
    let without = |at| [&steps[..at], &steps[at + 1..]].concat();
    (0..steps.len()).rev().map(without).find(|fewer| run::play(fewer).is_err())
}

/// What the model finds it also finds in a service that does not do what it should.
#[test]
fn a_service_that_forgets_is_seen() {
    let seen = (1..=20).any(|seed| run::play_with_a_forgetful_store(&step::random(seed, STEPS)).is_err());
    assert!(seen);
}
