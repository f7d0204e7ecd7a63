//! Characters, names, references and escaping (XML 1.0; Namespaces in XML).

use std::borrow::Cow;

use super::ReadError;
use super::names::{is_name_char, is_name_start};

/// Whether XML 1.0 allows this character at all (production 2).
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The text of these bytes, unless they are no UTF-8 or hold a character outside production 2.
pub(super) fn check_characters(bytes: &[u8]) -> Result<&str, ReadError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ReadError::UnsupportedEncoding)?;
    // Without branches, so that the compiler looks at many bytes at a time.
    let is_control = |b: u8| (b < 0x20) & (b != b'\t') & (b != b'\n') & (b != b'\r');
    if bytes.iter().fold(false, |found, &b| found | is_control(b)) {
        return Err(ReadError::NotWellFormed("a control character"));
    }
    // U+FFFE and U+FFFF are EF BF BE and EF BF BF; EF alone is common in other scripts.
    let is_noncharacter = |at: usize| matches!(bytes.get(at + 1..at + 3), Some([0xbf, 0xbe | 0xbf]));
    if memchr::memchr_iter(0xef, bytes).any(is_noncharacter) {
        return Err(ReadError::NotWellFormed("a noncharacter"));
    }
    Ok(text)
}

/// Whether this is a name without a colon (Namespaces in XML, production 4).
pub(super) fn is_ncname(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_char)
}

/// The character that the reference between `&` and `;` stands for.
pub(super) fn resolve_reference(name: &str) -> Result<char, ReadError> {
    match name {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => match name.strip_prefix('#') {
            Some(number) => resolve_number(number).ok_or(ReadError::NotWellFormed("a bad character reference")),
            None => Err(ReadError::RestrictedXml("an entity reference")),
        },
    }
}

fn resolve_number(number: &str) -> Option<char> {
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // from_str_radix would take a sign.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok().and_then(char::from_u32).filter(|&c| is_xml_char(c))
}

/// The value of an attribute: references resolved, white space normalised (XML 1.0, section 3.3.3).
pub(crate) fn attribute_value(raw: &str) -> Result<Cow<'_, str>, ReadError> {
    if !raw.contains(['&', '\t', '\n', '\r']) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        value.push_str(&rest[..at]);
        rest = take_special(&rest[at..], &mut value)?;
    }
    value.push_str(rest);
    Ok(Cow::Owned(value))
}

/// Takes one reference or white-space character from the front and gives what is behind it.
fn take_special<'a>(rest: &'a str, value: &mut String) -> Result<&'a str, ReadError> {
    if let Some(reference) = rest.strip_prefix('&') {
        let end = reference.find(';').ok_or(ReadError::NotWellFormed("a bare '&'"))?;
        value.push(resolve_reference(&reference[..end])?);
        return Ok(&reference[end + 1..]);
    }
    value.push(' ');
    Ok(rest.strip_prefix("\r\n").unwrap_or(&rest[1..]))
}

/// Appends text so that it may stand in content and between single quotes alike.
pub(crate) fn escape_into(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '\'', '\t', '\n', '\r']) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'\'' => "&apos;",
            // As they stand, a reader would turn them into spaces in attributes and into newlines in text.
            b'\t' => "&#9;",
            b'\n' => "&#10;",
            _ => "&#13;",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_reads_back_the_same() {
        let text = "a<b>&'\"\t\r\nü";
        let mut escaped = String::new();
        escape_into(&mut escaped, text);
        assert_eq!(attribute_value(&escaped).unwrap(), text);
    }

    #[test]
    fn refuses_references_to_forbidden_characters_and_entities() {
        for name in ["#0", "#1", "#xD800", "#xFFFE", "#", "#x", "#+9", "#x110000"] {
            assert!(resolve_reference(name).is_err(), "{name}");
        }
        assert!(matches!(resolve_reference("nbsp"), Err(ReadError::RestrictedXml(_))));
        assert_eq!(resolve_reference("#x1F600").unwrap(), '😀');
    }

    #[test]
    fn refuses_invalid_names() {
        for name in ["", "1a", "-a", "a$b", "a:b", "a b", "\u{b7}a", "a\u{d7}"] {
            assert!(!is_ncname(name), "{name:?}");
        }
        assert!(is_ncname("features") && is_ncname("éa·") && is_ncname("_-.9"));
    }
}
