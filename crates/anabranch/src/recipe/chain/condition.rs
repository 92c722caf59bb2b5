//! What the paths of a chain are conditioned on: the classes of a table's rows, or numbers of theirs, or what a target's conditions
//! are drawn from.

use std::path::Path;

use crate::chain::Given;
use crate::data::{self, Classes, Column, Dataset, Numbers};
use crate::error::{Problem, Result, quoted};
use crate::rng::{Noise, Purpose};
use crate::target::{Conditions, parse_condition, read_conditions};

/// What paths are conditioned on.
#[derive(Debug, Clone)]
pub enum Condition {
    /// Nothing.
    Nothing,
    /// The class of each row of data, as a 1 at its place among as many numbers as there are classes.
    Class {
        /// The classes of the rows.
        classes: Classes,
        /// Of the rows to learn from.
        train: Given,
        /// Of the rows to stop by.
        validation: Given,
        /// Of the rows to report on.
        test: Given,
    },
    /// Numbers that each row of data is given, standardised.
    Numbers {
        /// The numbers of the rows, in the units of the data.
        numbers: Numbers,
        /// Of the rows to learn from.
        train: Given,
        /// Of the rows to stop by.
        validation: Given,
        /// Of the rows to report on.
        test: Given,
    },
    /// Numbers of a law, which the target reads too.
    Law(Conditions),
}

/// Numbers of all conditions of a part of the data.
const MOST_NUMBERS: usize = 1 << 28;

/// Of paths under no condition, and under conditions that are drawn.
static NOTHING: Given = Given::nothing();

impl Condition {
    /// The classes or the numbers of data, if it has some, of which `samples` are drawn at the end.
    ///
    /// # Errors
    /// If conditions of so many classes would not fit into a machine's memory.
    pub(super) fn of_rows(data: &Dataset, samples: usize) -> Result<Self> {
        if let Some(numbers) = &data.numbers {
            let given = |part: &[f32]| Self::of_numbers(numbers, part);
            return Ok(Self::Numbers {
                train: given(&numbers.train),
                validation: given(&numbers.validation),
                test: given(&numbers.test),
                numbers: numbers.clone(),
            });
        }
        let Some(classes) = &data.classes else { return Ok(Self::Nothing) };
        let most = samples.max(classes.train.len()).max(classes.test.len()).max(classes.validation.len());
        if most.saturating_mul(classes.count) > MOST_NUMBERS {
            let found = format!("{} classes with {most} rows", classes.count);
            return Err(Problem::new("target.label", found)
                .allowed(format!("at most {MOST_NUMBERS} as their product"))
                .into());
        }
        let given = |part: &[usize]| Given::rows(classes.count, classes.one_hot(part));
        Ok(Self::Class {
            train: given(&classes.train),
            validation: given(&classes.validation),
            test: given(&classes.test),
            classes: classes.clone(),
        })
    }

