//! Words that are not known, and which known one may be meant.

use super::error::Remedy;

/// How many letters may differ: with more, the guess is as often wrong as right.
const MOST_EDITS: usize = 2;

/// What to advise in place of `word`.
pub(super) fn remedy<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Remedy {
    let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
    let near = known.iter().map(|candidate| (edits(word, candidate), candidate));
    // A word of two letters is two edits away from any other one of two.
    let near = near.filter(|(edits, candidate)| *edits <= MOST_EDITS && *edits < candidate.chars().count() / 2);
    let meant = near.min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate.clone());
    Remedy { meant, known }
}

/// How many letters must be inserted, deleted or replaced to get from one word to the other (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (number, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], number + 1);
        for column in 0..to.len() {
            let replaced = diagonal + usize::from(to[column] != letter);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (from, to, expected) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("roots", "root", 1)]
        {
            assert_eq!((edits(from, to), edits(to, from)), (expected, expected), "{from} {to}");
        }
    }

    #[test]
    fn guesses_what_is_near_and_lists_what_there_is_otherwise() {
        let known = ["name", "certificate", "private_key"];
        assert_eq!(remedy("certifcate", known).to_string(), "did you mean \"certificate\"?");
        assert_eq!(remedy("port", known).to_string(), "use one of name, certificate, private_key");
        assert_eq!(remedy("port", []).to_string(), "remove it");
    }
}
