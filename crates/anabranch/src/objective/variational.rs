//! Variational objectives on a target, beside the reverse KL: bounds of several paths, and losses at given states.
//!
//! ```text
//! v_k    = log R(x) + sum_t [log P_B - log P_F]                        of path k, drawn forward
//! Renyi    L_a = log mean_k exp((1 - a) v_k) / (1 - a)                   a = 1: mean_k v_k;  -L_a is descended, L_a where a < 0
//! importance-weighted ELBO   a = 0,   chi-square   a = -1: an upper bound of log Z on average over many paths
//! slopes   W_k = w_k^{1-a} / sum_j w_j^{1-a}                             total derivative
//!          a W_k + (1 - a) W_k^2                                         through the states alone: doubly reparameterised
//! score    (c_b - baseline) by log P_F,   -1 by log P_B,   c = -v        reverse KL at given states
//! forward  -W_b by log P_F,   W_b = w_b / sum_j w_j                      forward KL at given states
//! ```
//!
//! `E L_0 <= log Z` for any number K of paths, and grows with it; its bias falls as 1 / K. For several paths the weights in front of
//! `d log P_F` at given states do not vanish on average as they do for one: what they are worth is again a derivative through the
//! states, by `E[f d log q] = E[df/dx dx]` with `f = W_k`, whose own derivative is `(1 - a) (W_k - W_k^2) dv_k`. Taken together they
//! give the second line of slopes, of which `a = 0` is Tucker et al.'s `W_k^2`. It holds `P_B` fixed.
//!
//! Burda, Grosse, Salakhutdinov (2016); Li and Turner (2016), eq. 4; Tucker et al. (2019), eq. 8; Dieng et al. (2017); Ranganath,
//! Gerrish, Blei (2014); Kool, van Hoof, Welling (2019), for the mean of the others; Bornschein and Bengio (2015), eq. 5.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::expectation::{Gradient, add, log_ratio};
use super::{Needs, PathObjective, Paths, Slopes};
use crate::error::Result;
use crate::math::log_sum_exp;

/// The importance-weighted bound on `log Z`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ImportanceWeightedElbo {
    /// Paths of one bound.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub samples: usize,
    /// By which part of the paths' numbers weights learn.
    pub gradient: Gradient,
}

/// The variational Renyi bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Renyi {
    /// The order: 1 is the reverse KL, 0 the importance-weighted bound; below 0 an upper bound.
    #[schemars(range(min = -10.0, max = 10.0))]
    pub alpha: f64,
    /// Paths of one bound.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub samples: usize,
    /// By which part of the paths' numbers weights learn.
    pub gradient: Gradient,
}

/// The chi-square divergence from the target to the chain, by the upper bound `log E[w^2] / 2`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChiSquare {
    /// Paths of one bound.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub samples: usize,
    /// By which part of the paths' numbers weights learn.
    pub gradient: Gradient,
}

/// Reverse KL by the score function.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreFunction {
    /// What is subtracted from a path's cost.
    pub baseline: Baseline,
}

/// A control variate of the score function: a constant as far as a path's own draws go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// Nothing.
    None,
    /// The mean of the batch's other paths under the same condition.
    #[default]
    LeaveOneOut,
    /// A number that is fitted as training goes on: it is `-log Z` in the end.
    Learned,
}

/// Forward KL from a target by self-normalised importance weights.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelfNormalisedForwardKl {}

impl Default for ImportanceWeightedElbo {
    fn default() -> Self {
        Self { samples: 8, gradient: Gradient::Path }
    }
}

impl Default for Renyi {
    fn default() -> Self {
        Self { alpha: 0.5, samples: 8, gradient: Gradient::Path }
    }
}

impl Default for ChiSquare {
    fn default() -> Self {
        Self { samples: 64, gradient: Gradient::Path }
    }
}

impl ImportanceWeightedElbo {
    fn bound(self) -> Renyi {
        Renyi { alpha: 0.0, samples: self.samples, gradient: self.gradient }
    }
}

impl ChiSquare {
    fn bound(self) -> Renyi {
        Renyi { alpha: -1.0, samples: self.samples, gradient: self.gradient }
    }
}

impl PathObjective for Renyi {
    fn needs(&self) -> Needs {
        let stopped = self.gradient == Gradient::Path;
        Needs {
            through_states: true,
            stopped,
            on_policy: true,
            every_end: true,
            per_condition: self.samples,
            trains_backward: !stopped,
            ..Needs::default()
        }
    }

