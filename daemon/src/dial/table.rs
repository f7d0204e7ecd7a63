//! The report of a dial, for people.

use std::fmt;

use convoke::s2s::DialReport;
use convoke::s2s::dialer::{Attempt, EvidenceReport, Lookup, StreamReport, TlsReport, Verdict};

use crate::failure::one_line;

/// A report as text: what DNS said, each attempt, what came of it, and what to do about it.
pub(super) struct Table<'a>(pub(super) &'a DialReport);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        writeln!(f, "{}, dialled as {}", report.remote, report.local)?;
        writeln!(f, "\nDNS")?;
        let width = report.lookups.iter().map(|lookup| lookup.name.len()).max().unwrap_or(0);
        for lookup in &report.lookups {
            write_lookup(f, lookup, width)?;
        }
        if report.lookups.is_empty() {
            writeln!(f, "  not asked: the domain is an address")?;
        }
        report.evidence.as_ref().map_or(Ok(()), |evidence| write_evidence(f, evidence))?;
        for (attempt, number) in report.attempts.iter().zip(1..) {
            write_attempt(f, attempt, number)?;
        }
        write_result(f, report)
    }
}

fn write_lookup(f: &mut fmt::Formatter<'_>, lookup: &Lookup, width: usize) -> fmt::Result {
    let Lookup { name, kind, records, fault, milliseconds, .. } = lookup;
    let answers: Vec<String> = match fault {
        Some(fault) => vec![fault.to_string()],
        None if records.is_empty() => vec!["no record".to_owned()],
        None => records.iter().map(ToString::to_string).collect(),
    };
    for (answer, is_first) in answers.iter().zip(std::iter::once(true).chain(std::iter::repeat(false))) {
        let answer = one_line(answer);
        match is_first {
            true => writeln!(f, "  {name:<width$}  {:<4}  {milliseconds:>5} ms  {answer}", kind.as_str())?,
            false => writeln!(f, "  {:<width$}  {:<4}  {:>5}     {answer}", "", "", "")?,
        }
    }
    Ok(())
}

fn write_evidence(f: &mut fmt::Formatter<'_>, evidence: &EvidenceReport) -> fmt::Result {
    let EvidenceReport { tlsa, posh, seconds, fault, .. } = evidence;
    writeln!(f, "\nEvidence")?;
    match fault {
        Some(fault) => row(f, "fault", fault),
        None => {
            row(f, "DANE", &counted(*tlsa, "TLSA record"))?;
            row(f, "POSH", &counted(*posh, "fingerprint"))?;
            row(f, "good for", &format!("{seconds} s"))
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn write_attempt(f: &mut fmt::Formatter<'_>, attempt: &Attempt, number: usize) -> fmt::Result {
    let how = if attempt.target.direct_tls { "direct TLS" } else { "STARTTLS" };
    writeln!(f, "\nAttempt {number}: {}, {how}", one_line(&attempt.target.to_string()))?;
    match attempt.address {
        Some(address) => row(f, "address", &address.to_string())?,
        None => row(f, "address", "none")?,
    }
    row(f, "stage", &format!("{} after {} ms", attempt.stage, attempt.milliseconds))?;
    if let Some(tls) = &attempt.tls {
        write_tls(f, tls)?;
    }
    attempt.fault.as_ref().map_or(Ok(()), |fault| row(f, "fault", &fault.to_string()))
}

fn write_tls(f: &mut fmt::Formatter<'_>, tls: &TlsReport) -> fmt::Result {
    let alpn = tls.alpn.as_ref().map(|alpn| format!(", ALPN {alpn}")).unwrap_or_default();
    row(f, "TLS", &format!("{}{alpn}", tls.version))?;
    match &tls.certificate {
        Verdict::Proved(kind) => row(f, "certificate", &format!("proves the domain by its {kind}")),
        Verdict::Refused(error) => row(f, "certificate", &format!("refused: {error}")),
        _ => Ok(()),
    }
}

fn write_result(f: &mut fmt::Formatter<'_>, report: &DialReport) -> fmt::Result {
    writeln!(f)?;
    match (&report.established, &report.fault) {
        (Some(stream), _) => {
            writeln!(f, "Established in {} ms: {}.", report.milliseconds, offers(stream))
        }
        (None, Some(fault)) => {
            writeln!(f, "Not established, {} after {} ms.", fault.code, report.milliseconds)?;
            writeln!(f, "{}", fault.code.remedy())
        }
        (None, None) => Ok(()),
    }
}

fn offers(stream: &StreamReport) -> String {
    let StreamReport { bidi, stream_management, dialback, max_bytes, .. } = stream;
    let yes = |yes: &bool| if *yes { "yes" } else { "no" };
    let bytes = max_bytes.map_or_else(|| "not told".to_owned(), |bytes| format!("{bytes} bytes"));
    format!(
        "both directions {}, acknowledgements {}, further domains {}, largest stanza {bytes}",
        yes(bidi),
        yes(stream_management),
        yes(dialback),
    )
}

/// What comes from a peer may hold anything.
fn row(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {name:<12}{}", one_line(value))
}
