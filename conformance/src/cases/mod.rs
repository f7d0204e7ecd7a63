//! All cases, by section.

mod acknowledgements;
mod bidi;
mod certificates;
mod closing;
mod dialling;
mod direct_tls;
mod features;
mod headers;
mod limits;
mod limits_told;
mod sasl;
mod stanzas;
mod tls;
mod xml;

use crate::case::Case;

const ALL: &[&[Case]] = &[
    headers::CASES,
    features::CASES,
    tls::CASES,
    direct_tls::CASES,
    sasl::CASES,
    certificates::CASES,
    stanzas::CASES,
    xml::CASES,
    closing::CASES,
    limits::CASES,
    limits_told::CASES,
    bidi::CASES,
    acknowledgements::CASES,
    dialling::CASES,
];

/// All cases, section by section.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    ALL.iter().copied().flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_an_identifier_a_sentence_and_a_source_of_its_own_kind() {
        let mut seen = BTreeSet::new();
        for case in cases() {
            assert!(seen.insert(case.id()), "{} twice", case.id());
            assert!(
                case.key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
                "{}",
                case.id()
            );
            assert!(case.name.contains(' ') && !case.name.ends_with('.'), "{}", case.name);
            assert!(case.source.starts_with("RFC ") || case.source.starts_with("XEP-"), "{}", case.source);
        }
        assert!(seen.len() >= 150, "{}", seen.len());
    }

    #[test]
    fn every_section_is_in_the_short_set_that_needs_no_authority_and_no_listener() {
        let short: BTreeSet<_> = cases().filter(|case| case.short).map(|case| case.section.name()).collect();
        let sections = [
            "headers",
            "features",
            "tls",
            "direct-tls",
            "sasl",
            "stanzas",
            "xml",
            "closing",
            "limits",
            "bidi",
            "acknowledgements",
        ];
        for section in sections {
            assert!(short.contains(section), "{section}");
        }
    }
}
