//! How long a run trains, and what is written when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Problem, Result, positive, within};
use crate::rng::Counted;

/// How long training takes, and what is written when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("not" = {"required": ["steps", "trajectories"]}))]
pub struct TrainingRecipe {
    /// Optimiser steps; 0 where nothing is learned.
    pub steps: u64,
    /// Rows or trajectories over all steps, in place of `steps`: the last step makes them whole. What is read has become `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub trajectories: Option<u64>,
    /// Rows or trajectories per step.
    #[schemars(range(min = 1, max = 10_000_000), extend("x-default" = {"objects": 16}))]
    pub batch: usize,
    /// Steps between checkpoints; 0 leaves only the last.
    pub checkpoint_every: u64,
    /// How many checkpoints are kept, of the last ones.
    #[schemars(range(min = 1))]
    pub keep_checkpoints: usize,
    /// Steps between evaluations, on the validation split or of the ELBO, the best of which keeps its weights; 0 switches them off,
    /// and the last weights (or their average) are kept.
    #[schemars(extend("x-default" = {"objects": 0, "measurements": 25}))]
    pub evaluate_every: u64,
    /// Steps between lines in metrics.jsonl.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// Evaluations without improvement after which training stops; 0 never stops early.
    #[schemars(extend("x-default" = {"measurements": 40}))]
    pub patience: u64,
    /// Decay of the exponential moving average of the weights, which is what is evaluated; 0 switches it off.
    #[schemars(range(min = 0.0, max = 0.999_999_9), extend("x-default" = {"objects": 0.0}))]
    pub ema: f64,
}

impl Default for TrainingRecipe {
    fn default() -> Self {
        Self {
            steps: 10_000,
            trajectories: None,
            batch: 256,
            checkpoint_every: 1000,
            keep_checkpoints: 2,
            evaluate_every: 500,
            log_every: 50,
            patience: 0,
            ema: 0.999,
        }
    }
}

impl TrainingRecipe {
    /// Turns trajectories into the steps that make them.
    pub(crate) fn count_steps(&mut self) {
        if let Some(trajectories) = self.trajectories.take() {
            self.steps = trajectories.div_ceil(self.batch.max(1) as u64);
        }
    }

    /// Checks all values; they stand below `training` in a recipe.
    ///
    /// # Errors
    /// The first one out of range.
    pub fn check(&self) -> Result<()> {
        positive("training.batch", self.batch as u64)?;
        positive("training.log_every", self.log_every)?;
        positive("training.keep_checkpoints", self.keep_checkpoints as u64)?;
        within("training.batch", self.batch as f64, 1.0, 1e7)?;
        within("training.ema", self.ema, 0.0, 0.999_999_9)
    }

    /// Checks that the noise of all steps has addresses, where each step uses them for at most `rows` rows `times` times.
    ///
    /// # Errors
    /// If it has not.
    pub(crate) fn addressed(&self, counted: Counted, times: u64, rows: u64) -> Result<()> {
        let most = counted.most_steps(rows) / times.max(1);
        if self.steps > most {
            let allowed = format!("at most {most} with so many random rows in each: {times} times {rows}");
            return Err(Problem::new("training.steps", self.steps.to_string()).allowed(allowed).into());
        }
        Ok(())
    }
}
