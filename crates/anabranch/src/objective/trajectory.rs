//! Balance of whole trajectories.
//!
//! ```text
//! v      = log R(x) + sum_t [log P_B - log P_F]            the path log-weight
//! delta  = log Z - v                                       trajectory balance
//! delta  = mean v - v                                      log-variance: log Z by the mean over the trajectories of a condition
//! loss   = mean_b g(delta_b)
//! ```
//!
//! With `g = t^2` the log-variance loss is the population variance of `v`, and the mean counts as a constant or not alike; for
//! other `g` it is differentiated.
//!
//! Malkin et al., "Trajectory balance" (2022), eq. 14; Richter et al., "VarGrad" (2020); Zhang et al., "Robust scheduling with
//! GFlowNets" (2023).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::{Needs, PathObjective, Paths, Regression, Scratch, Slopes};
use crate::error::Result;

/// Trajectory balance with a learned `log Z`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrajectoryBalance {
    /// What a residual costs.
    pub regression: Regression,
}

impl PathObjective for TrajectoryBalance {
    fn needs(&self) -> Needs {
        Needs { log_z: true, ..Needs::default() }
    }

    fn check(&self, place: &str) -> Result<()> {
        self.regression.check(&Check(place))
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        with_learned_log_z(paths, self.regression, |b| paths.log_weight(b), slopes, add_both)
    }
}

/// The variance of the path log-weight.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogVariance {
    /// What a residual costs.
    pub regression: Regression,
}

impl PathObjective for LogVariance {
    fn needs(&self) -> Needs {
        Needs { per_condition: 2, ..Needs::default() }
    }

    fn check(&self, place: &str) -> Result<()> {
        self.regression.check(&Check(place))
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        with_mean_log_z(paths, self.regression, |b| paths.log_weight(b), slopes, add_both)
    }
}

/// Adds the slope by `-log w` to the slopes of a trajectory.
fn add_both(paths: &Paths, b: usize, slope: f64, slopes: &mut Slopes) {
    for row in paths.trajectory(b) {
        slopes.forward[row] += slope;
        slopes.backward[row] -= slope;
    }
}

/// The loss of `delta = log Z - log w`; `add` carries the slope by `-log w` on.
pub(super) fn with_learned_log_z(
    paths: &Paths,
    regression: Regression,
    log_weight: impl Fn(usize) -> f64,
    slopes: &mut Slopes,
    add: impl Fn(&Paths, usize, f64, &mut Slopes),
) -> f64 {
    let share = 1.0 / paths.whole().count().max(1) as f64;
    let mut loss = 0.0;
    for b in paths.whole() {
        let delta = paths.log_z[b] - log_weight(b);
        let slope = share * regression.slope(delta);
        loss += share * regression.value(delta);
        slopes.log_z[b] += slope;
        add(paths, b, slope, slopes);
    }
    loss
}

/// The loss of `delta = mean log w - log w`, a mean for each condition; `add` carries the slope by `-log w` on.
pub(super) fn with_mean_log_z(
    paths: &Paths,
    regression: Regression,
    log_weight: impl Fn(usize) -> f64,
    slopes: &mut Slopes,
    add: impl Fn(&Paths, usize, f64, &mut Slopes),
) -> f64 {
    let mut scratch = std::mem::take(&mut slopes.scratch);
    let Scratch { numbers: deltas, order, .. } = &mut scratch;
    let group = |b: u32| paths.group.get(b as usize).copied().unwrap_or(0);
    order.clear();
    order.extend(paths.whole().map(|b| b as u32));
    order.sort_unstable_by_key(|b| (group(*b), *b));
    let share = 1.0 / paths.whole().count().max(1) as f64;
    let mut loss = 0.0;
    for alike in order.chunk_by(|a, b| group(*a) == group(*b)) {
        let size = alike.len() as f64;
        deltas.clear();
        deltas.extend(alike.iter().map(|b| log_weight(*b as usize)));
        let mean = deltas.iter().sum::<f64>() / size;
        deltas.iter_mut().for_each(|delta| *delta = mean - *delta);
        loss += deltas.iter().map(|delta| share * regression.value(*delta)).sum::<f64>();
        let mean_slope = deltas.iter().map(|delta| regression.slope(*delta)).sum::<f64>() / size;
        for (b, delta) in alike.iter().zip(&*deltas) {
            add(paths, *b as usize, share * (regression.slope(*delta) - mean_slope), slopes);
        }
    }
    slopes.scratch = scratch;
    loss
}
