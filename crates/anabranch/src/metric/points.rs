//! A borrowed sample: rows of a row-major block.

use crate::error::{Problem, Result};

/// The largest magnitude of a coordinate: squared distances then fit into f32.
const LIMIT: f32 = 1e16;

/// A checked view of a sample, row-major `[rows, dimension]`: at least one row, every value finite.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    values: &'a [f32],
    dimension: usize,
}

impl<'a> Points<'a> {
    /// Views `values` as rows of `dimension` coordinates each.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if `dimension` is 0, `values` is empty or no whole number of
    /// rows, or a value is not finite or exceeds 1e16 in magnitude (its squared distances would overflow).
    pub fn new(values: &'a [f32], dimension: usize) -> Result<Self> {
        let wrong = |found: String, allowed: &str| Err(Problem::new("points", found).allowed(allowed).into());
        if dimension == 0 {
            return wrong("dimension 0".into(), "a dimension of at least 1");
        }
        if values.is_empty() {
            return wrong("no rows".into(), "at least one row");
        }
        if !values.len().is_multiple_of(dimension) {
            return wrong(
                format!("{} values", values.len()),
                &format!("a multiple of the dimension {dimension}"),
            );
        }
        // NaN compares false, and is caught with the rest.
        if let Some(at) = values.iter().position(|value| !matches!(value.abs(), 0.0..=LIMIT)) {
            let place = format!("{} in row {}, column {}", values[at], at / dimension, at % dimension);
            return wrong(place, "finite values of magnitude at most 1e16");
        }
        Ok(Self { values, dimension })
    }

    /// The number of rows, at least 1.
    pub fn rows(&self) -> usize {
        self.values.len() / self.dimension
    }

    /// The number of coordinates of a row, at least 1.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The values, row-major `[rows, dimension]`.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }

    /// The first `count` rows, or all where there are fewer.
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn first(&self, count: usize) -> Self {
        assert!(count > 0, "at least one row");
        Self { values: &self.values[..count.min(self.rows()) * self.dimension], ..*self }
    }

    /// Row `row`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.dimension..(row + 1) * self.dimension]
    }

    /// Copies the rows `rows`, in this order, into a new row-major block.
    pub(super) fn gather(&self, rows: &[usize]) -> Vec<f32> {
        rows.iter().flat_map(|row| self.row(*row)).copied().collect()
    }

    /// The rows of `self`, then those of `other`.
    pub(super) fn stack(&self, other: Points<'_>) -> Vec<f32> {
        [self.values, other.values].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn construction_is_checked() {
        let message = |values: &[f32], dimension| Points::new(values, dimension).unwrap_err().to_string();
        assert!(message(&[1.0], 0).contains("dimension 0"));
        assert!(message(&[], 2).contains("no rows"));
        assert!(message(&[1.0, 2.0, 3.0], 2).contains("multiple of the dimension 2"));
        assert!(message(&[1.0, 2.0, 3.0, f32::NAN], 2).contains("NaN in row 1, column 1"));
        assert!(message(&[1.0, f32::INFINITY], 1).contains("inf in row 1, column 0"));
        assert!(message(&[-2e16], 1).contains("at most 1e16"));
        let points = Points::new(&[1.0, 2.0, 3.0, 4.0], 2).unwrap();
        assert_eq!((points.rows(), points.row(1)), (2, &[3.0, 4.0][..]));
    }
}
