//! Optimisers: how flat vectors of weights follow their gradients.
//!
//! ```text
//! rate(k) = peak (k + 1) / warm_up                                          k < warm_up
//! rate(k) = peak (f + (1 - f) r((k - warm_up) / (steps - warm_up)))         after it, r falling from 1 to 0
//! ```
//!
//! [`adam`] has the update itself; [`lbfgs`] minimises what has no noise.

pub mod adam;
pub mod lbfgs;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Problem, Result, within};

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam (Kingma and Ba 2015).
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw,
}

/// How the learning rate moves after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RateSchedule {
    /// It stays.
    Constant,
    /// It falls along half a cosine.
    Cosine,
    /// It falls along a line.
    Linear,
}

/// How weights are updated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend(
    "if" = {"properties": {"kind": {"const": "adam"}}, "required": ["kind"]},
    "then" = {"properties": {"weight_decay": {"const": 0}}}
))]
pub struct OptimizerRecipe {
    /// Adam or AdamW.
    #[schemars(extend("x-default" = {"measurements": "adamw"}))]
    pub kind: OptimizerKind,
    /// The peak learning rate.
    #[schemars(range(max = 1e3), extend("exclusiveMinimum" = 0, "x-default" = {"measurements": 3e-4}))]
    pub learning_rate: f64,
    /// Decay of the first moment.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub beta1: f64,
    /// Decay of the second moment.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub beta2: f64,
    /// Added to the root of the second moment.
    #[schemars(range(min = 1e-16, max = 1.0))]
    pub epsilon: f64,
    /// Decoupled weight decay; only for AdamW.
    #[schemars(range(min = 0.0, max = 1e3), extend("x-default" = {"measurements": 0.1}, "x-unless" = {"kind": "adam"}))]
    pub weight_decay: f64,
    /// The largest norm of the whole gradient; 0 switches clipping off.
    #[schemars(range(min = 0.0))]
    pub clip_norm: f64,
    /// Steps over which the rate rises from 0.
    pub warm_up: u64,
    /// How the rate moves afterwards.
    pub schedule: RateSchedule,
    /// The rate at the last step, as a fraction of the peak.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub final_fraction: f64,
    /// The peak learning rate of log Z, where one is learned; it moves as the other one does.
    #[schemars(range(max = 1e3), extend("exclusiveMinimum" = 0))]
    pub log_z_rate: f64,
}

impl Default for OptimizerRecipe {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_norm: 1.0,
            warm_up: 0,
            schedule: RateSchedule::Cosine,
            final_fraction: 0.0,
            log_z_rate: 0.1,
        }
    }
}

impl OptimizerRecipe {
    /// How log Z is updated: by the same rule at its own rate, and never decayed.
    pub fn of_log_z(&self) -> Self {
        Self { learning_rate: self.log_z_rate, weight_decay: 0.0, ..self.clone() }
    }

    /// Checks all values; they stand below `optimizer` in a recipe.
    ///
    /// # Errors
    /// The first one out of range.
    pub fn check(&self) -> Result<()> {
        within("optimizer.learning_rate", self.learning_rate, f64::MIN_POSITIVE, 1e3)?;
        // Moments are f32: nearer to 1 a decay is another one there, and squares of what smaller numbers are compared with are 0.
        within("optimizer.beta1", self.beta1, 0.0, 0.999_999)?;
        within("optimizer.beta2", self.beta2, 0.0, 0.999_999)?;
        within("optimizer.epsilon", self.epsilon, 1e-16, 1.0)?;
        within("optimizer.weight_decay", self.weight_decay, 0.0, 1e3)?;
        within("optimizer.clip_norm", self.clip_norm, 0.0, f64::MAX)?;
        within("optimizer.final_fraction", self.final_fraction, 0.0, 1.0)?;
        within("optimizer.log_z_rate", self.log_z_rate, f64::MIN_POSITIVE, 1e3)?;
        if self.kind == OptimizerKind::Adam && self.weight_decay != 0.0 {
            return Err(Problem::new("optimizer.weight_decay", self.weight_decay.to_string())
                .allowed("0 with optimizer.kind = \"adam\"; use \"adamw\" for weight decay")
                .into());
        }
        Ok(())
    }
}

/// The learning rate of step `step` (from 0) out of `steps`.
pub fn learning_rate(recipe: &OptimizerRecipe, step: u64, steps: u64) -> f64 {
    if step < recipe.warm_up {
        return recipe.learning_rate * (step + 1) as f64 / recipe.warm_up as f64;
    }
    let span = steps.saturating_sub(recipe.warm_up).max(1) as f64;
    let done = ((step - recipe.warm_up) as f64 / span).min(1.0);
    let remaining = match recipe.schedule {
        RateSchedule::Constant => 1.0,
        RateSchedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done).cos()),
        RateSchedule::Linear => 1.0 - done,
    };
    recipe.learning_rate * (recipe.final_fraction + (1.0 - recipe.final_fraction) * remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_warm_up_and_fall() {
        let recipe = OptimizerRecipe { learning_rate: 2.0, warm_up: 4, ..OptimizerRecipe::default() };
        assert_eq!(learning_rate(&recipe, 0, 104), 0.5);
        assert_eq!(learning_rate(&recipe, 4, 104), 2.0);
        assert!((learning_rate(&recipe, 54, 104) - 1.0).abs() < 1e-12);
        assert!(learning_rate(&recipe, 104, 104).abs() < 1e-12);
    }
}
