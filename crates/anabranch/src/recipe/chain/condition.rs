//! What the paths of a chain are conditioned on: the classes of a table's rows, or what a target's conditions are drawn from.

use crate::chain::Given;
use crate::data::{Classes, Dataset};
use crate::error::{Problem, Result, quoted};
use crate::rng::{Noise, Purpose};
use crate::target::Conditions;

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
    /// Numbers of a law, which the target reads too.
    Law(Conditions),
}

/// Numbers of all conditions of a part of the data.
const MOST_NUMBERS: usize = 1 << 28;

/// Of paths under no condition, and under conditions that are drawn.
static NOTHING: Given = Given::nothing();

impl Condition {
    /// The classes of data, if it has some, of which `samples` are drawn at the end.
    ///
    /// # Errors
    /// If conditions of so many classes would not fit into a machine's memory.
    pub(super) fn of_rows(data: &Dataset, samples: usize) -> Result<Self> {
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
            Self::Law(law) => law.width(),
        }
    }

    /// The conditions of the rows to learn from.
    pub fn of_training(&self) -> &Given {
        if let Self::Class { train, .. } = self { train } else { &NOTHING }
    }

    /// The conditions of the rows to stop by: of those to learn from where there are none.
    pub fn of_validation(&self) -> &Given {
        match self {
            Self::Class { train, validation, .. } if validation.values().is_empty() => train,
            Self::Class { validation, .. } => validation,
            _ => &NOTHING,
        }
    }

    /// The conditions of the rows to report on: of those to learn from where there are none.
    pub fn of_test(&self) -> &Given {
        match self {
            Self::Class { train, test, .. } if test.values().is_empty() => train,
            Self::Class { test, .. } => test,
            _ => &NOTHING,
        }
    }

    /// The conditions of `rows` samples: classes in order, each as often as among the rows to learn from; draws of the law.
    pub fn of_samples(&self, rows: usize, noise: &Noise) -> Given {
        match self {
            Self::Nothing => Given::nothing(),
            Self::Class { classes, .. } => {
                Given::rows(classes.count, classes.one_hot(&classes.stratified(rows)))
            }
            Self::Law(law) => Given::rows(law.width(), law.draw(rows, &noise.purpose(Purpose::Condition))),
        }
    }

    /// A condition for each of `rows` paths, of which every one is a function of its own address: a class by its share of the rows to
    /// learn from, a draw of the law.
    pub fn drawn(&self, rows: usize, noise: &Noise) -> Given {
        let Self::Class { classes, .. } = self else { return self.of_samples(rows, noise) };
        let shares = classes.shares();
        let class = |u: f32| {
            let mut left = f64::from(u);
            let found = shares.iter().position(|share| {
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
        let problem = Problem::new(place, quoted(text));
        match self {
            Self::Nothing => Err(problem.allowed("none: the model has no conditions").into()),
            Self::Class { classes, .. } => {
                let class = text.trim().parse().ok().filter(|class| *class < classes.count);
                let Some(class) = class else {
                    return Err(problem.allowed(format!("a class from 0 to {}", classes.count - 1)).into());
                };
                Ok(Given::rows(classes.count, classes.one_hot(&[class])))
            }
            Self::Law(law) => law.parse(place, text).map(|values| Given::rows(law.width(), values)),
        }
    }

    /// What they are, in words; none where there are none.
    pub(super) fn describe(&self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Class { classes, .. } => Some(format!("the class of each row, of {}", classes.count)),
            Self::Law(law) => Some(format!("{} numbers of their law, which R reads", law.width())),
        }
    }
}
