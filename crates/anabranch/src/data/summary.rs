//! What a run keeps of its data: enough to build its model again and to name what it draws, without a row of them.
//!
//! ```text
//! mean_k, variance_k      of the rows to learn from
//! fingerprint             CRC-32C of the rows to learn from, to stop by and to report on, with what they are given
//! ```

use serde::{Deserialize, Serialize};

use super::{Classes, Correlation, Dataset, Discrete, Numbers};
use crate::error::{Problem, Result};

/// A data set without its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// What messages call each column.
    pub labels: Vec<String>,
    /// How many rows there are to learn from, to stop by and to report on.
    pub rows: [usize; 3],
    /// A checksum of each of these parts, with the classes or numbers that its rows are given.
    pub fingerprints: [u32; 3],
    /// The mean of each column over the rows to learn from.
    pub mean: Vec<f64>,
    /// The variance of each, over as many as there are.
    pub variance: Vec<f64>,
    /// The smallest and the largest number of each column, in all parts.
    pub range: Vec<[f32; 2]>,
    /// How columns go together among the rows to learn from, where a model begins with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Correlation>,
    /// The share of each class among the rows to learn from, where rows have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<Vec<f64>>,
    /// The word of each class, where the data have words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// The columns of integers and of words beside real ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discrete: Vec<Discrete>,
    /// What rows are given, where that is numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<GivenSummary>,
}

/// A column as a model next to it sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latent {
    /// Its mean.
    pub mean: f64,
    /// The variance of what rows say of it.
    pub variance: f64,
    /// The variance of the noise with which it comes beside.
    pub noise: f64,
}

/// The numbers that rows are given, without the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenSummary {
    /// What messages call each.
    pub labels: Vec<String>,
    /// The mean of each over the rows to learn from.
    pub location: Vec<f64>,
    /// The standard deviation of each.
    pub scale: Vec<f64>,
    /// How many values each has, where they are states; 0 of real numbers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub levels: u32,
    /// The smallest and the largest of each among the rows to learn from.
    pub range: Vec<[f32; 2]>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
fn is_zero(levels: &u32) -> bool {
    *levels == 0
}

/// The smallest and the largest number of each column of rows `[rows, columns]`.
pub(super) fn ranges(values: impl Iterator<Item = f32>, columns: usize) -> Vec<[f32; 2]> {
    let mut ranges = vec![[f32::INFINITY, f32::NEG_INFINITY]; columns];
    for (index, value) in values.enumerate() {
        let [low, high] = &mut ranges[index % columns];
        (*low, *high) = (low.min(value), high.max(value));
    }
    ranges
}

impl Summary {
    /// The summary of parts `[rows, columns]` of rows under `labels`; what they are given is told apart.
    pub(super) fn of(labels: Vec<String>, parts: [&[f32]; 3]) -> Self {
        let columns = labels.len();
        let rows = parts.map(|part| part.len() / columns);
        let train = parts[0];
        let column = |c: usize| train.iter().skip(c).step_by(columns).map(|value| f64::from(*value));
        let mean: Vec<f64> = (0..columns).map(|c| column(c).sum::<f64>() / rows[0] as f64).collect();
        let variance = (0..columns)
            .map(|c| column(c).map(|value| (value - mean[c]).powi(2)).sum::<f64>() / rows[0] as f64)
            .collect();
        let fingerprints = parts.map(|part| checksum(0, part.iter().flat_map(|value| value.to_le_bytes())));
        let range = ranges(parts.into_iter().flatten().copied(), columns);
        Self {
            labels,
            rows,
            fingerprints,
            mean,
            variance,
            range,
            correlation: None,
            shares: None,
            classes: Vec::new(),
            discrete: Vec::new(),
            given: None,
        }
    }

    /// The same of rows that have classes.
    pub(super) fn with_classes(mut self, classes: &Classes) -> Self {
        let parts = [&classes.train, &classes.validation, &classes.test];
        for (found, part) in self.fingerprints.iter_mut().zip(parts) {
            *found = checksum(*found, part.iter().flat_map(|class| (*class as u32).to_le_bytes()));
        }
        self.shares = Some(classes.shares.clone());
        self.classes.clone_from(&classes.words);
        self
    }

