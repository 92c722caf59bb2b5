//! A cyclic environment: a hypergrid on whose points one walks in both directions.
//!
//! From the source, which lies outside of the grid, one enters at the point 0; then a coordinate grows or shrinks by one, or
//! one stops. The flow through a state is then Z times the expected number of visits, detailed balance holds as it stands,
//! and any circulation may be added to a flow: `E[number of states visited] = sum_s F(s) / Z`.
//!
//! State: the coordinates; all are `side` at the source.
//!
//! Brunswic et al., "A theory of non-acyclic generative flow networks" (2024); Morozov et al. (2025), whose
//! walks enter at a uniform point.

use super::{Cell, Environment, distance, text};
use crate::error::Problem;

/// A hypergrid with moves back. Move `d` adds 1 to coordinate d, move `dim + d` takes 1 away, move `2 * dim` enters; a
/// removal undoes the move of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CyclicGrid {
    dim: usize,
    side: usize,
    longest: usize,
}

impl CyclicGrid {
    /// The grid of `dim` coordinates with `side` values each, on which a walk is cut after `longest` moves.
    ///
    /// # Errors
    /// If there is no coordinate, or fewer than 2 values or more than 65535, or the farthest point is more than `longest`
    /// moves away.
    pub fn new(dim: usize, side: usize, longest: usize) -> Result<Self, Problem> {
        text::size("dim", dim, 1..=usize::from(Cell::MAX))?;
        text::size("side", side, 2..=usize::from(Cell::MAX))?;
        let least = 1 + dim * (side - 1);
        if longest < least {
            let allowed = format!("{least} or more, so that the farthest point is reached");
            return Err(Problem::new("longest", longest.to_string()).allowed(allowed));
        }
        Ok(Self { dim, side, longest })
    }

    fn outside(&self, state: &[Cell]) -> bool {
        usize::from(state[0]) == self.side
    }
}

impl Environment for CyclicGrid {
    fn cells(&self) -> usize {
        self.dim
    }

    fn moves(&self) -> usize {
        2 * self.dim + 1
    }

    fn removals(&self) -> usize {
        self.moves()
    }

    fn longest(&self) -> usize {
        self.longest
    }

    fn stops(&self) -> bool {
        true
    }

    fn source(&self, state: &mut [Cell]) {
        state.fill(self.side as Cell);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        !self.outside(state)
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        for (d, cell) in state.iter().enumerate() {
            mask[d] = usize::from(*cell) + 1 < self.side;
            mask[self.dim + d] = *cell > 0 && usize::from(*cell) < self.side;
        }
        mask[2 * self.dim] = self.outside(state);
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        for (d, cell) in state.iter().enumerate() {
            mask[d] = *cell > 0 && usize::from(*cell) < self.side;
            mask[self.dim + d] = usize::from(*cell) + 1 < self.side;
        }
        mask[2 * self.dim] = state.iter().all(|cell| *cell == 0);
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        match (action / self.dim, action % self.dim) {
            (0, d) => state[d] += 1,
            (1, d) => state[d] -= 1,
            _ => state.fill(0),
        }
        action
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        match (removal / self.dim, removal % self.dim) {
            (0, d) => state[d] -= 1,
            (1, d) => state[d] += 1,
            _ => state.fill(self.side as Cell),
        }
        removal
    }

    fn features(&self) -> usize {
        self.dim * self.side
    }

    /// One feature per coordinate, none at the source.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        if !self.outside(state) {
            on.extend(state.iter().enumerate().map(|(d, cell)| (d * self.side) as u32 + u32::from(*cell)));
        }
    }

    fn distance(&self, a: &[Cell], b: &[Cell]) -> usize {
        distance::differences(a, b)
    }

    /// `(1, 0)`, or `outside`.
    fn describe(&self, state: &[Cell]) -> String {
        if self.outside(state) { "outside".to_owned() } else { text::point(state) }
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        if text.trim() == "outside" {
            self.source(state);
            return Ok(());
        }
        text::parse_point(text, self.side - 1, state)
    }

    fn cyclic(&self) -> bool {
        true
    }

    fn objects(&self) -> Option<f64> {
        Some((self.side as f64).powi(self.dim as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_sizes_are_refused() {
        let message = |dim, side, longest| CyclicGrid::new(dim, side, longest).unwrap_err().to_string();
        assert_eq!(message(0, 3, 10), "dim: found 0; allowed: 1 to 65535");
        assert_eq!(message(2, 1, 10), "side: found 1; allowed: 2 to 65535");
        assert_eq!(
            message(2, 4, 6),
            "longest: found 6; allowed: 7 or more, so that the farthest point is reached"
        );
    }
}
