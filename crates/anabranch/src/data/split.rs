//! Train, validation and test splits.

use std::path::Path;

use super::{Alphabet, Conditioned, Correlation, Discrete, Labelled, Numbers, Summary, Table, name_of};
use crate::error::{Problem, Result, quoted};
use crate::rng::{Noise, Purpose};

/// A data set in three parts, each row-major.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The number of columns.
    pub columns: usize,
    /// Rows to learn from.
    pub train: Vec<f32>,
    /// Rows to stop by.
    pub validation: Vec<f32>,
    /// Rows to report on.
    pub test: Vec<f32>,
    /// What messages call the columns.
    pub labels: Vec<String>,
    /// The class of each row, where they have one.
    pub classes: Option<Classes>,
    /// The numbers that each row is given, where there are some.
    pub numbers: Option<Numbers>,
    /// The chances of a 1 of the rows to learn from, which are but one draw of them, where others may be drawn.
    pub chances: Option<Vec<f32>>,
    /// What is to be said of how they were read.
    pub remarks: Vec<String>,
    /// What is left of them without the rows.
    pub summary: Summary,
}

impl Dataset {
    /// Keeps how the columns go together, where there are not too many of them for that.
    pub fn correlate(&mut self) {
        let (mean, variance): (Vec<f64>, Vec<f64>) =
            self.summary.latent().iter().map(|column| (column.mean, column.variance)).unzip();
        let rows = self.summary.expected(&self.train);
        self.summary.correlation = Correlation::of(&rows, &mean, &variance);
    }
}

/// The classes of a data set's rows, in three parts as the rows are.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    /// How many classes there are: they are `0 .. count`.
    pub count: usize,
    /// Of the rows to learn from.
    pub train: Vec<usize>,
    /// Of the rows to stop by.
    pub validation: Vec<usize>,
    /// Of the rows to report on.
    pub test: Vec<usize>,
    /// The share of each class among the rows to learn from.
    pub shares: Vec<f64>,
    /// The word of each class, where the data have words.
    pub words: Vec<String>,
}

impl Classes {
    /// The classes `0 .. count` of three parts of the rows: to learn from, to stop by, to report on.
    pub fn new(count: usize, [train, validation, test]: [Vec<usize>; 3]) -> Self {
        let mut shares = vec![0.0; count];
        train.iter().for_each(|class| shares[*class] += 1.0 / train.len() as f64);
        Self { count, train, validation, test, shares, words: Vec::new() }
    }

    /// Classes of which nothing but their shares and words is left.
    pub(super) fn remembered(shares: Vec<f64>, words: Vec<String>) -> Self {
        let (train, validation, test) = (Vec::new(), Vec::new(), Vec::new());
        Self { count: shares.len(), train, validation, test, shares, words }
    }

    /// The class that `text` means: a word, where the data have words, and a number from 0 otherwise.
    ///
    /// # Errors
    /// If there is no such class; `place` is named.
    pub fn parse(&self, place: &str, text: &str) -> Result<usize, Problem> {
        let text = text.trim();
        let problem = Problem::new(place, quoted(text));
        if self.words.is_empty() {
            let class = text.parse().ok().filter(|class| *class < self.count);
            return class.ok_or_else(|| problem.allowed(format!("a class from 0 to {}", self.count - 1)));
        }
        self.words.iter().position(|word| word == text).ok_or_else(|| problem.choices(&self.words))
    }

    /// The classes that the rows of a file say.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); the file and the row are named.
    pub fn parse_rows(&self, path: &Path, said: &[String]) -> Result<Vec<usize>, Problem> {
        let class =
            |(row, text): (usize, &String)| self.parse(&format!("{}, row {}", path.display(), row + 1), text);
        said.iter().enumerate().map(class).collect()
    }

    /// Classes as conditions: a 1 at the place of each one's class, `[rows, count]`.
    pub fn one_hot(&self, classes: &[usize]) -> Vec<f32> {
        let mut all = vec![0.0; classes.len() * self.count];
        classes.iter().enumerate().for_each(|(row, class)| all[row * self.count + class] = 1.0);
        all
    }

