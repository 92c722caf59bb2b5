//! Sets: subsets of n items, built by adding an item.
//!
//! A subset is an object where its size is in a range: of fixed size m it is one only when complete, of any size up to a
//! capacity it always is. `n(S) = |S|!`; there are `sum_m C(n, m)` objects.
//!
//! State: one cell per item, 1 where the item is in the set.

use std::ops::RangeInclusive;

use super::{Cell, Environment, text};
use crate::error::Problem;
use crate::math::ln_factorial;

/// Subsets of `0, ..., items - 1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sets {
    items: usize,
    sizes: RangeInclusive<usize>,
}

impl Sets {
    /// Subsets of `items` items with a size in `sizes`: `m..=m` for a fixed size, `0..=m` for a capacity.
    ///
    /// # Errors
    /// If there is no item, or there are no sizes, or more than items.
    pub fn new(items: usize, sizes: RangeInclusive<usize>) -> Result<Self, Problem> {
        text::size("items", items, 1..=usize::from(Cell::MAX))?;
        text::sizes("sizes", &sizes, items)?;
        Ok(Self { items, sizes })
    }
}

fn size(state: &[Cell]) -> usize {
    state.iter().map(|cell| usize::from(*cell)).sum()
}

/// `C(n, k)` in floating point.
pub(super) fn binomial(n: usize, k: usize) -> f64 {
    (1..=k.min(n - k)).fold(1.0, |product, i| product * (n + 1 - i) as f64 / i as f64)
}

impl Environment for Sets {
    fn cells(&self) -> usize {
        self.items
    }

    fn moves(&self) -> usize {
        self.items
    }

    fn removals(&self) -> usize {
        self.items
    }

    fn longest(&self) -> usize {
        *self.sizes.end()
    }

    fn stops(&self) -> bool {
        self.sizes.start() < self.sizes.end()
    }

    fn source(&self, state: &mut [Cell]) {
        state.fill(0);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        size(state) >= *self.sizes.start()
    }

    fn all_objects(&self) -> bool {
        *self.sizes.start() == 0
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        let room = size(state) < *self.sizes.end();
        mask.iter_mut().zip(state).for_each(|(may, cell)| *may = room && *cell == 0);
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        mask.iter_mut().zip(state).for_each(|(may, cell)| *may = *cell == 1);
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        state[action] = 1;
        action
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        state[removal] = 0;
        removal
    }

    fn features(&self) -> usize {
        self.items
    }

    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        on.extend((0..).zip(state).filter(|(_, cell)| **cell == 1).map(|(item, _)| item));
    }

    fn describe(&self, state: &[Cell]) -> String {
        let inside: Vec<String> =
            (0..self.items).filter(|item| state[*item] == 1).map(|item| item.to_string()).collect();
        format!("{{{}}}", inside.join(", "))
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        let items = text::items(text, "{1, 0}")?;
        state.fill(0);
        for text in &items {
            let item = usize::from(text::number(text, self.items - 1)?);
            if state[item] == 1 {
                return Err(text::refused(format!("{item} twice"), "items that differ"));
            }
            state[item] = 1;
        }
        if items.len() > *self.sizes.end() {
            let allowed = format!("at most {}", self.sizes.end());
            return Err(text::refused(format!("{} items", items.len()), allowed));
        }
        Ok(())
    }

    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        mask.iter_mut().zip(state.iter().zip(root)).for_each(|(may, (cell, least))| *may = cell > least);
    }

    fn log_paths(&self, state: &[Cell]) -> Option<f64> {
        Some(ln_factorial(size(state) as u64))
    }

    fn objects(&self) -> Option<f64> {
        Some(self.sizes.clone().map(|size| binomial(self.items, size)).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        let message = |items, sizes| Sets::new(items, sizes).unwrap_err().to_string();
        assert_eq!(message(0, 0..=0), "items: found 0; allowed: 1 to 65535");
        let allowed = "allowed: a range of 0 to 4, the smaller end first";
        assert_eq!(message(4, 2..=5), format!("sizes: found 2 to 5; {allowed}"));
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 3..=2;
        assert_eq!(message(4, reversed), format!("sizes: found 3 to 2; {allowed}"));
    }

    #[test]
    fn sets_are_read_in_any_order() {
        let sets = Sets::new(300, 2..=3).unwrap();
        let mut state = vec![9; 300];
        sets.parse(" {299,0, 17}", &mut state).unwrap();
        assert_eq!(sets.describe(&state), "{0, 17, 299}");
        for (text, message) in [
            ("{0, 300}", "\"300\"; allowed: 0 to 299"),
            ("{0, 0}", "0 twice; allowed: items that differ"),
            ("{1, 2, 3, 4}", "4 items; allowed: at most 3"),
            ("{1,}", "\"\"; allowed: 0 to 299"),
        ] {
            assert_eq!(sets.parse(text, &mut state).unwrap_err(), message);
        }
    }

    #[test]
    fn binomials_are_those_of_pascal() {
        for n in 1..40 {
            for k in 1..n {
                let sum = binomial(n - 1, k - 1) + binomial(n - 1, k);
                assert!((binomial(n, k) / sum - 1.0).abs() < 1e-13, "C({n}, {k})");
            }
        }
        // 52 choose 5 hands of poker.
        assert_eq!(binomial(52, 5), 2_598_960.0);
    }
}
