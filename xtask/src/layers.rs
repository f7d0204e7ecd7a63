//! The crates that must compile without tokio, as cargo resolves them.

use crate::command::cargo_output;

/// What stays free of tokio, as the arguments that select it; each is resolved alone, because features chosen
/// elsewhere in the workspace would blur the answer.
const TOKIO_FREE: &[&[&str]] = &[
    &["-p", "convoke-xmpp"],
    &["-p", "convoke-store"],
    &["-p", "convoke-pubsub"],
    &["-p", "convoke-s2s", "--no-default-features"],
];

/// Fails naming the first crate that has tokio among its dependencies, and how to see through whom.
pub(crate) fn check_tokio_free() -> Result<(), String> {
    TOKIO_FREE.iter().try_for_each(|selection| check(selection))
}

fn check(selection: &[&str]) -> Result<(), String> {
    let selected = selection.join(" ");
    let options = ["tree", "--edges", "normal,no-proc-macro", "--prefix", "none"];
    let tree = cargo_output(&[&options[..], selection].concat())?;
    if let Some(found) = tokio_in(&tree) {
        return Err(format!(
            "`{selected}` depends on {found}; see through whom with `cargo tree {selected} --edges normal --invert {found}`"
        ));
    }
    println!("`{selected}` is free of tokio");
    Ok(())
}

/// The first package of tokio's family in the output of `cargo tree --prefix none`.
fn tokio_in(tree: &str) -> Option<&str> {
    let mut packages = tree.lines().filter_map(|line| line.split_whitespace().next());
    packages.find(|package| *package == "tokio" || package.starts_with("tokio-"))
}

#[cfg(test)]
mod tests {
    use super::tokio_in;

    #[test]
    fn finds_tokio_and_its_family_by_the_name_of_the_package() {
        assert_eq!(tokio_in("convoke-xmpp v0.1.0 (/tokio/xmpp)\nbytes v1.12.1\nnotokio v1.0.0"), None);
        assert_eq!(tokio_in("a v1.0.0\ntokio v1.54.1 (*)"), Some("tokio"));
        assert_eq!(tokio_in("a v1.0.0\ntokio-rustls v0.26.6"), Some("tokio-rustls"));
    }
}
