//! Flows into and out of visited states as numbers, and the slopes of a loss by them.
//!
//! ```text
//! log F(p -> s)   of every parent p          log F(s -> c)   of every child c, and of stopping
//! ```

/// Log-flows at visited states, ragged. Nats.
#[derive(Debug, Clone, Copy)]
pub struct StateFlows<'a> {
    /// State `i` has the in-flows `in_starts[i]..in_starts[i + 1]`; only the source has none.
    pub in_starts: &'a [usize],
    /// `log F(p -> s)`.
    pub inflows: &'a [f64],
    /// State `i` has the out-flows `out_starts[i]..out_starts[i + 1]`.
    pub out_starts: &'a [usize],
    /// `log F(s -> c)`, stopping not counted.
    pub outflows: &'a [f64],
    /// `[states]`: `log F(s -> s_f)`, `-inf` where the state is no object or no network says it because stopping is the only
    /// action.
    pub stops: &'a [f64],
    /// `[states]`: `log R(s)` where it was asked for; none where the state is no object.
    pub log_rewards: &'a [Option<f64>],
}

/// The derivatives of a loss with respect to [`StateFlows`], entry by entry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StateFlowSlopes {
    /// By [`StateFlows::inflows`].
    pub inflows: Vec<f64>,
    /// By [`StateFlows::outflows`].
    pub outflows: Vec<f64>,
    /// By [`StateFlows::stops`].
    pub stops: Vec<f64>,
}

/// Quantiles of log-flows at visited states, ragged. Nats.
#[derive(Debug, Clone, Copy)]
pub struct QuantileFlows<'a> {
    /// How many quantiles every flow has.
    pub quantiles: usize,
    /// `[states, quantiles]`: the levels `q_i` in (0, 1) at which a state's in-flows and its stopping flow are given.
    pub levels: &'a [f64],
    /// State `i` has the in-flows `in_starts[i]..in_starts[i + 1]`; only the source has none.
    pub in_starts: &'a [usize],
    /// `[in-flows, quantiles]`.
    pub inflows: &'a [f64],
    /// State `i` has the out-flows `out_starts[i]..out_starts[i + 1]`.
    pub out_starts: &'a [usize],
    /// `[out-flows, quantiles]`, stopping not counted; at any levels, alike for all out-flows of a state.
    pub outflows: &'a [f64],
    /// `[states, quantiles]`: `log F(s -> s_f)`, `-inf` where the state is no object or no network says it.
    pub stops: &'a [f64],
    /// `[states]`: the observed `log R(s)`; none where the state is no object, or was not asked about.
    pub log_rewards: &'a [Option<f64>],
}

/// The derivatives of a loss with respect to [`QuantileFlows`], entry by entry.
#[derive(Debug, Clone, Default)]
pub struct QuantileFlowSlopes {
    /// By [`QuantileFlows::inflows`].
    pub inflows: Vec<f64>,
    /// By [`QuantileFlows::outflows`]; 0 where they are a target.
    pub outflows: Vec<f64>,
    /// By [`QuantileFlows::stops`].
    pub stops: Vec<f64>,
    /// A state's in-flow and out-flow, and the slopes by them.
    pub(crate) sums: [Vec<f64>; 4],
}

impl StateFlowSlopes {
    /// Sets all slopes to 0, as many as the flows need.
    pub(crate) fn reset(&mut self, flows: &StateFlows<'_>) {
        for (slopes, flows) in [
            (&mut self.inflows, flows.inflows),
            (&mut self.outflows, flows.outflows),
            (&mut self.stops, flows.stops),
        ] {
            slopes.clear();
            slopes.resize(flows.len(), 0.0);
        }
    }
}

impl QuantileFlowSlopes {
    /// Sets all slopes to 0, as many as the flows need.
    pub(crate) fn reset(&mut self, flows: &QuantileFlows<'_>) {
        for (slopes, flows) in [
            (&mut self.inflows, flows.inflows),
            (&mut self.outflows, flows.outflows),
            (&mut self.stops, flows.stops),
        ] {
            slopes.clear();
            slopes.resize(flows.len(), 0.0);
        }
    }
}
