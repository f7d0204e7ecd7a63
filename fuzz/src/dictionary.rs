//! The words of XMPP, in libFuzzer's dictionary format, for both runners.

/// The committed dictionary.
const DICTIONARY: &str = include_str!("../xmpp.dict");

/// Every token of the dictionary, as bytes.
pub fn tokens() -> Vec<Vec<u8>> {
    let lines = DICTIONARY.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.strip_prefix('"')?.strip_suffix('"')).map(unescaped).collect()
}

/// Resolves `\\`, `\"` and `\xNN`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let escaped = if byte == b'\\' { bytes.next() } else { None };
        match escaped {
            Some(b'x') => out.push(hexadecimal(bytes.next()) << 4 | hexadecimal(bytes.next())),
            Some(other) => out.push(other),
            None => out.push(byte),
        }
    }
    out
}

fn hexadecimal(digit: Option<u8>) -> u8 {
    digit.and_then(|digit| char::from(digit).to_digit(16)).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_but_comments_is_a_token() {
        let lines = DICTIONARY.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert_eq!(tokens().len(), lines);
        assert!(tokens().iter().all(|token| !token.is_empty()));
    }

    #[test]
    fn escapes_are_resolved() {
        assert_eq!(unescaped(r#"a\"\\\xff\x0Ab"#), b"a\"\\\xff\nb");
    }
}
