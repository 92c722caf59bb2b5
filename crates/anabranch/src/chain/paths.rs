//! Trajectories as numbers, and the slopes of a loss by them.
//!
//! ```text
//! s_0 -> s_1 -> ... -> s_n = x -> s_f         one row per state, rows of a trajectory in order
//! forward[t]   log P_F(s_{t+1} | s_t)          the last row's is log P_F(s_f | x)
//! backward[t]  log P_B(s_t | s_{t+1})          0 at the last row: nothing else leads into the sink
//! flow[t]      log F(s_t)
//! ```
//!
//! For any loss `f` of paths the gradient by weights is `sum slope x gradient of the number`, whoever computes that: a tape of
//! tensors pulls slopes back by `(slopes * numbers).sum().backward()`, a walk by its own tape.

use std::ops::Range;

/// Complete trajectories of a batch, as numbers: one row per state. Nats, f64.
///
/// What an objective does not read may be empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Paths {
    /// Trajectory `b` has the rows `starts[b]..starts[b + 1]`, one for each of its states `s_0 .. s_n`, never none.
    pub starts: Vec<usize>,
    /// `[trajectories]`: whether the walk was given up before its end, which happens only where there are cycles: at its last
    /// row it has not stopped. Empty: none was.
    pub cut: Vec<bool>,
    /// `[rows]`: `log P_F(s_{t+1} | s_t)`, at a trajectory's last row `log P_F(s_f | x)`.
    pub forward: Vec<f64>,
    /// `[rows]`: `log P_B(s_t | s_{t+1})`, 0 at a trajectory's last row.
    pub backward: Vec<f64>,
    /// `[rows]`: `log F(s_t)`, or the forward-looking `log F(s_t) + E(s_t)`.
    pub flow: Vec<f64>,
    /// `[rows]`: `log P_F(s_f | s_t)`, `-inf` where the state is no object.
    pub stop: Vec<f64>,
    /// `[rows]`: whether stopping was the state's only action, so that `log F(s_t)` is `log R(s_t)`.
    pub forced: Vec<bool>,
    /// `[rows]`: what is known of `log R` on the way: `log R(s_t)` where every state is an object, or the negative partial
    /// energy `-E(s_t)` of a forward-looking flow (`log R(x)` at the last row, 0 at the source).
    pub partial: Vec<f64>,
    /// `[trajectories]`: `log R(x)`.
    pub log_reward: Vec<f64>,
    /// `[trajectories]`: `log Z`, of the trajectory's condition where there is one.
    pub log_z: Vec<f64>,
    /// `[trajectories]`: equal numbers for equal conditions; empty where there is one condition only.
    pub group: Vec<u32>,
    /// The same rows seen by other weights, which are not trained: a target network, the prior, the policy that acted.
    pub reference: Option<Reference>,
}

/// What other weights say of the same rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reference {
    /// As [`Paths::forward`].
    pub forward: Vec<f64>,
    /// As [`Paths::flow`].
    pub flow: Vec<f64>,
    /// As [`Paths::stop`].
    pub stop: Vec<f64>,
    /// `[rows]`: `KL(pi || pi_reference)` over all actions of the row's state.
    pub divergence: Vec<f64>,
}

