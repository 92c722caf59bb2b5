//! All states of an environment: the ground truth that everything else is checked against.

use std::collections::HashMap;

use super::{Cell, Edge, Environment};

/// Every state that moves reach from the source, each after all its parents unless it is on a cycle or behind one, with its
/// edges.
#[derive(Debug)]
pub struct States {
    cells: usize,
    values: Vec<Cell>,
    objects: Vec<u32>,
    /// Edges by child: `(parent, edge)`, those of child `i` at `starts[i]..starts[i + 1]`.
    parents: Vec<(u32, Edge)>,
    starts: Vec<usize>,
}

/// There are more states than were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany(pub usize);

impl States {
    /// Enumerates an environment.
    ///
    /// # Errors
    /// If there are more than `limit` states.
    pub fn of(environment: &dyn Environment, limit: usize) -> Result<Self, TooMany> {
        let mut source = vec![0; environment.cells()];
        environment.source(&mut source);
        Self::ahead_of(environment, &source, limit)
    }

    /// Enumerates what moves reach from a state, which takes the place of the source.
    ///
    /// # Errors
    /// If there are more than `limit` states.
    pub fn ahead_of(environment: &dyn Environment, source: &[Cell], limit: usize) -> Result<Self, TooMany> {
        let cells = environment.cells();
        let source: Box<[Cell]> = source.into();
        let mut found: Vec<Box<[Cell]>> = vec![source.clone()];
        let mut known: HashMap<Box<[Cell]>, u32> = HashMap::from([(source, 0)]);
        let mut edges: Vec<(u32, u32, Edge)> = Vec::new();
        let mut mask = vec![false; environment.moves()];
        let mut at = 0;
        while at < found.len() {
            let state = found[at].clone();
            environment.allowed(&state, &mut mask);
            for action in (0..mask.len()).filter(|action| mask[*action]) {
                let mut next = state.clone();
                let removal = environment.apply(&mut next, action) as u32;
                let child = *known.entry(next).or_insert_with_key(|next| {
                    found.push(next.clone());
                    found.len() as u32 - 1
                });
                edges.push((at as u32, child, Edge { action: action as u32, removal }));
            }
            if found.len() > limit {
                return Err(TooMany(limit));
            }
            at += 1;
        }
        let order = topological(found.len(), &edges);
        let mut place = vec![0; found.len()];
        order.iter().enumerate().for_each(|(new, old)| place[*old as usize] = new as u32);
        let mut sorted: Vec<(u32, u32, Edge)> = edges
            .into_iter()
            .map(|(parent, child, edge)| (place[child as usize], place[parent as usize], edge))
            .collect();
        sorted.sort_unstable_by_key(|(child, parent, edge)| (*child, *parent, edge.action));
        let mut starts = vec![0; found.len() + 1];
        sorted.iter().for_each(|(child, ..)| starts[*child as usize + 1] += 1);
        (0..found.len()).for_each(|i| starts[i + 1] += starts[i]);
        let values: Vec<Cell> = order.iter().flat_map(|old| found[*old as usize].iter().copied()).collect();
        let is_object = |i: &u32| environment.is_object(&values[*i as usize * cells..][..cells]);
        let objects = (0..found.len() as u32).filter(is_object).collect();
        let parents = sorted.into_iter().map(|(_, parent, edge)| (parent, edge)).collect();
        Ok(Self { cells, values, objects, parents, starts })
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// There is always the source.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// State `i`; the source is state 0.
    pub fn state(&self, i: usize) -> &[Cell] {
        &self.values[i * self.cells..][..self.cells]
    }

    /// The states that are objects, ascending.
    pub fn objects(&self) -> &[u32] {
        &self.objects
    }

    /// The edges into state `i`: parent and edge.
    pub fn parents(&self, i: usize) -> &[(u32, Edge)] {
        &self.parents[self.starts[i]..self.starts[i + 1]]
    }
}

/// Kahn's algorithm; states on cycles and behind them come last, as they were found.
fn topological(states: usize, edges: &[(u32, u32, Edge)]) -> Vec<u32> {
    let mut waiting = vec![0u32; states];
    let mut starts = vec![0; states + 1];
    for (parent, child, _) in edges {
        waiting[*child as usize] += 1;
        starts[*parent as usize + 1] += 1;
    }
    (0..states).for_each(|i| starts[i + 1] += starts[i]);
    // Edges were found parent by parent, in order.
    let mut order: Vec<u32> = (0..states as u32).filter(|i| waiting[*i as usize] == 0).collect();
    let mut at = 0;
    while at < order.len() {
        let parent = order[at] as usize;
        for (_, child, _) in &edges[starts[parent]..starts[parent + 1]] {
            waiting[*child as usize] -= 1;
            if waiting[*child as usize] == 0 {
                order.push(*child);
            }
        }
        at += 1;
    }
    order.extend((0..states as u32).filter(|i| waiting[*i as usize] > 0));
    order
}
