//! The hypergrid: points of `{0, ..., side - 1}^dim`, built by adding one to a coordinate.
//!
//! Every point is an object; from any but the far corner there are moves on. `n(x) = (sum x)! / prod_d x_d!`.
//!
//! Bengio et al. (2021), section 4.1.

use super::{Cell, Environment, distance, text};
use crate::error::Problem;
use crate::math::ln_factorial;

/// The hypergrid of `dim` coordinates with `side` values each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hypergrid {
    /// How many coordinates.
    pub dim: usize,
    /// How many values each has.
    pub side: usize,
}

impl Hypergrid {
    /// The grid, if its sizes make sense.
    ///
    /// # Errors
    /// If there is no coordinate, or a coordinate has no value or more than 65536.
    pub fn new(dim: usize, side: usize) -> Result<Self, Problem> {
        text::size("dim", dim, 1..=usize::from(Cell::MAX))?;
        text::size("side", side, 1..=usize::from(Cell::MAX) + 1)?;
        Ok(Self { dim, side })
    }
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

    fn all_objects(&self) -> bool {
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

    fn distance(&self, a: &[Cell], b: &[Cell]) -> usize {
        distance::differences(a, b)
    }

    fn describe(&self, state: &[Cell]) -> String {
        text::point(state)
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        text::parse_point(text, self.side - 1, state)
    }

    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        mask.iter_mut().zip(state.iter().zip(root)).for_each(|(may, (x, least))| *may = x > least);
    }

    fn log_paths(&self, state: &[Cell]) -> Option<f64> {
        let total: u64 = state.iter().map(|x| u64::from(*x)).sum();
        Some(ln_factorial(total) - state.iter().map(|x| ln_factorial(u64::from(*x))).sum::<f64>())
    }

    fn objects(&self) -> Option<f64> {
        Some((self.side as f64).powi(self.dim as i32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_points_are_checked() {
        assert_eq!(Hypergrid::new(2, 0).unwrap_err().to_string(), "side: found 0; allowed: 1 to 65536");
        let grid = Hypergrid::new(2, 5).unwrap();
        let mut state = [0; 2];
        grid.parse("(4,0)", &mut state).unwrap();
        assert_eq!((state, grid.describe(&state)), ([4, 0], "(4, 0)".to_owned()));
        for (text, message) in [
            ("(4, 5)", "\"5\"; allowed: 0 to 4"),
            ("(4, -1)", "\"-1\"; allowed: 0 to 4"),
            ("(4)", "1 numbers; allowed: 2"),
            ("4, 0", "\"4, 0\"; allowed: a list such as (1, 0)"),
        ] {
            assert_eq!(grid.parse(text, &mut state).unwrap_err(), message);
        }
    }
}