impl Paths {
    /// How many trajectories there are.
    pub fn trajectories(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The rows of trajectory `b`.
    pub fn trajectory(&self, b: usize) -> Range<usize> {
        self.starts[b]..self.starts[b + 1]
    }

    /// Whether trajectory `b` was given up before its end.
    pub fn is_cut(&self, b: usize) -> bool {
        self.cut.get(b) == Some(&true)
    }

    /// The trajectories that came to their end.
    pub fn whole(&self) -> impl Iterator<Item = usize> {
        (0..self.trajectories()).filter(|b| !self.is_cut(*b))
    }

    /// The rows of trajectory `b` that have a transition with a residual: all but a last one that had to stop, at which
    /// `log F(x)` is `log R(x)`, or that was given up.
    pub(crate) fn transitions(&self, b: usize) -> Range<usize> {
        let rows = self.trajectory(b);
        let none = self.forced.get(rows.end - 1) == Some(&true) || self.is_cut(b);
        rows.start..rows.end - usize::from(none)
    }

    /// The row of the state that the transition at `row` leads to; none where its flow is `log R(x)`.
    pub(crate) fn child(&self, b: usize, row: usize) -> Option<usize> {
        let nodes = self.transitions(b).end + usize::from(self.is_cut(b));
        Some(row + 1).filter(|child| *child < nodes)
    }

    /// How many transitions with a residual there are.
    pub(crate) fn transition_count(&self) -> usize {
        (0..self.trajectories()).map(|b| self.transitions(b).len()).sum()
    }

    /// What other weights say.
    pub(crate) fn reference(&self) -> &Reference {
        self.reference.as_ref().expect("the reference that the objective needs is there")
    }

    /// `log F(s)` as `head` gives it: with the partial reward of a forward-looking one.
    pub(crate) fn log_flow(&self, head: &[f64], forward_looking: bool, row: usize) -> f64 {
        head[row] + if forward_looking { self.partial[row] } else { 0.0 }
    }

    /// `v = log R(x) + sum_t [log P_B - log P_F]` of trajectory `b`, the path log-weight of the chain pair; `-inf` of a walk
    /// that was given up, which is none of the backward chain's.
    pub fn log_weight(&self, b: usize) -> f64 {
        if self.is_cut(b) {
            return f64::NEG_INFINITY;
        }
        let rows = self.trajectory(b);
        let steps = self.backward[rows.clone()].iter().zip(&self.forward[rows]);
        self.log_reward[b] + steps.map(|(backward, forward)| backward - forward).sum::<f64>()
    }

    /// `beta log R(x) + sum_t [log P_prior - log P_F]` of trajectory `b`, the log-weight of a posterior, the prior being the
    /// reference; `-inf` of a walk that was given up.
    pub fn relative_log_weight(&self, beta: f64, b: usize) -> f64 {
        if self.is_cut(b) {
            return f64::NEG_INFINITY;
        }
        let rows = self.trajectory(b);
        let steps = self.reference().forward[rows.clone()].iter().zip(&self.forward[rows]);
        beta * self.log_reward[b] + steps.map(|(prior, posterior)| prior - posterior).sum::<f64>()
    }

    /// The path log-weights of all trajectories.
    pub fn log_weights(&self) -> Vec<f64> {
        (0..self.trajectories()).map(|b| self.log_weight(b)).collect()
    }
}

/// The derivatives of a loss with respect to [`Paths`], entry by entry; what the objective does not read stays 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slopes {
    /// By [`Paths::forward`], `[rows]`.
    pub forward: Vec<f64>,
    /// By [`Paths::backward`], `[rows]`.
    pub backward: Vec<f64>,
    /// By [`Paths::flow`], `[rows]`.
    pub flow: Vec<f64>,
    /// By [`Paths::stop`], `[rows]`, at rows before the last; a last row's stop is its `forward`.
    pub stop: Vec<f64>,
    /// By [`Reference::divergence`], `[rows]`.
    pub divergence: Vec<f64>,
    /// By [`Paths::log_z`], `[trajectories]`.
    pub log_z: Vec<f64>,
    /// By [`Paths::log_reward`], `[trajectories]`: read where states carry gradients.
    pub log_reward: Vec<f64>,
    pub(crate) scratch: Scratch,
}

/// Memory that calls share. It is no part of the value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scratch {
    pub numbers: Vec<f64>,
    pub weights: Vec<f64>,
    pub order: Vec<u32>,
}

impl PartialEq for Scratch {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Slopes {
    /// Sets all slopes to 0, as many as the paths need.
    pub fn reset(&mut self, paths: &Paths) {
        let (rows, trajectories) = (paths.rows(), paths.trajectories());
        for by_row in
            [&mut self.forward, &mut self.backward, &mut self.flow, &mut self.stop, &mut self.divergence]
        {
            by_row.clear();
            by_row.resize(rows, 0.0);
        }
        for by_trajectory in [&mut self.log_z, &mut self.log_reward] {
            by_trajectory.clear();
            by_trajectory.resize(trajectories, 0.0);
        }
    }
}
