//! Domain names as DNS and certificates write them.

/// The A-label form (`bücher.example` becomes `xn--bcher-kva.example`), in lower case; `None` if the name has none.
pub(crate) fn to_ascii(domain: &str) -> Option<String> {
    idna::domain_to_ascii(domain).ok().filter(|ascii| !ascii.is_empty())
}
