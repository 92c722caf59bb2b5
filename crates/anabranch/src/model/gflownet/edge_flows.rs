//! Flows into and out of the visited states: what flow matching compares.
//!
//! ```text
//! log F(p -> s) = log F(p) + log P_F(s | p)          of every parent p, visited or not
//! log F(s -> c) = log F(s) + log P_F(c | s)          of every child c, and of stopping
//! ```
//!
//! Parents get rows of their own on the lane's tape.

use super::lane::{Lane, Parent, encode};
use crate::array::matmul::row_stride;
use crate::chain::{QuantileFlows, StateFlows};
use crate::environment::{Ahead, Edge};
use crate::math::Risk;
use crate::network::taped::{Evaluator, NONE, Tape};
use crate::policy::{LogProbabilitySlopes, Policy, Visit};

/// Flows at states, ragged: those of the `j`th visited state at `starts[j]..starts[j + 1]`. Nats.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeFlows {
    /// Where each visited state's in-flows start.
    pub in_starts: Vec<usize>,
    /// `log F(p -> s)`.
    pub inflows: Vec<f64>,
    /// Where each visited state's out-flows start.
    pub out_starts: Vec<usize>,
    /// `log F(s -> c)`, stopping not counted.
    pub outflows: Vec<f64>,
    /// `log F(s -> s_f)` of each visited state, `-inf` where the state is no object or the network was not asked.
    pub stops: Vec<f64>,
    /// Which row of the batch's paths each visited state is.
    pub rows: Vec<usize>,
    /// How many numbers each flow has: its log-quantiles, or 1.
    width: usize,
    /// The levels of each visited state's quantiles; none where flows are plain numbers.
    levels: Vec<f64>,
}

/// The slopes of a loss by the flows of [`EdgeFlows`], entry by entry.
#[derive(Debug, Clone, Copy)]
pub struct EdgeFlowSlopes<'a> {
    /// By [`EdgeFlows::inflows`].
    pub inflows: &'a [f64],
    /// By [`EdgeFlows::outflows`].
    pub outflows: &'a [f64],
    /// By [`EdgeFlows::stops`].
    pub stops: &'a [f64],
}

impl Default for EdgeFlows {
    fn default() -> Self {
        let (inflows, outflows, stops, rows, levels) = Default::default();
        Self { in_starts: vec![0], inflows, out_starts: vec![0], outflows, stops, rows, width: 1, levels }
    }
}

impl EdgeFlows {
    /// The flows with what is known of `log R` at each visited state.
    pub fn with_rewards<'a>(&'a self, log_rewards: &'a [Option<f64>]) -> StateFlows<'a> {
        StateFlows {
            in_starts: &self.in_starts,
            inflows: &self.inflows,
            out_starts: &self.out_starts,
            outflows: &self.outflows,
            stops: &self.stops,
            log_rewards,
        }
    }

    /// The quantiles of the flows with what was observed of `log R` at each visited state.
    pub fn with_observations<'a>(&'a self, log_rewards: &'a [Option<f64>]) -> QuantileFlows<'a> {
        QuantileFlows {
            quantiles: self.width,
            levels: &self.levels,
            in_starts: &self.in_starts,
            inflows: &self.inflows,
            out_starts: &self.out_starts,
            outflows: &self.outflows,
            stops: &self.stops,
            log_rewards,
        }
    }

    /// Appends the edge flows of another lane.
    pub(super) fn append(&mut self, other: &Self) {
        self.width = other.width;
        self.levels.extend_from_slice(&other.levels);
        let (ins, outs) = (self.inflows.len() / self.width, self.outflows.len() / self.width);
        self.in_starts.extend(other.in_starts[1..].iter().map(|start| ins + start));
        self.out_starts.extend(other.out_starts[1..].iter().map(|start| outs + start));
        self.inflows.extend_from_slice(&other.inflows);
        self.outflows.extend_from_slice(&other.outflows);
        self.stops.extend_from_slice(&other.stops);
        self.rows.extend_from_slice(&other.rows);
    }
}

