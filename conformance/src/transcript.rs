//! What was said and heard in one case, for people to read.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// The longest transcript, in bytes; what comes later is left out.
const LONGEST: usize = 24 * 1024;

/// The longest piece of it, in bytes; the middle of a longer one is left out.
const LONGEST_PIECE: usize = 1500;

/// The transcript of a case, shared by its connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transcript(Arc<Mutex<String>>);

impl Transcript {
    /// Something that was said.
    pub(crate) fn sent(&self, bytes: &[u8]) {
        self.line("->", &piece(bytes));
    }

    /// Something that was heard.
    pub(crate) fn received(&self, bytes: &[u8]) {
        self.line("<-", &piece(bytes));
    }

    /// Something that happened.
    pub(crate) fn note(&self, text: &str) {
        self.line("--", text);
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn line(&self, mark: &str, text: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < LONGEST {
            // Writing to a String cannot fail.
            let _ = writeln!(lines, "{mark} {text}");
        }
    }
}

/// Bytes as text in one line: what is no UTF-8 is replaced, control characters are escaped.
fn piece(bytes: &[u8]) -> String {
    let escaped = |bytes: &[u8]| -> String {
        let text = String::from_utf8_lossy(bytes);
        text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
    };
    if bytes.len() <= LONGEST_PIECE {
        return escaped(bytes);
    }
    let (head, tail) = (&bytes[..LONGEST_PIECE / 2], &bytes[bytes.len() - LONGEST_PIECE / 2..]);
    format!("{} [... {} bytes in all ...] {}", escaped(head), bytes.len(), escaped(tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_said_and_heard_in_order_and_without_control_characters() {
        let transcript = Transcript::default();
        transcript.sent(b"<a>\n");
        transcript.received(b"\xff\x1b");
        transcript.note("closed");
        assert_eq!(transcript.text(), "-> <a>\\n\n<- \u{fffd}\\u{1b}\n-- closed\n");
    }

    #[test]
    fn a_flood_stays_readable() {
        let transcript = Transcript::default();
        for _ in 0..100 {
            transcript.sent(&[b'x'; 100_000]);
        }
        assert!(transcript.text().len() < LONGEST + 2 * LONGEST_PIECE);
        assert!(transcript.text().contains("[... 100000 bytes in all ...]"));
    }
}
