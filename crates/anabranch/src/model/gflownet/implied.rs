//! The backward policy that edge flows imply.
//!
//! ```text
//! P_B(p | s) = F(p -> s) / sum_p' F(p' -> s),     F(p -> s) = F(p) P_F(s | p)
//! ```
//!
//! Where flows balance it has `log w = log Z` on every trajectory; another `P_B` would be as right in the mean and say less.
//! A parent of several edges into a state has a share for each of them.
//!
//! Bengio et al., "GFlowNet Foundations" (2023), section 2.

use super::edge_flows::log_inflow;
use super::lane::Lane;
use crate::math::log_sum_exp;
use crate::network::taped::Evaluator;
use crate::policy::Policy;

/// Nodes whose parents are asked about together.
const TOGETHER: usize = 256;

impl<P: Policy> Lane<P> {
    /// Writes `log P_B` of every removal at each node at which the walk is, `[nodes, removals]`, `-inf` where it is not possible.
    pub(super) fn weigh_removals(&mut self, policy: &P, evaluator: &dyn Evaluator, removals: usize) {
        let alive = std::mem::take(self.alive());
        let mut log_backward = std::mem::take(&mut self.log_backward);
        log_backward.clear();
        log_backward.resize(alive.len() * removals, f32::NEG_INFINITY);
        self.log_shares(policy, evaluator, &alive, &mut |at, removal, log_share| {
            log_backward[at * removals + removal as usize] = log_share as f32;
        });
        self.log_backward = log_backward;
        *self.alive() = alive;
    }

    /// Writes `log P_B(s_t | s_{t+1})` of every row to `backward`, `[nodes]`; 0 at a trajectory's last row.
    pub(super) fn imply_backward(&mut self, policy: &P, evaluator: &dyn Evaluator, backward: &mut [f64]) {
        let removals: Vec<Option<u32>> = (0..self.order.len()).map(|place| self.removal(place)).collect();
        let order = std::mem::take(&mut self.order);
        self.log_shares(policy, evaluator, &order, &mut |place, removal, log_share| {
            if removals[place] == Some(removal) {
                backward[place - 1] = log_share;
            }
        });
        self.order = order;
    }

    /// Tells `each` the share of every removal at some nodes in what flows into them, as a logarithm, with the node's place.
    fn log_shares(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        nodes: &[u32],
        each: &mut dyn FnMut(usize, u32, f64),
    ) {
        let (cells, mut tape) = (policy.cells(), std::mem::take(&mut self.aside));
        let mut flows = Vec::new();
        for (block, nodes) in nodes.chunks(TOGETHER).enumerate() {
            tape.clear();
            self.ask_parents(policy, evaluator, nodes, &mut tape);
            let mut at = 0;
            for (place, count) in self.parent_counts.iter().enumerate() {
                let parents = at..at + count;
                flows.clear();
                flows.extend(parents.clone().map(|parent| {
                    let state = &self.parent_states[parent * cells..][..cells];
                    log_inflow(policy, &tape, self.parents[parent], state, &mut self.work)
                }));
                let total = log_sum_exp(&flows);
                for (parent, flow) in parents.zip(&flows) {
                    each(block * TOGETHER + place, self.parents[parent].edge.removal, flow - total);
                }
                at += count;
            }
        }
        self.aside = tape;
    }
}
