//! The targets a recipe can name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{positive, within};
use crate::data::{self, Dataset};
use crate::error::{Problem, Result, quoted};
use crate::math::Estimate;
use crate::target::{EnergyRecipe, toy};

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
        energy: EnergyRecipe,
    },
}

/// A data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableRecipe {
    /// The name of an embedded data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A CSV file, plain or gzipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
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
                                "source = one of {}, or file = a CSV file",
                                data::EMBEDDED.join(", ")
                            ))
                            .into());
                    }
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
            Self::Energy { energy } => energy.check(),
        }
    }
}

impl TableRecipe {
    /// Reads, checks and splits the table.
    pub(super) fn load(&self) -> Result<Dataset> {
        let table = match (&self.source, &self.file) {
            (Some(source), _) => data::embedded(source)?,
            (None, Some(file)) => data::read_csv(std::path::Path::new(file))?,
            (None, None) => unreachable!("a checked table has a source or a file"),
        };
        if self.levels > 0 {
            let wrong =
                table.values.iter().position(|v| v.fract() != 0.0 || !(0.0..self.levels as f32).contains(v));
            if let Some(index) = wrong {
                let (row, column) = (index / table.columns + 1, index % table.columns + 1);
                let name = self.source.as_ref().or(self.file.as_ref()).map_or("", String::as_str);
                return Err(Problem::new(
                    format!("{name}, row {row}, column {column}"),
                    table.values[index].to_string(),
                )
                .allowed(format!(
                    "an integer from 0 to {} (target.levels = {})",
                    self.levels - 1,
                    self.levels
                ))
                .into());
            }
        }
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
        positive("target.rows", self.rows as u64)?;
        let (validation, test) = (self.rows.div_ceil(10), self.rows.div_ceil(5));
        let all = toy::sample(&self.name, self.rows + validation + test, seed);
        let (train, rest) = all.split_at(2 * self.rows);
        let (validation, test) = rest.split_at(2 * validation);
        Ok(Dataset {
            columns: 2,
            train: train.to_vec(),
            validation: validation.to_vec(),
            test: test.to_vec(),
        })
    }
}
