//! What nobody is to guess.

/// 128 random bits in hexadecimal, for an identifier; `None` without random numbers.
pub(crate) fn unguessable() -> Option<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).ok()?;
    Some(random.iter().map(|byte| format!("{byte:02x}")).collect())
}
