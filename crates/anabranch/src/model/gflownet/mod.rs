//! GFlowNets: chains whose kernel is a policy over actions.
//!
//! ```text
//! s_0 -> s_1 -> ... -> s_n = x -> s_f       P_F(s_{t+1} | s_t), moves and stop
//! s_0 <- s_1 <- ... <- s_n = x              P_B(s_t | s_{t+1})
//! log w = log R(x) + sum_t [log P_B - log P_F]
//! ```
//!
//! The network is asked at every state of a trajectory once: the answers serve the rollout, the objective and its derivative.
//! Trajectories are dealt into [`Lane`]s whose number depends on the batch alone, so that threads change no bit.
//!
//! Bengio et al., "GFlowNet Foundations" (2023); Lahlou et al., "A theory of continuous generative flow networks" (2023).

mod edge_flows;
mod implied;
mod lane;
#[cfg(test)]
mod tests;
mod transition;

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::chain::{Paths, QuantileFlowSlopes, Slopes, StateFlowSlopes};
use crate::error::Result;
use crate::network::taped::{Evaluator, TapedNetwork};
use crate::policy::{Behaviour, Number, Policy};
use crate::rng::Noise;

pub use edge_flows::{EdgeFlowSlopes, EdgeFlows};
pub use lane::Lane;
pub use transition::{Objects, PolicyKernels};

/// A policy with the network that it asks.
#[derive(Debug, Clone)]
pub struct GFlowNet<P> {
    /// What the network's answers mean.
    pub policy: P,
    /// The network; its outputs are the policy's, its real inputs those of a state, then those of a condition.
    pub network: Arc<dyn TapedNetwork>,
}

/// Trajectories to be walked from the source.
#[derive(Debug, Clone, Copy)]
pub struct ForwardRollout<'a, C> {
    /// Where they start, `[trajectories, cells]`.
    pub sources: &'a [C],
    /// `[trajectories, width]`, or empty.
    pub conditions: &'a [f32],
    /// How actions are drawn.
    pub behaviour: Behaviour,
    /// Row `i` is trajectory `i`'s.
    pub noise: &'a Noise,
}

/// Trajectories to be walked from their objects.
#[derive(Debug, Clone, Copy)]
pub struct BackwardRollout<'a, C> {
    /// Where they end, `[trajectories, cells]`.
    pub objects: &'a [C],
    /// `[trajectories, width]`, or empty.
    pub conditions: &'a [f32],
    /// The most removals of each, `[trajectories]`; empty: all the way to the source.
    pub most: &'a [u32],
    /// Row `i` is trajectory `i`'s.
    pub noise: &'a Noise,
}

/// Trajectories of a batch, with all memory that a step of training needs.
pub struct Batch<P: Policy> {
    lanes: Vec<Lane<P>>,
    /// How many lanes are in use.
    used: usize,
    gradients: Vec<Vec<f32>>,
    /// Flows at the visited states, where they were asked for.
    pub edge_flows: EdgeFlows,
    /// The slopes of a loss by these, where they are plain numbers.
    pub edge_flow_slopes: StateFlowSlopes,
    /// The slopes of a loss by these, where they are quantiles.
    pub quantile_slopes: QuantileFlowSlopes,
    /// What the trajectories say, in the order in which they were walked.
    pub paths: Paths,
    /// The slopes of the loss.
    pub slopes: Slopes,
}

impl<P: Policy> Default for Batch<P> {
    fn default() -> Self {
        Self {
            lanes: Vec::new(),
            used: 0,
            gradients: Vec::new(),
            edge_flows: EdgeFlows::default(),
            edge_flow_slopes: StateFlowSlopes::default(),
            quantile_slopes: QuantileFlowSlopes::default(),
            paths: Paths::default(),
            slopes: Slopes::default(),
        }
    }
}

/// Trajectories of one lane, at least; a batch is never cut into more than [`MOST_LANES`].
const LANE: usize = 8;
const MOST_LANES: usize = 16;

/// How many trajectories of `count` a lane has.
fn lane_size(count: usize) -> usize {
    count.div_ceil((count / LANE).clamp(1, MOST_LANES)).max(1)
}

