//! All flows that a reward and a backward policy determine.
//!
//! ```text
//! F(s -> c) = F(c) P_B(s | c),   F(s) = R(s) [s is an object] + sum_children F(s -> c),   P_F(c | s) = F(s -> c) / F(s)
//! ```
//!
//! One pass from the objects to the source; `F(s_0) = Z`. For a fixed `P_B` all flows are linear in the reward. Where there
//! are cycles the same equations are solved as a linear system, and `F(s)` is `Z` times the expected number of visits
//! (Brunswic et al. 2024).
//!
//! Bengio et al., "GFlowNet Foundations" (2023), section 2.

use super::cycles::{self, Rows};
use super::{Policy, backward_pass, over_states};
use crate::environment::States;
use crate::error::{Problem, Result};
use crate::math::log_sum_exp;

/// The flows of one reward and one backward policy. Nats; `-inf` where nothing flows.
#[derive(Debug, Clone, PartialEq)]
pub struct Flows {
    /// `log Z = log sum_x R(x)`.
    pub log_z: f64,
    /// `[objects]`: `log R(x)`, which is the flow of the edge into the sink.
    pub log_rewards: Vec<f64>,
    /// `[edges]`: `log P_B(parent | child)`.
    pub log_backward: Vec<f64>,
    /// `[states]`: `log F(s)`; at the source it is `log Z` if the rows of `P_B` sum to 1.
    pub log_states: Vec<f64>,
    /// `[edges]`: `log F(parent -> child)`.
    pub log_edges: Vec<f64>,
}

impl Flows {
    /// From `log R` `[objects]` and `log P_B` `[edges]`.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if a reward is no number or infinite, if none is above 0, or if the
    /// backward policy goes round without ever reaching the source.
    ///
    /// # Panics
    /// If an array has another length.
    pub fn from_backward(states: &States, log_rewards: Vec<f64>, log_backward: Vec<f64>) -> Result<Self> {
        assert_eq!(log_backward.len(), states.edges(), "a probability for each edge");
        let start = over_states(states, &log_rewards)?;
        let log_z = log_sum_exp(&log_rewards);
        if log_z == f64::NEG_INFINITY {
            return Err(Problem::new("rewards", "0 for every object").allowed("some reward above 0").into());
        }
        let log_states = if states.is_acyclic() {
            backward_pass(states, start, &log_backward)
        } else {
            round_cycles(states, &start, &log_backward)?
        };
        let into = |i: usize| log_backward[states.incoming(i)].iter().map(move |log_prob| (i, log_prob));
        let log_edges = (0..states.len()).flat_map(into).map(|(i, p)| log_states[i] + p).collect();
        Ok(Self { log_z, log_rewards, log_backward, log_states, log_edges })
    }

    /// `P_F`, which samples objects in proportion to their rewards; nothing is possible where nothing flows.
    pub fn policy(&self, states: &States) -> Policy {
        let mut policy = Policy::empty(states);
        for i in (0..states.len()).filter(|i| self.log_states[*i] > f64::NEG_INFINITY) {
            for (_, e) in states.children(i) {
                policy.moves[*e as usize] = self.log_edges[*e as usize] - self.log_states[i];
            }
        }
        for (i, log_reward) in states.objects().iter().zip(&self.log_rewards) {
            if *log_reward > f64::NEG_INFINITY {
                policy.stop[*i as usize] = log_reward - self.log_states[*i as usize];
            }
        }
        policy
    }

    /// `log R(x) / Z`, `[objects]`.
    pub fn log_target(&self) -> Vec<f64> {
        self.log_rewards.iter().map(|log_reward| log_reward - self.log_z).collect()
    }
}

/// The flows of states where there are cycles: expected visits of the walk back from `x ~ R / Z`.
fn round_cycles(states: &States, log_start: &[f64], log_backward: &[f64]) -> Result<Vec<f64>> {
    let largest = log_start.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let start: Vec<f64> = log_start.iter().map(|log_reward| (log_reward - largest).exp()).collect();
    let rows = Rows::of(states.len(), |i| {
        states.children(i).iter().map(|(child, e)| (*child, log_backward[*e as usize].exp()))
    });
    let ends: Vec<bool> = (0..states.len()).map(|i| i == 0).collect();
    let flows = cycles::solve(&rows, &start, &ends)?;
    flows.map(|flows| flows.iter().map(|flow| largest + flow.ln()).collect()).ok_or_else(|| {
        Problem::new("backward policy", "states from which it never comes to the source")
            .allowed("removals that lead to the source in the end")
            .into()
    })
}
