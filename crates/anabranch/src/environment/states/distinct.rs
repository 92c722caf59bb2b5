//! Distinct states, numbered: a hash table of rows.
//!
//! Linear probing in a table at most half full, deletion by shifting back (Knuth, "The art of computer programming", vol. 3,
//! section 6.4, algorithms L and R). No row has memory of its own, and finding one allocates nothing.

use super::super::Cell;

/// A set of states of equal length, each with a number. Numbers are given in order from 0, those of removed states again.
#[derive(Debug, Clone)]
pub struct Distinct {
    cells: usize,
    values: Vec<Cell>,
    /// One more than the number of the state that lies here, or 0; a power of two.
    places: Vec<u32>,
    /// Numbers of removed states.
    free: Vec<u32>,
    len: usize,
}

impl Distinct {
    /// No states, of `cells` numbers each.
    pub fn new(cells: usize) -> Self {
        Self { cells, values: Vec::new(), places: vec![0; 16], free: Vec::new(), len: 0 }
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The state of that number.
    ///
    /// # Panics
    /// If no state ever had it.
    pub fn state(&self, number: usize) -> &[Cell] {
        &self.values[number * self.cells..][..self.cells]
    }

    /// The state's number.
    pub fn find(&self, state: &[Cell]) -> Option<usize> {
        (self.places[self.place(state)] as usize).checked_sub(1)
    }

    /// The state's number, and whether it is new.
    ///
    /// # Panics
    /// If the state has another length than the others, or there are more than `u32::MAX / 2`.
    pub fn insert(&mut self, state: &[Cell]) -> (usize, bool) {
        assert_eq!(state.len(), self.cells, "states have {} cells", self.cells);
        let place = self.place(state);
        if let Some(number) = (self.places[place] as usize).checked_sub(1) {
            return (number, false);
        }
        let number = if let Some(number) = self.free.pop() {
            self.values[number as usize * self.cells..][..self.cells].copy_from_slice(state);
            number as usize
        } else {
            self.values.extend_from_slice(state);
            self.len
        };
        assert!(number < u32::MAX as usize / 2, "too many states to number");
        self.places[place] = number as u32 + 1;
        self.len += 1;
        if 2 * self.len > self.places.len() {
            self.grow();
        }
        (number, true)
    }

    /// Removes the state of that number, which another state may get later.
    ///
    /// # Panics
    /// If there is no such state.
    pub fn remove(&mut self, number: usize) {
        let mask = self.places.len() - 1;
        let mut hole = self.place(self.state(number));
        assert_eq!(self.places[hole] as usize, number + 1, "state {number} is there");
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let Some(other) = (self.places[at] as usize).checked_sub(1) else { break };
            let home = self.home(self.state(other));
            // It may move into the hole if that is no further from here than its home.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.places[hole] = self.places[at];
                hole = at;
            }
        }
        self.places[hole] = 0;
        self.free.push(number as u32);
        self.len -= 1;
    }

    /// The same states, of which number `order[i]` becomes `i`.
    pub(super) fn reordered(&self, order: &[u32]) -> Self {
        let mut new = vec![0; order.len()];
        order.iter().enumerate().for_each(|(i, old)| new[*old as usize] = i as u32 + 1);
        let values = order.iter().flat_map(|old| self.state(*old as usize).iter().copied()).collect();
        let places = self.places.iter().map(|one_more| match one_more {
            0 => 0,
            one_more => new[*one_more as usize - 1],
        });
        Self { values, places: places.collect(), free: Vec::new(), ..*self }
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.places);
        self.places = vec![0; 2 * old.len()];
        for one_more in old.into_iter().filter(|one_more| *one_more > 0) {
            let place = self.place(self.state(one_more as usize - 1));
            self.places[place] = one_more;
        }
    }

    /// Where the state is, or would be.
    fn place(&self, state: &[Cell]) -> usize {
        let mut place = self.home(state);
        while self.places[place] > 0 && self.state(self.places[place] as usize - 1) != state {
            place = (place + 1) & (self.places.len() - 1);
        }
        place
    }

    /// Where the search begins: the high bits of a multiplicative hash.
    fn home(&self, state: &[Cell]) -> usize {
        // 2^64 divided by the golden ratio.
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        let mix = |hash: u64, word: u64| {
            let product = (hash ^ word).wrapping_mul(FACTOR);
            product ^ product >> 32
        };
        let (words, rest) = state.as_chunks::<4>();
        let word = |[a, b, c, d]: [Cell; 4]| {
            u64::from(a) | u64::from(b) << 16 | u64::from(c) << 32 | u64::from(d) << 48
        };
        let hash = words.iter().fold(0, |hash, cells| mix(hash, word(*cells)));
        let hash = rest.iter().fold(hash, |hash, cell| mix(hash, u64::from(*cell)));
        (hash.wrapping_mul(FACTOR) >> (64 - self.places.len().trailing_zeros())) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};
    use std::collections::HashMap;

    /// Against the standard library's table, with few distinct states so that most are met, removed and met again.
    #[test]
    fn it_numbers_as_a_map_would() {
        for (cells, values, most) in [(1, 40, 40), (5, 3, 243), (9, 2, 512)] {
            let (mut distinct, mut map) = (Distinct::new(cells), HashMap::new());
            for turn in 0..3000 {
                let noise = Noise::new(4, Purpose::Choice).step(turn);
                let state: Vec<Cell> = (0..cells)
                    .map(|cell| noise.from_trajectory(cell as u64).below(0, values) as Cell)
                    .collect();
                assert_eq!(distinct.find(&state), map.get(&state).copied());
                if turn % 3 < 2 {
                    let (number, new) = distinct.insert(&state);
                    assert_eq!(new, map.insert(state.clone(), number).is_none());
                } else if let Some(number) = map.remove(&state) {
                    distinct.remove(number);
                }
                assert_eq!(distinct.len(), map.len());
                if turn % 50 == 0 {
                    assert!(map.iter().all(|(state, number)| distinct.state(*number) == &state[..]));
                    assert!(map.iter().all(|(state, number)| distinct.find(state) == Some(*number)));
                }
            }
            assert!(distinct.values.len() <= most * cells, "numbers are given again");
        }
    }
}
