//! What a learned `P_B` is trained by.
//!
//! ```text
//! joint                    the objective of P_F, by both sides of its residual
//! trajectory-likelihood    -E_{tau ~ P_F} sum_t log P_B(s_t | s_{t+1}),  P_B being a constant of the objective of P_F
//! ```
//!
//! The second has the gradient of `KL(P_F(tau) || P_B(tau | x) P_F(x))` by `P_B`. Objectives that are policy gradients or soft
//! Q-learning allow no other, since `P_B` is a part of their reward.
//!
//! Gritsaev et al., "Optimizing backward policies in GFlowNets via trajectory likelihood maximization" (2025).

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Needs, PathObjective, Paths, Slopes};

/// How a learned `P_B` is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackwardObjective {
    /// By the objective of `P_F`.
    #[default]
    Joint,
    /// By the likelihood of the trajectories that `P_F` draws.
    TrajectoryLikelihood,
}

impl BackwardObjective {
    pub(crate) fn is_joint(&self) -> bool {
        *self == Self::Joint
    }
}

/// An objective of `P_F` beside trajectory likelihood maximisation for `P_B`.
#[derive(Debug, Clone)]
pub struct TrajectoryLikelihood {
    /// The objective of `P_F`, to which `P_B` is a constant; the loss is its.
    pub forward: Arc<dyn PathObjective>,
}

impl TrajectoryLikelihood {
    /// `-mean_b sum_t log P_B`, the loss of `P_B`, nats.
    pub fn backward_loss(paths: &Paths) -> f64 {
        let rows = paths.whole().flat_map(|b| paths.trajectory(b));
        -rows.map(|row| paths.backward[row]).sum::<f64>() / paths.whole().count().max(1) as f64
    }
}

impl PathObjective for TrajectoryLikelihood {
    fn needs(&self) -> Needs {
        Needs { on_policy: true, trains_backward: true, ..self.forward.needs() }
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        let loss = self.forward.evaluate(paths, slopes);
        slopes.backward.fill(0.0);
        let share = 1.0 / paths.whole().count().max(1) as f64;
        for b in paths.whole() {
            slopes.backward[paths.trajectory(b)].fill(-share);
        }
        loss
    }
}
