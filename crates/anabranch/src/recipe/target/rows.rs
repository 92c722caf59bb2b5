//! Data: rows of numbers from tables and files, and exact samples of toy densities.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{self, Column, Dataset, Table};
use crate::error::{Problem, Result, quoted, within};
use crate::math::Estimate;
use crate::papers;
use crate::target::toy;

/// Rows of numbers to learn from, as a recipe names them.
pub trait Rows {
    /// Checks every value that needs no file to be checked.
    ///
    /// # Errors
    /// The first problem found.
    fn check(&self) -> Result<()>;

    /// The rows, split in three.
    ///
    /// # Errors
    /// If they cannot be read.
    fn load(&self, seed: u64) -> Result<Dataset>;

    /// What they are, in words.
    fn describe(&self) -> String {
        "a data set".to_owned()
    }

    /// The papers that they come from, as BibTeX.
    fn papers(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// How many integer levels they have; 0 for continuous data.
    fn levels(&self) -> u32 {
        0
    }

    /// Height and width, where a row is a grey image.
    fn image(&self) -> Option<[usize; 2]> {
        None
    }

    /// The columns of a file that are left out.
    fn dropped(&self) -> &[Column] {
        &[]
    }

    /// The negative log-likelihood of the data's own law on rows of it, nats, where that is known: what a model's expected score
    /// cannot go below.
    fn exact_nll(&self, _rows: &[f32]) -> Option<Estimate> {
        None
    }
}

/// A data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableRecipe {
    /// The name of an embedded data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A file of numbers: CSV, NPY, NPZ, IDX or Parquet, recognised by content, plain or gzipped; `FILE.npz:NAME` is
    /// one of several arrays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Columns of the file to leave out, such as labels: indices from 0, or the names that the file gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<Column>,
    /// Integer data with values `0 .. levels`; 0 for continuous data.
    #[serde(default)]
    pub levels: u32,
    /// Height and width, where a row is a grey image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<[usize; 2]>,
    /// The fraction of rows for validation.
    #[serde(default = "tenth")]
    pub validation: f64,
    /// The fraction of rows for testing.
    #[serde(default = "fifth")]
    pub test: f64,
    /// The seed of the split: one for all models that are to be compared.
    #[serde(default)]
    pub split_seed: u64,
}

fn tenth() -> f64 {
    0.1
}

fn fifth() -> f64 {
    0.2
}

/// Samples of a toy density.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToyDataRecipe {
    /// The density's name.
    pub name: String,
    /// How many samples to learn from; a tenth of it more for validation, a fifth for testing.
    #[serde(default = "toy_rows")]
    pub rows: usize,
}

fn toy_rows() -> usize {
    100_000
}

impl Rows for TableRecipe {
    fn check(&self) -> Result<()> {
        match (&self.source, &self.file) {
            (Some(_), None) | (None, Some(_)) => {}
            (Some(_), Some(_)) => {
                return Err(Problem::new("target", "both source and file").allowed("one of them").into());
            }
            (None, None) => {
                return Err(Problem::new("target", "neither source nor file")
                    .allowed(format!(
                        "source = one of {}, or file = a CSV, NPY, NPZ, IDX or Parquet file",
                        data::EMBEDDED.join(", ")
                    ))
                    .into());
            }
        }
        if self.source.is_some() && !self.drop.is_empty() {
            return Err(Problem::new("target.drop", "columns of an embedded data set")
                .allowed("columns of a file; an embedded data set comes without its labels")
                .into());
        }
        if let Some(source) = &self.source
            && !data::EMBEDDED.contains(&source.as_str())
        {
            return Err(Problem::new("target.source", quoted(source)).choices(&data::EMBEDDED).into());
        }
        if self.levels == 1 || self.levels > 65_536 {
            return Err(Problem::new("target.levels", self.levels.to_string())
                .allowed("0 for continuous data, or from 2 to 65536")
                .into());
        }
        within("target.validation", self.validation, 0.0, 0.99)?;
        within("target.test", self.test, 0.0, 0.99)
    }

