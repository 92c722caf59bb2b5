//! The law of the objects at which a forward policy stops.
//!
//! ```text
//! u(s_0) = 1,   u(s') = sum_parents u(s) P_F(s' | s),   P_T(x) = u(x) P_F(s_f | x)
//! E[number of moves] = sum_s u(s) - 1
//! ```
//!
//! One pass in topological order; `u(s)` is the probability that a trajectory visits `s`, and where there are cycles the
//! expected number of visits, the solution of the same linear equations.
//!
//! Bengio et al., "GFlowNet Foundations" (2023), section 2; Brunswic et al., "A theory of non-acyclic generative flow
//! networks" (2024).

use super::cycles::{self, Rows};
use super::{Policy, forward_pass};
use crate::environment::States;
use crate::error::{Problem, Result};

/// Where trajectories go and where they end.
#[derive(Debug, Clone, PartialEq)]
pub struct Terminating {
    /// `[states]`: `log u(s)`, visits.
    pub log_visits: Vec<f64>,
    /// `[objects]`: `log P_T(x)`.
    pub log_probs: Vec<f64>,
    /// How many moves a trajectory makes on average, stopping not counted.
    pub expected_moves: f64,
    /// `1 - sum_x P_T(x)`: the probability that the policy's tables lose, of the size of rounding where all their rows sum
    /// to 1; see [`Terminating::largest_leak`].
    pub lost: f64,
}

impl Terminating {
    /// The exact terminating law of a policy.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if the policy can go round for ever;
    /// [`Error::Numeric`](crate::error::Error::Numeric) if it goes round so long that the solution was not found.
    ///
    /// # Panics
    /// If the policy is that of other states.
    pub fn of(states: &States, policy: &Policy) -> Result<Self> {
        assert_eq!(policy.moves.len(), states.edges(), "a probability for each edge");
        assert_eq!(policy.stop.len(), states.len(), "a probability of stopping for each state");
        let log_visits = if states.is_acyclic() {
            let mut start = vec![f64::NEG_INFINITY; states.len()];
            start[0] = 0.0;
            forward_pass(states, start, &policy.moves)
        } else {
            round_cycles(states, policy)?
        };
        let stopped = |i: &u32| log_visits[*i as usize] + policy.stop[*i as usize];
        let log_probs: Vec<f64> = states.objects().iter().map(stopped).collect();
        // Every visit but the first of the source is an arrival.
        let expected_moves = log_visits.iter().map(|log_visits| log_visits.exp()).sum::<f64>() - 1.0;
        let lost = 1.0 - log_probs.iter().map(|log_prob| log_prob.exp()).sum::<f64>();
        Ok(Self { log_visits, log_probs, expected_moves, lost })
    }

    /// The state at which most probability is lost (or, below 0, won), and how much.
    pub fn largest_leak(&self, states: &States, policy: &Policy) -> (usize, f64) {
        let leaks =
            (0..states.len()).map(|i| (i, self.log_visits[i].exp())).filter(|(_, visits)| *visits > 0.0);
        leaks
            .map(|(i, visits)| (i, visits * policy.leak(states, i)))
            .max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))
            .expect("the source is visited")
    }
}

fn round_cycles(states: &States, policy: &Policy) -> Result<Vec<f64>> {
    let rows = Rows::of(states.len(), |i| {
        let edges = states.parents(i).iter().zip(&policy.moves[states.incoming(i)]);
        edges.map(|((parent, _), log_prob)| (*parent, log_prob.exp()))
    });
    let mut start = vec![0.0; states.len()];
    start[0] = 1.0;
    // A state without any probability loses all: it ends the trajectory, though not in an object.
    let ends: Vec<bool> = (0..states.len())
        .map(|i| {
            let dead = states.children(i).iter().all(|(_, e)| policy.moves[*e as usize] == f64::NEG_INFINITY);
            dead || policy.stop[i] > f64::NEG_INFINITY
        })
        .collect();
    let visits = cycles::solve(&rows, &start, &ends)?;
    visits.map(|visits| visits.iter().map(|visits| visits.ln()).collect()).ok_or_else(|| {
        Problem::new("policy", "states from which it never comes to an end")
            .allowed("moves that lead to stopping in the end")
            .into()
    })
}
