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

mod lane;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use rayon::prelude::*;

use crate::network::taped::{Evaluator, Network};
use crate::objective::balance::{Paths, Slopes};
use crate::policy::{Behaviour, Policy};
use crate::rng::Noise;

pub use lane::Lane;

/// A policy with the network that it asks.
#[derive(Debug, Clone)]
pub struct GFlowNet<P> {
    /// What the network's answers mean.
    pub policy: P,
    /// The network; its outputs are the policy's, its real inputs those of a state, then those of a condition.
    pub network: Arc<dyn Network>,
}

/// Trajectories to be walked from the source.
#[derive(Debug, Clone, Copy)]
pub struct Outward<'a, C> {
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
pub struct Homeward<'a, C> {
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
    /// What the trajectories say, in the order in which they were asked for, outward ones first.
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

/// The part of `values`, `width` numbers for each of `count` trajectories, that belongs to some of them.
fn part<T>(values: &[T], count: usize, first: usize, size: usize) -> &[T] {
    let width = values.len() / count.max(1);
    &values[first * width..(first + size).min(count) * width]
}

impl<P: Policy> Batch<P> {
    /// Walks all trajectories and fills [`Batch::paths`] but for rewards and `log Z`.
    pub fn walk(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        outward: Option<Outward<'_, P::Cell>>,
        homeward: Option<Homeward<'_, P::Cell>>,
    ) {
        let cells = policy.cells();
        let out = outward.map_or(0, |walk| walk.sources.len() / cells);
        let home = homeward.map_or(0, |walk| walk.objects.len() / cells);
        let (out_size, home_size) = (lane_size(out), lane_size(home));
        let out_lanes = out.div_ceil(out_size);
        self.used = out_lanes + home.div_ceil(home_size);
        if self.lanes.len() < self.used {
            self.lanes.resize_with(self.used, Lane::default);
        }
        self.lanes[..self.used].par_iter_mut().enumerate().for_each(|(index, lane)| {
            if let (true, Some(walk)) = (index < out_lanes, outward) {
                let first = index * out_size;
                let noise = walk.noise.from_trajectory(walk.noise.trajectory(0) + first as u64);
                let sources = part(walk.sources, out, first, out_size);
                let conditions = part(walk.conditions, out, first, out_size);
                lane.forward(policy, evaluator, sources, conditions, walk.behaviour, &noise);
            } else if let Some(walk) = homeward {
                let first = (index - out_lanes) * home_size;
                let noise = walk.noise.from_trajectory(walk.noise.trajectory(0) + first as u64);
                let objects = part(walk.objects, home, first, home_size);
                let conditions = part(walk.conditions, home, first, home_size);
                let most = part(walk.most, home, first, home_size);
                lane.backward(policy, evaluator, objects, conditions, most, &noise);
            }
        });
        self.paths.reference = None;
        self.describe(policy);
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

    fn describe(&mut self, policy: &P) {
        let paths = &mut self.paths;
        paths.starts.clear();
        paths.forced.clear();
        for by_row in [&mut paths.forward, &mut paths.backward, &mut paths.flow, &mut paths.stop] {
            by_row.clear();
        }
        self.lanes[..self.used].iter_mut().for_each(|lane| lane.describe(policy, paths));
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

    /// The gradient of the loss whose slopes are [`Batch::slopes`], by the network's weights, written to `gradient`.
    pub fn differentiate(&mut self, policy: &P, evaluator: &dyn Evaluator, gradient: &mut [f32]) {
        let firsts: Vec<usize> = self
            .lanes()
            .iter()
            .scan(0, |first, lane| {
                *first += lane.nodes();
                Some(*first - lane.nodes())
            })
            .collect();
        self.gradients.resize_with(self.used.max(1), Vec::new);
        let slopes = &self.slopes;
        let lanes = self.lanes[..self.used].par_iter_mut().zip(&mut self.gradients).zip(firsts);
        lanes.for_each(|((lane, own), first)| {
            own.resize(gradient.len(), 0.0);
            lane.differentiate(policy, evaluator, slopes, first, own);
        });
        let own = &self.gradients;
        const BLOCK: usize = 1 << 12;
        gradient.par_chunks_mut(BLOCK).enumerate().for_each(|(index, out)| {
            out.fill(0.0);
            for lane in &own[..self.used] {
                out.iter_mut().zip(&lane[index * BLOCK..]).for_each(|(out, g)| *out += g);
            }
        });
    }
}