/// How many lanes a batch of `count` trajectories has, at least one.
pub fn lanes(count: usize) -> usize {
    count.div_ceil(lane_size(count)).max(1)
}

/// The part of `values`, `width` numbers for each of `count` trajectories, that belongs to some of them.
fn part<T>(values: &[T], count: usize, first: usize, size: usize) -> &[T] {
    let width = values.len() / count.max(1);
    &values[first * width..(first + size).min(count) * width]
}

impl<P: Policy> Batch<P> {
    /// Forgets all trajectories.
    pub fn clear(&mut self) {
        self.used = 0;
        self.paths.reference = None;
    }

    /// Walks trajectories from the source, and adds them to those that are there.
    ///
    /// # Errors
    /// If the policy has no law at a state; the batch must then be cleared.
    pub fn forward_rollout(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        walk: ForwardRollout<'_, P::Cell>,
    ) -> Result<()> {
        let count = walk.sources.len() / policy.cells();
        self.add_lanes(count, walk.noise, |lane, first, size, noise| {
            let sources = part(walk.sources, count, first, size);
            let conditions = part(walk.conditions, count, first, size);
            lane.forward(policy, evaluator, sources, conditions, walk.behaviour, noise)
        })
    }

    /// Walks trajectories from their objects, and adds them to those that are there.
    ///
    /// # Errors
    /// As [`Batch::forward_rollout`].
    pub fn backward_rollout(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        walk: BackwardRollout<'_, P::Cell>,
    ) -> Result<()> {
        let count = walk.objects.len() / policy.cells();
        self.add_lanes(count, walk.noise, |lane, first, size, noise| {
            let objects = part(walk.objects, count, first, size);
            let conditions = part(walk.conditions, count, first, size);
            lane.backward(policy, evaluator, objects, conditions, part(walk.most, count, first, size), noise)
        })
    }

    fn add_lanes(
        &mut self,
        count: usize,
        noise: &Noise,
        walk: impl Fn(&mut Lane<P>, usize, usize, &Noise) -> Result<()> + Sync,
    ) -> Result<()> {
        let (size, used) = (lane_size(count), self.used);
        self.used += count.div_ceil(size);
        if self.lanes.len() < self.used {
            self.lanes.resize_with(self.used, Lane::default);
        }
        self.lanes[used..self.used].par_iter_mut().enumerate().for_each(|(index, lane)| {
            let first = index * size;
            lane.failure = walk(lane, first, size, &noise.from_row(first)).err();
        });
        // The first of several, whichever thread was faster.
        self.lanes[used..self.used].iter_mut().find_map(|lane| lane.failure.take()).map_or(Ok(()), Err)
    }

    /// Fills [`Batch::paths`] with what the trajectories say, all but rewards and `log Z`.
    pub fn describe(&mut self, policy: &P) {
        let paths = &mut self.paths;
        paths.starts.clear();
        paths.cut.clear();
        paths.forced.clear();
        for by_row in [&mut paths.forward, &mut paths.backward, &mut paths.flow, &mut paths.stop] {
            by_row.clear();
        }
        self.lanes[..self.used].iter_mut().for_each(|lane| lane.describe(policy, paths));
    }

    /// Fills in `log P_B` where it is what edge flows imply, which takes what the network says of all parents; elsewhere
    /// [`Batch::describe`] has done so.
    pub fn imply_backward(&mut self, policy: &P, evaluator: &dyn Evaluator) {
        if policy.implied().is_none() {
            return;
        }
        let mut rest = &mut self.paths.backward[..];
        let lanes = self.lanes[..self.used].iter_mut().map(|lane| {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(lane.nodes());
            rest = others;
            (lane, own)
        });
        let lanes: Vec<_> = lanes.collect();
        lanes.into_par_iter().for_each(|(lane, own)| lane.imply_backward(policy, evaluator, own));
    }

