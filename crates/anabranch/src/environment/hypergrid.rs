//! The hypergrid: points of `{0, ..., side - 1}^dim`, built by adding one to a coordinate.
//!
//! Every point is an object; from any but the far corner there are moves on. `n(x) = (sum x)! / prod_d x_d!`.
//!
//! Bengio et al. (2021), section 4.1.

use super::{Cell, Environment};
use crate::math::ln_factorial;

/// The hypergrid of `dim` coordinates with `side` values each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hypergrid {
    /// How many coordinates.
    pub dim: usize,
    /// How many values each has.
    pub side: usize,
}

impl Environment for Hypergrid {
    fn cells(&self) -> usize {
        self.dim
    }

    fn moves(&self) -> usize {
        self.dim
    }

    fn removals(&self) -> usize {
        self.dim
    }

    fn longest(&self) -> usize {
        self.dim * (self.side - 1)
    }

    fn stops(&self) -> bool {
        self.side > 1
    }

    fn source(&self, state: &mut [Cell]) {
        state.fill(0);
    }

    fn is_object(&self, _state: &[Cell]) -> bool {
        true
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        mask.iter_mut().zip(state).for_each(|(may, x)| *may = usize::from(*x) + 1 < self.side);
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        mask.iter_mut().zip(state).for_each(|(may, x)| *may = *x > 0);
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        state[action] += 1;
        action
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        state[removal] -= 1;
        removal
    }

    fn features(&self) -> usize {
        self.dim * self.side
    }

    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        on.extend(state.iter().enumerate().map(|(d, x)| (d * self.side) as u32 + u32::from(*x)));
    }

    fn describe(&self, state: &[Cell]) -> String {
        let numbers: Vec<String> = state.iter().map(ToString::to_string).collect();
        format!("({})", numbers.join(", "))
    }

    fn log_paths(&self, state: &[Cell]) -> Option<f64> {
        let total: u64 = state.iter().map(|x| u64::from(*x)).sum();
        Some(ln_factorial(total) - state.iter().map(|x| ln_factorial(u64::from(*x))).sum::<f64>())
    }

    fn objects(&self) -> Option<f64> {
        Some((self.side as f64).powi(self.dim as i32))
    }
}
