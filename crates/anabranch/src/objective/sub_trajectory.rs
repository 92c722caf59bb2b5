//! Balance of all parts of a trajectory at once.
//!
//! Nodes `0 .. T` of a trajectory are its states and, where stopping was a choice, the sink:
//!
//! ```text
//! g_t = log F(s_t) - sum_{k < t} (log P_F - log P_B)_k,     g_T = log R(x) - sum_{k < T} (log P_F - log P_B)_k
//! delta_ij = g_i - g_j,  i < j                              the sub-trajectory of j - i transitions
//! loss = sum_b sum_{i < j} w_b(j - i) g(delta_ij)
//!
//! geometric-within   lambda^(k-1), normalised within each trajectory          the paper's
//! geometric          lambda^(k-1), normalised over lengths; a mean over all of a length
//! equal-within       equal within each trajectory, trajectories equal
//! equal              equal over the batch
//! tb                 the whole trajectories only
//! db                 single transitions, equal over the batch
//! modified-db        single transitions, equal within each trajectory, trajectories equal
//! ```
//!
//! All but *geometric* are geometric within a trajectory, with `lambda` 1, 0 or infinite. For `g = t^2` the sum and its slopes
//! then need time `T`, not `T^2`:
//!
//! ```text
//! A = sum_{i<j} lambda^(j-i-1),  B = sum_{i<j} lambda^(j-i-1) g_i              A <- lambda A + 1,  B <- lambda B + g_j
//! d loss / d g_j = 2 (A g_j - B) + the same from the right,                    loss = 1/2 sum_j g_j d loss / d g_j
//! ```
//!
//! No slope is left when all `g` move alike, so `d loss / d forward_k = sum_{t <= k} d loss / d g_t`. Above `lambda = 1` weights
//! are relative to the longest, `mu^(T-j+i) = mu^(T-j) mu^i` with `mu = 1 / lambda`: nothing overflows.
//!
//! Madan et al., "Learning GFlowNets from partial episodes" (2023), eq. 11; weightings as torchgfn names them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::{Needs, PathObjective, Paths, Regression, Slopes};
use crate::error::Result;

/// Sub-trajectory balance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubTrajectoryBalance {
    /// How sub-trajectories count.
    pub weighting: SubTrajectoryWeighting,
    /// The ratio of the weights of two lengths that differ by 1; for the geometric weightings.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub lambda: f64,
    /// What a residual costs.
    pub regression: Regression,
    /// Whether the flow head is `log F(s) + E(s)`.
    pub forward_looking: bool,
}

impl Default for SubTrajectoryBalance {
    fn default() -> Self {
        Self {
            weighting: SubTrajectoryWeighting::GeometricWithin,
            lambda: 0.9,
            regression: Regression::default(),
            forward_looking: false,
        }
    }
}

/// How sub-trajectories count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubTrajectoryWeighting {
    /// Geometric in the length within each trajectory; trajectories alike.
    GeometricWithin,
    /// Geometric in the length; all of one length in the batch alike.
    Geometric,
    /// All of a trajectory alike; trajectories alike.
    EqualWithin,
    /// All of the batch alike.
    Equal,
    /// Whole trajectories only.
    Tb,
    /// Single transitions only, all of the batch alike.
    Db,
    /// Single transitions only, all of a trajectory alike; trajectories alike.
    ModifiedDb,
}

impl PathObjective for SubTrajectoryBalance {
    fn needs(&self) -> Needs {
        Needs { flow: true, partial: self.forward_looking, ..Needs::default() }
    }

    fn check(&self, place: &str) -> Result<()> {
        self.regression.check(&Check(place))?;
        Check(place).weight("lambda", self.lambda)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        self.add(paths, &paths.forward, slopes)
    }
}

impl SubTrajectoryBalance {
    /// The loss with `forward` as the log-probabilities; adds its slopes.
    pub(super) fn add(&self, paths: &Paths, forward: &[f64], slopes: &mut Slopes) -> f64 {
        let mut scratch = std::mem::take(&mut slopes.scratch);
        let (numbers, table) = (&mut scratch.numbers, &mut scratch.weights);
        let weights = self.weights(paths, table);
        let mut loss = 0.0;
        for b in 0..paths.trajectories() {
            let transitions = paths.transitions(b);
            let count = transitions.len();
            if count == 0 {
                continue;
            }
            numbers.clear();
            numbers.resize(2 * (count + 1), 0.0);
            let (g, pull) = numbers.split_at_mut(count + 1);
            let flow = |row| paths.log_flow(&paths.flow, self.forward_looking, row);
            // Only differences matter: nodes are relative to the first.
            let mut passed = flow(transitions.start);
            for (g, row) in g.iter_mut().zip(transitions.clone()) {
                *g = flow(row) - passed;
                passed += forward[row] - paths.backward[row];
            }
            let last = transitions.end;
            g[count] = if paths.is_cut(b) { flow(last) } else { paths.log_reward[b] } - passed;
            loss += match (weights, self.regression.parabola()) {
                (Weights::Geometric { weighting, pooled }, Some(factor)) => {
                    let scale = factor * pooled.unwrap_or_else(|| weighting.share(paths, count));
                    sweep(weighting, g, scale, pull)
                }
                (Weights::Geometric { weighting, pooled }, None) => {
                    let scale = pooled.unwrap_or_else(|| weighting.share(paths, count));
                    pairs(self.regression, g, |length| scale * weighting.of(length, count), pull)
                }
                (Weights::Table, _) => pairs(self.regression, g, |length| table[length - 1], pull),
            };
            if paths.is_cut(b) {
                slopes.flow[last] += pull[count];
            }
            let mut before = 0.0;
            for (row, pull) in transitions.zip(&*pull) {
                before += *pull;
                slopes.flow[row] += *pull;
                slopes.forward[row] += before;
                slopes.backward[row] -= before;
            }
        }
        slopes.scratch = scratch;
        loss
    }

