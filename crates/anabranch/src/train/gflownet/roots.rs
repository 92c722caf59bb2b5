//! Roots to start from.

use std::sync::Arc;

use super::Sources;
use crate::environment::{Cell, Environment};
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

/// States that walks from the source come to, each of a number of moves that chance says, every possible move alike: roots
/// where states are too many to be listed.
#[derive(Debug, Clone)]
pub struct WalkedRoots {
    environment: Arc<dyn Environment>,
}

impl WalkedRoots {
    /// Of this environment.
    pub fn new(environment: Arc<dyn Environment>) -> Self {
        Self { environment }
    }
}

impl Sources<Cell> for WalkedRoots {
    fn draw(&self, noise: &Noise, out: &mut [Cell]) {
        let (environment, cells) = (self.environment.as_ref(), self.environment.cells());
        let mut mask = vec![false; environment.moves()];
        for (row, start) in out.chunks_exact_mut(2 * cells).enumerate() {
            let (root, current) = start.split_at_mut(cells);
            environment.source(root);
            for time in 0..noise.below(row, environment.longest() + 1) {
                environment.allowed(root, &mut mask);
                let possible = mask.iter().filter(|may| **may).count();
                if possible == 0 {
                    break;
                }
                let chosen = noise.clone().step(1 + time as u32).below(row, possible);
                let action = mask.iter().enumerate().filter(|(_, may)| **may).nth(chosen).map(|(a, _)| a);
                environment.apply(root, action.expect("one of those that are possible"));
            }
            current.copy_from_slice(root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Sets;
    use crate::rng::Purpose;

    /// Every number of moves alike, and every set of so many.
    #[test]
    fn walked_roots_are_states_of_every_depth() {
        let sets = Arc::new(Sets::new(4, 0..=3).unwrap());
        let roots = WalkedRoots::new(sets);
        let count = 24_000;
        let mut starts = vec![0; count * 8];
        roots.draw(&Noise::new(3, Purpose::Source), &mut starts);
        let mut sizes = [0usize; 5];
        let mut singles = [0usize; 4];
        for start in starts.chunks_exact(8) {
            assert_eq!(start[..4], start[4..]);
            let size = start[..4].iter().sum::<Cell>();
            sizes[usize::from(size)] += 1;
            if size == 1 {
                singles[start.iter().position(|cell| *cell == 1).unwrap()] += 1;
            }
        }
        let near = |found: usize, p: f64, of: usize| {
            let (found, of) = (found as f64, of as f64);
            assert!((found - of * p).abs() < 4.5 * (of * p * (1.0 - p)).sqrt(), "{sizes:?}, {singles:?}");
        };
        assert_eq!(sizes[4], 0);
        sizes[..4].iter().for_each(|found| near(*found, 0.25, count));
        singles.iter().for_each(|found| near(*found, 0.25, sizes[1]));
    }
}
