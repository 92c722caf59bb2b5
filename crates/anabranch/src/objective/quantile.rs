//! Balance of states whose flows are random: quantile flow matching.
//!
//! Where rewards are random so are flows. Each edge's log-flow is given by its quantiles, and quantiles of flows add level by
//! level:
//!
//! ```text
//! in_i   = log sum_p F(p -> s)(q_i),     out_j = log(F(s -> s_f)(q_j) + sum_c F(s -> c)(q_j))
//! loss   = mean_s sum_i mean_j rho_{q_i}(out_j - in_i)  +  stop_weight mean_x sum_i rho_{q_i}(log R(x) - log F(x -> s_f)(q_i))
//! rho_q(d) = |q - 1[d < 0]| h(d) / kappa,     h(d) = d^2 / 2 up to |d| = kappa, kappa (|d| - kappa / 2) beyond
//! ```
//!
//! Where stopping is the only action no network says `F(s -> s_f)`, and an observed `R(s)` stands for it. Elsewhere the stop has
//! quantiles of its own, regressed on observations: an observation in the sum would be one of another draw than its
//! quantiles, and risk measures of the sum no longer the sum of those of its parts.
//!
//! The in-flows' quantiles are regressed on samples of the out-flow's law; for `kappa -> 0` the minimum is the quantile. A risk
//! measure weighs quantiles by a distortion of the levels ([`Risk`]): `F = int_0^1 F(q) dw(q)`.
//!
//! Zhang et al., "Distributional GFlowNets with quantile flows" (2023), eq. 9; distortions as in Dabney et al., "Implicit quantile
//! networks" (2018), section 3.1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::chain::{QuantileFlowSlopes, QuantileFlows};
use crate::error::Result;
use crate::math::Risk;

/// Quantile flow matching.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QuantileFlowMatching {
    /// How many quantiles every flow has.
    #[schemars(range(min = 1, max = 10_000))]
    pub quantiles: usize,
    /// Where the parabola of the regression ends, nats.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0))]
    pub kappa: f64,
    /// Whether out-flows are held fixed. Where they are not, in-flows and out-flows draw each other together: the spread of both
    /// is then too small, and the terminating law is another.
    pub fixed_outflows: bool,
    /// The weight of stops (leaf coefficient).
    #[schemars(range(min = 0.0, max = 1e6))]
    pub stop_weight: f64,
    /// How actions weigh quantiles.
    pub risk: Risk,
}

impl Default for QuantileFlowMatching {
    fn default() -> Self {
        Self { quantiles: 8, kappa: 1.0, fixed_outflows: true, stop_weight: 1.0, risk: Risk::default() }
    }
}

