//! Multisets: how many there are of each of n kinds, built by adding one of a kind.
//!
//! A multiset is an object where its total is in a range. `n(x) = (sum x)! / prod_k x_k!`; there are
//! `sum_m C(n + m - 1, m)` objects.
//!
//! State: one count per kind.

use std::ops::RangeInclusive;

use super::sets::binomial;
use super::{Cell, Environment, distance, text};
use crate::error::Problem;
use crate::math::ln_factorial;

/// Multisets of elements of `kinds` kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multisets {
    kinds: usize,
    totals: RangeInclusive<usize>,
}

impl Multisets {
    /// Multisets of `kinds` kinds with a total in `totals`: `m..=m` for a fixed size, `0..=m` for a capacity.
    ///
    /// # Errors
    /// If there is no kind, or no total, or one above 65535.
    pub fn new(kinds: usize, totals: RangeInclusive<usize>) -> Result<Self, Problem> {
        text::size("kinds", kinds, 1..=usize::from(Cell::MAX))?;
        text::sizes("totals", &totals, usize::from(Cell::MAX))?;
        Ok(Self { kinds, totals })
    }
}

fn total(state: &[Cell]) -> usize {
    state.iter().map(|count| usize::from(*count)).sum()
}

impl Environment for Multisets {
    fn cells(&self) -> usize {
        self.kinds
    }

    fn moves(&self) -> usize {
        self.kinds
    }

    fn removals(&self) -> usize {
        self.kinds
    }

    fn longest(&self) -> usize {
        *self.totals.end()
    }

    fn stops(&self) -> bool {
        self.totals.start() < self.totals.end()
    }

    fn source(&self, state: &mut [Cell]) {
        state.fill(0);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        total(state) >= *self.totals.start()
    }

    fn all_objects(&self) -> bool {
        *self.totals.start() == 0
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        mask.fill(total(state) < *self.totals.end());
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        mask.iter_mut().zip(state).for_each(|(may, count)| *may = *count > 0);
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
        self.kinds * self.longest()
    }

    /// One feature per kind that is there: which count it has.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        let counts = state.iter().enumerate().filter(|(_, count)| **count > 0);
        on.extend(counts.map(|(kind, count)| (kind * self.longest()) as u32 + u32::from(*count) - 1));
    }

    fn distance(&self, a: &[Cell], b: &[Cell]) -> usize {
        distance::differences(a, b)
    }

    fn describe(&self, state: &[Cell]) -> String {
        text::point(state)
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        text::parse_point(text, self.longest(), state)?;
        if total(state) > self.longest() {
            return Err(text::refused(
                format!("a total of {}", total(state)),
                format!("0 to {}", self.longest()),
            ));
        }
        Ok(())
    }

    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        mask.iter_mut().zip(state.iter().zip(root)).for_each(|(may, (count, least))| *may = count > least);
    }

    fn log_paths(&self, state: &[Cell]) -> Option<f64> {
        let orders_within: f64 = state.iter().map(|count| ln_factorial(u64::from(*count))).sum();
        Some(ln_factorial(total(state) as u64) - orders_within)
    }

    fn objects(&self) -> Option<f64> {
        Some(self.totals.clone().map(|total| binomial(self.kinds + total - 1, total)).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_checked() {
        assert!(
            Multisets::new(0, 1..=2).unwrap_err().to_string().starts_with("kinds: found 0; allowed: 1 to")
        );
        assert!(
            Multisets::new(2, 1..=70_000).unwrap_err().to_string().starts_with("totals: found 1 to 70000")
        );
        let multisets = Multisets::new(3, 4..=4).unwrap();
        let mut state = [9; 3];
        multisets.parse("(2, 0, 1)", &mut state).unwrap();
        assert_eq!(state, [2, 0, 1]);
        let message = multisets.parse("(2, 2, 1)", &mut state).unwrap_err();
        assert_eq!(message, "a total of 5; allowed: 0 to 4");
    }
}