/// `log F(p -> s)` of a parent whose row is on a tape.
pub(super) fn log_inflow<P: Policy>(
    policy: &P,
    tape: &Tape,
    Parent { row, edge }: Parent,
    state: &[P::Cell],
    work: &mut P::Work,
) -> f64 {
    let visit = Visit { state, came: None, went: Some((edge, state)) };
    let said = policy.log_probabilities(visit, tape.output(row as usize, policy.outputs()), work);
    said.flow + said.forward
}

impl<P: Policy> Lane<P> {
    /// Gives all parents of the lane's states rows, and appends the flows of all states; the source has no in-flows. This
    /// lane's first row of the batch's paths is `first`.
    pub fn edge_flows(&mut self, policy: &P, evaluator: &dyn Evaluator, first: usize, out: &mut EdgeFlows) {
        let (cells, outputs, moves) = (policy.cells(), policy.outputs(), policy.moves());
        let (mut tape, order) = (std::mem::take(&mut self.tape), std::mem::take(&mut self.order));
        self.ask_parents(policy, evaluator, &order, &mut tape);
        (self.tape, self.order) = (tape, order);
        let quantiles = policy.quantiles();
        out.width = quantiles.max(1);
        self.visits(policy, |place, visit, _, row, work| {
            let own = policy.log_probabilities(Visit { came: None, went: None, ..visit }, row, work);
            // A state without a row has no moves.
            for (action, log_p) in row.iter().take(moves).enumerate() {
                match (*log_p > f32::NEG_INFINITY, quantiles) {
                    (false, _) => {}
                    (true, 0) => out.outflows.push(own.flow + f64::from(*log_p)),
                    (true, _) => out.outflows.extend(log_quantiles(policy, row, action)),
                }
            }
            out.out_starts.push(out.outflows.len() / out.width);
            match (row.is_empty() || own.stop == f64::NEG_INFINITY, quantiles) {
                (true, _) => out.stops.extend(std::iter::repeat_n(f64::NEG_INFINITY, out.width)),
                (false, 0) => out.stops.push(own.stop + own.flow),
                (false, _) => out.stops.extend(log_quantiles(policy, row, moves)),
            }
            out.levels.extend(Risk::midpoints(quantiles));
            out.rows.push(first + place);
        });
        let mut at = 0;
        for count in &self.parent_counts {
            for (place, Parent { row, edge }) in (at..).zip(&self.parents[at..at + count]) {
                if quantiles > 0 {
                    let row = self.tape.output(*row as usize, outputs);
                    out.inflows.extend(log_quantiles(policy, row, edge.action as usize));
                } else {
                    let (states, work) = (&self.parent_states[place * cells..][..cells], &mut self.work);
                    out.inflows.push(log_inflow(policy, &self.tape, self.parents[place], states, work));
                }
            }
            at += count;
            out.in_starts.push(out.inflows.len() / out.width);
        }
    }

    /// Gives all parents of some nodes rows of a tape, which answers for them.
    pub(super) fn ask_parents(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        nodes: &[u32],
        tape: &mut Tape,
    ) {
        self.parents.clear();
        self.parent_states.clear();
        self.parent_counts.clear();
        let (cells, before) = (policy.cells(), tape.rows());
        if policy.foresees() {
            let state = |node: &u32| &self.states[*node as usize * cells..][..cells];
            let states: Vec<P::Cell> = nodes.iter().flat_map(state).copied().collect();
            policy.foresee(&states, Ahead::AllRemovals);
        }
        for node in nodes {
            let known = self.parents.len();
            let state = &self.states[*node as usize * cells..][..cells];
            let trajectory = self.nodes[*node as usize].trajectory as usize;
            let condition = &self.conditions[trajectory * self.width..][..self.width];
            let (parents, states) = (&mut self.parents, &mut self.parent_states);
            policy.parents(state, &mut self.work, &mut |parent, edge| {
                let row = encode(tape, policy, parent, condition, NONE);
                parents.push(Parent { row, edge });
                states.extend_from_slice(parent);
            });
            self.parent_counts.push(self.parents.len() - known);
        }
        if tape.rows() > before {
            evaluator.evaluate(tape, before);
        }
        for (row, state) in (before..).zip(self.parent_states.chunks_exact(cells)) {
            policy.prepare(state, tape.output_mut(row, policy.outputs()), &mut self.work);
        }
    }

