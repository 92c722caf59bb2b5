//! Train, validation and test splits.

use super::Table;
use crate::error::{Problem, Result};
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
}

/// Splits a table by a permutation that `seed` decides; `validation` and `test` are fractions.
///
/// # Errors
/// If no training row would be left, or a fraction is not within [0, 1).
pub fn split(table: &Table, validation: f64, test: f64, seed: u64) -> Result<Dataset> {
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
    let gather = |indices: &[usize]| -> Vec<f32> {
        indices
            .iter()
            .flat_map(|i| table.values[i * table.columns..(i + 1) * table.columns].iter().copied())
            .collect()
    };
    Ok(Dataset {
        columns: table.columns,
        train: gather(&order[validation + test..]),
        validation: gather(&order[..validation]),
        test: gather(&order[validation..validation + test]),
    })
}
