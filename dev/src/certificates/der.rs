//! The little DER that rcgen cannot write: names of type `otherName` with a string that is not UTF-8.
//!
//! The whole subjectAltName is made here and given to rcgen as one extension, because its own names next to ours would
//! make the extension appear twice.

/// `id-on-xmppAddr`, 1.3.6.1.5.5.7.8.5 (RFC 6120 §13.7.1.4).
const XMPP_ADDR: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x05];
/// `id-on-dnsSRV`, 1.3.6.1.5.5.7.8.7 (RFC 4985 §2).
const DNS_SRV: [u8; 8] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x07];

const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
/// `GeneralName ::= CHOICE { otherName [0] OtherName, ..., dNSName [2] IA5String, ... }` (RFC 5280 §4.2.1.6).
const OTHER_NAME: u8 = 0xa0;
const DNS_NAME: u8 = 0x82;
/// `value [0] EXPLICIT ANY` within an `OtherName`.
const OTHER_NAME_VALUE: u8 = 0xa0;

/// The value of a subjectAltName extension with these encoded names.
pub(super) fn subject_alternative_name(names: &[Vec<u8>]) -> Vec<u8> {
    tagged(SEQUENCE, &names.concat())
}

/// A dNSName; the name is ASCII.
pub(super) fn dns_name(name: &str) -> Vec<u8> {
    tagged(DNS_NAME, name.as_bytes())
}

/// An SRVName such as `_xmpp-server.volunteers.example` (RFC 4985); the name is ASCII.
pub(super) fn srv_name(name: &str) -> Vec<u8> {
    other_name(&DNS_SRV, &tagged(IA5_STRING, name.as_bytes()))
}

/// An XMPP address (RFC 6120 §13.7.1.4), in Unicode.
pub(super) fn xmpp_addr(address: &str) -> Vec<u8> {
    other_name(&XMPP_ADDR, &tagged(UTF8_STRING, address.as_bytes()))
}

fn other_name(kind: &[u8], value: &[u8]) -> Vec<u8> {
    let kind = tagged(OBJECT_IDENTIFIER, kind);
    tagged(OTHER_NAME, &[kind, tagged(OTHER_NAME_VALUE, value)].concat())
}

/// Tag, length, content (X.690 §8.1).
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut encoded = vec![tag];
    push_length(&mut encoded, content.len());
    encoded.extend_from_slice(content);
    encoded
}

/// The definite form, short up to 127 and long beyond (X.690 §8.1.3).
fn push_length(encoded: &mut Vec<u8>, length: usize) {
    if length < 0x80 {
        encoded.push(length as u8);
        return;
    }
    let bytes = length.to_be_bytes();
    let significant = &bytes[length.leading_zeros() as usize / 8..];
    encoded.push(0x80 | significant.len() as u8);
    encoded.extend_from_slice(significant);
}

#[cfg(test)]
mod tests {
    use super::tagged;

    #[test]
    fn encodes_short_and_long_lengths() {
        for (length, header) in [
            (0, vec![0x30, 0]),
            (127, vec![0x30, 127]),
            (128, vec![0x30, 0x81, 128]),
            (256, vec![0x30, 0x82, 1, 0]),
            (65_536, vec![0x30, 0x83, 1, 0, 0]),
        ] {
            let encoded = tagged(0x30, &vec![0; length]);
            assert_eq!(encoded[..header.len()], header);
            assert_eq!(encoded.len(), header.len() + length);
        }
    }
}