    /// `rows` classes in order, each as often as its share of the rows to learn from says, to the nearest row.
    pub fn stratified(&self, rows: usize) -> Vec<usize> {
        let mut sum = 0.0;
        let mut all = Vec::with_capacity(rows);
        for (class, share) in self.shares.iter().enumerate() {
            sum += share;
            all.resize(((sum * rows as f64).round() as usize).min(rows), class);
        }
        all.resize(rows, self.count - 1);
        all
    }
}

/// The most different values of a column that is rather one of few values than of real numbers.
const FEW: usize = 10;

/// How many different values there are, if they are few.
fn few(values: impl Iterator<Item = f32>) -> Option<usize> {
    let mut met: Vec<f32> = Vec::new();
    for value in values {
        if !met.contains(&value) {
            met.push(value);
        }
        if met.len() > FEW {
            return None;
        }
    }
    Some(met.len())
}

/// A value in more than this share of the rows makes a column nearly constant.
const MOST_ALIKE: f64 = 0.99;
/// So small a share of its largest number makes a spread one of rounding: f32 tells a hundred values apart in it.
const LEAST_SPREAD: f64 = 1e-5;

impl Dataset {
    /// Rows under `labels` in three parts, each row-major: to learn from, to stop by, to report on.
    pub fn new(labels: Vec<String>, [train, validation, test]: [Vec<f32>; 3]) -> Self {
        let summary = Summary::of(labels.clone(), [&train, &validation, &test]);
        Self {
            columns: labels.len(),
            train,
            validation,
            test,
            labels,
            classes: None,
            numbers: None,
            chances: None,
            remarks: Vec::new(),
            summary,
        }
    }

    /// The same rows, each of a class.
    pub fn with_classes(self, classes: Classes) -> Self {
        Self { summary: self.summary.with_classes(&classes), classes: Some(classes), ..self }
    }

    /// The same rows, each given numbers.
    pub fn with_numbers(self, numbers: Numbers) -> Self {
        Self { summary: self.summary.with_numbers(&numbers), numbers: Some(numbers), ..self }
    }

