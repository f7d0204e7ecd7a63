//! The pieces of a tag: names, values, references, text. Each step says where it stopped, or that the bytes end.

use memchr::{memchr, memchr2, memmem};

use super::{Name, Span, Value};
use crate::xml::ReadError;
use crate::xml::characters::{attribute_value, is_ncname, resolve_reference};

/// Why a step came to no end.
pub(super) enum Stop {
    /// The text ends within the element.
    Incomplete,
    Fault(ReadError),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Fault(error)
    }
}

pub(super) type Step<T> = Result<T, Stop>;

const NAME_START: u8 = 1;
const NAME: u8 = 2;
const SPACE: u8 = 4;
/// What ends a run of ordinary characters in an attribute value.
const VALUE_STOP: u8 = 8;

/// The classes of ASCII; what is beyond ASCII may be part of a name, which is looked at more closely then.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        class[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80..=0xff => NAME_START | NAME,
            b'0'..=b'9' | b'-' | b'.' => NAME,
            b' ' => SPACE,
            b'\t' | b'\n' | b'\r' => SPACE | VALUE_STOP,
            b'\'' | b'"' | b'<' | b'&' => VALUE_STOP,
            _ => 0,
        };
        byte += 1;
    }
    class
};

/// Whether an element's name can begin with this byte.
pub(crate) fn is_name_start(byte: u8) -> bool {
    CLASS[byte as usize] & NAME_START != 0
}

/// How much white space there is at the beginning.
pub(crate) fn leading_space(bytes: &[u8]) -> usize {
    skip_space(bytes, 0)
}

pub(super) fn byte(bytes: &[u8], at: usize) -> Step<u8> {
    bytes.get(at).copied().ok_or(Stop::Incomplete)
}

pub(super) fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|b| CLASS[*b as usize] & SPACE != 0) {
        at += 1;
    }
    at
}

/// Reads a qualified name; a name at the end of the bytes may go on behind them.
pub(super) fn name(bytes: &[u8], at: usize) -> Step<Name> {
    let first = ncname(bytes, at)?;
    if byte(bytes, first.end)? != b':' {
        return Ok(Name { prefix: Span { start: at, end: at }, local: first });
    }
    let local = ncname(bytes, first.end + 1)?;
    if byte(bytes, local.end)? == b':' {
        return Err(BAD_NAME.into());
    }
    Ok(Name { prefix: first, local })
}

const BAD_NAME: ReadError = ReadError::NotWellFormed("an invalid name");

fn ncname(bytes: &[u8], start: usize) -> Step<Span> {
    if CLASS[byte(bytes, start)? as usize] & NAME_START == 0 {
        return Err(BAD_NAME.into());
    }
    let mut end = start + 1;
    let mut is_ascii = bytes[start].is_ascii();
    while let Some(&byte) = bytes.get(end)
        && CLASS[byte as usize] & NAME != 0
    {
        is_ascii &= byte.is_ascii();
        end += 1;
    }
    if end == bytes.len() {
        return Err(Stop::Incomplete);
    }
    if !is_ascii {
        let name = std::str::from_utf8(&bytes[start..end]).map_err(|_| ReadError::UnsupportedEncoding)?;
        if !is_ncname(name) {
            return Err(BAD_NAME.into());
        }
    }
    Ok(Span { start, end })
}

/// Reads a quoted value.
pub(super) fn value(bytes: &[u8], at: usize) -> Step<Value> {
    let quote = byte(bytes, at)?;
    if !matches!(quote, b'\'' | b'"') {
        return Err(ReadError::NotWellFormed("an attribute value without quotes").into());
    }
    let start = at + 1;
    let (mut end, mut is_plain) = (start, true);
    loop {
        while bytes.get(end).is_some_and(|b| CLASS[*b as usize] & VALUE_STOP == 0) {
            end += 1;
        }
        match byte(bytes, end)? {
            stop if stop == quote => return Ok(Value { span: Span { start, end }, is_plain }),
            b'<' => return Err(ReadError::NotWellFormed("a '<' in an attribute value").into()),
            b'&' => (end, is_plain) = (reference(bytes, end)?, false),
            b'\'' | b'"' => end += 1,
            _ => (end, is_plain) = (end + 1, false),
        }
    }
}

/// Whether a value, its references resolved, is this text.
pub(super) fn same_value(bytes: &[u8], value: Value, text: &[u8]) -> bool {
    let raw = value.span.bytes(bytes);
    if value.is_plain {
        return raw == text;
    }
    let decoded = std::str::from_utf8(raw).ok().and_then(|raw| attribute_value(raw).ok());
    decoded.is_some_and(|decoded| decoded.as_bytes() == text)
}

/// Reads the reference at this `&`; gives the offset behind its `;`.
fn reference(bytes: &[u8], at: usize) -> Step<usize> {
    let mut end = at + 1;
    while bytes.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'#') {
        end += 1;
    }
    match byte(bytes, end)? {
        b';' => {
            let name = std::str::from_utf8(&bytes[at + 1..end]).map_err(|_| ReadError::UnsupportedEncoding)?;
            resolve_reference(name)?;
            Ok(end + 1)
        }
        _ => Err(ReadError::NotWellFormed("a malformed reference").into()),
    }
}

/// Reads text; gives the offset of the `<` that ends it.
pub(super) fn text(bytes: &[u8], mut at: usize) -> Step<usize> {
    loop {
        let length = memchr2(b'<', b'&', &bytes[at..]).ok_or(Stop::Incomplete)?;
        let run = &bytes[at..at + length];
        if memchr(b']', run).is_some() && memmem::find(run, b"]]>").is_some() {
            return Err(ReadError::NotWellFormed("a ']]>' in text").into());
        }
        at += length;
        if bytes[at] == b'<' {
            return Ok(at);
        }
        at = reference(bytes, at)?;
    }
}

/// Reads a CDATA section; gives the offset behind it.
pub(super) fn character_data(bytes: &[u8], at: usize) -> Step<usize> {
    const OPENING: &[u8] = b"<![CDATA[";
    let found = &bytes[at..];
    if !found.starts_with(OPENING) {
        let is_cut = found.len() < OPENING.len() && OPENING.starts_with(found);
        let restricted = ReadError::RestrictedXml("a comment or a document type declaration");
        return Err(if is_cut { Stop::Incomplete } else { restricted.into() });
    }
    let content = at + OPENING.len();
    let length = memmem::find(&bytes[content..], b"]]>").ok_or(Stop::Incomplete)?;
    Ok(content + length + 3)
}
