//! The step sizes of Langevin kernels, one for each level.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::array::weights::{Weights, layout};

/// How step sizes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// All alike.
    #[default]
    Constant,
    /// `cos^2((k - 1) pi / 2 K)` of the size at the base: they vanish towards the target.
    Cosine,
}

impl Decay {
    /// The share of the first size at the `k`-th of `steps` steps, counted from 0.
    pub fn share(self, k: usize, steps: usize) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => (std::f64::consts::FRAC_PI_2 * k as f64 / steps as f64).cos().powi(2),
        }
    }
}

/// `eps_1, ..., eps_K > 0`, learned or not.
#[derive(Debug, Clone)]
pub struct StepSizes {
    weights: Weights,
    learned: bool,
}

impl StepSizes {
    /// `steps` step sizes that begin at `size`.
    pub fn new(name: impl Into<String>, steps: usize, size: f32, decay: Decay, learned: bool) -> Self {
        let slots = layout([("log_step", vec![steps])]);
        let values = (0..steps).map(|k| (f64::from(size) * decay.share(k, steps)).ln() as f32).collect();
        Self { weights: Weights::new(name, slots, values), learned }
    }

    /// `log eps_k`, `[K, 1]`, on the tape where they are learned.
    pub fn logs(&self) -> Tensor<2> {
        let logs = self.weights.tensor().reshape([self.weights.len(), 1]);
        if self.learned { logs } else { logs.detach() }
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        &mut self.weights
    }
}
