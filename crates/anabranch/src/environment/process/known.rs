//! What a program has answered so far.

use std::collections::HashMap;

use super::Way;
use crate::environment::Cell;
use crate::environment::states::Distinct;

/// What is kept of states at most; beyond it all is forgotten, and asked again where it is needed.
const MOST: usize = 1 << 20;

/// What was answered of a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The moves that are possible.
    pub moves: Box<[u32]>,
    /// The removals that are possible.
    pub removals: Box<[u32]>,
    /// The features that are on.
    pub features: Box<[u32]>,
    /// Whether it is an object.
    pub object: bool,
}

impl Seen {
    /// An object without moves, at which every walk ends.
    pub fn end() -> Self {
        Self { moves: Box::default(), removals: Box::default(), features: Box::default(), object: true }
    }
}

/// Answers by state.
#[derive(Debug)]
pub struct Known {
    cells: usize,
    states: Distinct,
    seen: Vec<Option<Seen>>,
    texts: Vec<Option<Box<str>>>,
    log_rewards: Vec<Option<f64>>,
    /// Where an edge leads, and its number from there.
    edges: HashMap<(u32, u32, Way), (u32, u32)>,
}

impl Known {
    /// Nothing, of states with `cells` numbers.
    pub fn new(cells: usize) -> Self {
        let (seen, texts, log_rewards, edges) = Default::default();
        Self { cells, states: Distinct::new(cells), seen, texts, log_rewards, edges }
    }

    /// Forgets all where there is too much.
    pub fn make_room(&mut self) {
        if self.states.len().max(self.edges.len() / 8) > MOST {
            *self = Self::new(self.cells);
        }
    }

    fn number(&mut self, state: &[Cell]) -> usize {
        let (number, new) = self.states.insert(state);
        if new {
            self.seen.push(None);
            self.texts.push(None);
            self.log_rewards.push(None);
        }
        number
    }

    pub fn see(&mut self, state: &[Cell], seen: Seen) {
        let number = self.number(state);
        self.seen[number] = Some(seen);
    }

    pub fn seen(&self, state: &[Cell]) -> Option<&Seen> {
        self.seen[self.states.find(state)?].as_ref()
    }

    pub fn write(&mut self, state: &[Cell], text: &str) {
        let number = self.number(state);
        self.texts[number] = Some(text.into());
    }

    pub fn text(&self, state: &[Cell]) -> Option<&str> {
        self.texts[self.states.find(state)?].as_deref()
    }

    pub fn reward(&mut self, state: &[Cell], log_reward: f64) {
        let number = self.number(state);
        self.log_rewards[number] = Some(log_reward);
    }

    pub fn log_reward(&self, state: &[Cell]) -> Option<f64> {
        self.log_rewards[self.states.find(state)?]
    }

    pub fn lead(&mut self, (state, edge, way): (&[Cell], u32, Way), (other, back): (&[Cell], u32)) {
        let (number, other) = (self.number(state) as u32, self.number(other) as u32);
        self.edges.insert((number, edge, way), (other, back));
    }

    /// The state to which an edge leads, and its number from there.
    pub fn led(&self, state: &[Cell], edge: u32, way: Way) -> Option<(&[Cell], u32)> {
        let number = self.states.find(state)? as u32;
        let (other, back) = self.edges.get(&(number, edge, way))?;
        Some((self.states.state(*other as usize), *back))
    }
}
