//! A stochastic environment: a hypergrid whose moves may go astray.
//!
//! From a point x one chooses the coordinate d to grow, which gives the odd state `(x, d)`; there the environment moves, and
//! with probability `slip` it grows any coordinate that has room, each alike, instead of the one chosen:
//!
//! ```text
//! log P_env(x + e_k | x, d) = log( (1 - slip) [k = d] + slip / #{k : x_k < side - 1} )
//! F(x) pi(d | x) = F(x, d),     F(x, d) P_env(x' | x, d) = F(x') P_B((x, d) | x')
//! ```
//!
//! Not every reward is reachable: the policy only tilts what the environment does.
//!
//! State: the point, then one more than the coordinate chosen, 0 at points themselves, which are the objects.
//!
//! Pan et al., "Stochastic Generative Flow Networks" (2023).

use super::{Cell, Environment, Hypergrid, distance, text};
use crate::error::{Problem, quoted};

/// A hypergrid whose moves go astray. Move `d` chooses coordinate d, move `dim + k` is the environment's, which grows
/// coordinate k; removal `k * dim + d` takes back a growth of k where d was chosen, removal `dim * dim` a choice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlipperyGrid {
    grid: Hypergrid,
    slip: f64,
}

impl SlipperyGrid {
    /// The grid of `dim` coordinates with `side` values each, whose moves go astray with probability `slip`.
    ///
    /// # Errors
    /// If the grid has no point, or `slip` is not above 0 and at most 1.
    pub fn new(dim: usize, side: usize, slip: f64) -> Result<Self, Problem> {
        let grid = Hypergrid::new(dim, side)?;
        if !(slip > 0.0 && slip <= 1.0) {
            return Err(Problem::new("slip", slip.to_string()).allowed("above 0, at most 1"));
        }
        Ok(Self { grid, slip })
    }

    /// The point, and the coordinate that is chosen.
    fn split<'a>(&self, state: &'a [Cell]) -> (&'a [Cell], Option<usize>) {
        let (point, chosen) = state.split_at(self.grid.dim);
        (point, usize::from(chosen[0]).checked_sub(1))
    }

    fn room(&self, x: Cell) -> bool {
        usize::from(x) + 1 < self.grid.side
    }
}

impl Environment for SlipperyGrid {
    fn cells(&self) -> usize {
        self.grid.dim + 1
    }

    fn moves(&self) -> usize {
        2 * self.grid.dim
    }

    fn removals(&self) -> usize {
        self.grid.dim * self.grid.dim + 1
    }

    fn longest(&self) -> usize {
        2 * self.grid.longest()
    }

    fn stops(&self) -> bool {
        self.grid.stops()
    }

    fn source(&self, state: &mut [Cell]) {
        state.fill(0);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        state[self.grid.dim] == 0
    }

    fn all_objects(&self) -> bool {
        !self.stochastic()
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        let (point, chosen) = self.split(state);
        let (choices, growths) = mask.split_at_mut(self.grid.dim);
        let (open, shut) = if chosen.is_none() { (choices, growths) } else { (growths, choices) };
        shut.fill(false);
        self.grid.allowed(point, open);
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        let dim = self.grid.dim;
        let (point, chosen) = self.split(state);
        for k in 0..dim {
            for d in 0..dim {
                // Before k grew, d had room to be chosen.
                let grew = chosen.is_none() && point[k] > 0;
                mask[k * dim + d] = grew && (d == k || self.room(point[d]));
            }
        }
        mask[dim * dim] = chosen.is_some();
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        let dim = self.grid.dim;
        if action < dim {
            state[dim] = action as Cell + 1;
            return dim * dim;
        }
        let (grown, chosen) = (action - dim, std::mem::take(&mut state[dim]));
        state[grown] += 1;
        grown * dim + usize::from(chosen) - 1
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        let dim = self.grid.dim;
        if removal == dim * dim {
            return usize::from(std::mem::take(&mut state[dim])) - 1;
        }
        let (grown, chosen) = (removal / dim, removal % dim);
        state[grown] -= 1;
        state[dim] = chosen as Cell + 1;
        dim + grown
    }

