//! Rooted environments: the part of another environment that lies ahead of a root state, for every root at once.
//!
//! A state-conditional flow `F_r` runs over the states that moves reach from r; its backward policy keeps to parents that r
//! still leads to, and r is its source. One network learns all of them, as the root is part of the state:
//!
//! ```text
//! (r, r) -> (r, s_1) -> ... -> (r, x) -> s_f          F_r(r) = sum_{x >= r} R(x) = exp(-free energy of r)
//! ```
//!
//! State: the cells of the root, then those of the current state.
//!
//! Bengio et al., "GFlowNet Foundations" (2023), section 4.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::text::refused;
use super::{Ahead, Cell, Environment};
use crate::error::{Problem, quoted};

/// Stands between a root and a state that it leads to.
const LEADS_TO: &str = " <= ";

/// An environment whose walks start at any of its states.
///
/// [`Environment::source`] is the inner source as its own root; [`Rooted::at`] starts elsewhere.
#[derive(Debug)]
pub struct Rooted<E: ?Sized> {
    inner: Arc<E>,
}

impl<E: Environment + ?Sized> Rooted<E> {
    /// Roots an environment.
    ///
    /// # Errors
    /// If it has cycles: moves would lead back to the root.
    pub fn new(inner: Arc<E>) -> Result<Self, Problem> {
        if inner.cyclic() {
            return Err(Problem::new("environment", "one with cycles").allowed("acyclic ones as conditions"));
        }
        Ok(Self { inner })
    }

    /// The environment that the roots are states of.
    pub fn inner(&self) -> &E {
        &self.inner
    }

    /// Writes the state at which walks from `root` start.
    pub fn at(&self, root: &[Cell], state: &mut [Cell]) {
        state[..root.len()].copy_from_slice(root);
        state[root.len()..].copy_from_slice(root);
    }

    /// The root and the current state.
    pub fn split<'a>(&self, state: &'a [Cell]) -> (&'a [Cell], &'a [Cell]) {
        state.split_at(self.inner.cells())
    }

    fn current<'a>(&self, state: &'a mut [Cell]) -> &'a mut [Cell] {
        &mut state[self.inner.cells()..]
    }

    /// Whether moves lead from `root` to `state`: removals above the root, whichever come first, then end at it.
    fn leads_to(&self, root: &[Cell], state: &[Cell]) -> bool {
        let (mut state, mut mask) = (state.to_vec(), vec![false; self.removals()]);
        loop {
            self.inner.removable_above(root, &state, &mut mask);
            match mask.iter().position(|may| *may) {
                Some(removal) => self.inner.undo(&mut state, removal),
                None => return state == root,
            };
        }
    }
}

/// [`Environment::removable_above`] by going back from every parent in all ways: for environments that know no better.
pub(super) fn search<E: Environment + ?Sized>(
    environment: &E,
    root: &[Cell],
    state: &[Cell],
    mask: &mut [bool],
) {
    environment.removable(state, mask);
    let mut back = vec![false; mask.len()];
    let mut before = |state: &[Cell]| -> Vec<Vec<Cell>> {
        environment.removable(state, &mut back);
        let one = |removal: usize| {
            let mut parent = state.to_vec();
            environment.undo(&mut parent, removal);
            parent
        };
        (0..back.len()).filter(|removal| back[*removal]).map(one).collect()
    };
    for removal in 0..mask.len() {
        if !mask[removal] {
            continue;
        }
        let mut parent = state.to_vec();
        environment.undo(&mut parent, removal);
        let mut known = HashSet::from([parent.clone()]);
        let mut open = vec![parent];
        mask[removal] = false;
        while let Some(state) = open.pop() {
            if state == root {
                mask[removal] = true;
                break;
            }
            open.extend(before(&state).into_iter().filter(|parent| known.insert(parent.clone())));
        }
    }
}

impl<E: Environment + ?Sized> Environment for Rooted<E> {
    fn cells(&self) -> usize {
        2 * self.inner.cells()
    }

    fn moves(&self) -> usize {
        self.inner.moves()
    }

    fn removals(&self) -> usize {
        self.inner.removals()
    }

    fn longest(&self) -> usize {
        self.inner.longest()
    }

    fn stops(&self) -> bool {
        self.inner.stops()
    }

    fn source(&self, state: &mut [Cell]) {
        let (root, current) = state.split_at_mut(self.inner.cells());
        self.inner.source(root);
        current.copy_from_slice(root);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        self.inner.is_object(self.split(state).1)
    }

    fn all_objects(&self) -> bool {
        self.inner.all_objects()
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        self.inner.allowed(self.split(state).1, mask);
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        let (root, current) = self.split(state);
        self.inner.removable_above(root, current, mask);
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        self.inner.apply(self.current(state), action)
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        self.inner.undo(self.current(state), removal)
    }