    /// The same of rows that are given numbers.
    pub(super) fn with_numbers(mut self, numbers: &Numbers) -> Self {
        let parts = [&numbers.train, &numbers.validation, &numbers.test];
        for (found, part) in self.fingerprints.iter_mut().zip(parts) {
            *found = checksum(*found, part.iter().flat_map(|value| value.to_le_bytes()));
        }
        self.given = Some(numbers.summary());
        self
    }

    /// The columns as a model next to them sees them: the mean of each over the rows to learn from, the variance of what rows say of it,
    /// and that of the noise beside. A column of few values is a standard normal, of which its value tells the cell.
    pub fn latent(&self) -> Vec<Latent> {
        let real = |(mean, variance): (&f64, &f64)| Latent { mean: *mean, variance: *variance, noise: 0.0 };
        let mut all: Vec<Latent> = self.mean.iter().zip(&self.variance).map(real).collect();
        for found in &self.discrete {
            let thresholds = found.thresholds();
            let share = |k: usize| thresholds.log_mass(k).exp();
            let said = |k: usize| share(k) * thresholds.mean(k).powi(2);
            let variance = (0..thresholds.count()).map(said).sum::<f64>().min(1.0);
            all[found.column] = Latent { mean: 0.0, variance, noise: 1.0 - variance };
        }
        all
    }

    /// Rows `[rows, columns]` with the mean of its cell in place of each value of few.
    pub(super) fn expected(&self, rows: &[f32]) -> Vec<f32> {
        let mut rows = rows.to_vec();
        for found in &self.discrete {
            let thresholds = found.thresholds();
            let means: Vec<f32> = (0..thresholds.count()).map(|k| thresholds.mean(k) as f32).collect();
            let values = rows.iter_mut().skip(found.column).step_by(self.labels.len());
            values.for_each(|value| *value = found.index(*value).map_or(0.0, |k| means[k]));
        }
        rows
    }

    /// Refuses data, read from `place`, that are not the ones that were summed up here.
    ///
    /// # Errors
    /// The first difference that a person would look for: columns, rows, a mean, or a checksum alone.
    pub fn check(&self, place: &str, found: &Self) -> Result<()> {
        if self == found {
            return Ok(());
        }
        let changed = if self.labels != found.labels {
            let names = |labels: &[String]| labels.join(", ");
            format!("{}, where training saw {}", names(&found.labels), names(&self.labels))
        } else if self.rows != found.rows {
            let all = |rows: [usize; 3]| rows.iter().sum::<usize>();
            format!("{} rows, where training saw {}", all(found.rows), all(self.rows))
        } else {
            let mut columns = self.mean.iter().zip(&found.mean).zip(&self.labels);
            match columns.find(|((before, now), _)| before != now) {
                Some(((before, now), label)) => {
                    format!("a mean of {now} in {label}, where training saw {before}")
                }
                None => "other values than training saw".to_owned(),
            }
        };
        Err(Problem::new(place, changed)
            .allowed(
                "the data as they were when the run began; `anabranch evaluate DIR --data FILE` scores other rows",
            )
            .into())
    }

    /// The data set that it is of, without rows.
    pub fn remembered(&self) -> Dataset {
        let classes = self.shares.clone().map(|shares| Classes::remembered(shares, self.classes.clone()));
        let numbers = self.given.clone().map(Numbers::remembered);
        Dataset {
            columns: self.labels.len(),
            labels: self.labels.clone(),
            train: Vec::new(),
            validation: Vec::new(),
            test: Vec::new(),
            classes,
            numbers,
            chances: None,
            remarks: Vec::new(),
            summary: self.clone(),
        }
    }