    /// Asks other weights about the same trajectories, and fills [`Batch::paths`] anew but for rewards and `log Z`.
    pub fn ask_again(&mut self, policy: &P, evaluator: &dyn Evaluator) {
        self.lanes[..self.used].par_iter_mut().for_each(|lane| lane.ask_again(policy, evaluator));
        self.describe(policy);
        if self.paths.reference.is_some() {
            self.describe_reference(policy);
        }
    }

    /// Asks other weights, which are not trained, about the same trajectories, and fills the reference of
    /// [`Batch::paths`].
    pub fn ask_reference(&mut self, policy: &P, evaluator: &dyn Evaluator) {
        self.lanes[..self.used].par_iter_mut().for_each(|lane| lane.ask_reference(policy, evaluator));
        self.describe_reference(policy);
    }

    /// Makes what the present weights say the reference of [`Batch::paths`].
    pub fn keep_reference(&mut self, policy: &P) {
        self.lanes[..self.used].iter_mut().for_each(Lane::keep_reference);
        self.describe_reference(policy);
    }

    /// Fills the reference of [`Batch::paths`] anew, after the weights have changed.
    fn describe_reference(&mut self, policy: &P) {
        let mut reference = self.paths.reference.take().unwrap_or_default();
        for by_row in
            [&mut reference.forward, &mut reference.flow, &mut reference.stop, &mut reference.divergence]
        {
            by_row.clear();
        }
        self.lanes[..self.used].iter_mut().for_each(|lane| lane.describe_reference(policy, &mut reference));
        self.paths.reference = Some(reference);
    }

    /// The lanes, which hold the trajectories in order.
    pub fn lanes(&self) -> &[Lane<P>] {
        &self.lanes[..self.used]
    }

    /// Writes the objects at which the trajectories end, `[trajectories, cells]`.
    pub fn objects(&self, policy: &P, out: &mut Vec<P::Cell>) {
        out.clear();
        for lane in self.lanes() {
            (0..lane.trajectories()).for_each(|b| out.extend_from_slice(lane.object(policy, b)));
        }
    }

    /// Whether each trajectory was given up before its end, in the order in which they were walked.
    pub fn cut(&self) -> impl Iterator<Item = bool> {
        self.lanes().iter().flat_map(|lane| (0..lane.trajectories()).map(|b| lane.is_cut(b)))
    }

    /// Writes the states at which the trajectories start, `[trajectories, cells]`.
    pub fn starts(&self, policy: &P, out: &mut Vec<P::Cell>) {
        out.clear();
        for lane in self.lanes() {
            let firsts = (0..lane.trajectories()).filter_map(|b| lane.states(policy, b).next());
            firsts.for_each(|state| out.extend_from_slice(state));
        }
    }

    /// Writes the states of all trajectories in the order of [`Batch::paths`]'s rows, `[rows, cells]`.
    pub fn states(&self, policy: &P, out: &mut Vec<P::Cell>) {
        out.clear();
        for lane in self.lanes() {
            (0..lane.trajectories())
                .for_each(|b| lane.states(policy, b).for_each(|state| out.extend_from_slice(state)));
        }
    }

    /// Numbers trajectories with the same condition and the same start alike, in [`Paths::group`].
    pub fn group_by_condition(&mut self, policy: &P) {
        let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
        let mut groups = std::mem::take(&mut self.paths.group);
        groups.clear();
        for lane in self.lanes() {
            for b in 0..lane.trajectories() {
                let start =
                    lane.states(policy, b).next().unwrap_or_default().iter().map(|cell| cell.to_word());
                let key = lane.condition(b).iter().map(|value| value.to_bits()).chain(start).collect();
                let next = known.len() as u32;
                groups.push(*known.entry(key).or_insert(next));
            }
        }
        // One condition for all need not be said.
        if known.len() <= 1 {
            groups.clear();
        }
        self.paths.group = groups;
    }

    /// The condition of each row of [`Batch::paths`], `[rows, width]`.
    pub fn row_conditions(&self) -> Vec<f32> {
        let mut out = Vec::new();
        for lane in self.lanes() {
            for b in 0..lane.trajectories() {
                (0..lane.moves(b) + 1).for_each(|_| out.extend_from_slice(lane.condition(b)));
            }
        }
        out
    }

