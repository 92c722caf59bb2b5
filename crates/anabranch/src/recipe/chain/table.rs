//! Samples as a table: beside their own columns those of the conditions under which they were drawn.

use super::{ChainPlan, Condition};
use crate::data::{Column, Discrete, name_of};

/// Samples with the columns of their conditions, where data name them.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleTable {
    /// The names of the columns, where the data name all of them.
    pub names: Option<Vec<String>>,
    /// The columns of integers and of words.
    pub discrete: Vec<Discrete>,
    /// How many columns there are.
    pub columns: usize,
    /// Row-major, `[samples, columns]`.
    pub values: Vec<f32>,
}

impl ChainPlan {
    /// Samples `[samples, dimension]` and behind each its class or what it was given, in the units of the data: `conditions`,
    /// `[samples, width]`. Where the data do not name their columns, or those of conditions like others, they stand alone.
    pub fn table(&self, samples: &[f32], conditions: &[f32]) -> SampleTable {
        let (dimension, names, mut discrete) = (self.dimension(), self.names(), self.discrete().to_vec());
        let given = self.columns_of(conditions).filter(|_| !conditions.is_empty());
        match (names, given) {
            (Some(mut names), Some((own, kind, given))) if own.iter().all(|name| !names.contains(name)) => {
                let rows = samples.chunks_exact(dimension).zip(given.chunks_exact(own.len()));
                let values = rows.flat_map(|(row, given)| row.iter().chain(given).copied()).collect();
                names.extend(own);
                discrete.extend(kind);
                SampleTable { columns: names.len(), names: Some(names), discrete, values }
            }
            (names, _) => SampleTable { columns: dimension, names, discrete, values: samples.to_vec() },
        }
    }

    /// The names of conditions, what a class stands for, and the conditions `[samples, names]`.
    fn columns_of(&self, conditions: &[f32]) -> Option<(Vec<String>, Option<Discrete>, Vec<f32>)> {
        match &self.condition {
            Condition::Class { classes, .. } => {
                let Some(Column::Name(name)) = self.recipe.target.rows()?.label() else { return None };
                let class = |row: &[f32]| row.iter().position(|there| *there == 1.0).unwrap_or(0) as f32;
                let (words, shares) = (classes.words.clone(), classes.shares.clone());
                let kind = Discrete { column: self.dimension(), first: 0, words, shares };
                Some((vec![name], Some(kind), conditions.chunks_exact(classes.count).map(class).collect()))
            }
            Condition::Numbers { numbers, .. } if numbers.levels == 0 => {
                let names: Option<Vec<String>> =
                    numbers.labels.iter().map(|label| name_of(label).map(str::to_owned)).collect();
                Some((names?, None, conditions.to_vec()))
            }
            _ => None,
        }
    }
}