    /// A summary as a run directory keeps it.
    ///
    /// # Errors
    /// If `text` is none.
    pub fn parse(place: &str, text: &str) -> Result<Self> {
        let damaged = |found: String| Problem::new(place, found).allowed("the file as it was written");
        let found: Self =
            serde_json::from_str(text).map_err(|error| damaged(format!("a damaged summary ({error})")))?;
        let columns = found.labels.len();
        let whole = columns > 0
            && [found.mean.len(), found.variance.len(), found.range.len()] == [columns; 3]
            && found
                .shares
                .as_ref()
                .is_none_or(|shares| !shares.is_empty() && [0, shares.len()].contains(&found.classes.len()))
            && found.given.as_ref().is_none_or(|given| {
                let width = given.labels.len();
                width > 0 && [given.location.len(), given.scale.len(), given.range.len()] == [width; 3]
            });
        if whole {
            Ok(found)
        } else {
            Err(damaged(format!("lists of another length than its {columns} labels")).into())
        }
    }
}

/// `sum` continued over bytes.
fn checksum(sum: u32, bytes: impl Iterator<Item = u8>) -> u32 {
    let mut block = Vec::with_capacity(1 << 16);
    let mut sum = sum;
    for byte in bytes {
        block.push(byte);
        if block.len() == 1 << 16 {
            sum = crc32c::crc32c_append(sum, &block);
            block.clear();
        }
    }
    crc32c::crc32c_append(sum, &block)
}

#[cfg(test)]
mod tests {
    use super::super::{Labelled, Table, split, split_labelled};
    use super::*;

    fn table(change: impl Fn(usize, f32) -> f32) -> Table {
        let values = (0..60).map(|i| change(i, (i * i % 17) as f32)).collect();
        let labels = vec!["column \"a\"".to_owned(), "column \"b\"".to_owned()];
        Table { columns: 2, values, labels, alphabets: Vec::new() }
    }

    fn summary(change: impl Fn(usize, f32) -> f32) -> Summary {
        split(&table(change), 0.2, 0.2, 3).unwrap().summary
    }

    #[test]
    fn what_is_kept_comes_back() {
        let classes = (0..30).map(|row| row % 3).collect();
        let data = split_labelled(
            &Labelled { table: table(|_, v| v), classes, count: 3, words: Vec::new() },
            0.2,
            0.2,
            3,
        )
        .unwrap();
        let text = serde_json::to_string_pretty(&data.summary).unwrap();
        let found = Summary::parse("data.json", &text).unwrap();
        assert_eq!(found, data.summary);
        let back = found.remembered();
        assert_eq!((back.columns, &back.labels, back.train.len()), (2, &data.labels, 0));
        let (kept, whole) = (back.classes.unwrap(), data.classes.unwrap());
        assert_eq!((kept.count, &kept.shares, kept.train.len()), (3, &whole.shares, 0));
        assert_eq!(kept.stratified(10), whole.stratified(10));
        for wrong in ["{", "{}", &text.replace("\"a\\\"\",", "\"a\\\"\", \"c\",")] {
            let message = Summary::parse("data.json", wrong).unwrap_err().to_string();
            assert!(message.starts_with("data.json: found "), "{message}");
        }
    }

    #[test]
    fn a_change_is_named() {
        let before = summary(|_, v| v);
        before.check("t.csv", &summary(|_, v| v)).unwrap();
        let message = |now: Summary| before.check("t.csv", &now).unwrap_err().to_string();
        let doubled = message(summary(|i, v| if i % 2 == 0 { 2.0 * v } else { v }));
        assert!(
            doubled.starts_with("t.csv: found a mean of ") && doubled.contains("column \"a\""),
            "{doubled}"
        );
        let mut swapped = table(|_, v| v);
        swapped.values.swap(0, 2);
        let changed = split(&swapped, 0.2, 0.2, 3).unwrap().summary;
        assert_ne!(changed.fingerprints, before.fingerprints);
        let mut shorter = table(|_, v| v);
        shorter.values.truncate(58);
        let shorter = message(split(&shorter, 0.2, 0.2, 3).unwrap().summary);
        assert!(shorter.contains("found 29 rows, where training saw 30"), "{shorter}");
        let mut named = table(|_, v| v);
        named.labels.reverse();
        let named = message(split(&named, 0.2, 0.2, 3).unwrap().summary);
        assert!(
            named.contains("found column \"b\", column \"a\", where training saw column \"a\""),
            "{named}"
        );
    }
}
