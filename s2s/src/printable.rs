//! What a peer says, as it may stand in errors, logs and bounced stanzas.

/// How many characters of a peer's own words an error tells.
pub(crate) const TOLD_CHARACTERS: usize = 256;

/// The first so many characters of a text of the peer's, each fit for a log line and for XML.
///
/// Quotation marks and backslashes stay as they are: they end nothing there, and what was escaped already stays readable.
pub(crate) fn printable(text: &str, most: usize) -> String {
    text.chars().take(most).fold(String::new(), |mut told, character| {
        match character {
            '\'' | '"' | '\\' => told.push(character),
            other => told.extend(other.escape_debug()),
        }
        told
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_the_peer_s_stays_on_one_line_and_within_its_bound() {
        assert_eq!(printable("the server's \"certificate\", bücher", 99), "the server's \"certificate\", bücher");
        assert_eq!(printable("a\nb\r\tc\u{85}d\u{202e}e\\", 99), "a\\nb\\r\\tc\\u{85}d\\u{202e}e\\");
        assert_eq!(printable("üüü", 2), "üü");
    }
}
