//! The objects a recipe can name, with their rewards.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reward::Bands;
use crate::environment::{Environment, Hypergrid};
use crate::error::Result;
use crate::recipe::within;
use crate::reward::Reward;

/// What objects there are and how they are built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ObjectsRecipe {
    /// Points of a grid, built by adding one to a coordinate.
    Hypergrid {
        /// How many coordinates.
        #[schemars(range(min = 1))]
        dim: usize,
        /// How many values each has.
        #[schemars(range(min = 2))]
        side: usize,
        /// The reward.
        #[serde(default)]
        reward: RewardRecipe,
    },
}

/// A reward.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RewardRecipe {
    /// The hypergrid's: `r0`, and `r1` more near the corners, and `r2` more in a thin shell there (Bengio et al. 2021).
    Original {
        /// The reward everywhere.
        #[serde(default = "r0")]
        r0: f64,
        /// What the regions around the corners have more.
        #[serde(default = "r1")]
        r1: f64,
        /// What the modes have more.
        #[serde(default = "r2")]
        r2: f64,
    },
}

fn r0() -> f64 {
    0.1
}

fn r1() -> f64 {
    0.5
}

fn r2() -> f64 {
    2.0
}

impl Default for RewardRecipe {
    fn default() -> Self {
        Self::Original { r0: r0(), r1: r1(), r2: r2() }
    }
}

impl ObjectsRecipe {
    /// The environment and the reward.
    pub(super) fn build(&self) -> Result<(Arc<dyn Environment>, Arc<dyn Reward>)> {
        match self {
            Self::Hypergrid { dim, side, reward: RewardRecipe::Original { r0, r1, r2 } } => {
                let grid = Hypergrid { dim: *dim, side: *side };
                Ok((Arc::new(grid), Arc::new(Bands { dim: *dim, side: *side, r0: *r0, r1: *r1, r2: *r2 })))
            }
        }
    }

    /// The objects in words.
    pub(super) fn space(&self) -> String {
        match self {
            Self::Hypergrid { dim, side, .. } => {
                format!("{{0, ..., {}}}^{dim}, from 0 by adding 1 to a coordinate", side - 1)
            }
        }
    }

    /// The reward as a formula.
    pub(super) fn formula(&self) -> String {
        match self {
            Self::Hypergrid { reward: RewardRecipe::Original { r0, r1, r2 }, .. } => {
                format!(
                    "{r0} + {r1} [1/4 < |x_d / (side - 1) - 1/2| for all d] + {r2} [3/10 < ... < 4/10 for all d]"
                )
            }
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Hypergrid { dim, side, reward } => {
                within("target.dim", *dim as f64, 1.0, 65_535.0)?;
                within("target.side", *side as f64, 2.0, 65_536.0)?;
                let RewardRecipe::Original { r0, r1, r2 } = reward;
                within("target.reward.r0", *r0, f64::MIN_POSITIVE, f64::MAX)?;
                within("target.reward.r1", *r1, 0.0, f64::MAX)?;
                within("target.reward.r2", *r2, 0.0, f64::MAX)
            }
        }
    }
}
