//! The columns of a file: their names where it gives any, and which of them are kept.

use std::cell::RefCell;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Table;
use super::words::{Alphabet, MOST_WORDS, Vocabulary};
use crate::error::{Error, Problem, Result, quoted};

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "another type, expected a column's name or its index from 0")]
pub enum Column {
    /// Its index, counted from 0.
    Index(usize),
    /// Its name: in the header line of a CSV file, or in the schema of a Parquet file.
    Name(String),
}

/// Which columns of a file are read, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// Those to leave out, which may hold anything.
    pub drop: &'a [Column],
    /// Those whose cells are words, of which each is a code.
    pub words: &'a [Column],
    /// The one of classes, whose cells may be words too.
    pub label: Option<&'a Column>,
}

/// The columns of the file `place`, of which some are kept.
pub(super) struct Columns<'a> {
    place: &'a str,
    names: Vec<String>,
    kept: Vec<usize>,
    /// The columns of words that are kept, with the words that were met.
    words: RefCell<Vec<(usize, Vocabulary)>>,
}

impl<'a> Columns<'a> {
    /// All `count` columns but those to drop; `names` is empty where the file names none.
    ///
    /// # Errors
    /// If a column to drop or one of words is not there, or none would be left.
    pub fn new(place: &'a str, count: usize, names: Vec<String>, wanted: Wanted<'_>) -> Result<Self> {
        let mut kept = vec![true; count];
        for column in wanted.drop {
            for index in indices(column, "target.drop", place, count, &names)? {
                kept[index] = false;
            }
        }
        let mut words = Vec::new();
        let of_words = wanted.words.iter().map(|column| (column, "target.categories"));
        for (column, key) in of_words.chain(wanted.label.map(|column| (column, "label"))) {
            for index in indices(column, key, place, count, &names)? {
                if kept[index] && words.iter().all(|(other, _)| *other != index) {
                    words.push((index, Vocabulary::default()));
                }
            }
        }
        let kept: Vec<usize> = (0..count).filter(|index| kept[*index]).collect();
        if kept.is_empty() {
            let found = if count == 0 { "no columns" } else { "no columns left by target.drop" };
            return Err(Problem::new(place, found).allowed("at least one column of numbers").into());
        }
        Ok(Self { place, names, kept, words: RefCell::new(words) })
    }

    /// The indices of the columns that are kept, ascending.
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// A column in a message: its name, or its number from 1, as lines are counted.
    fn describe(&self, index: usize) -> String {
        match self.names.get(index) {
            Some(name) => by_name(name),
            None => format!("column {}", index + 1),
        }
    }

    /// A problem in the column `index` of the row or line `at`.
    pub fn problem(&self, at: impl std::fmt::Display, index: usize, found: impl Into<String>) -> Problem {
        Problem::new(format!("{}, {at}, {}", self.place, self.describe(index)), found)
    }

    /// `value` as the nearest f32.
    ///
    /// # Errors
    /// If that is not finite; the row `row`, counted from 0, and the column `index` are named.
    pub fn finite(&self, row: usize, index: usize, value: f64) -> Result<f32> {
        let rounded = value as f32;
        if rounded.is_finite() {
            return Ok(rounded);
        }
        Err(self.problem(format_args!("row {}", row + 1), index, format!("{value:?}")).allowed(FINITE).into())
    }

    /// Whether the column `index` is one of words.
    pub fn is_words(&self, index: usize) -> bool {
        self.words.borrow().iter().any(|(other, _)| *other == index)
    }

    /// The code of `word`, at `at` in the column `index`, which is one of words.
    ///
    /// # Errors
    /// If there is none, or it is one too many.
    pub fn word(&self, at: impl std::fmt::Display, index: usize, word: &str) -> Result<f32> {
        if word.is_empty() {
            return Err(self
                .problem(at, index, "an empty cell")
                .allowed("a word; where it is not known, one for that, such as \"unknown\"")
                .into());
        }
        let mut words = self.words.borrow_mut();
        let code = words
            .iter_mut()
            .find(|(other, _)| *other == index)
            .and_then(|(_, vocabulary)| vocabulary.code(word));
        code.ok_or_else(|| {
            self.problem(at, index, format!("{} after {MOST_WORDS} different words", quoted(word)))
                .allowed(format!("at most {MOST_WORDS} categories; target.drop leaves a column out"))
                .into()
        })
    }