    /// How many numbers a condition has.
    pub fn width(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Class { classes, .. } => classes.count,
            Self::Numbers { numbers, .. } => numbers.columns(),
            Self::Law(law) => law.width(),
        }
    }

    /// The conditions of the rows to learn from.
    pub fn of_training(&self) -> &Given {
        match self {
            Self::Class { train, .. } | Self::Numbers { train, .. } => train,
            Self::Nothing | Self::Law(_) => &NOTHING,
        }
    }

    /// The conditions of the rows to stop by: of those to learn from where there are none.
    pub fn of_validation(&self) -> &Given {
        match self {
            Self::Class { train, validation, .. } | Self::Numbers { train, validation, .. } => {
                if validation.values().is_empty() { train } else { validation }
            }
            Self::Nothing | Self::Law(_) => &NOTHING,
        }
    }

    /// The conditions of the rows to report on: of those to learn from where there are none.
    pub fn of_test(&self) -> &Given {
        match self {
            Self::Class { train, test, .. } | Self::Numbers { train, test, .. } => {
                if test.values().is_empty() { train } else { test }
            }
            Self::Nothing | Self::Law(_) => &NOTHING,
        }
    }

    /// The conditions of `rows` samples: classes in order, each as often as among the rows to learn from; the numbers of the rows to
    /// report on, one after the other; draws of the law.
    pub fn of_samples(&self, rows: usize, noise: &Noise) -> Given {
        match self {
            Self::Nothing => Given::nothing(),
            Self::Class { classes, .. } => {
                Given::rows(classes.count, classes.one_hot(&classes.stratified(rows)))
            }
            Self::Numbers { .. } => {
                let test = self.of_test();
                let numbers = test.values().iter().copied().cycle().take(rows * test.width());
                Given::rows(test.width(), numbers.collect())
            }
            Self::Law(law) => Given::rows(law.width(), law.draw(rows, &noise.purpose(Purpose::Condition))),
        }
    }

    /// The numbers of conditions as people say them: in the units of the data where networks read them standardised.
    pub fn in_units(&self, given: &Given) -> Vec<f32> {
        match self {
            Self::Numbers { numbers, .. } => numbers.in_units(given.values()),
            _ => given.values().to_vec(),
        }
    }

    /// Conditions in the units of the data, `[rows, width]`, as networks read them.
    fn of_numbers(numbers: &Numbers, values: &[f32]) -> Given {
        Given::rows(numbers.columns(), numbers.standardised(values))
    }

    /// A condition for each of `rows` paths, of which every one is a function of its own address: a class by its share of the rows to
    /// learn from, the numbers of one of those rows, a draw of the law.
    pub fn drawn(&self, rows: usize, noise: &Noise) -> Given {
        if let Self::Numbers { train, numbers, .. } = self {
            let (count, noise) =
                (train.values().len() / numbers.columns(), noise.purpose(Purpose::Condition));
            let chosen: Vec<u32> = (0..rows).map(|row| noise.below(row, count) as u32).collect();
            return train.select(&chosen);
        }
        let Self::Class { classes, .. } = self else { return self.of_samples(rows, noise) };
        let class = |u: f32| {
            let mut left = f64::from(u);
            let found = classes.shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            // The shares may add up to less than 1 by rounding.
            found.unwrap_or(classes.count - 1)
        };
        let drawn: Vec<usize> =
            noise.purpose(Purpose::Condition).uniform(rows, 1).into_iter().map(class).collect();
        Given::rows(classes.count, classes.one_hot(&drawn))
    }

    /// The condition that a user names for all paths: a class, or the numbers of a condition with commas between them.
    ///
    /// # Errors
    /// If there are no conditions, or it is none.
    pub fn parse(&self, place: &str, text: &str) -> Result<Given> {
        match self {
            Self::Nothing => {
                Err(Problem::new(place, quoted(text)).allowed("none: the model has no conditions").into())
            }
            Self::Class { classes, .. } => {
                Ok(Given::rows(classes.count, classes.one_hot(&[classes.parse(place, text)?])))
            }
            Self::Numbers { numbers, .. } => {
                let values = parse_condition(place, text, numbers.columns())?;
                numbers.check(place, &values)?;
                Ok(Self::of_numbers(numbers, &values))
            }
            Self::Law(law) => law.parse(place, text).map(|values| Given::rows(law.width(), values)),
        }
    }

    /// The conditions that a file lists, a row for each: a class, or the numbers of a condition in their order.
    ///
    /// # Errors
    /// If there are no conditions, or the file cannot be read or holds something else.
    pub fn read(&self, place: &str, path: &Path) -> Result<Given> {
        match self {
            Self::Nothing => {
                let found = quoted(&path.display().to_string());
                Err(Problem::new(place, found).allowed("none: the model has no conditions").into())
            }
            Self::Class { classes, .. } => {
                let said = if classes.words.is_empty() {
                    read_conditions(path, 1)?.iter().map(f32::to_string).collect()
                } else {
                    read_classes(path, &classes.words)?
                };
                Ok(Given::rows(classes.count, classes.one_hot(&classes.parse_rows(path, &said)?)))
            }
            Self::Numbers { numbers, .. } => {
                let values = read_conditions(path, numbers.columns())?;
                numbers.check(&path.display().to_string(), &values)?;
                Ok(Self::of_numbers(numbers, &values))
            }
            Self::Law(law) => Ok(Given::rows(law.width(), law.read(path)?)),
        }
    }

    /// A line for each number of conditions that lies outside of what training has seen.
    pub fn outside(&self, given: &Given) -> Vec<String> {
        let Self::Numbers { numbers, .. } = self else { return Vec::new() };
        let units = self.in_units(given);
        units.chunks_exact(numbers.columns()).flat_map(|condition| numbers.outside(condition)).collect()
    }

    /// What they are, in words; none where there are none.
    pub(super) fn describe(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Class { classes, .. } => Some(format!("the class of each row, of {}", classes.count)),
            Self::Numbers { numbers, .. } if numbers.levels > 0 => {
                Some(format!("the {} states before those of each row", numbers.columns()))
            }
            Self::Numbers { numbers, .. } => {
                Some(format!("{} of each row, standardised", numbers.labels.join(", ")))
            }
            Self::Law(law) => Some(format!("{} numbers of their law, which R reads", law.width())),
        }
    }
}

/// The cells of a file of one column of words; a first line that is one of `known` is no header.
fn read_classes(path: &Path, known: &[String]) -> Result<Vec<String>> {
    let place = path.display().to_string();
    let table = data::read_words(path, &[], &[Column::Index(0)])?;
    let [alphabet] = &table.alphabets[..] else {
        return Err(Problem::new(place, "no column of words").allowed("a column of classes").into());
    };
    if table.columns != 1 {
        let found = format!("{} columns", table.columns);
        return Err(Problem::new(place, found).allowed("1, that of the classes").into());
    }
    let first = data::names(path)?.and_then(|names| names.into_iter().next());
    let first = first.filter(|name| known.contains(name));
    Ok(first
        .into_iter()
        .chain(table.values.iter().map(|code| alphabet.words[*code as usize].clone()))
        .collect())
}
