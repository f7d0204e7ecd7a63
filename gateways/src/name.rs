//! Names of REST clients and services: the resourceparts of the gateway's address.

use thiserror::Error;

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Why a text is no name of a client or service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a name has 1 to {MAX_NAME_BYTES} characters of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit"
)]
pub struct NameError;

/// Checks a name.
///
/// The alphabet is that of a path segment, of a resourcepart (RFC 7622, section 3.4) and of a header value at once,
/// so that a name never needs escaping. The first character rules out `.` and `..`.
pub(crate) fn check(name: &str) -> Result<(), NameError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let begins_well = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let fits = name.len() <= MAX_NAME_BYTES && name.bytes().all(allowed);
    if begins_well && fits { Ok(()) } else { Err(NameError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_path_resourcepart_and_header_can_all_carry() {
        for name in ["a", "printer-3", "a.b_c", "0", &"a".repeat(64)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "-a", "A", "ä", "a b", "a/b", "a\r\n", "a%2f", &"a".repeat(65)] {
            assert_eq!(check(name), Err(NameError), "{name:?}");
        }
    }
}