    fn features(&self) -> usize {
        self.grid.features() + self.grid.dim
    }

    /// The features of the point, and one for the choice if one is made.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        let (point, chosen) = self.split(state);
        self.grid.encode(point, on);
        on.extend(chosen.map(|d| (self.grid.features() + d) as u32));
    }

    fn distance(&self, a: &[Cell], b: &[Cell]) -> usize {
        distance::differences(a, b)
    }

    /// `(1, 0)`, or `(1, 0) + 1` where coordinate 1 is chosen.
    fn describe(&self, state: &[Cell]) -> String {
        let (point, chosen) = self.split(state);
        self.grid.describe(point) + &chosen.map(|d| format!(" + {d}")).unwrap_or_default()
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        let (point, chosen) = state.split_at_mut(self.grid.dim);
        let Some((before, after)) = text.split_once('+') else {
            chosen[0] = 0;
            return self.grid.parse(text, point);
        };
        self.grid.parse(before, point)?;
        let d = text::number(after.trim(), self.grid.dim - 1)?;
        chosen[0] = d + 1;
        if self.room(point[usize::from(d)]) {
            return Ok(());
        }
        Err(text::refused(quoted(text), format!("a coordinate below {}", self.grid.side - 1)))
    }

    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        let dim = self.grid.dim;
        let ((least, chosen), (point, _)) = (self.split(root), self.split(state));
        let growths: usize = point.iter().zip(least).map(|(x, r)| usize::from(x.saturating_sub(*r))).sum();
        self.removable(state, mask);
        for k in 0..dim {
            for d in 0..dim {
                // The first growth after an odd root is the answer to the root's choice.
                let answers = growths > 1 || chosen.is_none_or(|chosen| chosen == d);
                mask[k * dim + d] &= point[k] > least[k] && answers;
            }
        }
        mask[dim * dim] &= state != root;
    }

    fn chance(&self, state: &[Cell], log_probabilities: &mut [f32]) -> bool {
        let (point, Some(chosen)) = self.split(state) else { return false };
        let open = point.iter().filter(|x| self.room(**x)).count() as f64;
        let (choices, growths) = log_probabilities.split_at_mut(self.grid.dim);
        choices.fill(f32::NEG_INFINITY);
        for (k, log_probability) in growths.iter_mut().enumerate() {
            let meant = if k == chosen { 1.0 - self.slip } else { 0.0 };
            let probability = if self.room(point[k]) { meant + self.slip / open } else { 0.0 };
            *log_probability = probability.ln() as f32;
        }
        true
    }

    fn stochastic(&self) -> bool {
        self.grid.side > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_goes_astray_where_there_is_room() {
        let grid = SlipperyGrid::new(3, 4, 0.3).unwrap();
        let (mut state, mut log) = ([0; 4], [f32::NAN; 6]);
        grid.parse("(3, 0, 1) + 2", &mut state).unwrap();
        assert!(grid.chance(&state, &mut log));
        let expected = [0.0, 0.0, 0.0, 0.0, 0.15, 0.85];
        assert!(log.iter().zip(expected).all(|(log, p)| (log.exp() - p).abs() < 1e-6), "{log:?}");
        assert_eq!(grid.apply(&mut state, 3 + 1), 3 + 2);
        assert_eq!(grid.describe(&state), "(3, 1, 1)");
        assert!(!grid.chance(&state, &mut log));
    }

    #[test]
    fn wrong_grids_and_states_are_refused() {
        for slip in [0.0, 1.5, f64::NAN] {
            let message = SlipperyGrid::new(2, 2, slip).unwrap_err().to_string();
            assert!(message.ends_with("; allowed: above 0, at most 1"), "{message}");
        }
        let grid = SlipperyGrid::new(2, 3, 1.0).unwrap();
        let mut state = [0; 3];
        assert_eq!(
            grid.parse("(2, 0) + 0", &mut state).unwrap_err(),
            "\"(2, 0) + 0\"; allowed: a coordinate below 2"
        );
        assert_eq!(grid.parse("(2, 0) + 2", &mut state).unwrap_err(), "\"2\"; allowed: 0 to 1");
    }
}
