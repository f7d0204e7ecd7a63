//! `cargo xtask kill`: the campaign of kills that the tests run too, as long as one likes.

use crate::command::cargo_with;

/// The name of the campaign among the tests of publish-subscribe.
const TEST: &str = "store::campaign::nothing_acknowledged_is_lost_and_nothing_else_is_there_after_a_kill";

/// How often, and by which random numbers.
#[derive(clap::Args)]
pub(crate) struct Campaign {
    /// How many kills.
    #[arg(long, default_value_t = 200)]
    kills: u64,
    /// What the moments of the kills are derived from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs the campaign and shows what it found.
pub(crate) fn run(campaign: &Campaign) -> Result<(), String> {
    let given = format!("{},{}", campaign.seed, campaign.kills);
    let test = ["test", "--package", "convoke-pubsub", "--test", "pubsub", "--", "--exact", TEST, "--nocapture"];
    cargo_with(&test, &[("KILLS", &given)])
}