    fn weights(&self, paths: &Paths, table: &mut Vec<f64>) -> Weights {
        let short = |ratio| Within { ratio, from_longest: false };
        let within = match self.lambda {
            lambda if lambda <= 1.0 => short(lambda),
            lambda => Within { ratio: 1.0 / lambda, from_longest: true },
        };
        let alone = |weighting| Weights::Geometric { weighting, pooled: None };
        let pooled = |weighting: Within| {
            let total: f64 =
                (0..paths.trajectories()).map(|b| weighting.total(paths.transitions(b).len())).sum();
            Weights::Geometric { weighting, pooled: Some(1.0 / total) }
        };
        match self.weighting {
            SubTrajectoryWeighting::GeometricWithin => alone(within),
            SubTrajectoryWeighting::EqualWithin => alone(short(1.0)),
            SubTrajectoryWeighting::ModifiedDb => alone(short(0.0)),
            SubTrajectoryWeighting::Tb => alone(Within { ratio: 0.0, from_longest: true }),
            SubTrajectoryWeighting::Equal => pooled(short(1.0)),
            SubTrajectoryWeighting::Db => pooled(short(0.0)),
            SubTrajectoryWeighting::Geometric => {
                let lengths = || (0..paths.trajectories()).map(|b| paths.transitions(b).len());
                let longest = lengths().max().unwrap_or(0);
                let total: f64 = (1..=longest).map(|length| within.of(length, longest)).sum();
                table.clear();
                table.extend((1..=longest).map(|length| {
                    let of_length: usize = lengths().map(|count| (count + 1).saturating_sub(length)).sum();
                    within.of(length, longest) / (total * of_length as f64)
                }));
                Weights::Table
            }
        }
    }
}

/// How sub-trajectories of the batch count.
#[derive(Debug, Clone, Copy)]
enum Weights {
    /// Geometric, scaled by the same number for all trajectories or normalised within each.
    Geometric { weighting: Within, pooled: Option<f64> },
    /// By a table over lengths.
    Table,
}

/// Weights within a trajectory of `count` transitions: `ratio^(length - 1)`, or `ratio^(count - length)` from the longest.
#[derive(Debug, Clone, Copy)]
struct Within {
    ratio: f64,
    from_longest: bool,
}

impl Within {
    fn of(self, length: usize, count: usize) -> f64 {
        let power = if self.from_longest { count - length } else { length - 1 };
        self.ratio.powi(power as i32)
    }

    /// The sum of the weights of all sub-trajectories.
    fn total(self, count: usize) -> f64 {
        (1..=count).map(|length| (count + 1 - length) as f64 * self.of(length, count)).sum()
    }

    /// The factor that makes all trajectories count alike.
    fn share(self, paths: &Paths, count: usize) -> f64 {
        1.0 / (self.total(count) * paths.trajectories() as f64)
    }
}

/// `scale sum_{i<j} w (g_i - g_j)^2`; adds its slopes to `pull`, whose product with `g` is twice the sum.
fn sweep(weights: Within, g: &[f64], scale: f64, pull: &mut [f64]) -> f64 {
    let last = g.len() - 1;
    let Within { ratio, from_longest } = weights;
    let (keep, decay) = if from_longest { (1.0, ratio) } else { (ratio, 1.0) };
    for reversed in [false, true] {
        let (mut a, mut b, mut enter) = (0.0, 0.0, 1.0);
        for j in 0..=last {
            let node = if reversed { last - j } else { j };
            let leave = if from_longest { ratio.powi((last - j) as i32) } else { 1.0 };
            pull[node] += 2.0 * scale * leave * (a * g[node] - b);
            a = keep * a + enter;
            b = keep * b + enter * g[node];
            enter *= decay;
        }
    }
    0.5 * g.iter().zip(pull).map(|(g, pull)| g * *pull).sum::<f64>()
}

/// `sum_{i<j} w(j - i) g(g_i - g_j)`; adds its slopes to `pull`.
fn pairs(regression: Regression, g: &[f64], weight: impl Fn(usize) -> f64, pull: &mut [f64]) -> f64 {
    let mut loss = 0.0;
    for j in 1..g.len() {
        for i in 0..j {
            let weight = weight(j - i);
            let slope = weight * regression.slope(g[i] - g[j]);
            loss += weight * regression.value(g[i] - g[j]);
            pull[i] += slope;
            pull[j] -= slope;
        }
    }
    loss
}
