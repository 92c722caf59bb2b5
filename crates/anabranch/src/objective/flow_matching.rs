//! Balance of states: what flows in flows out.
//!
//! ```text
//! flow   delta(s) = log(eps + sum_p F(p -> s)) - log(eps + S(s) + sum_c F(s -> c))     every visited s but the source
//!        S(s) = R(s) where it was asked for, else F(s -> s_f)
//! stop   delta(x) = log(eps + F(x -> s_f)) - log(eps + R(x))                           where R(x) was asked for
//! loss   = mean_s g(delta(s)) + stop_weight mean_x g(delta(x))
//! ```
//!
//! All parents of a visited state are needed, whether they were visited or not; parallel edges count each. `eps` keeps flows far
//! below it from mattering, and moves no minimum since it stands on both sides.
//!
//! Bengio et al., "Flow network based generative models" (2021), eq. 12.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Regression;
use super::check::Check;
use crate::chain::{StateFlowSlopes, StateFlows};
use crate::error::Result;

/// Flow matching.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowMatching {
    /// What a residual costs.
    pub regression: Regression,
    /// The flow that is added to both sides.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub epsilon: f64,
    /// The weight of stops (leaf coefficient).
    #[schemars(range(min = 0.0, max = 1e6))]
    pub stop_weight: f64,
}

impl Default for FlowMatching {
    fn default() -> Self {
        Self { regression: Regression::default(), epsilon: 1e-8, stop_weight: 1.0 }
    }
}

impl FlowMatching {
    /// The loss; fills all `slopes`.
    ///
    /// # Panics
    /// If an array does not have as many entries as it must.
    pub fn evaluate(&self, flows: &StateFlows<'_>, slopes: &mut StateFlowSlopes) -> f64 {
        slopes.reset(flows);
        let log_epsilon = self.epsilon.ln();
        let states = flows.stops.len();
        let ins = |i: usize| flows.in_starts[i]..flows.in_starts[i + 1];
        let outs = |i: usize| flows.out_starts[i]..flows.out_starts[i + 1];
        let balanced = (0..states).filter(|i| !ins(*i).is_empty()).count();
        let share = 1.0 / balanced.max(1) as f64;
        let mut loss = 0.0;
        for i in (0..states).filter(|i| !ins(*i).is_empty()) {
            let (inflows, outflows) = (&flows.inflows[ins(i)], &flows.outflows[outs(i)]);
            let ends = flows.log_rewards[i].unwrap_or(flows.stops[i]);
            let inside = log_sum(&[log_epsilon], inflows);
            let outside = log_sum(&[log_epsilon, ends], outflows);
            let slope = share * self.regression.slope(inside - outside);
            loss += share * self.regression.value(inside - outside);
            let part = |flow: f64, whole: f64| (flow - whole).exp();
            let by_in = slopes.inflows[ins(i)].iter_mut().zip(inflows);
            by_in.for_each(|(to, flow)| *to += slope * part(*flow, inside));
            let by_out = slopes.outflows[outs(i)].iter_mut().zip(outflows);
            by_out.for_each(|(to, flow)| *to -= slope * part(*flow, outside));
            if flows.log_rewards[i].is_none() {
                slopes.stops[i] -= slope * part(flows.stops[i], outside);
            }
        }
        let known =
            || (0..states).filter(|i| flows.stops[*i] > f64::NEG_INFINITY && flows.log_rewards[*i].is_some());
        let share = self.stop_weight / known().count().max(1) as f64;
        for i in known() {
            let stop = log_sum(&[log_epsilon], &[flows.stops[i]]);
            let delta = stop - log_sum(&[log_epsilon], flows.log_rewards[i].as_slice());
            loss += share * self.regression.value(delta);
            slopes.stops[i] += share * self.regression.slope(delta) * (flows.stops[i] - stop).exp();
        }
        loss
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<()> {
        self.regression.check(check)?;
        check.weight("epsilon", self.epsilon)?;
        check.weight("stop_weight", self.stop_weight)
    }
}

/// The logarithm of the sum of the exponentials of both lists; `-inf` for none.
fn log_sum(some: &[f64], others: &[f64]) -> f64 {
    let all = || some.iter().chain(others);
    let largest = all().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + all().map(|x| (x - largest).exp()).sum::<f64>().ln()
}
