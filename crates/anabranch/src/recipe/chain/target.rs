//! The targets a recipe can name.

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::data::{self, Column, Dataset, Table};
use crate::error::within;
use crate::error::{Problem, Result, quoted};
use crate::math::Estimate;
use crate::target::{PointTargetRecipe, Target, inside, toy};

/// What is to be modelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum TargetRecipe {
    /// Rows of numbers, embedded or from a file.
    Table(TableRecipe),
    /// Exact samples of a two-dimensional toy density.
    Toy(ToyDataRecipe),
    /// An unnormalised density.
    Energy {
        /// Which one.
        energy: PointTargetRecipe,
    },
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

impl TargetRecipe {
    /// Whether the target is an energy.
    pub fn is_energy(&self) -> bool {
        matches!(self, Self::Energy { .. })
    }

    /// The number of integer levels of the data, 0 for continuous states.
    pub fn levels(&self) -> u32 {
        match self {
            Self::Table(table) => table.levels,
            Self::Toy(_) | Self::Energy { .. } => 0,
        }
    }

    /// Height and width, where a state is a grey image.
    pub fn image(&self) -> Option<[usize; 2]> {
        match self {
            Self::Table(table) => table.image,
            Self::Toy(_) | Self::Energy { .. } => None,
        }
    }

    /// Reads a file of further data for a model of `dimension` columns that was trained on this target.
    ///
    /// The file may be laid out as the target's own, with the columns to drop, or have the model's columns alone.
    ///
    /// # Errors
    /// If it cannot be read, does not have the model's columns, or has values that are no levels of the target.
    pub fn read(&self, path: &Path, dimension: usize) -> Result<Table> {
        let drop = match self {
            Self::Table(table) => &table.drop[..],
            Self::Toy(_) | Self::Energy { .. } => &[],
        };
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
        check_levels(&path.display().to_string(), &table, self.levels())?;
        Ok(table)
    }

    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Table(table) => {
                match (&table.source, &table.file) {
                    (Some(_), None) | (None, Some(_)) => {}
                    (Some(_), Some(_)) => {
                        return Err(Problem::new("target", "both source and file")
                            .allowed("one of them")
                            .into());
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
                if table.source.is_some() && !table.drop.is_empty() {
                    return Err(Problem::new("target.drop", "columns of an embedded data set")
                        .allowed("columns of a file; an embedded data set comes without its labels")
                        .into());
                }
                if let Some(source) = &table.source
                    && !data::EMBEDDED.contains(&source.as_str())
                {
                    return Err(Problem::new("target.source", quoted(source))
                        .choices(&data::EMBEDDED)
                        .into());
                }
                if table.levels == 1 || table.levels > 65_536 {
                    return Err(Problem::new("target.levels", table.levels.to_string())
                        .allowed("0 for continuous data, or from 2 to 65536")
                        .into());
                }
                within("target.validation", table.validation, 0.0, 0.99)?;
                within("target.test", table.test, 0.0, 0.99)
            }
            Self::Toy(recipe) => {
                if !toy::NAMES.contains(&recipe.name.as_str()) {
                    return Err(Problem::new("target.name", quoted(&recipe.name))
                        .choices(&toy::NAMES)
                        .into());
                }
                within("target.rows", recipe.rows as f64, 10.0, 1e7)
            }
            Self::Energy { energy } => {
                let place = "target.energy";
                Ok(energy.check(place).map_err(|problem| inside(place, problem))?)
            }
        }
    }
}

/// An energy and the dimension of its space.
pub(super) fn build_energy(energy: &PointTargetRecipe) -> Result<(Arc<dyn Target>, usize)> {
    let place = "target.energy";
    Ok(energy.energy(place).map_err(|problem| inside(place, problem))?)
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

impl TableRecipe {
    /// Reads, checks and splits the table.
    pub(super) fn load(&self) -> Result<Dataset> {
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
}

impl ToyDataRecipe {
    /// The negative log-likelihood of the density itself on `rows` of its own samples, nats: what a model's expected
    /// score cannot go below.
    ///
    /// # Panics
    /// If the name is not one of [`toy::NAMES`].
    pub fn exact_nll(&self, rows: &[f32]) -> Estimate {
        let surprise: Vec<f64> = toy::log_density(&self.name, rows).iter().map(|value| -value).collect();
        Estimate::mean(&surprise)
    }

    /// Draws the three parts.
    pub(super) fn load(&self, seed: u64) -> Result<Dataset> {
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
}
