//! Permutations: n items in an order, built by appending an item that is not there yet.
//!
//! A tree: `n(s) = 1`. Its n! leaves are the objects.
//!
//! State: cell `i` is one more than the item at place `i`, 0 where there is none yet.

use super::{Cell, Environment, text};
use crate::error::Problem;

/// Orders of `0, ..., items - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permutations {
    items: usize,
}

impl Permutations {
    /// Orders of `items` items.
    ///
    /// # Errors
    /// If there is no item, or there are more than 65534.
    pub fn new(items: usize) -> Result<Self, Problem> {
        text::size("items", items, 1..=usize::from(Cell::MAX) - 1)?;
        Ok(Self { items })
    }
}

/// How many places are filled.
fn placed(state: &[Cell]) -> usize {
    state.partition_point(|cell| *cell > 0)
}

impl Environment for Permutations {
    fn cells(&self) -> usize {
        self.items
    }

    fn moves(&self) -> usize {
        self.items
    }

    fn removals(&self) -> usize {
        1
    }

    fn longest(&self) -> usize {
        self.items
    }

    fn stops(&self) -> bool {
        false
    }

    fn source(&self, state: &mut [Cell]) {
        state.fill(0);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        state[self.items - 1] > 0
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        mask.fill(true);
        state[..placed(state)].iter().for_each(|cell| mask[usize::from(*cell) - 1] = false);
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        mask[0] = state[0] > 0;
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        state[placed(state)] = action as Cell + 1;
        0
    }

    fn undo(&self, state: &mut [Cell], _removal: usize) -> usize {
        let last = &mut state[placed(state) - 1];
        usize::from(std::mem::take(last)) - 1
    }

    fn features(&self) -> usize {
        self.items * self.items
    }

    /// One feature per place: which item is there.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        let there = state[..placed(state)].iter().enumerate();
        on.extend(there.map(|(place, cell)| (place * self.items) as u32 + u32::from(*cell) - 1));
    }

    fn describe(&self, state: &[Cell]) -> String {
        let items: Vec<String> = state[..placed(state)].iter().map(|cell| (cell - 1).to_string()).collect();
        items.join(" ")
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        state.fill(0);
        for (place, text) in text.split_whitespace().enumerate() {
            let cell = text::number(text, self.items - 1)? + 1;
            if state.contains(&cell) {
                return Err(text::refused(format!("{text} twice"), "items that differ"));
            }
            state[place] = cell;
        }
        Ok(())
    }

    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        mask[0] = placed(state) > placed(root);
    }

    fn log_paths(&self, _state: &[Cell]) -> Option<f64> {
        Some(0.0)
    }

    fn objects(&self) -> Option<f64> {
        Some((1..=self.items).map(|i| i as f64).product())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_checked() {
        assert_eq!(Permutations::new(0).unwrap_err().to_string(), "items: found 0; allowed: 1 to 65534");
        let orders = Permutations::new(3).unwrap();
        let mut state = [9; 3];
        orders.parse("2 0", &mut state).unwrap();
        assert_eq!(state, [3, 1, 0]);
        assert_eq!(orders.parse("2 0 2", &mut state).unwrap_err(), "2 twice; allowed: items that differ");
        assert_eq!(orders.parse("2 3", &mut state).unwrap_err(), "\"3\"; allowed: 0 to 2");
    }
}
