//! Rows of numbers, each with the numbers that it is given: some columns of a table are the condition of the others.
//!
//! ```text
//! c' = (c - location) / scale,   location and scale: mean and standard deviation over the rows to learn from
//! ```
//!
//! Networks read `c'`, people say `c`.

use std::path::Path;

use super::summary::ranges;
use super::{Alphabet, Column, GivenSummary, Table, read_words};
use crate::error::{Error, Problem, Result};

/// Rows of numbers, each with the numbers that it is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditioned {
    /// The rows, without the columns that are given.
    pub table: Table,
    /// The columns that are given, in the order in which they were named.
    pub given: Table,
}

/// Reads a file of numbers, and of columns of `words`, as [`read_words`] does, the columns `given` being what the others are conditioned on, without the columns to
/// `drop`.
///
/// # Errors
/// As [`read_words`]; the key `given` is named if there are no such columns.
pub fn read_conditioned(
    path: &Path,
    given: &[Column],
    drop: &[Column],
    words: &[Column],
) -> Result<Conditioned> {
    let (table, given) = apart("given", given, drop, |drop| read_words(path, drop, words))?;
    Ok(Conditioned { table, given })
}

/// The columns of a file but those to `drop` in two tables: those that are not `named`, and those that are, in their order. A problem
/// with the names is one of `key`.
pub(super) fn apart(
    key: &str,
    named: &[Column],
    drop: &[Column],
    read: impl Fn(&[Column]) -> Result<Table>,
) -> Result<(Table, Table)> {
    let whole = read(drop)?;
    let without: Vec<Column> = drop.iter().chain(named).cloned().collect();
    let table = read(&without).map_err(|error| match error {
        Error::Input(problem) if problem.place() == "target.drop" => problem.at(key).into(),
        other => other,
    })?;
    // What messages call the columns tells which of them are left out.
    let mut own: Vec<usize> =
        (0..whole.columns).filter(|column| !table.labels.contains(&whole.labels[*column])).collect();
    if own.len() != named.len() {
        let allowed = if named.len() == 1 { "one column".to_owned() } else { format!("{}", named.len()) };
        let found = format!("{} such columns beside those that are dropped", own.len());
        return Err(Problem::new(key, found).allowed(allowed).into());
    }
    // Names are looked up; indices, of which no label tells, stand in their own order among what is left.
    let mut places = vec![None; named.len()];
    for (place, column) in places.iter_mut().zip(named) {
        let Column::Name(name) = column else { continue };
        let label = super::columns::by_name(name);
        *place = own.iter().position(|column| whole.labels[*column] == label).map(|at| own.remove(at));
    }
    let mut indices: Vec<usize> = (0..named.len()).filter(|k| places[*k].is_none()).collect();
    indices.sort_by_key(|k| match &named[*k] {
        Column::Index(index) => *index,
        Column::Name(_) => usize::MAX,
    });
    indices.into_iter().zip(own).for_each(|(k, column)| places[k] = Some(column));
    let places: Vec<usize> = places.into_iter().flatten().collect();
    let values = whole
        .values
        .chunks_exact(whole.columns)
        .flat_map(|row| places.iter().map(move |place| row[*place]))
        .collect();
    let labels = places.iter().map(|place| whole.labels[*place].clone()).collect();
    let alphabet = |(column, place): (usize, &usize)| {
        let own = whole.alphabets.iter().find(|alphabet| alphabet.column == *place)?;
        Some(Alphabet { column, words: own.words.clone() })
    };
    let alphabets = places.iter().enumerate().filter_map(alphabet).collect();
    Ok((table, Table { columns: places.len(), values, labels, alphabets }))
}

/// The numbers that a data set's rows are conditioned on, in three parts as the rows are, each `[rows, columns]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// What messages call the columns.
    pub labels: Vec<String>,
    /// Of the rows to learn from.
    pub train: Vec<f32>,
    /// Of the rows to stop by.
    pub validation: Vec<f32>,
    /// Of the rows to report on.
    pub test: Vec<f32>,
    /// How many values they have, where they are states as those of the rows; 0 of real numbers.
    pub levels: u32,
    location: Vec<f64>,
    scale: Vec<f64>,
    range: Vec<[f32; 2]>,
}

