//! Data sets: tables of numbers, read from files or embedded, and split.

pub mod atomic;
mod csv;
pub mod lock;
mod split;

pub use self::csv::{parse_csv, read_csv};
pub use split::{Dataset, split};

use crate::error::{Problem, Result};

/// Numbers in rows and columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The number of columns.
    pub columns: usize,
    /// Row-major values, every one finite.
    pub values: Vec<f32>,
}

impl Table {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    /// The table without the column `index`.
    fn without(&self, index: usize) -> Self {
        let rows = self.values.chunks_exact(self.columns);
        let values =
            rows.flat_map(|row| row.iter().enumerate().filter(|(c, _)| *c != index).map(|(_, v)| *v));
        Self { columns: self.columns - 1, values: values.collect() }
    }
}

/// The names of the embedded data sets.
pub const EMBEDDED: [&str; 1] = ["digits"];

const DIGITS: &[u8] = include_bytes!("../../../../data/digits.csv.gz");

/// An embedded data set, without its labels.
///
/// # Errors
/// If there is none of that name.
pub fn embedded(name: &str) -> Result<Table> {
    match name {
        // The last column is the digit.
        "digits" => Ok(parse_csv("digits", DIGITS)?.without(64)),
        _ => Err(Problem::new("target.source", format!("\"{name}\"")).choices(&EMBEDDED).into()),
    }
}
