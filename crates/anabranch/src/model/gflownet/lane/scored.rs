//! What a policy says of trajectories that were walked, and its gradient by the weights.

use super::{Lane, edge};
use crate::array::matmul::row_stride;
use crate::chain::{Paths, Reference, Slopes};
use crate::network::taped::{Evaluator, NONE};
use crate::policy::{LogProbabilities, LogProbabilitySlopes, Policy, Visit};

impl<P: Policy> Lane<P> {
    /// Hands each visit, trajectory by trajectory, with its row (empty if it has none) to `each`.
    pub(in crate::model::gflownet) fn visits(
        &mut self,
        policy: &P,
        mut each: impl FnMut(usize, Visit<'_, P::Cell>, Option<u32>, &[f32], &mut P::Work),
    ) {
        let (cells, outputs) = (policy.cells(), policy.outputs());
        let state = |node: u32| &self.states[node as usize * cells..][..cells];
        for b in 0..self.starts.len() - 1 {
            let order = &self.order[self.starts[b]..self.starts[b + 1]];
            for (t, node) in order.iter().enumerate() {
                let edge = |earlier, later| edge(self.direction, &self.nodes, earlier, later);
                let came = t.checked_sub(1).map(|t| (edge(order[t], *node), state(order[t])));
                let went = order.get(t + 1).map(|next| (edge(*node, *next), state(*next)));
                let visit = Visit { state: state(*node), came, went };
                let row = self.nodes[*node as usize].row;
                let (row, values) = match row {
                    NONE => (None, &[][..]),
                    row => (Some(row), self.tape.output(row as usize, outputs)),
                };
                each(self.starts[b] + t, visit, row, values, &mut self.work);
            }
        }
    }

    /// Appends these trajectories to `paths`, all but their rewards and `log Z`.
    pub fn describe(&mut self, policy: &P, paths: &mut Paths) {
        let first = paths.rows();
        if paths.starts.is_empty() {
            paths.starts.push(0);
        }
        paths.starts.extend(self.starts[1..].iter().map(|start| first + start));
        paths.cut.extend_from_slice(&self.cut);
        self.visits(policy, |_, visit, _, row, work| {
            let LogProbabilities { forward, backward, stop, flow } =
                policy.log_probabilities(visit, row, work);
            if visit.came.is_some()
                && let Some(before) = paths.backward.last_mut()
            {
                *before = backward;
            }
            paths.forward.push(forward);
            paths.backward.push(0.0);
            paths.stop.push(stop);
            paths.flow.push(flow);
            paths.forced.push(policy.must_stop(visit.state));
        });
    }

    /// Appends what the reference says of these trajectories.
    pub fn describe_reference(&mut self, policy: &P, out: &mut Reference) {
        let (outputs, width) = (policy.outputs(), row_stride(policy.outputs()));
        let kept = std::mem::take(&mut self.reference);
        self.visits(policy, |_, visit, row, values, work| {
            let theirs = row.map_or(&[][..], |row| &kept[row as usize * width..][..outputs]);
            let said = policy.log_probabilities(visit, theirs, work);
            out.forward.push(said.forward);
            out.flow.push(said.flow);
            out.stop.push(said.stop);
            out.divergence.push(if row.is_some() { policy.divergence(values, theirs) } else { 0.0 });
        });
        self.reference = kept;
    }

    /// The gradient by the weights for the slopes of these trajectories, whose first row is `first`, written to `gradient`.
    pub fn differentiate(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        slopes: &Slopes,
        first: usize,
        gradient: &mut [f32],
    ) {
        let (outputs, width) = (policy.outputs(), row_stride(policy.outputs()));
        let mut out = std::mem::take(&mut self.slopes);
        let reference = std::mem::take(&mut self.reference);
        out.clear();
        out.resize(self.tape.rows() * width, 0.0);
        self.visits(policy, |place, visit, row, values, work| {
            let at = first + place;
            let slopes = LogProbabilitySlopes {
                forward: slopes.forward[at],
                // `P_B` of the edge into this state is kept with the state before.
                backward: if visit.came.is_some() { slopes.backward[at - 1] } else { 0.0 },
                stop: slopes.stop[at],
                flow: slopes.flow[at],
                divergence: slopes.divergence[at],
            };
            if let Some(row) = row {
                let to = &mut out[row as usize * width..][..outputs];
                let place = row as usize * width;
                let theirs = if reference.is_empty() { &[] } else { &reference[place..place + outputs] };
                policy.slopes(visit, values, theirs, slopes, to, work);
            }
        });
        self.reference = reference;
        evaluator.backward(&mut self.tape, &out, gradient);
        self.slopes = out;
    }
}
