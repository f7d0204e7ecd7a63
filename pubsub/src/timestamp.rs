//! Moments as XMPP writes them (XEP-0082).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

/// Writes a moment in UTC, to the second or, where it has them, to the millisecond.
///
/// What is before 1970 or beyond the year 9999, as a clock or a file may say that is wrong, is written as the nearest
/// moment that can be.
pub(crate) fn format(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let whole =
        i64::try_from(since.as_secs()).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let utc = whole.and_then(|utc| utc.replace_nanosecond(since.subsec_nanos()).ok());
    let utc = utc.unwrap_or(PrimitiveDateTime::MAX.assume_utc());
    let (hour, minute, second, milli) = utc.to_hms_milli();
    let fraction = if milli == 0 { String::new() } else { format!(".{milli:03}") };
    let (year, month, day) = (utc.year(), u8::from(utc.month()), utc.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Reads `CCYY-MM-DDThh:mm:ss[.sss]TZD`; `None` for anything else, and for what is before 1970 or beyond the year 9999.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let (time, zone) = rest.strip_prefix('T')?.split_at_checked(8)?;
    let (fraction, zone) = split_fraction(zone)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let date = Date::from_calendar_date(i32::from(year), month_of(month)?, u8::try_from(day).ok()?).ok()?;
    let time = Time::from_hms(u8::try_from(hour).ok()?, u8::try_from(minute).ok()?, u8::try_from(second).ok()?).ok()?;
    let utc = PrimitiveDateTime::new(date, time).assume_offset(offset(zone)?).checked_to_offset(UtcOffset::UTC)?;
    let seconds = utc.unix_timestamp();
    UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(seconds).ok()?))?.checked_add(fraction)
}

fn month_of(number: u16) -> Option<Month> {
    Month::try_from(u8::try_from(number).ok()?).ok()
}

/// Three numbers of so many digits each.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u16; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The fraction of a second, and what is behind it.
fn split_fraction(text: &str) -> Option<(Duration, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((Duration::ZERO, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
    let (digits, zone) = rest.split_at(end);
    // What is finer would be lost when it is written.
    let milliseconds = format!("{:0<3}", &digits[..end.min(3)]).parse().ok()?;
    Some((Duration::from_millis(milliseconds), zone))
}

fn offset(zone: &str) -> Option<UtcOffset> {
    if zone == "Z" {
        return Some(UtcOffset::UTC);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hours, minutes, _] = numbers(&format!("{}:00", zone.get(1..)?), ':', [2, 2, 2])?;
    UtcOffset::from_hms(sign * i8::try_from(hours).ok()?, sign * i8::try_from(minutes).ok()?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<f64> {
        parse(text).map(|moment| moment.duration_since(UNIX_EPOCH).unwrap().as_secs_f64())
    }

    /// XEP-0082, section 3.2.
    #[test]
    fn a_moment_is_read_in_every_form_of_the_standard() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0.0),
            ("1969-07-21T02:56:15Z", f64::NAN),
            ("2006-02-28T11:59:59Z", 1_141_127_999.0),
            ("2006-02-28T11:59:59.25Z", 1_141_127_999.25),
            ("2006-02-28T11:59:59.2509Z", 1_141_127_999.25),
            ("2006-02-28T05:59:59-06:00", 1_141_127_999.0),
            ("2006-02-28T12:29:59+00:30", 1_141_127_999.0),
        ] {
            let read = seconds(text).unwrap_or(f64::NAN);
            assert!(read == expected || (read.is_nan() && expected.is_nan()), "{text}: {read}");
        }
    }

    #[test]
    fn anything_else_is_no_moment() {
        for text in [
            "",
            "presence",
            "2006-02-28",
            "2006-02-28T11:59:59",
            "2006-02-30T11:59:59Z",
            "2006-02-28T24:00:00Z",
            "2006-2-28T11:59:59Z",
            "2006-02-28T11:59:59.Z",
            "2006-02-28T11:59:59+1:00",
            "2006-02-28T11:59:59Zulu",
            "ä006-02-28T11:59:59Z",
            "2006-02-28T11:59:59.é",
            "99999-01-01T00:00:00Z",
            "2006-02-28T11:59:59+99:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for millis in [0, 1_141_127_999_000, 1_141_127_999_007, 4_102_444_800_000] {
            let moment = UNIX_EPOCH + Duration::from_millis(millis);
            assert_eq!(parse(&format(moment)), Some(moment));
        }
        assert_eq!(format(UNIX_EPOCH + Duration::from_millis(1_141_127_999_250)), "2006-02-28T11:59:59.250Z");
    }

    #[test]
    fn the_ends_of_time_are_no_faults() {
        assert_eq!(parse("9999-12-31T23:59:59-23:59"), None, "that is the year 10000");
        let last = parse("9999-12-31T23:59:59Z").unwrap();
        assert_eq!(format(last), "9999-12-31T23:59:59Z");
        assert_eq!(format(last + Duration::from_secs(1)), "9999-12-31T23:59:59.999Z");
        assert_eq!(format(UNIX_EPOCH + Duration::from_micros(u64::MAX)), "9999-12-31T23:59:59.999Z");
        assert_eq!(format(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
    }
}
