//! All states of an environment: the ground truth that everything else is checked against.

mod distinct;

use super::{Ahead, Cell, Edge, Environment};

pub use distinct::Distinct;

/// Every state that moves reach from the source, each after all its parents, with its edges.
///
/// States on a cycle, and those behind one, come last, in the order in which they were found.
#[derive(Debug)]
pub struct States {
    states: Distinct,
    objects: Vec<u32>,
    /// Edges by child: `(parent, edge)`, those of child `i` at `starts[i]..starts[i + 1]`.
    parents: Vec<(u32, Edge)>,
    starts: Vec<usize>,
    /// Edges by parent: `(child, number of the edge)`, those of parent `i` at `child_starts[i]..child_starts[i + 1]`.
    children: Vec<(u32, u32)>,
    child_starts: Vec<usize>,
    acyclic: bool,
}

/// States whose moves are foreseen together.
const WAVE: usize = 256;

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
        let mut found = Distinct::new(environment.cells());
        let mut state: Vec<Cell> = source.to_vec();
        let mut next = state.clone();
        let mut mask = vec![false; environment.moves()];
        found.insert(&state);
        // By parent, in the order of discovery.
        let mut edges: Vec<(u32, Edge)> = Vec::new();
        let mut edge_starts = vec![0];
        let mut foreseen = 0;
        while edge_starts.len() <= found.len() {
            if environment.foresees() && edge_starts.len() > foreseen {
                let wave = foreseen..found.len().min(foreseen + WAVE);
                let states: Vec<Cell> = wave.clone().flat_map(|i| found.state(i).to_vec()).collect();
                environment.foresee(&states, Ahead::AllMoves);
                foreseen = wave.end;
            }
            state.copy_from_slice(found.state(edge_starts.len() - 1));
            environment.allowed(&state, &mut mask);
            for action in (0..mask.len()).filter(|action| mask[*action]) {
                next.copy_from_slice(&state);
                let removal = environment.apply(&mut next, action) as u32;
                edges.push((found.insert(&next).0 as u32, Edge { action: action as u32, removal }));
            }
            if found.len() > limit {
                return Err(TooMany(limit));
            }
            edge_starts.push(edges.len());
        }
        let (order, acyclic) = topological(&edge_starts, &edges);
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(new, old)| place[*old as usize] = new as u32);
        let mut starts = vec![0; order.len() + 1];
        edges.iter().for_each(|(child, _)| starts[place[*child as usize] as usize + 1] += 1);
        (0..order.len()).for_each(|i| starts[i + 1] += starts[i]);
        let mut end = starts.clone();
        let mut parents = vec![(0, Edge::default()); edges.len()];
        let mut children = Vec::with_capacity(edges.len());
        let mut child_starts = vec![0];
        for (parent, old) in order.iter().enumerate() {
            for (child, edge) in &edges[edge_starts[*old as usize]..edge_starts[*old as usize + 1]] {
                let child = place[*child as usize];
                let number = &mut end[child as usize];
                parents[*number] = (parent as u32, *edge);
                children.push((child, *number as u32));
                *number += 1;
            }
            child_starts.push(children.len());
        }
        let states = found.reordered(&order);
        let objects =
            (0..order.len() as u32).filter(|i| environment.is_object(states.state(*i as usize))).collect();
        Ok(Self { states, objects, parents, starts, children, child_starts, acyclic })
    }

    /// How many states there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// There is always the source.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// State `i`; the source is state 0.
    pub fn state(&self, i: usize) -> &[Cell] {
        self.states.state(i)
    }

    /// Which state it is, if moves reach it.
    pub fn find(&self, state: &[Cell]) -> Option<usize> {
        self.states.find(state)
    }

    /// The states that are objects, ascending.
    pub fn objects(&self) -> &[u32] {
        &self.objects
    }

    /// How many edges there are.
    pub fn edges(&self) -> usize {
        self.parents.len()
    }

    /// The edges into state `i`: parent and edge, by parent and action.
    pub fn parents(&self, i: usize) -> &[(u32, Edge)] {
        &self.parents[self.incoming(i)]
    }

    /// The numbers, below [`States::edges`], of the edges into state `i`, in the order of [`States::parents`].
    pub fn incoming(&self, i: usize) -> std::ops::Range<usize> {
        self.starts[i]..self.starts[i + 1]
    }

    /// The edges out of state `i`: child and number of the edge, by action.
    pub fn children(&self, i: usize) -> &[(u32, u32)] {
        &self.children[self.child_starts[i]..self.child_starts[i + 1]]
    }

    /// The move and the removal of an edge.
    pub fn edge(&self, number: usize) -> Edge {
        self.parents[number].1
    }

    /// Whether no state can be met twice, so that every state comes after all its parents.
    pub fn is_acyclic(&self) -> bool {
        self.acyclic
    }
}

/// Kahn's algorithm: the states in topological order, and whether there is one; if not, the others come last.
fn topological(starts: &[usize], edges: &[(u32, Edge)]) -> (Vec<u32>, bool) {
    let states = starts.len() - 1;
    let mut waiting = vec![0u32; states];
    edges.iter().for_each(|(child, _)| waiting[*child as usize] += 1);
    let mut order: Vec<u32> = (0..states as u32).filter(|i| waiting[*i as usize] == 0).collect();
    let mut at = 0;
    while at < order.len() {
        let parent = order[at] as usize;
        for (child, _) in &edges[starts[parent]..starts[parent + 1]] {
            waiting[*child as usize] -= 1;
            if waiting[*child as usize] == 0 {
                order.push(*child);
            }
        }
        at += 1;
    }
    let acyclic = order.len() == states;
    order.extend((0..states as u32).filter(|i| waiting[*i as usize] > 0));
    (order, acyclic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Hypergrid;

    #[test]
    fn both_lists_of_edges_are_the_same_edges() {
        let grid = Hypergrid::new(3, 4).expect("a grid");
        let states = States::of(&grid, 64).unwrap();
        assert!(states.is_acyclic());
        assert_eq!((states.len(), states.edges(), states.objects().len()), (64, 3 * 3 * 16, 64));
        assert_eq!(States::of(&grid, 63).unwrap_err(), TooMany(63));
        let mut met = vec![false; states.edges()];
        for parent in 0..states.len() {
            for (child, number) in states.children(parent) {
                let edge = states.edge(*number as usize);
                let mut next = states.state(parent).to_vec();
                assert_eq!(grid.apply(&mut next, edge.action as usize), edge.removal as usize);
                assert_eq!(states.find(&next), Some(*child as usize));
                assert!(states.incoming(*child as usize).contains(&(*number as usize)));
                let at = *number as usize - states.incoming(*child as usize).start;
                assert_eq!(states.parents(*child as usize)[at], (parent as u32, edge));
                assert!(parent < *child as usize && !std::mem::replace(&mut met[*number as usize], true));
            }
        }
        assert!(met.iter().all(|met| *met));
        assert_eq!(states.find(&[4, 0, 0]), None);
    }
}
