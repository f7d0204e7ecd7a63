//! When a certificate is in force (RFC 5280, section 4.1.2.5; rule 56).

use std::time::{Duration, SystemTime};

use convoke_s2s::identity::NameKind::Dns;

use crate::forge::{Authority, DAY, usual};
use crate::judge::{Row, assert_rows};

#[tokio::test]
async fn a_certificate_is_in_force_between_its_two_times() {
    let root = Authority::root("Root");
    let now = SystemTime::now();
    let minute = Duration::from_secs(60);
    let year_9999 = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let year_2049 = SystemTime::UNIX_EPOCH + Duration::from_secs(2_524_607_999);
    let rows = [
        ("for a month", now - DAY, now + 30 * DAY, Ok(Dns)),
        ("since a second and for a minute", now - Duration::from_secs(1), now + minute, Ok(Dns)),
        ("until the end of two-digit years", now - DAY, year_2049, Ok(Dns)),
        ("until the first four-digit year", now - DAY, year_2049 + Duration::from_secs(1), Ok(Dns)),
        ("without a well-defined end", now - DAY, year_9999, Ok(Dns)),
        ("since 1970", SystemTime::UNIX_EPOCH, now + DAY, Ok(Dns)),
        ("until yesterday", now - 2 * DAY, now - DAY, Err("expired")),
        ("until a second ago", now - DAY, now - Duration::from_secs(2), Err("expired")),
        (
            "for one second in 1970",
            SystemTime::UNIX_EPOCH,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1),
            Err("expired"),
        ),
        ("from tomorrow on", now + DAY, now + 2 * DAY, Err("not-yet-valid")),
        ("from an hour on", now + 60 * minute, now + DAY, Err("not-yet-valid")),
        ("from 2050 on", year_2049 + Duration::from_secs(1), year_9999, Err("not-yet-valid")),
        ("never, for it ends before it begins", now + DAY, now - DAY, Err("path")),
    ];
    let row = |(title, not_before, not_after, expected): (_, SystemTime, SystemTime, _)| {
        let params = usual(|params| (params.not_before, params.not_after) = (not_before.into(), not_after.into()));
        Row::new(title, root.issue(&params), root.trust(), expected)
    };
    assert_rows(rows.into_iter().map(row).collect()).await;
}

/// An intermediate is judged as the certificate itself is; of a root only the key and the name count
/// (RFC 5280, section 6.1.1).
#[tokio::test]
async fn so_is_each_certificate_of_its_path() {
    let root = Authority::root("Root");
    let now = SystemTime::now();
    let between = |not_before: SystemTime, not_after: SystemTime| {
        root.below("Intermediate", |params| {
            (params.not_before, params.not_after) = (not_before.into(), not_after.into());
        })
    };
    let expired = between(now - 2 * DAY, now - DAY);
    let early = between(now + DAY, now + 2 * DAY);
    let short = between(now - DAY, now + DAY);
    let old = Authority::root_with("Old root", |params| {
        (params.not_before, params.not_after) = ((now - 2 * DAY).into(), (now - DAY).into());
    });
    assert_rows(vec![
        Row::new(
            "an intermediate until yesterday",
            expired.issue_usual().with([&expired]),
            root.trust(),
            Err("expired"),
        ),
        Row::new(
            "an intermediate from tomorrow on",
            early.issue_usual().with([&early]),
            root.trust(),
            Err("not-yet-valid"),
        ),
        Row::new(
            "an intermediate that ends before the certificate",
            short.issue_usual().with([&short]),
            root.trust(),
            Ok(Dns),
        ),
        Row::new("a root until yesterday", old.issue_usual(), old.trust(), Ok(Dns)),
    ])
    .await;
}