impl QuantileFlowMatching {
    /// The loss; fills all `slopes`.
    ///
    /// # Panics
    /// If an array does not have as many entries as it must.
    pub fn evaluate(&self, flows: &QuantileFlows<'_>, slopes: &mut QuantileFlowSlopes) -> f64 {
        slopes.reset(flows);
        let mut sums = std::mem::take(&mut slopes.sums);
        let [inside, outside, by_in, by_out] = &mut sums;
        let (n, states) = (flows.quantiles, flows.log_rewards.len());
        let ins = |i: usize| n * flows.in_starts[i]..n * flows.in_starts[i + 1];
        let outs = |i: usize| n * flows.out_starts[i]..n * flows.out_starts[i + 1];
        let own = |i: usize| n * i..n * (i + 1);
        let said = |i: &usize| flows.stops[own(*i)].iter().all(|stop| *stop > f64::NEG_INFINITY);
        let share = 1.0 / (0..states).filter(|i| !ins(*i).is_empty()).count().max(1) as f64;
        let mut loss = 0.0;
        for i in (0..states).filter(|i| !ins(*i).is_empty()) {
            let (levels, stops) = (&flows.levels[own(i)], &flows.stops[own(i)]);
            let observed = flows.log_rewards[i].unwrap_or(f64::NEG_INFINITY);
            let has_stop = said(&i);
            let ends = |j: usize| if has_stop { stops[j] } else { observed };
            add_flows(n, |_| f64::NEG_INFINITY, &flows.inflows[ins(i)], inside);
            add_flows(n, ends, &flows.outflows[outs(i)], outside);
            loss += self.regress(levels, inside, outside, share, by_in, by_out);
            pass_on(&flows.inflows[ins(i)], inside, by_in, &mut slopes.inflows[ins(i)]);
            if !self.fixed_outflows {
                pass_on(&flows.outflows[outs(i)], outside, by_out, &mut slopes.outflows[outs(i)]);
                if has_stop {
                    pass_on(stops, outside, by_out, &mut slopes.stops[own(i)]);
                }
            }
        }
        let known = || (0..states).filter(said).filter_map(|i| Some((i, flows.log_rewards[i]?)));
        let share = self.stop_weight / known().count().max(1) as f64;
        for (i, log_reward) in known() {
            loss += self.regress(
                &flows.levels[own(i)],
                &flows.stops[own(i)],
                &[log_reward],
                share,
                by_in,
                by_out,
            );
            slopes.stops[own(i)].iter_mut().zip(&*by_in).for_each(|(to, slope)| *to += slope);
        }
        slopes.sums = sums;
        loss
    }

    /// `share sum_i mean_j rho_{q_i}(out_j - in_i)`, with its slopes.
    fn regress(
        &self,
        levels: &[f64],
        inside: &[f64],
        outside: &[f64],
        share: f64,
        by_in: &mut Vec<f64>,
        by_out: &mut Vec<f64>,
    ) -> f64 {
        by_in.clear();
        by_in.resize(inside.len(), 0.0);
        by_out.clear();
        by_out.resize(outside.len(), 0.0);
        let share = share / (outside.len() as f64 * self.kappa);
        let mut loss = 0.0;
        for ((level, inside), by_in) in levels.iter().zip(inside).zip(by_in) {
            for (outside, by_out) in outside.iter().zip(&mut *by_out) {
                let d = outside - inside;
                let weight = share * if d < 0.0 { 1.0 - level } else { *level };
                let slope = weight * d.clamp(-self.kappa, self.kappa);
                let parabola = d.abs().min(self.kappa);
                loss += weight * parabola * (d.abs() - 0.5 * parabola);
                *by_in -= slope;
                *by_out += slope;
            }
        }
        loss
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<()> {
        check.within("quantiles", self.quantiles as f64, 1.0, 1e4)?;
        check.positive("kappa", self.kappa, 1e6)?;
        check.weight("stop_weight", self.stop_weight)?;
        match self.risk {
            Risk::Neutral {} => Ok(()),
            Risk::Cvar { eta } => check.positive("risk.eta", eta, 1.0),
            Risk::Power { eta } => check.within("risk.eta", eta, -100.0, 100.0),
        }
    }
}

/// `log(e^{first_j} + sum over the rows of e^{flows_j})` for each of `n` columns, written to `out`.
fn add_flows(n: usize, first: impl Fn(usize) -> f64, flows: &[f64], out: &mut Vec<f64>) {
    out.clear();
    out.extend((0..n).map(|j| {
        let column = || flows.iter().skip(j).step_by(n);
        let largest = column().copied().fold(first(j), f64::max);
        if largest == f64::NEG_INFINITY {
            return largest;
        }
        let rest: f64 = column().map(|flow| (flow - largest).exp()).sum();
        largest + ((first(j) - largest).exp() + rest).ln()
    }));
}

/// Deals the slopes by sums among their terms.
fn pass_on(flows: &[f64], sums: &[f64], slopes: &[f64], out: &mut [f64]) {
    let n = sums.len();
    for (row, to) in flows.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
        for j in 0..n {
            to[j] += slopes[j] * (row[j] - sums[j]).exp();
        }
    }
}
