//! Backward policies as tables: `log P_B(parent | child)` of every edge, `[edges]`.
//!
//! ```text
//! uniform       P_B(s | s') = 1 / #edges into s'
//! max entropy   P_B(s | s') = n(s) / n(s'),   n(s') = sum_parents n(s),   so that P_B(tau | x) = 1 / n(x)
//! ```
//!
//! Parallel edges between the same two states count separately. Mohammadpour et al., "Maximum entropy GFlowNets with soft
//! Q-learning" (2024). Any other is an array of its own.

use super::{forward_pass, without_cycles};
use crate::environment::States;
use crate::error::Result;

/// The same probability for every edge into a state.
pub fn uniform(states: &States) -> Vec<f64> {
    let each = |i| {
        let edges = states.incoming(i).len();
        std::iter::repeat_n(-(edges as f64).ln(), edges)
    };
    (0..states.len()).flat_map(each).collect()
}

/// `log n(s)`, `[states]`: the logarithm of the number of ways from the source.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if there are cycles: ways are infinitely many.
pub fn log_path_counts(states: &States) -> Result<Vec<f64>> {
    without_cycles(states, "the number of ways to a state")?;
    let mut start = vec![f64::NEG_INFINITY; states.len()];
    start[0] = 0.0;
    Ok(forward_pass(states, start, &vec![0.0; states.edges()]))
}

/// Every way from the source to a state has the same probability.
///
/// # Errors
/// As [`log_path_counts`].
pub fn max_entropy(states: &States) -> Result<Vec<f64>> {
    let counts = log_path_counts(states)?;
    let edges = |i: usize| states.parents(i).iter().map(move |(parent, _)| (*parent as usize, i));
    Ok((0..states.len()).flat_map(edges).map(|(parent, child)| counts[parent] - counts[child]).collect())
}

/// From rows as a network gives them, `[states, removals]`.
///
/// # Panics
/// If there is not a row for each state, or a removal's number is not below `removals`.
pub fn from_dense(states: &States, removals: usize, log_probs: &[f64]) -> Vec<f64> {
    assert_eq!(log_probs.len(), states.len() * removals, "a row of {removals} for each state");
    let rows = (0..states.len()).map(|i| &log_probs[i * removals..(i + 1) * removals]);
    let one = |(i, row): (usize, &[f64])| {
        let edges = states.parents(i).iter();
        edges.map(|(_, edge)| row[edge.removal as usize]).collect::<Vec<f64>>()
    };
    rows.enumerate().flat_map(one).collect()
}
