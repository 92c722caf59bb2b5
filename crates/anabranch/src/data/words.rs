//! Columns of words: each different word has a code, `0, 1, 2, ...` in the order of the alphabet, or of their size where all of them are
//! numbers.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// The most different words of a column.
pub const MOST_WORDS: usize = 1000;

/// What the codes of a column stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alphabet {
    /// Which column of its table it is.
    pub column: usize,
    /// The word of each code.
    pub words: Vec<String>,
}

/// Words as they are met.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    codes: HashMap<String, usize>,
}

impl Vocabulary {
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The number of a word in the order in which they are met; `None` if it is one too many.
    pub fn code(&mut self, word: &str) -> Option<f32> {
        let next = self.codes.len();
        let code = match self.codes.get(word) {
            Some(code) => *code,
            None if next == MOST_WORDS => return None,
            None => *self.codes.entry(word.to_owned()).or_insert(next),
        };
        Some(code as f32)
    }

    /// The words in their final order, and what becomes of the code of each one as it was met.
    pub fn sorted(self) -> (Vec<String>, Vec<f32>) {
        let number = |word: &str| word.parse::<f64>().ok().filter(|number| number.is_finite());
        let mut words: Vec<(String, usize)> = self.codes.into_iter().collect();
        if words.iter().all(|(word, _)| number(word).is_some()) {
            let key = |word: &str| number(word).unwrap_or_default();
            words.sort_by(|(a, _), (b, _)| key(a).total_cmp(&key(b)).then_with(|| a.cmp(b)));
        } else {
            words.sort();
        }
        let mut codes = vec![0.0; words.len()];
        words.iter().enumerate().for_each(|(code, (_, met))| codes[*met] = code as f32);
        (words.into_iter().map(|(word, _)| word).collect(), codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(met: &[&str]) -> (Vec<String>, Vec<f32>) {
        let mut vocabulary = Vocabulary::default();
        met.iter().for_each(|word| assert!(vocabulary.code(word).is_some()));
        vocabulary.sorted()
    }

    #[test]
    fn words_are_sorted_and_numbers_by_size() {
        let (words, codes) = sorted(&["pear", "apple", "pear", "fig"]);
        assert_eq!((words.join(" "), codes), ("apple fig pear".to_owned(), vec![2.0, 0.0, 1.0]));
        let (words, codes) = sorted(&["10", "9", "-1.5"]);
        assert_eq!((words.join(" "), codes), ("-1.5 9 10".to_owned(), vec![2.0, 1.0, 0.0]));
        assert_eq!(sorted(&["10", "9", "none"]).0.join(" "), "10 9 none");
    }

    #[test]
    fn there_are_not_too_many() {
        let mut vocabulary = Vocabulary::default();
        assert!(vocabulary.is_empty());
        assert!((0..MOST_WORDS).all(|word| vocabulary.code(&word.to_string()) == Some(word as f32)));
        assert_eq!((vocabulary.code("7"), vocabulary.code("new")), (Some(7.0), None));
    }
}
