//! Candidates for measurement, as a recipe names them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Result, within};

/// Objects to be measured next, where the reward is a regressor: `candidates.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CandidatesRecipe {
    /// How many of the highest acquisition, and how many diverse ones.
    #[schemars(range(min = 1, max = 100_000))]
    pub count: usize,
    /// How many draws of the network they are chosen from.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub draws: usize,
    /// How far diverse ones are from each other, at least: letters that are inserted, deleted or exchanged, or differences of cells.
    #[schemars(range(min = 1, max = 65_535))]
    pub distance: usize,
}

impl Default for CandidatesRecipe {
    fn default() -> Self {
        Self { count: 100, draws: 5000, distance: 2 }
    }
}

impl CandidatesRecipe {
    /// Checks all values; they stand below `evaluation.candidates` in a recipe.
    pub(in crate::recipe) fn check(&self) -> Result<()> {
        within("evaluation.candidates.count", self.count as f64, 1.0, 1e5)?;
        within("evaluation.candidates.draws", self.draws as f64, 1.0, 1e7)?;
        within("evaluation.candidates.distance", self.distance as f64, 1.0, 65_535.0)
    }
}