    /// The same rows, of which some columns are of words, as `alphabets` tell, or of integers: those that messages call so.
    ///
    /// # Errors
    /// If a column of integers is none, or they lie too far apart.
    pub fn with_discrete(mut self, alphabets: &[Alphabet], integers: &[String]) -> Result<Self> {
        let values = |part: &'_ [f32], column: usize| -> Vec<f32> {
            part.iter().skip(column).step_by(self.columns).copied().collect()
        };
        let train = |column: usize| values(&self.train, column).into_iter();
        let mut found: Vec<Discrete> =
            alphabets.iter().map(|alphabet| Discrete::of_words(alphabet, train(alphabet.column))).collect();
        for (column, label) in self.labels.iter().enumerate().filter(|(_, label)| integers.contains(label)) {
            let parts = [&self.train, &self.validation, &self.test].into_iter();
            let all = parts.flat_map(|part| values(part, column));
            found.push(Discrete::of_integers(column, label, all, train(column))?);
        }
        found.sort_by_key(|found| found.column);
        self.summary.discrete = found;
        Ok(self)
    }

    /// What the file calls the columns, where it names all of them, each by a name of its own.
    pub fn columns_by_name(&self) -> Option<Vec<String>> {
        let names: Vec<String> =
            self.labels.iter().map(|label| name_of(label).map(str::to_owned)).collect::<Option<_>>()?;
        (0..names.len()).all(|k| !names[..k].contains(&names[k])).then_some(names)
    }

    /// What the file calls the columns, where it names all of them and each name is one of its own that a file system takes, too.
    pub fn names(&self) -> Option<Vec<String>> {
        let name = |label: &String| {
            let own = label.strip_prefix("column ").map_or(Some(label.as_str()), |rest| {
                rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
            })?;
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
            let taken = ["c", "chain", "draw"].contains(&own);
            (!own.trim().is_empty() && own.chars().all(plain) && !taken).then(|| own.to_owned())
        };
        let names: Vec<String> = self.labels.iter().map(name).collect::<Option<_>>()?;
        let unlike = |k: usize| !names[..k].contains(&names[k]);
        (0..names.len()).all(unlike).then_some(names)
    }

    /// A line for each column of real numbers of the training rows on which a density means little: of one value (nearly) or a few alone,
    /// where it has no upper bound, or of a spread that f32 hardly holds.
    pub fn degenerate(&self) -> Vec<String> {
        let rows = self.train.len() / self.columns;
        let discrete = |column: &usize| self.summary.discrete.iter().any(|found| found.column == *column);
        let line = |column: usize| {
            let values = || self.train.iter().skip(column).step_by(self.columns).copied();
            // What more than half of the rows hold outlasts all others (Boyer and Moore 1991).
            let (value, _) = values().fold((0.0, 0), |(held, lead), value| match lead {
                0 => (value, 1),
                _ if value == held => (held, lead + 1),
                _ => (held, lead - 1),
            });
            let few = few(values());
            let share = values().filter(|other| *other == value).count() as f64 / rows as f64;
            let mean = values().map(f64::from).sum::<f64>() / rows as f64;
            let variance = values().map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / rows as f64;
            let label = &self.labels[column];
            if share > MOST_ALIKE {
                let percent = 100.0 * share;
                return Some(format!(
                    "{label} is {value} in {percent:.1} % of the training rows: a density has no upper bound there, and a \
                     likelihood no meaning; target.drop leaves it out"
                ));
            }
            let size = values().map(|v| f64::from(v.abs())).fold(0.0, f64::max);
            if variance.sqrt() < LEAST_SPREAD * size {
                return Some(format!(
                    "{label} varies by {:.1e} of its size alone, which f32 hardly holds: subtract its mean, {mean}, from \
                     the data first",
                    variance.sqrt() / size
                ));
            }
            few.filter(|few| few * 10 <= rows).map(|few| {
                format!(
                    "{label} has {few} different values alone, at which a density has no upper bound: target.categories (or \
                     target.integers) with its name gives each of them a probability"
                )
            })
        };
        (0..self.columns).filter(|column| !discrete(column)).filter_map(line).collect()
    }
}

/// Splits a table by a permutation that `seed` decides; `validation` and `test` are fractions.
///
/// # Errors
/// If no training row would be left, or a fraction is not within [0, 1).
pub fn split(table: &Table, validation: f64, test: f64, seed: u64) -> Result<Dataset> {
    Ok(parts(table, validation, test, seed)?.0)
}

/// [`split`] for rows that have classes.
///
/// # Errors
/// As [`split`].
pub fn split_labelled(data: &Labelled, validation: f64, test: f64, seed: u64) -> Result<Dataset> {
    let (dataset, rows) = parts(&data.table, validation, test, seed)?;
    let parts = rows.map(|rows| rows.iter().map(|row| data.classes[*row]).collect());
    Ok(dataset.with_classes(Classes { words: data.words.clone(), ..Classes::new(data.count, parts) }))
}

/// [`split`] for rows that are given numbers.
///
/// # Errors
/// As [`split`], or if a column that is given is constant over the training rows.
pub fn split_conditioned(data: &Conditioned, validation: f64, test: f64, seed: u64) -> Result<Dataset> {
    let (dataset, rows) = parts(&data.table, validation, test, seed)?;
    let numbers = Numbers::new(data.given.labels.clone(), rows.map(|rows| gather(&data.given, &rows)))?;
    Ok(dataset.with_numbers(numbers))
}

/// The rows of a table with these numbers.
fn gather(table: &Table, rows: &[usize]) -> Vec<f32> {
    let row = |row: &usize| table.values[row * table.columns..(row + 1) * table.columns].iter().copied();
    rows.iter().flat_map(row).collect()
}

