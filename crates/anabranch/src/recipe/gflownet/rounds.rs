//! Rounds of active learning, as a recipe names them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Result, within};
use crate::target::RewardRecipe;

/// How objects are proposed, scored and learned from, round by round: `anabranch propose`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoundsRecipe {
    /// How many scores may be asked for, in all rounds.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub calls: usize,
    /// How many objects a round proposes.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch: usize,
    /// What proposes them.
    pub proposer: Proposer,
    /// What scores them, the score being its `log R`; without one you do, and the rounds wait for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scorer: Option<RewardRecipe>,
    /// How many scorers work at once.
    #[schemars(range(min = 1, max = 256))]
    pub workers: usize,
    /// Optimiser steps of every round but the first, which goes on from the weights of the one before; `training.steps` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub steps: Option<u64>,
}

/// What proposes the objects of a round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Proposer {
    /// A flow network that is trained on the regressor's reward: the diverse ones of its candidates.
    FlowNetwork {},
    /// Nothing: random moves.
    Random {},
    /// A genetic algorithm without a regressor: children of the best objects of the table.
    Genetic {
        /// How many of the best objects have children.
        #[serde(default = "hundred")]
        #[schemars(range(min = 2, max = 1_000_000))]
        parents: usize,
        /// How many cells of a child change, on average.
        #[serde(default = "one")]
        #[schemars(range(min = 0.0, max = 1e3))]
        mutations: f64,
    },
}

fn hundred() -> usize {
    100
}

fn one() -> f64 {
    1.0
}

impl Default for RoundsRecipe {
    fn default() -> Self {
        Self {
            calls: 1000,
            batch: hundred(),
            proposer: Proposer::FlowNetwork {},
            scorer: None,
            workers: 1,
            steps: None,
        }
    }
}

impl RoundsRecipe {
    /// Checks all values; they stand below `rounds` in a recipe.
    pub(super) fn check(&self) -> Result<()> {
        within("rounds.calls", self.calls as f64, 1.0, 1e7)?;
        within("rounds.batch", self.batch as f64, 1.0, 1e6)?;
        within("rounds.workers", self.workers as f64, 1.0, 256.0)?;
        self.steps.map_or(Ok(()), |steps| within("rounds.steps", steps as f64, 1.0, f64::MAX))?;
        match self.proposer {
            Proposer::Genetic { parents, mutations } => {
                within("rounds.proposer.parents", parents as f64, 2.0, 1e6)?;
                within("rounds.proposer.mutations", mutations, 0.0, 1e3)
            }
            Proposer::FlowNetwork {} | Proposer::Random {} => Ok(()),
        }
    }
}