impl Numbers {
    /// The numbers of three parts of the rows: to learn from, to stop by, to report on.
    ///
    /// # Errors
    /// If a column is constant over the rows to learn from.
    pub fn new(labels: Vec<String>, [train, validation, test]: [Vec<f32>; 3]) -> Result<Self> {
        let (columns, rows) = (labels.len(), (train.len() / labels.len().max(1)) as f64);
        let (mut location, mut scale) = (Vec::new(), Vec::new());
        for (column, label) in labels.iter().enumerate() {
            let values = || train.iter().skip(column).step_by(columns).map(|value| f64::from(*value));
            let mean = values().sum::<f64>() / rows;
            let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / rows).sqrt();
            let first = values().next().unwrap_or(0.0);
            if values().all(|value| value == first) {
                let found = format!("{label}, which is {first} in all {rows} training rows");
                return Err(Problem::new("target.given", found)
                    .allowed("columns that vary; target.drop leaves out one that does not")
                    .into());
            }
            location.push(mean);
            scale.push(deviation);
        }
        let range = ranges(train.iter().copied(), columns);
        Ok(Self { labels, train, validation, test, levels: 0, location, scale, range })
    }

    /// States `0, .., levels - 1` of three parts of the rows, which networks read as they are.
    pub fn states(labels: Vec<String>, [train, validation, test]: [Vec<f32>; 3], levels: u32) -> Self {
        let range = ranges(train.iter().copied(), labels.len());
        let (location, scale) = (vec![0.0; labels.len()], vec![1.0; labels.len()]);
        Self { labels, train, validation, test, levels, location, scale, range }
    }

    /// Checks conditions `[rows, columns]` that people say: of states, that each is one.
    ///
    /// # Errors
    /// The first that is none.
    pub fn check(&self, place: &str, values: &[f32]) -> Result<()> {
        let none = |value: &f32| value.fract() != 0.0 || !(0.0..self.levels as f32).contains(value);
        let Some(at) = values.iter().position(none).filter(|_| self.levels > 0) else { return Ok(()) };
        let (row, label) = (at / self.columns() + 1, &self.labels[at % self.columns()]);
        Err(Problem::new(format!("{place}, condition {row}, {label}"), values[at].to_string())
            .allowed(format!("a state from 0 to {}", self.levels - 1))
            .into())
    }

    /// What is left of them without the rows.
    pub(super) fn summary(&self) -> GivenSummary {
        GivenSummary {
            labels: self.labels.clone(),
            location: self.location.clone(),
            scale: self.scale.clone(),
            levels: self.levels,
            range: self.range.clone(),
        }
    }

    /// Numbers of which nothing but a summary is left.
    pub(super) fn remembered(summary: GivenSummary) -> Self {
        let GivenSummary { labels, location, scale, levels, range } = summary;
        let (train, validation, test) = (Vec::new(), Vec::new(), Vec::new());
        Self { labels, train, validation, test, levels, location, scale, range }
    }

    /// How many numbers a condition has.
    pub fn columns(&self) -> usize {
        self.labels.len()
    }

    /// Conditions `[rows, columns]` as networks read them.
    pub fn standardised(&self, values: &[f32]) -> Vec<f32> {
        self.mapped(values, |value, location, scale| (value - location) / scale)
    }

    /// Conditions `[rows, columns]` that networks read in the units of the data.
    pub fn in_units(&self, standardised: &[f32]) -> Vec<f32> {
        self.mapped(standardised, |value, location, scale| scale * value + location)
    }

    fn mapped(&self, values: &[f32], map: impl Fn(f64, f64, f64) -> f64) -> Vec<f32> {
        let columns = self.location.iter().zip(&self.scale).cycle();
        values
            .iter()
            .zip(columns)
            .map(|(value, (location, scale))| map(f64::from(*value), *location, *scale) as f32)
            .collect()
    }

    /// A line for each number of a condition that lies outside of those of the training rows, where a model has nothing to go by.
    pub fn outside(&self, condition: &[f32]) -> Vec<String> {
        let line = |(column, value): (usize, &f32)| {
            let [low, high] = self.range[column];
            (!(low..=high).contains(value)).then(|| {
                let label = &self.labels[column];
                format!("{label} = {value} is outside of the training rows, which reach from {low} to {high}")
            })
        };
        condition.iter().enumerate().filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> Column {
        Column::Name(name.to_owned())
    }

    #[test]
    fn columns_are_told_apart_in_the_order_in_which_they_are_named() {
        let path = std::env::temp_dir().join(format!("conditioned-{}.csv", std::process::id()));
        let found = |text: &str, given: &[Column], drop: &[Column]| {
            std::fs::write(&path, text).unwrap();
            read_conditioned(&path, given, drop, &[])
        };
        let text = "y1,x,note,y0\n1,2,a,3\n4,5,b,6\n";
        let read = found(text, &[name("y0"), name("y1")], &[name("note")]).unwrap();
        assert_eq!((read.table.columns, read.table.values), (1, vec![2.0, 5.0]));
        assert_eq!((read.given.columns, read.given.values), (2, vec![3.0, 1.0, 6.0, 4.0]));
        assert_eq!(read.given.labels, ["column \"y0\"", "column \"y1\""]);
        let mixed = found(text, &[Column::Index(3), name("y1")], &[Column::Index(2)]).unwrap();
        assert_eq!(mixed.given.values, [3.0, 1.0, 6.0, 4.0]);
        let plain = found("1,2,3\n4,5,6\n", &[Column::Index(2), Column::Index(0)], &[]).unwrap();
        assert_eq!((plain.table.values, plain.given.values), (vec![2.0, 5.0], vec![3.0, 1.0, 6.0, 4.0]));
        let message = |given: &[Column], drop: &[Column]| found(text, given, drop).unwrap_err().to_string();
        assert!(message(&[name("y2")], &[name("note")]).starts_with("given: found \"y2\"; allowed: y1, x"));
        let twice = message(&[name("y0"), Column::Index(3)], &[name("note")]);
        assert!(twice.starts_with("given: found 1 such columns beside those that are dropped"), "{twice}");
        assert!(
            message(&[name("note")], &[]).contains("row 1")
                || message(&[name("note")], &[]).contains("line 2")
        );
        let nan = found("x,y\n1,2\n3,NaN\n", &[name("y")], &[]).unwrap_err().to_string();
        assert!(nan.contains("column \"y\"") && nan.contains("NaN"), "{nan}");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn conditions_are_standardised_by_the_training_rows() {
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let train = vec![1.0, 100.0, 3.0, 300.0, 5.0, 200.0];
        let numbers = Numbers::new(labels.clone(), [train, vec![3.0, 200.0], Vec::new()]).unwrap();
        let standardised = numbers.standardised(&numbers.train);
        for column in 0..2 {
            let values: Vec<f32> = standardised.iter().skip(column).step_by(2).copied().collect();
            assert!(values.iter().sum::<f32>().abs() < 1e-6);
            assert!((values.iter().map(|v| v * v).sum::<f32>() / 3.0 - 1.0).abs() < 1e-6);
        }
        assert_eq!(numbers.standardised(&numbers.validation), [0.0, 0.0]);
        let back = numbers.in_units(&standardised);
        assert!(back.iter().zip(&numbers.train).all(|(a, b)| (a - b).abs() < 1e-6 * b.abs()), "{back:?}");
        assert!(numbers.outside(&[3.0, 150.0]).is_empty());
        assert_eq!(
            numbers.outside(&[3.0, 301.0]),
            ["b = 301 is outside of the training rows, which reach from 100 to 300"]
        );
        let constant = Numbers::new(labels, [vec![1.0, 2.0, 1.5, 2.0], Vec::new(), Vec::new()]).unwrap_err();
        assert!(
            constant.to_string().starts_with("target.given: found b, which is 2 in all 2 training rows"),
            "{constant}"
        );
    }

    #[test]
    fn states_are_read_as_they_are() {
        let labels = vec!["a".to_owned(), "b".to_owned()];
        let states = Numbers::states(labels, [vec![1.0, 2.0, 0.0, 2.0], Vec::new(), Vec::new()], 3);
        assert_eq!(states.standardised(&states.train), states.train);
        states.check("c.csv", &states.train).unwrap();
        let message = states.check("c.csv", &[1.0, 2.0, 0.0, 3.0]).unwrap_err().to_string();
        assert_eq!(message, "c.csv, condition 2, b: found 3; allowed: a state from 0 to 2");
        assert_eq!(Numbers::remembered(states.summary()).levels, 3);
    }
}