    fn features(&self) -> usize {
        2 * self.inner.features()
    }

    /// The features of the current state, and those of the root behind them.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        let (root, current) = self.split(state);
        self.inner.encode(current, on);
        let first = on.len();
        self.inner.encode(root, on);
        on[first..].iter_mut().for_each(|feature| *feature += self.inner.features() as u32);
    }

    fn describe(&self, state: &[Cell]) -> String {
        let (root, current) = self.split(state);
        format!("{}{LEADS_TO}{}", self.inner.describe(root), self.inner.describe(current))
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        let allowed = format!("a root{LEADS_TO}a state that it leads to");
        // Both may be written as nothing.
        let padded = format!(" {text} ");
        let (before, after) = padded.split_once(LEADS_TO).ok_or_else(|| refused(quoted(text), &allowed))?;
        let (root, current) = state.split_at_mut(self.inner.cells());
        self.inner.parse(before, root)?;
        self.inner.parse(after, current)?;
        if self.leads_to(root, current) { Ok(()) } else { Err(refused(quoted(text), &allowed)) }
    }

    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        let ((_, least), (_, current)) = (self.split(root), self.split(state));
        self.inner.removable_above(least, current, mask);
    }

    fn chance(&self, state: &[Cell], log_probabilities: &mut [f32]) -> bool {
        self.inner.chance(self.split(state).1, log_probabilities)
    }

    fn stochastic(&self) -> bool {
        self.inner.stochastic()
    }

    fn foresees(&self) -> bool {
        self.inner.foresees()
    }

    fn foresee(&self, states: &[Cell], ahead: Ahead<'_>) {
        let current = |both| self.split(both).1;
        let states: Vec<Cell> = states.chunks_exact(self.cells()).flat_map(current).copied().collect();
        self.inner.foresee(&states, ahead);
    }

    fn failure(&self) -> Option<Problem> {
        self.inner.failure()
    }

    fn asked(&self) -> Option<(u64, Duration)> {
        self.inner.asked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{CyclicGrid, Growth, Sets, States, Strings};

    /// The subset lattice over {0, 1, 2} with R(S) = prod w_i, w = (1, 2, 3): the free energies of all its states.
    #[test]
    fn free_energies_sum_what_lies_ahead() {
        let sets = Arc::new(Sets::new(3, 0..=3).unwrap());
        let rooted = Rooted::new(sets.clone()).unwrap();
        let reward =
            |set: &[Cell]| (0..3).map(|i| if set[i] == 1 { 1.0 + i as f64 } else { 1.0 }).product::<f64>();
        let ahead = |text: &str| {
            let (mut root, mut start) = (vec![0; 3], vec![0; 6]);
            sets.parse(text, &mut root).unwrap();
            rooted.at(&root, &mut start);
            let states = States::ahead_of(&rooted, &start, 100).unwrap();
            states.objects().iter().map(|i| reward(rooted.split(states.state(*i as usize)).1)).sum::<f64>()
        };
        let roots = ["{}", "{0}", "{1}", "{2}", "{0, 1}", "{0, 2}", "{1, 2}", "{0, 1, 2}"];
        assert_eq!(roots.map(ahead), [24.0, 12.0, 16.0, 18.0, 8.0, 9.0, 12.0, 6.0]);
    }

    #[test]
    fn roots_lead_to_their_states() {
        let rooted = Rooted::new(Arc::new(Sets::new(3, 0..=3).unwrap())).unwrap();
        let mut state = [9; 6];
        rooted.parse("{1} <= {2, 1}", &mut state).unwrap();
        assert_eq!(state, [0, 1, 0, 0, 1, 1]);
        let words = Strings::of_chars("AB", 0..=2, Growth::Append).unwrap();
        let words = Rooted::new(Arc::new(words)).unwrap();
        let mut word = [9; 4];
        for (text, state) in [("<= A", [0, 0, 1, 0]), ("A <= AB", [1, 0, 1, 2]), (" <= ", [0; 4])] {
            words.parse(text, &mut word).unwrap();
            assert_eq!(word, state);
        }
        for text in ["{0} <= {2, 1}", "{0, 1} <= {1}", "{0}"] {
            let message = rooted.parse(text, &mut state).unwrap_err();
            assert_eq!(message, format!("\"{text}\"; allowed: a root <= a state that it leads to"));
        }
    }

    #[test]
    fn cycles_have_no_roots() {
        let cyclic = Arc::new(CyclicGrid::new(1, 2, 10).unwrap());
        let message = Rooted::new(cyclic).unwrap_err().to_string();
        assert_eq!(message, "environment: found one with cycles; allowed: acyclic ones as conditions");
    }
}
