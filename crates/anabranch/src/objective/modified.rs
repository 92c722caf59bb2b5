//! Modified detailed balance, for environments in which every state is an object.
//!
//! With `F(s) = R(s) / P_F(s_f | s)` the flow leaves the detailed balance of a move `s -> s'`:
//!
//! ```text
//! delta = log R(s) + log P_F(s' | s) + log P_F(s_f | s') - log R(s') - log P_B(s | s') - log P_F(s_f | s)
//! loss  = mean over all moves of g(delta)
//! ```
//!
//! Only differences of `log R` are read, from [`super::Paths::partial`], and neither `Z` nor `F`. A move at either end of which
//! one cannot stop has no such residual and nothing would train it: [`Needs::stops`] asks for environments without.
//! With a target network `log P_F(s_f | s')` is the target's.
//!
//! Deleu et al., "Bayesian structure learning with GFlowNets" (2022), eq. 9, whose residual is the negative of this one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::{Needs, PathObjective, Paths, Regression, Slopes, TargetNetwork};
use crate::error::Result;

/// Modified detailed balance.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModifiedDetailedBalance {
    /// What a residual costs.
    pub regression: Regression,
    /// The network that says `log P_F(s_f | s')`; none: the trained one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetNetwork>,
}

impl PathObjective for ModifiedDetailedBalance {
    fn needs(&self) -> Needs {
        let reference = TargetNetwork::reference(self.target);
        Needs { partial: true, stops: true, reference, ..Needs::default() }
    }

    fn check(&self, place: &str) -> Result<()> {
        self.regression.check(&Check(place))?;
        TargetNetwork::check(self.target, &Check(place))
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let mut moves = 0;
        let mut loss = 0.0;
        for b in 0..paths.trajectories() {
            let last = paths.trajectory(b).end - 1;
            // A trajectory's last stop is what it did.
            let stop = |row: usize| if row == last { paths.forward[row] } else { paths.stop[row] };
            for row in paths.starts[b]..last {
                let next_stop = match (self.target, row + 1 == last) {
                    (None, _) => stop(row + 1),
                    (Some(_), true) => paths.reference().forward[last],
                    (Some(_), false) => paths.reference().stop[row + 1],
                };
                if stop(row) == f64::NEG_INFINITY || next_stop == f64::NEG_INFINITY {
                    continue;
                }
                let delta = paths.partial[row] + paths.forward[row] + next_stop
                    - paths.partial[row + 1]
                    - paths.backward[row]
                    - stop(row);
                let slope = self.regression.slope(delta);
                moves += 1;
                loss += self.regression.value(delta);
                slopes.forward[row] += slope;
                slopes.backward[row] -= slope;
                slopes.stop[row] -= slope;
                match (self.target, row + 1 == last) {
                    (None, true) => slopes.forward[last] += slope,
                    (None, false) => slopes.stop[row + 1] += slope,
                    (Some(_), _) => {}
                }
            }
        }
        let share = 1.0 / f64::from(moves.max(1));
        for by_row in [&mut slopes.forward, &mut slopes.backward, &mut slopes.stop] {
            by_row.iter_mut().for_each(|slope| *slope *= share);
        }
        share * loss
    }
}
