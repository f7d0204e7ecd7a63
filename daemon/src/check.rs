//! `convoke check`: whether a server keeps the rules of its protocols.

mod error;
mod terms;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use convoke_conformance::{Outcome, Report, Selection, Setup, Verdict, run as check};
use tokio::runtime::Runtime;

use crate::cli::CheckArguments;

pub(crate) use error::CheckError;

/// Checks the server-to-server side of a domain and prints the report.
///
/// Fails with [`CheckError::RulesBroken`] when a rule is broken that MUST be kept.
pub(crate) fn s2s(arguments: &CheckArguments) -> Result<(), CheckError> {
    let runtime = Runtime::new().map_err(CheckError::Runtime)?;
    let report = runtime.block_on(async {
        let setup = terms::setup(arguments).await?;
        checked(setup, arguments).await
    })?;
    let text = if arguments.json { json(&report)? } else { table(&report, arguments.transcripts) };
    io::stdout().write_all(text.as_bytes()).map_err(CheckError::Output)?;
    match report.counts.failed_must {
        0 => Ok(()),
        rules => Err(CheckError::RulesBroken { domain: report.domain, rules }),
    }
}

async fn checked(setup: Setup, arguments: &CheckArguments) -> Result<Report, CheckError> {
    let selection = Selection { only: arguments.only.clone(), short: arguments.short };
    // Whoever watches sees that it goes on; whoever reads a file wants the report alone.
    let watched = io::stderr().is_terminal();
    let progress = |outcome: &Outcome| {
        if watched {
            eprintln!("{:<12} {}", outcome.verdict.word(), outcome.id);
        }
    };
    Ok(check(setup, &selection, progress).await?)
}

fn json(report: &Report) -> Result<String, CheckError> {
    serde_json::to_string_pretty(report).map(|json| json + "\n").map_err(CheckError::Json)
}

/// The table, and if they are wanted the transcripts of what has not passed.
fn table(report: &Report, transcripts: bool) -> String {
    let mut text = report.to_string();
    let told = |outcome: &&Outcome| !matches!(outcome.verdict, Verdict::Passed { .. } | Verdict::Skipped { .. });
    for outcome in report.outcomes.iter().filter(told).filter(|_| transcripts) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{}\n{}", outcome.id, outcome.transcript);
    }
    text
}
