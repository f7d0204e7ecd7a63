//! Durations as XML Schema writes them, `PT1M30.5S` (XEP-0082 refers to it), as far as leases need them.

use std::time::Duration;

/// Writes whole and fractional seconds: `PT0.25S`.
pub(crate) fn format(duration: Duration) -> String {
    let millis = duration.subsec_millis();
    if millis == 0 {
        return format!("PT{}S", duration.as_secs());
    }
    format!("PT{}.{millis:03}S", duration.as_secs())
}

/// The same, never less than the duration: who waits so long comes no moment too early.
pub(super) fn format_at_least(duration: Duration) -> String {
    const ALMOST_A_MILLISECOND: Duration = Duration::from_nanos(999_999);
    format(duration.saturating_add(ALMOST_A_MILLISECOND))
}

/// Reads days, hours, minutes and seconds; years and months have no fixed length and are refused, as are signs.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = rest.split_once('T').unwrap_or((rest, ""));
    if (date.is_empty() && time.is_empty()) || (time.is_empty() && rest.contains('T')) {
        return None;
    }
    let seconds = fields(date, &[('D', 86_400.0)])? + fields(time, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Adds up number-and-letter pairs whose letters come in this order.
fn fields(mut text: &str, mut units: &[(char, f64)]) -> Option<f64> {
    let mut sum = 0.0;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let letter = text[end..].chars().next()?;
        let at = units.iter().position(|(unit, _)| *unit == letter)?;
        if text[..end].contains('.') && letter != 'S' {
            return None;
        }
        sum += text[..end].parse::<f64>().ok()? * units[at].1;
        units = &units[at + 1..];
        text = &text[end + 1..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for millis in [0, 250, 1000, 60_000, 90_500] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&format(duration)), Some(duration));
        }
    }

    #[test]
    fn a_pause_is_never_written_shorter_than_it_is() {
        let written = [0, 1, 999_999, 1_000_000, 1_000_001].map(|nanos| format_at_least(Duration::from_nanos(nanos)));
        assert_eq!(written, ["PT0S", "PT0.001S", "PT0.001S", "PT0.001S", "PT0.002S"]);
    }

    #[test]
    fn reads_the_forms_of_xml_schema_and_refuses_others() {
        assert_eq!(parse("P1DT2H3M4.5S"), Some(Duration::from_secs_f64(86_400.0 + 7_200.0 + 180.0 + 4.5)));
        for bad in ["", "P", "PT", "60", "PT60", "P1Y", "-PT1S", "PT1S1H", "PT1.5H", "PT.S", "PTxS", "PT1e9S", "P1DT"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
