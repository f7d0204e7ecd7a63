use std::fs;

use crate::support::convoke;

#[test]
fn says_what_it_wrote_and_keeps_the_authority_on_a_second_run() {
    let directory = tempfile::tempdir().unwrap();
    let first = convoke(directory.path(), &["certs", "--out", "certs", "a.example", "b.example"]);
    assert_eq!(
        (first.code, first.stdout.as_str(), first.stderr.as_str()),
        (
            0,
            "wrote certs/ca.pem and certs/ca.key (the authority)\n\
             wrote certs/a.example.pem and certs/a.example.key\n\
             wrote certs/b.example.pem and certs/b.example.key\n",
            ""
        )
    );
    let authority = fs::read(directory.path().join("certs/ca.pem")).unwrap();
    let second = convoke(directory.path(), &["certs", "--out", "certs", "--xmpp-addr", "c.example"]);
    assert!(second.stdout.starts_with("kept certs/ca.pem"), "{second:?}");
    assert_eq!(fs::read(directory.path().join("certs/ca.pem")).unwrap(), authority);
}

#[test]
fn refuses_a_name_that_is_none_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let refused = convoke(directory.path(), &["certs", "--out", "certs", "a.example", "../b"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("use a domain name such as volunteers.example"), "{refused:?}");
    assert!(!directory.path().join("certs").exists());
}

#[test]
fn half_an_authority_is_an_error_and_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("ca.pem"), "half").unwrap();
    let failed = convoke(directory.path(), &["certs", "--out", ".", "a.example"]);
    assert_eq!((failed.code, failed.stderr.lines().count()), (1, 1), "{failed:?}");
    assert_eq!(fs::read(directory.path().join("ca.pem")).unwrap(), b"half");
}
