//! Relative trajectory balance: the posterior of a prior policy under a likelihood or reward `r`.
//!
//! ```text
//! delta = log Z + sum_t log p_post - sum_t log p_prior - beta log r(x)
//! p_post(x) ~ p_prior(x) r(x)^beta,     Z = E_prior[ r(x)^beta ]           where delta = 0
//! ```
//!
//! The prior's log-probabilities are [`super::Reference::forward`]; `P_B` cancels. The variance form takes `log Z` from the batch.
//! Path consistency learning relative to a prior at temperature `alpha = 1 / beta` is the same residual on the scale of values,
//! `V(s_0) = alpha log Z`: its loss is `alpha^2` times this one.
//!
//! Venkatraman et al., "Amortizing intractable inference in diffusion models" (2024), eq. 8; Nachum et al., "Trust-PCL" (2018);
//! Deleu et al. (2025).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::trajectory::{with_learned_log_z, with_mean_log_z};
use super::{Needs, PathObjective, Paths, ReferenceKind, Regression, Slopes};
use crate::error::Result;

/// Relative trajectory balance with a learned `log Z`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RelativeTrajectoryBalance {
    /// The power of the reward.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub beta: f64,
    /// What a residual costs.
    pub regression: Regression,
}

/// The variance of the relative log-weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RelativeLogVariance {
    /// The power of the reward.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub beta: f64,
    /// What a residual costs.
    pub regression: Regression,
}

/// Trust-PCL over whole trajectories.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrustPcl {
    /// The temperature: how strongly the policy is held to the prior.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub alpha: f64,
    /// What a residual costs.
    pub regression: Regression,
}

impl Default for RelativeTrajectoryBalance {
    fn default() -> Self {
        Self { beta: 1.0, regression: Regression::HalfSquared {} }
    }
}

impl Default for RelativeLogVariance {
    fn default() -> Self {
        Self { beta: 1.0, regression: Regression::HalfSquared {} }
    }
}

impl Default for TrustPcl {
    fn default() -> Self {
        Self { alpha: 1.0, regression: Regression::HalfSquared {} }
    }
}

fn needs(beta: f64) -> Needs {
    Needs {
        log_z: true,
        reference: ReferenceKind::Prior { beta },
        trains_backward: false,
        ..Needs::default()
    }
}

/// Adds the slope by `-log w` to the slopes of a trajectory.
fn add_forward(paths: &Paths, b: usize, slope: f64, slopes: &mut Slopes) {
    slopes.forward[paths.trajectory(b)].iter_mut().for_each(|forward| *forward += slope);
}

impl PathObjective for RelativeTrajectoryBalance {
    fn needs(&self) -> Needs {
        needs(self.beta)
    }

    fn check(&self, place: &str) -> Result<()> {
        self.regression.check(&Check(place))?;
        Check(place).weight("beta", self.beta)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        with_learned_log_z(
            paths,
            self.regression,
            |b| paths.relative_log_weight(self.beta, b),
            slopes,
            add_forward,
        )
    }
}

impl PathObjective for RelativeLogVariance {
    fn needs(&self) -> Needs {
        Needs { log_z: false, per_condition: 2, ..needs(self.beta) }
    }

    fn check(&self, place: &str) -> Result<()> {
        self.regression.check(&Check(place))?;
        Check(place).weight("beta", self.beta)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        with_mean_log_z(
            paths,
            self.regression,
            |b| paths.relative_log_weight(self.beta, b),
            slopes,
            add_forward,
        )
    }
}

impl PathObjective for TrustPcl {
    fn needs(&self) -> Needs {
        needs(1.0 / self.alpha)
    }

    fn check(&self, place: &str) -> Result<()> {
        self.regression.check(&Check(place))?;
        Check(place).within("alpha", self.alpha, 1e-6, 1e6)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        let relative = RelativeTrajectoryBalance { beta: 1.0 / self.alpha, regression: self.regression };
        let loss = relative.evaluate(paths, slopes);
        let scale = self.alpha * self.alpha;
        slopes.forward.iter_mut().chain(&mut slopes.log_z).for_each(|slope| *slope *= scale);
        scale * loss
    }
}