/// A table in three parts, and the numbers of the rows of each: to learn from, to stop by, to report on.
fn parts(table: &Table, validation: f64, test: f64, seed: u64) -> Result<(Dataset, [Vec<usize>; 3])> {
    for (key, fraction) in [("target.validation", validation), ("target.test", test)] {
        if !(0.0..1.0).contains(&fraction) {
            return Err(Problem::new(key, fraction.to_string())
                .allowed("a fraction from 0 to below 1")
                .into());
        }
    }
    let rows = table.rows();
    let (validation, test) =
        ((rows as f64 * validation).round() as usize, (rows as f64 * test).round() as usize);
    if validation + test >= rows {
        return Err(Problem::new(
            "target",
            format!("{rows} rows, {validation} of them for validation and {test} for test"),
        )
        .allowed("fractions that leave at least one row to train on")
        .into());
    }
    let order = Noise::new(seed, Purpose::Data).step(u32::MAX).permutation(rows);
    let parts = [validation + test..rows, 0..validation, validation..validation + test]
        .map(|range| order[range].to_vec());
    let rows = [0, 1, 2].map(|part| gather(table, &parts[part]));
    Ok((Dataset::new(table.labels.clone(), rows), parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Classes go where their rows go; stratified classes keep the shares.
    #[test]
    fn classes_are_split_with_their_rows() {
        let table = Table {
            columns: 1,
            values: (0..10).map(|i| i as f32).collect(),
            labels: vec!["column 1".to_owned()],
            alphabets: Vec::new(),
        };
        let classes = (0..10).map(|row| usize::from(row >= 6)).collect();
        let data =
            split_labelled(&Labelled { table, classes, count: 2, words: Vec::new() }, 0.2, 0.3, 5).unwrap();
        let found = data.classes.unwrap();
        let parts =
            [(&data.train, &found.train), (&data.validation, &found.validation), (&data.test, &found.test)];
        for (rows, classes) in parts {
            assert_eq!(rows.len(), classes.len());
            assert!(rows.iter().zip(classes).all(|(row, class)| usize::from(*row >= 6.0) == *class));
        }
        assert_eq!(found.one_hot(&[1, 0]), [0.0, 1.0, 1.0, 0.0]);
        let second = found.train.iter().filter(|class| **class == 1).count();
        assert_eq!(found.stratified(50).iter().filter(|class| **class == 1).count(), 10 * second);
        assert!(found.stratified(7).is_sorted() && found.stratified(7).len() == 7);
    }

    #[test]
    fn columns_without_a_density_are_named() {
        let rows = 300;
        let row = |i: usize| {
            let i = i as f32;
            // Constant; nearly constant; of a small spread far from 0; the same spread around 0; half of it one value.
            [3.5, f32::from(u8::from(i == 7.0)), 1e6 + i % 5.0, i % 5.0 - 2.0, (i % 2.0) * i]
        };
        let labels = ["column \"a\"", "column 2", "column 3", "column 4", "column 5"];
        let table = Table {
            columns: 5,
            values: (0..rows).flat_map(row).collect(),
            labels: labels.map(str::to_owned).to_vec(),
            alphabets: Vec::new(),
        };
        let data = split(&table, 0.0, 0.0, 0).unwrap();
        assert_eq!(data.names(), None);
        let named = |labels: [&str; 5]| {
            Dataset { labels: labels.map(str::to_owned).to_vec(), ..data.clone() }.names()
        };
        let names = ["a", "b", "c d", "theta0", "\u{b5}"];
        let labels = ["column \"a\"", "column \"b\"", "column \"c d\"", "theta0", "column \"\u{b5}\""];
        assert_eq!(named(labels).unwrap(), names);
        for odd in
            ["column \"a\"", "column \"a/b\"", "column \"..\"", "column \"draw\"", "column \" \"", "column 2"]
        {
            assert_eq!(named([labels[0], odd, labels[2], labels[3], labels[4]]), None, "{odd}");
        }
        let found = data.degenerate();
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("column \"a\" is 3.5 in 100.0 % of the training rows: "), "{found:?}");
        assert!(found[1].starts_with("column 2 is 0 in 99.7 % of the training rows: "), "{found:?}");
        assert!(found[2].starts_with("column 3 varies by 1.4e-6 of its size alone, "), "{found:?}");
        assert!(found[3].starts_with("column 4 has 5 different values alone, "), "{found:?}");
        let told = data.with_discrete(&[], &["column 4".to_owned()]).unwrap();
        assert_eq!(told.degenerate(), found[..3]);
    }
}
