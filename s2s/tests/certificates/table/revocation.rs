//! Which certificates were revoked (RFC 5280, section 5; rule 56).

use std::time::SystemTime;

use convoke_s2s::identity::NameKind::Dns;

use crate::forge::{AUTHORITY_SERIAL, Authority, DAY, SERIAL};
use crate::judge::{Row, assert_rows};

#[tokio::test]
async fn refuses_what_was_revoked_and_believes_no_expired_list() {
    let (root, other, namesake) = (Authority::root("Root"), Authority::root("Other"), Authority::root("Root"));
    let (ahead, behind) = (SystemTime::now() + DAY, SystemTime::now() - DAY);
    let list = |serials: &[u64]| root.revoke(serials, ahead);
    let rows = [
        ("no list", vec![], Ok(Dns)),
        ("an empty list", vec![list(&[])], Ok(Dns)),
        ("a list of others", vec![list(&[SERIAL - 1, SERIAL + 1])], Ok(Dns)),
        ("a list of another authority", vec![other.revoke(&[SERIAL], ahead)], Ok(Dns)),
        ("a list of another authority that has expired", vec![other.revoke(&[SERIAL], behind)], Ok(Dns)),
        ("a list with it", vec![list(&[SERIAL])], Err("revoked")),
        ("a list with it among others", vec![list(&[1, 2, 3, SERIAL, 8])], Err("revoked")),
        ("a list with it behind another authority's", vec![other.revoke(&[], ahead), list(&[SERIAL])], Err("revoked")),
        ("a list that has expired", vec![root.revoke(&[], behind)], Err("revocation-list-expired")),
        ("a list with it that has expired", vec![root.revoke(&[SERIAL], behind)], Err("revocation-list-expired")),
        ("a list that a namesake has signed", vec![namesake.revoke(&[], ahead)], Err("revocation-list")),
    ];
    let row = |(title, lists, expected)| Row::new(title, root.issue_usual(), root.anchors_with(lists), expected);
    assert_rows(rows.into_iter().map(row).collect()).await;
}

#[tokio::test]
async fn the_whole_path_is_looked_up() {
    let root = Authority::root("Root");
    let intermediate = root.below("Intermediate", |_| {});
    let ahead = SystemTime::now() + DAY;
    let shown = || intermediate.issue_usual().with([&intermediate]);
    let rows = [
        ("the intermediate is revoked", vec![root.revoke(&[AUTHORITY_SERIAL], ahead)], Err("revoked")),
        ("the certificate is revoked", vec![intermediate.revoke(&[SERIAL], ahead)], Err("revoked")),
        ("neither of them is", vec![root.revoke(&[1], ahead), intermediate.revoke(&[2], ahead)], Ok(Dns)),
        ("the root's list has the certificate's number", vec![root.revoke(&[SERIAL], ahead)], Ok(Dns)),
        (
            "the root's list has expired",
            vec![root.revoke(&[], SystemTime::now() - DAY)],
            Err("revocation-list-expired"),
        ),
    ];
    let row = |(title, lists, expected)| Row::new(title, shown(), root.anchors_with(lists), expected);
    assert_rows(rows.into_iter().map(row).collect()).await;
}
