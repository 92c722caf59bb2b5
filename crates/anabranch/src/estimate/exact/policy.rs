//! A forward policy as a table: `log P_F` of every edge and of stopping at every state.

use crate::environment::States;

/// `log P_F`, nats; `-inf` for what never happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// `[edges]`: `log P_F(child | parent)`.
    pub moves: Vec<f64>,
    /// `[states]`: `log P_F(s_f | s)`, `-inf` at states that are no objects.
    pub stop: Vec<f64>,
}

impl Policy {
    /// A table without any probability, to be filled by [`Policy::set`].
    pub fn empty(states: &States) -> Self {
        Self { moves: vec![f64::NEG_INFINITY; states.edges()], stop: vec![f64::NEG_INFINITY; states.len()] }
    }

    /// The same probability for every move, and for stopping where that is possible.
    pub fn uniform(states: &States) -> Self {
        let mut policy = Self::empty(states);
        states.objects().iter().for_each(|i| policy.stop[*i as usize] = 0.0);
        for i in 0..states.len() {
            let stops = policy.stop[i] == 0.0;
            let log_prob = -((states.children(i).len() + usize::from(stops)) as f64).ln();
            states.children(i).iter().for_each(|(_, e)| policy.moves[*e as usize] = log_prob);
            if stops {
                policy.stop[i] = log_prob;
            }
        }
        policy
    }

    /// From rows as a network gives them, `[states, moves + 1]`: moves by number, then stopping. What stands at moves
    /// that are not possible is not read.
    ///
    /// # Panics
    /// If there is not a row for each state, or a move's number is above `moves`.
    pub fn from_dense(states: &States, moves: usize, log_probs: &[f64]) -> Self {
        assert_eq!(log_probs.len(), states.len() * (moves + 1), "a row of {} for each state", moves + 1);
        let mut policy = Self::empty(states);
        log_probs.chunks_exact(moves + 1).enumerate().for_each(|(i, row)| policy.set(states, i, row));
        policy
    }

    /// Sets the probabilities of state `i` from a row `[moves + 1]`, stopping last.
    ///
    /// # Panics
    /// If the row is shorter.
    pub fn set(&mut self, states: &States, i: usize, row: &[f64]) {
        for (_, e) in states.children(i) {
            self.moves[*e as usize] = row[states.edge(*e as usize).action as usize];
        }
        self.stop[i] = row[row.len() - 1];
    }

    /// Writes the probabilities of state `i` into a row `[moves + 1]`, stopping last, `-inf` at moves that are not possible.
    ///
    /// # Panics
    /// If the row is shorter.
    pub fn write(&self, states: &States, i: usize, row: &mut [f64]) {
        row.fill(f64::NEG_INFINITY);
        for (_, e) in states.children(i) {
            row[states.edge(*e as usize).action as usize] = self.moves[*e as usize];
        }
        row[row.len() - 1] = self.stop[i];
    }

    /// What the probabilities of state `i` lack to 1: of moves that do not exist, of stopping at what is no object, or of
    /// rounding.
    pub fn leak(&self, states: &States, i: usize) -> f64 {
        let moves: f64 = states.children(i).iter().map(|(_, e)| self.moves[*e as usize].exp()).sum();
        let stops = states.objects().binary_search(&(i as u32)).is_ok();
        1.0 - moves - if stops { self.stop[i].exp() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::Graph;
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_given() {
        let (graph, states) = Graph::toy();
        let moves = 2;
        let mut rows = vec![f64::NEG_INFINITY; states.len() * (moves + 1)];
        for (i, row) in rows.chunks_exact_mut(moves + 1).enumerate() {
            states.children(i).iter().for_each(|(_, e)| {
                let action = states.edge(*e as usize).action as usize;
                row[action] = -((i + 2 * action + 1) as f64);
            });
            row[moves] = -(i as f64) / 3.0;
        }
        let policy = Policy::from_dense(&states, moves, &rows);
        let mut row = vec![0.0; moves + 1];
        for (i, expected) in rows.chunks_exact(moves + 1).enumerate() {
            policy.write(&states, i, &mut row);
            assert_eq!(row, expected);
        }
        // Each node's own probabilities: node 2 has moves only, node 10 stops only, node 1 can do one thing.
        let uniform = Policy::uniform(&states);
        let place = |node| graph.place(&states, node);
        assert_eq!((uniform.stop[place(10)], uniform.stop[place(2)]), (0.0, f64::NEG_INFINITY));
        assert_eq!(uniform.moves[states.children(place(1))[0].1 as usize], 0.0);
        assert!((0..states.len()).all(|i| uniform.leak(&states, i).abs() < 1e-15));
        // All that node 1 does is to stop, where it cannot.
        let mut stopping = uniform.clone();
        stopping.set(&states, place(1), &[f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0]);
        assert_eq!(stopping.leak(&states, place(1)), 1.0);
    }
}