    fn check(&self, place: &str) -> Result<()> {
        Check(place).within("alpha", self.alpha, -10.0, 10.0)?;
        Check(place).within("samples", self.samples as f64, 1.0, 1e6)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let batch: Vec<usize> = (0..paths.trajectories()).collect();
        let power = 1.0 - self.alpha;
        let sign = if self.alpha < 0.0 { 1.0 } else { -1.0 };
        let mut loss = 0.0;
        for those in batch.chunks(self.samples) {
            // A last bound of fewer paths counts for so many.
            let (count, share) = (those.len() as f64, those.len() as f64 / batch.len() as f64);
            let logs: Vec<f64> = those.iter().map(|b| power * paths.log_weight(*b)).collect();
            let total = log_sum_exp(&logs);
            let bound = match power.abs() < 1e-9 {
                true => those.iter().map(|b| paths.log_weight(*b)).sum::<f64>() / count,
                false => (total - count.ln()) / power,
            };
            loss += sign * share * bound;
            for (b, log) in those.iter().zip(logs) {
                let weight = (log - total).exp();
                let slope = match self.gradient {
                    Gradient::Total => weight,
                    Gradient::Path => self.alpha * weight + power * weight * weight,
                };
                add(paths, *b, -sign * share * slope, slopes);
                slopes.log_reward[*b] = sign * share * slope;
            }
        }
        loss
    }
}

impl PathObjective for ImportanceWeightedElbo {
    fn needs(&self) -> Needs {
        self.bound().needs()
    }

    fn check(&self, place: &str) -> Result<()> {
        self.bound().check(place)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        self.bound().evaluate(paths, slopes)
    }
}

impl PathObjective for ChiSquare {
    fn needs(&self) -> Needs {
        self.bound().needs()
    }

    fn check(&self, place: &str) -> Result<()> {
        self.bound().check(place)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        self.bound().evaluate(paths, slopes)
    }
}

/// The trajectories that came to their end, cut into those of one condition each.
fn of_conditions(paths: &Paths) -> Vec<Vec<usize>> {
    let group = |b: &usize| paths.group.get(*b).copied().unwrap_or(0);
    let mut whole: Vec<usize> = paths.whole().collect();
    whole.sort_by_key(group);
    whole.chunk_by(|a, b| group(a) == group(b)).map(<[usize]>::to_vec).collect()
}

impl PathObjective for ScoreFunction {
    fn needs(&self) -> Needs {
        Needs {
            on_policy: true,
            every_end: true,
            log_z: self.baseline == Baseline::Learned,
            per_condition: if self.baseline == Baseline::LeaveOneOut { 2 } else { 1 },
            ..Needs::default()
        }
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let share = 1.0 / paths.whole().count().max(1) as f64;
        let mut loss = 0.0;
        for alike in of_conditions(paths) {
            let sum: f64 = alike.iter().map(|b| paths.log_weight(*b)).sum();
            for b in &alike {
                let log_weight = paths.log_weight(*b);
                let baseline = match self.baseline {
                    Baseline::None => 0.0,
                    Baseline::LeaveOneOut if alike.len() == 1 => 0.0,
                    Baseline::LeaveOneOut => (sum - log_weight) / (alike.len() - 1) as f64,
                    Baseline::Learned => {
                        slopes.log_z[*b] = share * (paths.log_z[*b] - log_weight);
                        paths.log_z[*b]
                    }
                };
                loss -= share * log_weight;
                for row in paths.trajectory(*b) {
                    slopes.forward[row] = share * (baseline - log_weight);
                    slopes.backward[row] = -share;
                }
            }
        }
        loss
    }
}

impl PathObjective for SelfNormalisedForwardKl {
    fn needs(&self) -> Needs {
        Needs {
            on_policy: true,
            every_end: true,
            trains_backward: false,
            per_condition: 2,
            ..Needs::default()
        }
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let groups = of_conditions(paths);
        let share = 1.0 / groups.len().max(1) as f64;
        let mut loss = 0.0;
        for alike in groups {
            let logs: Vec<f64> = alike.iter().map(|b| paths.log_weight(*b)).collect();
            let total = log_sum_exp(&logs);
            for (b, log) in alike.iter().zip(logs) {
                let weight = share * (log - total).exp();
                loss -= weight * log_ratio(paths, *b);
                slopes.forward[paths.trajectory(*b)].fill(-weight);
            }
        }
        loss
    }
}