    /// Asks about all parents of the visited states, and fills [`Batch::edge_flows`].
    pub fn ask_parents(&mut self, policy: &P, evaluator: &dyn Evaluator) {
        let firsts = self.firsts();
        let lanes = self.lanes[..self.used].par_iter_mut().zip(firsts);
        let parts: Vec<EdgeFlows> = lanes
            .map(|(lane, first)| {
                let mut edge_flows = EdgeFlows::default();
                lane.edge_flows(policy, evaluator, first, &mut edge_flows);
                edge_flows
            })
            .collect();
        self.edge_flows = EdgeFlows::default();
        parts.iter().for_each(|part| self.edge_flows.append(part));
    }

    /// The gradient of the loss whose slopes are [`Batch::slopes`], by the network's weights, written to `gradient`.
    pub fn differentiate(&mut self, policy: &P, evaluator: &dyn Evaluator, gradient: &mut [f32]) {
        let slopes = std::mem::take(&mut self.slopes);
        self.sum_gradients(gradient, |lane, first, own| {
            lane.differentiate(policy, evaluator, &slopes, first, own);
        });
        self.slopes = slopes;
    }

    /// The gradient of the loss whose slopes are [`Batch::edge_flow_slopes`], or of quantiles [`Batch::quantile_slopes`], by the
    /// network's weights, written to `gradient`.
    pub fn differentiate_edge_flows(&mut self, policy: &P, evaluator: &dyn Evaluator, gradient: &mut [f32]) {
        let edge_flows = std::mem::take(&mut self.edge_flows);
        let (plain, quantiles) =
            (std::mem::take(&mut self.edge_flow_slopes), std::mem::take(&mut self.quantile_slopes));
        let slopes = match policy.quantiles() {
            0 => EdgeFlowSlopes { inflows: &plain.inflows, outflows: &plain.outflows, stops: &plain.stops },
            _ => EdgeFlowSlopes {
                inflows: &quantiles.inflows,
                outflows: &quantiles.outflows,
                stops: &quantiles.stops,
            },
        };
        self.sum_gradients(gradient, |lane, first, own| {
            lane.differentiate_edge_flows(policy, evaluator, &edge_flows, slopes, first, own);
        });
        (self.edge_flows, self.edge_flow_slopes, self.quantile_slopes) = (edge_flows, plain, quantiles);
    }

    /// The rows of the batch before each lane's first.
    fn firsts(&self) -> Vec<usize> {
        let after = |first: &mut usize, lane: &Lane<P>| {
            *first += lane.nodes();
            Some(*first - lane.nodes())
        };
        self.lanes().iter().scan(0, after).collect()
    }

    /// The sum of all lanes' gradients, each found by `find` from a lane and its first row.
    fn sum_gradients(&mut self, gradient: &mut [f32], find: impl Fn(&mut Lane<P>, usize, &mut [f32]) + Sync) {
        let firsts = self.firsts();
        if self.gradients.len() < self.used {
            self.gradients.resize_with(self.used, Vec::new);
        }
        let lanes = self.lanes[..self.used].par_iter_mut().zip(&mut self.gradients).zip(firsts);
        lanes.for_each(|((lane, own), first)| {
            own.resize(gradient.len(), 0.0);
            find(lane, first, own);
        });
        let own = &self.gradients[..self.used];
        const BLOCK: usize = 1 << 12;
        gradient.par_chunks_mut(BLOCK).enumerate().for_each(|(index, out)| {
            let place = index * BLOCK..index * BLOCK + out.len();
            let [first, rest @ ..] = own else { return out.fill(0.0) };
            let (second, rest) = match rest {
                [] => return out.copy_from_slice(&first[place]),
                [second, rest @ ..] => (second, rest),
            };
            let both = first[place.clone()].iter().zip(&second[place.clone()]);
            out.iter_mut().zip(both).for_each(|(out, (a, b))| *out = a + b);
            for lane in rest {
                out.iter_mut().zip(&lane[place.clone()]).for_each(|(out, g)| *out += g);
            }
        });
    }
}
