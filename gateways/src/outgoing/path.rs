//! Paths below a service's base URL.

use reqwest::Url;
use thiserror::Error;

/// How often a path is decoded in search of what it hides.
const DECODINGS: usize = 4;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum PathError {
    #[error("a path begins with '/'")]
    NotAbsolute,
    #[error("a path holds a character that a URL may not hold")]
    BadCharacter,
    #[error("a path leads out of the service")]
    LeavesBase,
}

/// The URL of a path below `base`, whose own path ends with a slash; a query may follow the path.
///
/// Segments that go up are refused, not resolved, however often they are encoded: the service may decode once more than
/// the gateway.
pub(crate) fn join(base: &Url, path: &str) -> Result<Url, PathError> {
    if path.is_empty() {
        return Ok(base.clone());
    }
    let below = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
    if !path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\')) {
        return Err(PathError::BadCharacter);
    }
    let (below, query) = match below.split_once('?') {
        Some((below, query)) => (below, Some(query)),
        None => (below, None),
    };
    check(below)?;
    let mut url = base.clone();
    url.set_path(&format!("{}{below}", base.path()));
    url.set_query(query);
    let stays = url.origin() == base.origin() && url.path().starts_with(base.path());
    if stays { Ok(url) } else { Err(PathError::LeavesBase) }
}

fn check(path: &str) -> Result<(), PathError> {
    let mut text = path.as_bytes().to_vec();
    for _ in 0..DECODINGS {
        if text.iter().any(|b| b.is_ascii_control() || *b == b'\\') {
            return Err(PathError::BadCharacter);
        }
        if text.split(|b| *b == b'/').any(|segment| matches!(segment, b"." | b"..")) {
            return Err(PathError::LeavesBase);
        }
        let decoded = decode(&text);
        if decoded == text {
            return Ok(());
        }
        text = decoded;
    }
    Err(PathError::BadCharacter)
}

/// Percent-decodes once; what is no encoding stays.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at..] {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(nibble(high) << 4 | nibble(low));
                at += 3;
            }
            _ => {
                decoded.push(text[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_below_the_base() {
        let base = Url::parse("http://a.example/v1/").unwrap();
        for (path, expected) in [
            ("", "http://a.example/v1/"),
            ("/", "http://a.example/v1/"),
            ("/x", "http://a.example/v1/x"),
            ("/x/y?z=1&q=a%20b", "http://a.example/v1/x/y?z=1&q=a%20b"),
            ("/a%2Fb", "http://a.example/v1/a%2Fb"),
            ("/...", "http://a.example/v1/..."),
            ("//evil.example/x", "http://a.example/v1//evil.example/x"),
            ("/@evil.example", "http://a.example/v1/@evil.example"),
            ("/x?y=/../..", "http://a.example/v1/x?y=/../.."),
        ] {
            assert_eq!(join(&base, path).map(|url| url.to_string()).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn refuses_what_could_leave_it_or_end_a_line() {
        let base = Url::parse("http://a.example/v1/").unwrap();
        for path in [
            "x",
            "http://evil.example/",
            "/..",
            "/../x",
            "/x/../../y",
            "/./x",
            "/%2e%2e/x",
            "/.%2E/x",
            "/%2e/x",
            "/x%2f..%2fy",
            "/%252e%252e/x",
            "/%25252e%25252e/",
            "/..\\x",
            "/x%5c..%5cy",
            "/x#y",
            "/x y",
            "/x\r\nHost: y",
            "/x%0d%0ay",
            "/x%00",
            "/ä",
            "/\t",
            "/%2525252525252e",
        ] {
            assert!(join(&base, path).is_err(), "{path}");
        }
    }
}
