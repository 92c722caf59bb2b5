//! Detailed balance that circulations do not lower, for graphs with cycles.
//!
//! On a cycle a flow that goes round and round may be added to any flow. It changes no difference of flows, but it makes the
//! ratio of both sides tend to 1, so that training on log-flows inflates cycles. Differences on the scale of flows do not:
//!
//! ```text
//! d     = F(s) P_F(s' | s) - F(s') P_B(s | s'),      at a stop  F(x) P_F(s_f | x) - R(x)
//! loss  = mean over all transitions of log(1 + epsilon d^2) (1 + eta F(s)),  + lambda F(s) for every state but the source
//! ```
//!
//! Adding a circulation leaves `d` and raises `F(s)`: the loss is *stable* for `eta >= 0`. Where all `d` are 0 every circulation
//! is as good; state-flow regularisation `lambda > 0` then chooses the least.
//!
//! With `a`, `b` the logarithms of both sides, `log(1 + epsilon d^2) = softplus(log epsilon + 2 log |e^a - e^b|)` is evaluated in
//! log space.
//!
//! Brunswic et al., "A theory of non-acyclic generative flow networks" (2024); Morozov et al., "Revisiting non-acyclic GFlowNets
//! in discrete environments" (2025), which uses `epsilon = 1`, `eta = 0.001`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::detailed::regularise_state_flows;
use super::regression::exponential;
use super::{Needs, PathObjective, Paths, Slopes};
use crate::error::Result;

/// Stable detailed balance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StableDetailedBalance {
    /// The factor of the squared difference: the inverse square of the flow below which the loss is a parabola.
    #[schemars(range(max = 1e12), extend("exclusiveMinimum" = 0))]
    pub epsilon: f64,
    /// How much more the residuals of states with a large flow count.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub eta: f64,
    /// The factor `lambda` of state-flow regularisation.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub state_flow_regularisation: f64,
}

impl Default for StableDetailedBalance {
    fn default() -> Self {
        Self { epsilon: 1.0, eta: 1e-3, state_flow_regularisation: 0.0 }
    }
}

impl PathObjective for StableDetailedBalance {
    fn needs(&self) -> Needs {
        Needs { flow: true, ..Needs::default() }
    }

    fn check(&self, place: &str) -> Result<()> {
        Check(place).positive("epsilon", self.epsilon, 1e12)?;
        Check(place).weight("eta", self.eta)?;
        Check(place).weight("state_flow_regularisation", self.state_flow_regularisation)
    }

    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64 {
        slopes.reset(paths);
        let share = 1.0 / paths.transition_count().max(1) as f64;
        let mut loss = 0.0;
        for b in 0..paths.trajectories() {
            for row in paths.transitions(b) {
                let child = paths.child(b, row);
                let here = paths.flow[row] + paths.forward[row];
                let there =
                    child.map_or(paths.log_reward[b], |child| paths.flow[child]) + paths.backward[row];
                let (value, by_here, by_there) = self.log_squared_difference(here, there);
                let (flow, flow_slope) = exponential(paths.flow[row]);
                let weight = share * (1.0 + self.eta * flow);
                loss += weight * value;
                slopes.flow[row] += weight * by_here + share * self.eta * flow_slope * value;
                slopes.forward[row] += weight * by_here;
                slopes.backward[row] += weight * by_there;
                if let Some(child) = child {
                    slopes.flow[child] += weight * by_there;
                }
            }
        }
        loss + regularise_state_flows(paths, false, share * self.state_flow_regularisation, slopes)
    }
}

impl StableDetailedBalance {
    /// `log(1 + epsilon (e^a - e^b)^2)` and its slopes by `a` and `b`.
    fn log_squared_difference(&self, a: f64, b: f64) -> (f64, f64, f64) {
        // |e^a - e^b| = e^m u.
        let (m, u) = (a.max(b), -(-(a - b).abs()).exp_m1());
        if u == 0.0 {
            return (0.0, 0.0, 0.0);
        }
        let log = self.epsilon.ln() + 2.0 * (m + u.ln());
        let value = log.max(0.0) + (-log.abs()).exp().ln_1p();
        let by_log = 1.0 / (1.0 + (-log).exp());
        let scale = 2.0 * by_log * (a - b).signum() / u;
        (value, scale * (a - m).exp(), -scale * (b - m).exp())
    }
}
