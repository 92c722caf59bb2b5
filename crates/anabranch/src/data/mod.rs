//! Data sets: tables of numbers, read from files or embedded, split, and written.
//!
//! Each file format has a module with the name of the format, which reads it (and writes it, where samples are
//! written so); [`read`] recognises a file by its content, [`write_samples`] writes one by its [`Format`].

pub mod abc;
mod array;
pub mod atomic;
pub mod binary;
mod columns;
mod conditioned;
mod correlation;
mod csv;
mod discrete;
pub mod gray;
mod idx;
mod labelled;
pub mod lock;
mod npy;
mod npz;
mod parquet;
mod png;
mod read;
mod split;
mod summary;
mod thrift;
mod unpack;
mod words;
mod write;
pub mod zarr;

pub use columns::{Column, by_name, name_of};
pub use conditioned::{Conditioned, Numbers, read_conditioned};
pub use correlation::{Correlation, MOST_COLUMNS};
pub(crate) use csv::{records, write_records};
pub use discrete::{Discrete, MOST_INTEGERS};
pub use labelled::{Labelled, TWO_CLASSES, embedded_labelled, embedded_two_classes, read_labelled};
pub use read::{names, parse, parse_text, read, read_lossy_text, read_text, read_words};
pub use split::{Classes, Dataset, split, split_conditioned, split_labelled};
pub use summary::{GivenSummary, Latent, Summary};
pub use words::{Alphabet, MOST_WORDS};
pub use write::{Format, Layout, write_lines, write_objects, write_samples};

use crate::error::{Problem, Result};

/// Numbers in rows and columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The number of columns.
    pub columns: usize,
    /// Row-major values, every one finite.
    pub values: Vec<f32>,
    /// What messages call the columns: by name where the file gives any, else by their number in the file, from 1.
    pub labels: Vec<String>,
    /// What the values of columns of words stand for.
    pub alphabets: Vec<Alphabet>,
}

impl Table {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
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
        "digits" => parse("digits", DIGITS, &[Column::Index(64)]),
        _ => Err(Problem::new("target.source", format!("\"{name}\"")).choices(&EMBEDDED).into()),
    }
}

/// Where 126 pine saplings grow in the unit square, `[126, 2]`.
pub fn pines() -> Table {
    parse("pines", include_bytes!("../../../../data/pines.csv"), &[]).expect("the file comes along")
}

/// Answers of 400 students to 100 questions, a student a row: 1 right, 0 wrong, 2 not asked.
pub fn item_responses() -> Table {
    let bytes = include_bytes!("../../../../data/item-response.csv.gz");
    parse("item responses", bytes, &[]).expect("the file comes along")
}
