//! Roots to start from.

use super::Sources;
use crate::environment::Cell;
use crate::rng::Noise;

/// States of an environment, each as likely as the others: the roots of walks in the
/// [`Rooted`](crate::environment::Rooted) one.
#[derive(Debug, Clone, PartialEq)]
pub struct Roots {
    states: Vec<Cell>,
    cells: usize,
}

impl Roots {
    /// These states, `[count, cells]`.
    ///
    /// # Panics
    /// If there are none, or not whole ones.
    pub fn new(states: Vec<Cell>, cells: usize) -> Self {
        assert!(!states.is_empty() && states.len().is_multiple_of(cells), "whole states");
        Self { states, cells }
    }
}

impl Sources<Cell> for Roots {
    fn draw(&self, noise: &Noise, out: &mut [Cell]) {
        for (row, start) in out.chunks_exact_mut(2 * self.cells).enumerate() {
            let root = noise.below(row, self.states.len() / self.cells) * self.cells;
            let root = &self.states[root..][..self.cells];
            start[..self.cells].copy_from_slice(root);
            start[self.cells..].copy_from_slice(root);
        }
    }
}
