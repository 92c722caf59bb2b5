//! What every recipe says alike: how weights are updated, how long, and what is written when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{positive, within};
use crate::error::{Problem, Result};

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
pub struct OptimizerRecipe {
    /// Adam or AdamW.
    pub kind: OptimizerKind,
    /// The peak learning rate.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay; only for AdamW.
    pub weight_decay: f64,
    /// The largest norm of the whole gradient; 0 switches clipping off.
    pub clip_norm: f64,
    /// Steps over which the rate rises from 0.
    pub warm_up: u64,
    /// How the rate moves afterwards.
    pub schedule: RateSchedule,
    /// The rate at the last step, as a fraction of the peak.
    pub final_fraction: f64,
    /// The peak learning rate of log Z, where one is learned; it moves as the other one does.
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

    pub(super) fn check(&self) -> Result<()> {
        within("optimizer.learning_rate", self.learning_rate, f64::MIN_POSITIVE, 1e3)?;
        within("optimizer.beta1", self.beta1, 0.0, 0.999_999_9)?;
        within("optimizer.beta2", self.beta2, 0.0, 0.999_999_999)?;
        within("optimizer.epsilon", self.epsilon, f64::MIN_POSITIVE, 1.0)?;
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

/// How long training takes, and what is written when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingRecipe {
    /// Optimiser steps.
    #[schemars(range(min = 1))]
    pub steps: u64,
    /// Rows per step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Steps between checkpoints; 0 leaves only the last.
    pub checkpoint_every: u64,
    /// Steps between evaluations on the validation split; 0 switches them off.
    pub evaluate_every: u64,
    /// Steps between lines in metrics.jsonl.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// Evaluations without improvement after which training stops; 0 never stops early.
    pub patience: u64,
    /// Decay of the exponential moving average of the weights, which is what is evaluated; 0 switches it off.
    pub ema: f64,
}

impl Default for TrainingRecipe {
    fn default() -> Self {
        Self {
            steps: 10_000,
            batch: 256,
            checkpoint_every: 1000,
            evaluate_every: 500,
            log_every: 50,
            patience: 0,
            ema: 0.999,
        }
    }
}

impl TrainingRecipe {
    pub(super) fn check(&self) -> Result<()> {
        positive("training.steps", self.steps)?;
        positive("training.batch", self.batch as u64)?;
        positive("training.log_every", self.log_every)?;
        within("training.batch", self.batch as f64, 1.0, 1e7)?;
        within("training.ema", self.ema, 0.0, 0.999_999_9)
    }
}
