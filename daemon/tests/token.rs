use std::fs;

use crate::support::convoke;

#[test]
fn prints_the_token_once_and_keeps_its_hash() {
    let directory = tempfile::tempdir().unwrap();
    let added = convoke(directory.path(), &["token", "add", "laptop", "--scope", "stanza:send"]);
    assert_eq!((added.code, added.stdout.lines().count(), added.stderr.as_str()), (0, 1, ""), "{added:?}");
    let secret = added.stdout.trim_end().rsplit('_').next().unwrap().to_owned();
    let file = fs::read_to_string(directory.path().join("gateway-tokens.toml")).unwrap();
    assert!(file.contains("laptop") && file.contains("stanza:send") && !file.contains(&secret), "{file}");
    let other =
        convoke(directory.path(), &["token", "add", "phone", "--scope", "events:read", "--tokens", "other.toml"]);
    assert_eq!(other.code, 0, "{other:?}");
    assert!(fs::read_to_string(directory.path().join("other.toml")).unwrap().contains("phone"));
}

#[test]
fn says_what_is_wrong_with_a_name_or_a_scope() {
    let directory = tempfile::tempdir().unwrap();
    let first = convoke(directory.path(), &["token", "add", "laptop", "--scope", "stanza:send"]);
    assert_eq!(first.code, 0, "{first:?}");
    for (arguments, words) in [
        (["laptop", "--scope", "stanza:send"], "there is a token named \"laptop\" already"),
        (["Lap top", "--scope", "stanza:send"], "a name has 1 to 64 characters"),
        (["phone", "--scope", "stanza"], "there is no scope \"stanza\"; use stanza:send, events:read or service:admin"),
    ] {
        let refused = convoke(directory.path(), &[&["token", "add"], &arguments[..]].concat());
        assert_eq!((refused.code, refused.stderr.lines().count()), (2, 1), "{refused:?}");
        assert!(refused.stderr.contains(words) && refused.stdout.is_empty(), "{refused:?}");
    }
}
