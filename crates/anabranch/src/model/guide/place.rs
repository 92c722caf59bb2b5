//! Where a guide begins, in a recipe: one number for all coordinates, or one for each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Result, within};
use crate::model::part::{Place, Surroundings};

/// One number for all coordinates, or a list with one for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PerCoordinate {
    /// The same for all.
    All(f32),
    /// One each.
    Each(Vec<f32>),
}

impl PerCoordinate {
    /// Checks every number; `key` is the key's name.
    ///
    /// # Errors
    /// The first out of range.
    pub(super) fn check(&self, place: &Place, key: &str, least: f64, most: f64) -> Result<()> {
        match self {
            Self::All(value) => within(&place.of(key), f64::from(*value), least, most),
            Self::Each(values) => values.iter().enumerate().try_for_each(|(at, value)| {
                within(&place.of(&format!("{key}.{at}")), f64::from(*value), least, most)
            }),
        }
    }

    /// A number for each coordinate.
    ///
    /// # Errors
    /// If there are others than so many.
    pub(super) fn over(&self, around: &Surroundings<'_>, key: &str) -> Result<Vec<f32>> {
        match self {
            Self::All(value) => Ok(vec![*value; around.dimension]),
            Self::Each(values) if values.len() == around.dimension => Ok(values.clone()),
            Self::Each(values) => {
                let problem = around.place.problem(key, format!("{} numbers", values.len()));
                Err(problem.allowed(format!("one number, or {} of them", around.dimension)).into())
            }
        }
    }
}
