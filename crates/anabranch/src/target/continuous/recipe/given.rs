//! Targets that users bring, as a recipe names them: a formula, another program.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::environment::continuous::Domain;
use crate::target::continuous::entry::{Built, Entry, Result, check_dimension, shared};
use crate::target::recipe::{self, ProcessRecipe, formula, known_log_z};

/// A formula over the coordinates, in a recipe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpressionRecipe {
    /// How many coordinates there are, where the space does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<usize>,
    /// The formula of `log R`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_reward: Option<String>,
    /// The formula of `R` instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<String>,
    /// The logarithm of the integral of R, where you know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_z: Option<f64>,
}

impl Entry for ExpressionRecipe {
    fn formula(&self) -> String {
        recipe::expression(self.log_reward.as_deref(), self.reward.as_deref())
    }

    fn dimension(&self) -> Option<usize> {
        self.dimension
    }

    fn domain(&self) -> Option<Domain> {
        None
    }

    fn check(&self) -> Result<()> {
        self.dimension.map_or(Ok(()), |dimension| check_dimension(dimension, 1))
    }

    fn build(&self, domains: &[Domain], _: &str) -> Built {
        let formula = formula(self.log_reward.as_deref(), self.reward.as_deref(), domains.len())?;
        known_log_z(self.log_z, formula.conditions())?;
        shared(formula.with_log_z(self.log_z))
    }
}

impl Entry for ProcessRecipe {
    fn formula(&self) -> String {
        Self::formula(self)
    }

    fn dimension(&self) -> Option<usize> {
        self.dimension
    }

    fn domain(&self) -> Option<Domain> {
        None
    }

    fn check(&self) -> Result<()> {
        self.dimension.map_or(Ok(()), |dimension| check_dimension(dimension, 1))
    }

    fn build(&self, _: &[Domain], place: &str) -> Built {
        shared(Self::build(self, place, None)?)
    }
}