    /// The table of `values`, row by row and of the kept columns alone: of a column of words the codes, or, where the file has numbers
    /// there, these.
    ///
    /// # Errors
    /// If there is no row, or a number is one category too many.
    pub fn table(&self, mut values: Vec<f32>) -> Result<Table> {
        if values.is_empty() {
            return Err(no_rows(self.place));
        }
        let (columns, mut alphabets) = (self.kept.len(), Vec::new());
        for (column, &index) in self.kept.iter().enumerate().filter(|(_, index)| self.is_words(**index)) {
            let met = self.words.borrow().iter().any(|(other, words)| *other == index && !words.is_empty());
            for (row, value) in values.iter_mut().skip(column).step_by(columns).enumerate().filter(|_| !met) {
                *value = self.word(format_args!("row {}", row + 1), index, &value.to_string())?;
            }
            let mut all = self.words.borrow_mut();
            let Some((_, vocabulary)) = all.iter_mut().find(|(other, _)| *other == index) else { continue };
            let (words, codes) = std::mem::take(vocabulary).sorted();
            values.iter_mut().skip(column).step_by(columns).for_each(|code| *code = codes[*code as usize]);
            alphabets.push(Alphabet { column, words });
        }
        let labels = self.kept.iter().map(|index| self.describe(*index)).collect();
        Ok(Table { columns, values, labels, alphabets })
    }
}

/// The columns that `column` means, of `count` in the file `place`; a problem is one of `key`.
fn indices(column: &Column, key: &str, place: &str, count: usize, names: &[String]) -> Result<Vec<usize>> {
    let problem = match column {
        Column::Index(index) if *index < count => return Ok(vec![*index]),
        Column::Index(index) => Problem::new(key, index.to_string())
            .allowed(format!("an index below {count}, the number of columns of {place}")),
        Column::Name(name) if names.contains(name) => {
            return Ok((0..count).filter(|index| names.get(*index) == Some(name)).collect());
        }
        Column::Name(name) if names.is_empty() => Problem::new(key, format!("\"{name}\""))
            .allowed(format!("an index below {count}: the columns of {place} have no names")),
        Column::Name(name) => Problem::new(key, format!("\"{name}\"")).choices(names),
    };
    Err(problem.into())
}

/// The name that a file gives a column, of what messages call it: `None` of one without, or whose name a message does not hold as it is.
pub fn name_of(label: &str) -> Option<&str> {
    let name = label.strip_prefix("column \"")?.strip_suffix('"')?;
    (by_name(name) == label).then_some(name)
}

/// What messages call a column of a name.
pub fn by_name(name: &str) -> String {
    format!("column {}", quoted(name))
}

/// The error of a file without rows.
pub(super) fn no_rows(place: &str) -> Error {
    Problem::new(place, "no rows").allowed("at least one row of numbers").into()
}

/// What a cell may hold.
pub(super) const FINITE: &str = "a finite number, at most 3.4e38 in size";

/// What a cell with a word may hold, or be of.
pub(super) const FINITE_OR_WORD: &str = "a finite number, at most 3.4e38 in size; or target.categories with the column's name, where it holds words";

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(count: usize, names: &[&str], drop: &[Column]) -> Result<Vec<usize>> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Columns::new("t", count, names, Wanted { drop, ..Wanted::default() })
            .map(|columns| columns.kept().to_vec())
    }

    #[test]
    fn columns_are_dropped_by_index_and_by_name() {
        let (index, name) = (Column::Index, |name: &str| Column::Name(name.to_owned()));
        assert_eq!(kept(3, &[], &[]).unwrap(), [0, 1, 2]);
        assert_eq!(kept(3, &[], &[index(1), index(1)]).unwrap(), [0, 2]);
        assert_eq!(kept(4, &["a", "b", "a", "c"], &[name("a"), index(3)]).unwrap(), [1]);
        let message = |names: &[&str], drop: Column| kept(2, names, &[drop]).unwrap_err().to_string();
        assert_eq!(
            message(&[], index(2)),
            "target.drop: found 2; allowed: an index below 2, the number of columns of t"
        );
        assert!(message(&[], name("a")).contains("have no names"));
        assert_eq!(
            message(&["x", "label"], name("lable")),
            "target.drop: found \"lable\"; allowed: x, label; did you mean \"label\"?"
        );
        assert!(kept(1, &[], &[index(0)]).unwrap_err().to_string().starts_with("t: found no columns left"));
        assert!(kept(0, &[], &[]).unwrap_err().to_string().starts_with("t: found no columns;"));
    }

    #[test]
    fn f32_is_the_range() {
        let columns = Columns::new("t", 2, Vec::new(), Wanted::default()).unwrap();
        assert_eq!(columns.finite(0, 0, 0.1).unwrap(), 0.1);
        assert_eq!(columns.finite(0, 0, f64::from(f32::MAX)).unwrap(), f32::MAX);
        let message = columns.finite(2, 1, 1e39).unwrap_err().to_string();
        assert!(message.starts_with("t, row 3, column 2: found 1e39; allowed: a finite number"), "{message}");
        assert!(columns.finite(0, 0, f64::NAN).unwrap_err().to_string().contains("found NaN"));
    }
}
