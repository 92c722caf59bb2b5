//! A table of objects with measured scores: incomplete, of any sign, with repeated measurements.
//!
//! ```text
//! y_i = (1 / n_i) sum_j y_ij                                          of n_i rows with the same object
//! noise^2 = sum_ij (y_ij - y_i)^2 / sum_i (n_i - 1)                   the variance of one measurement, where some are repeated
//! ```

use std::collections::HashMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Direction;
use crate::data::{read_text, records};
use crate::environment::Cell;
use crate::error::{Problem, Result, listed, nearest, quoted};
use crate::target::Parse;

/// What is done with a row that has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The table is refused, with the line.
    #[default]
    Refuse,
    /// It is left out, and counted.
    Drop,
}

/// Objects with the means of their scores, in the order of their first rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreTable {
    /// How many cells an object has.
    pub cells: usize,
    /// The different ones, `[objects, cells]`.
    pub objects: Vec<Cell>,
    /// The mean score of each.
    pub scores: Vec<f64>,
    /// How many rows each has.
    pub counts: Vec<usize>,
    /// The variance of one measurement, where some object has several.
    pub noise: Option<f64>,
    /// Rows without a score that were left out.
    pub dropped: usize,
    /// Every measurement, in the order of the rows: the place of its object, and the score.
    rows: Vec<(usize, f64)>,
}

/// Words that stand for no score.
const NONE: [&str; 5] = ["", "na", "n/a", "none", "null"];

impl ScoreTable {
    /// What the columns of objects and scores are called, where nobody says otherwise.
    pub const NAMES: [&str; 2] = ["object", "score"];

    /// Reads a CSV file, plain or gzipped, whose header names the column of objects, of `cells` cells each, and that of scores; other
    /// columns are passed over.
    ///
    /// # Errors
    /// If the file cannot be read, lacks one of the columns or has no scores; if an object is unknown, or a score is missing (unless such
    /// rows are dropped) or no finite number, with the line.
    pub fn read(
        path: &Path,
        names: [&str; 2],
        missing: Missing,
        cells: usize,
        parse: &Parse<'_>,
    ) -> Result<Self> {
        Self::parse(&path.display().to_string(), &read_text(path)?, names, missing, cells, parse)
    }

    /// [`ScoreTable::read`] of a text that `place` names.
    ///
    /// # Errors
    /// As there.
    pub fn parse(
        place: &str,
        text: &str,
        names: [&str; 2],
        missing: Missing,
        cells: usize,
        parse: &Parse<'_>,
    ) -> Result<Self> {
        let mut columns: Option<[usize; 2]> = None;
        let (mut objects, mut rows, mut dropped) = (Vec::new(), Vec::new(), 0);
        let mut known: HashMap<Box<[Cell]>, usize> = HashMap::new();
        records(place, text, |line, record| {
            let at = format!("{place}, line {line}");
            let Some([object, score]) = columns else {
                let header: Vec<&str> = record.iter().collect();
                columns = Some([column(&at, &header, names[0])?, column(&at, &header, names[1])?]);
                return Ok(());
            };
            let (name, cell) = (&record[object], &record[score]);
            let mut found: Box<[Cell]> = vec![0; cells].into();
            if let Err(message) = parse(name, &mut found) {
                let (found, allowed) = message.split_once("; allowed: ").unwrap_or((&message, "an object"));
                let found = format!("{} as an object: {found}", quoted(name));
                return Err(Problem::new(at, found).allowed(allowed).into());
            }
            let Some(value) = value(at, name, cell, missing)? else {
                dropped += 1;
                return Ok(());
            };
            let count = known.len();
            let place = *known.entry(found).or_insert_with_key(|found| {
                objects.extend_from_slice(found);
                count
            });
            rows.push((place, value));
            Ok(())
        })?;
        if rows.is_empty() {
            return Err(Problem::new(place, "no scores")
                .allowed("a row for each object that is known")
                .into());
        }
        Ok(Self { dropped, ..Self::of(cells, objects, rows) })
    }

    /// Of different objects, `[objects, cells]`, each of which has one of the measurements at least: the place of its object, and the
    /// score.
    pub(super) fn of(cells: usize, objects: Vec<Cell>, rows: Vec<(usize, f64)>) -> Self {
        let count = objects.len() / cells;
        let (mut scores, mut counts) = (vec![0.0; count], vec![0; count]);
        for (place, score) in &rows {
            scores[*place] += score;
            counts[*place] += 1;
        }
        scores.iter_mut().zip(&counts).for_each(|(sum, count)| *sum /= *count as f64);
        let squares: f64 = rows.iter().map(|(place, score)| (score - scores[*place]).powi(2)).sum();
        let repeats = rows.len() - count;
        let noise = (repeats > 0).then(|| squares / repeats as f64);
        Self { cells, objects, scores, counts, noise, dropped: 0, rows }
    }

    /// How many measurements there are.
    pub fn measured(&self) -> usize {
        self.rows.len()
    }

    /// Every measurement, in the order of the rows.
    pub fn measurements(&self) -> impl Iterator<Item = (&[Cell], f64)> {
        self.rows.iter().map(|(place, score)| (self.object(*place), *score))
    }

    /// The places of all objects from the best score to the worst; of equal ones the first row comes first.
    pub fn order(&self, direction: Direction) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by(|a, b| match direction {
            Direction::Maximise => self.scores[*b].total_cmp(&self.scores[*a]),
            Direction::Minimise => self.scores[*a].total_cmp(&self.scores[*b]),
        });
        order
    }

    /// How many different objects there are.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The object at a place.
    pub fn object(&self, place: usize) -> &[Cell] {
        &self.objects[place * self.cells..][..self.cells]
    }

    /// The places of all objects.
    pub fn places(&self) -> HashMap<&[Cell], usize> {
        self.objects.chunks_exact(self.cells).enumerate().map(|(place, object)| (object, place)).collect()
    }
}