    fn load(&self, _seed: u64) -> Result<Dataset> {
        let (place, table) = match (&self.source, &self.file) {
            (Some(source), _) => (source, data::embedded(source)?),
            (None, Some(file)) => (file, data::read(Path::new(file), &self.drop)?),
            (None, None) => unreachable!("a checked table has a source or a file"),
        };
        check_levels(place, &table, self.levels)?;
        if let Some([height, width]) = self.image
            && height.checked_mul(width) != Some(table.columns)
        {
            return Err(Problem::new("target.image", format!("{height} x {width}"))
                .allowed(format!(
                    "a height and a width whose product is the number of columns, {}",
                    table.columns
                ))
                .into());
        }
        data::split(&table, self.validation, self.test, self.split_seed)
    }

    fn levels(&self) -> u32 {
        self.levels
    }

    fn image(&self) -> Option<[usize; 2]> {
        self.image
    }

    fn dropped(&self) -> &[Column] {
        &self.drop
    }
}

impl Rows for ToyDataRecipe {
    fn check(&self) -> Result<()> {
        if !toy::NAMES.contains(&self.name.as_str()) {
            return Err(Problem::new("target.name", quoted(&self.name)).choices(&toy::NAMES).into());
        }
        within("target.rows", self.rows as f64, 10.0, 1e7)
    }

    fn load(&self, seed: u64) -> Result<Dataset> {
        let (validation, test) = (self.rows.div_ceil(10), self.rows.div_ceil(5));
        let all = toy::sample(&self.name, self.rows + validation + test, seed);
        let (train, rest) = all.split_at(2 * self.rows);
        let (validation, test) = rest.split_at(2 * validation);
        Ok(Dataset {
            columns: 2,
            labels: vec!["column 1".to_owned(), "column 2".to_owned()],
            train: train.to_vec(),
            validation: validation.to_vec(),
            test: test.to_vec(),
            classes: None,
        })
    }

    fn describe(&self) -> String {
        format!("a data set: exact samples of the toy density {}, log-density known", self.name)
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![papers::toy(&self.name)]
    }

    fn exact_nll(&self, rows: &[f32]) -> Option<Estimate> {
        let surprise: Vec<f64> = toy::log_density(&self.name, rows).iter().map(|value| -value).collect();
        Some(Estimate::mean(&surprise))
    }
}

/// Reads a file of further rows for a model of `dimension` columns that was trained on `target`.
///
/// The file may be laid out as the target's own, with the columns to drop, or have the model's columns alone.
pub(super) fn read(target: Option<&dyn Rows>, path: &Path, dimension: usize) -> Result<Table> {
    let drop = target.map_or(&[][..], |target| target.dropped());
    let fits = |table: &Result<Table>| table.as_ref().is_ok_and(|table| table.columns == dimension);
    let mut read = data::read(path, drop);
    if !fits(&read) && !drop.is_empty() {
        read = Some(data::read(path, &[])).filter(fits).unwrap_or(read);
    }
    let table = read?;
    if table.columns != dimension {
        return Err(Problem::new(path.display().to_string(), format!("{} columns", table.columns))
            .allowed(format!("{dimension} columns, as the model has"))
            .into());
    }
    check_levels(&path.display().to_string(), &table, target.map_or(0, |target| target.levels()))?;
    Ok(table)
}

/// Checks that integer data are integers below `levels`; 0 is continuous data, of which any will do.
fn check_levels(place: &str, table: &Table, levels: u32) -> Result<()> {
    let wrong = |value: &f32| value.fract() != 0.0 || !(0.0..levels as f32).contains(value);
    let Some(index) = table.values.iter().position(wrong).filter(|_| levels > 0) else { return Ok(()) };
    let (row, label) = (index / table.columns + 1, &table.labels[index % table.columns]);
    Err(Problem::new(format!("{place}, row {row}, {label}"), table.values[index].to_string())
        .allowed(format!("an integer from 0 to {} (target.levels = {levels})", levels - 1))
        .into())
}