    /// The gradient by the weights for the slopes by edge flows, of which this lane's begin with number `first`,
    /// written to `gradient`.
    pub fn differentiate_edge_flows(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        edge_flows: &EdgeFlows,
        slopes: EdgeFlowSlopes<'_>,
        first: usize,
        gradient: &mut [f32],
    ) {
        let (cells, outputs, moves) = (policy.cells(), policy.outputs(), policy.moves());
        let (width, quantiles) = (row_stride(outputs), policy.quantiles());
        let mut out = std::mem::take(&mut self.slopes);
        out.clear();
        out.resize(self.tape.rows() * width, 0.0);
        let by_flow = |slope: f64| LogProbabilitySlopes {
            forward: slope,
            flow: slope,
            ..LogProbabilitySlopes::default()
        };
        self.visits(policy, |place, visit, row, values, work| {
            let (Some(row), visited) = (row, first + place) else { return };
            let to = &mut out[row as usize * width..][..outputs];
            if quantiles > 0 {
                let possible = (0..moves).filter(|action| values[*action] > f32::NEG_INFINITY);
                let flows = slopes.outflows[edge_flows.out_starts[visited] * quantiles..].chunks(quantiles);
                possible.zip(flows).for_each(|(action, slopes)| add_slopes(policy, action, slopes, to));
                let stop = &slopes.stops[visited * quantiles..][..quantiles];
                if edge_flows.stops[visited * quantiles] > f64::NEG_INFINITY {
                    add_slopes(policy, moves, stop, to);
                }
                return;
            }
            let mut add = |went, slope: f64| {
                if slope != 0.0 {
                    policy.slopes(Visit { came: None, went, ..visit }, values, &[], by_flow(slope), to, work);
                }
            };
            let possible = (0..moves).filter(|action| values[*action] > f32::NEG_INFINITY);
            for (action, slope) in possible.zip(&slopes.outflows[edge_flows.out_starts[visited]..]) {
                add(Some((Edge { action: action as u32, removal: 0 }, visit.state)), *slope);
            }
            add(None, slopes.stops[visited]);
        });
        let inflows =
            slopes.inflows[edge_flows.in_starts[first] * edge_flows.width..].chunks(edge_flows.width);
        for ((Parent { row, edge }, state), slopes) in
            self.parents.iter().zip(self.parent_states.chunks_exact(cells)).zip(inflows)
        {
            let visit = Visit { state, came: None, went: Some((*edge, state)) };
            let to = &mut out[*row as usize * width..][..outputs];
            if quantiles > 0 {
                add_slopes(policy, edge.action as usize, slopes, to);
                continue;
            }
            policy.slopes(
                visit,
                self.tape.output(*row as usize, outputs),
                &[],
                by_flow(slopes[0]),
                to,
                &mut self.work,
            );
        }
        evaluator.backward(&mut self.tape, &out, gradient);
        self.slopes = out;
    }
}

fn log_quantiles<P: Policy>(policy: &P, row: &[f32], action: usize) -> impl Iterator<Item = f64> {
    row[policy.quantile_range(action)].iter().map(|log| f64::from(*log))
}

fn add_slopes<P: Policy>(policy: &P, action: usize, slopes: &[f64], to: &mut [f32]) {
    to[policy.quantile_range(action)].iter_mut().zip(slopes).for_each(|(to, slope)| *to += *slope as f32);
}