/// A score; none where it is missing and may be.
fn value(place: String, object: &str, cell: &str, missing: Missing) -> Result<Option<f64>> {
    let number = cell.parse::<f64>();
    if let Ok(value) = number
        && value.is_finite()
    {
        return Ok(Some(value));
    }
    let none = NONE.contains(&cell.to_lowercase().as_str()) || number.is_ok_and(f64::is_nan);
    if none && missing == Missing::Drop {
        return Ok(None);
    }
    let allowed = match none {
        true => "a finite number; or `missing = \"drop\"`, which leaves such rows out",
        false => "a finite number",
    };
    let found = format!("{} as the score of {}", quoted(cell), quoted(object));
    Err(Problem::new(place, found).allowed(allowed).into())
}

/// The place of a column.
fn column(place: &str, header: &[&str], name: &str) -> Result<usize> {
    let found: Vec<usize> = (0..header.len()).filter(|column| header[*column] == name).collect();
    match found[..] {
        [column] => Ok(column),
        [] => {
            let hint = nearest(name, header).map(|near| format!("; did you mean {}?", quoted(near)));
            let names: Vec<String> = header.iter().map(|name| quoted(name)).collect();
            let found = format!("no column {}, but {}", quoted(name), listed(&names, "and"));
            let allowed = "a header with the names that `object` and `score` say";
            Err(Problem::new(place, found).allowed(format!("{allowed}{}", hint.unwrap_or_default())).into())
        }
        _ => Err(Problem::new(place, format!("the column {} twice", quoted(name)))
            .allowed("columns of different names")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words of two letters a, b, c.
    fn parse(text: &str, missing: Missing) -> Result<ScoreTable> {
        let word = |text: &str, word: &mut [Cell]| {
            let letters = text.bytes().all(|c| (b'a'..=b'c').contains(&c));
            if !letters || text.len() != 2 {
                return Err("another word; allowed: two of a, b, c".to_owned());
            }
            word.iter_mut().zip(text.bytes()).for_each(|(cell, c)| *cell = Cell::from(c - b'a') + 1);
            Ok(())
        };
        ScoreTable::parse("t.csv", text, ["word", "score"], missing, 2, &word)
    }

    /// Repeated objects have the mean of their scores, and their spread is the variance of a measurement.
    #[test]
    fn repeated_objects_are_averaged() {
        let text = "id,score,word\n1,-1,ab\n2,4,ca\n3,2.5,ab\n4,0,ab\n5,6,ca\n6,7,bb\n";
        let table = parse(text, Missing::Refuse).unwrap();
        assert_eq!(table.objects, [1, 2, 3, 1, 2, 2]);
        assert_eq!((table.scores[0], table.scores[1], table.scores[2]), (0.5, 5.0, 7.0));
        assert_eq!(table.counts, [3, 2, 1]);
        // (2.25 + 4 + 0.25 + 1 + 1) / (2 + 1).
        assert!((table.noise.unwrap() - 8.5 / 3.0).abs() < 1e-12);
        assert_eq!((table.places()[&[3, 1][..]], table.measured()), (1, 6));
        assert_eq!(table.order(Direction::Maximise), [2, 1, 0]);
        assert_eq!(table.order(Direction::Minimise), [0, 1, 2]);
        let rows: Vec<(&[Cell], f64)> = table.measurements().collect();
        assert_eq!((rows[1], rows[4]), ((&[3, 1][..], 4.0), (&[3, 1][..], 6.0)));
        let alone = parse("word,score\nab,1\nca,2\n", Missing::Refuse).unwrap();
        assert_eq!((alone.noise, alone.len(), alone.dropped), (None, 2, 0));
    }

    #[test]
    fn wrong_tables_name_the_line() {
        let message = |text: &str| parse(text, Missing::Refuse).unwrap_err().to_string();
        assert_eq!(
            message("word,score\nab,1\nxb,2\n"),
            "t.csv, line 3: found \"xb\" as an object: another word; allowed: two of a, b, c"
        );
        assert_eq!(
            message("sequence,score\nab,1\n"),
            "t.csv, line 1: found no column \"word\", but \"sequence\" and \"score\"; allowed: a header with the names that \
             `object` and `score` say"
        );
        assert!(message("word,scores\nab,1\n").ends_with("; did you mean \"scores\"?"));
        assert!(message("word,word,score\n").contains("the column \"word\" twice"));
        for bad in ["inf", "-inf", "much", "1,5"] {
            let text = message(&format!("word,score\nab,\"{bad}\"\n"));
            let exact =
                format!("t.csv, line 2: found \"{bad}\" as the score of \"ab\"; allowed: a finite number");
            assert_eq!(text, exact);
        }
        for none in ["", "NA", "nan", "null"] {
            let text = format!("word,score\nab,{none}\nbb,2\n");
            assert!(
                message(&text).ends_with("or `missing = \"drop\"`, which leaves such rows out"),
                "{none}"
            );
            let table = parse(&text, Missing::Drop).unwrap();
            assert_eq!((table.len(), table.dropped), (1, 1));
        }
        assert_eq!(
            message("word,score\n"),
            "t.csv: found no scores; allowed: a row for each object that is known"
        );
        assert!(message("").contains("found no scores"));
        assert!(parse("word,score\nab,\n", Missing::Drop).unwrap_err().to_string().contains("no scores"));
    }
}
