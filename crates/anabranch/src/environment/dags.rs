//! Labelled directed acyclic graphs, built edge by edge: the structures of Bayesian networks.
//!
//! Every DAG is an object. An edge `i -> j` may be added where it is not there and j does not reach i, which the ancestors
//! of each node tell; adding it gives j's descendants, and j, the ancestors of i, and i. `n(G) = |edges|!`, as every part of
//! a DAG is one; there are `a_d` DAGs over d nodes, `a_0 = 1` and (Robinson 1973)
//!
//! ```text
//! a_d = sum_{k=1..d} (-1)^(k+1) C(d, k) 2^(k (d - k)) a_(d-k)
//! ```
//!
//! State: two square matrices of bits, each row in `ceil(d / 16)` cells: row j of the first holds the parents of j, row j of
//! the second the ancestors of j and j itself. The second follows from the first, and an encoding leaves it out.
//!
//! Deleu et al., "Bayesian structure learning with generative flow networks" (2022).

use super::sets::binomial;
use super::text::{Names, items, refused, size};
use super::{Cell, Environment};
use crate::error::{Problem, quoted};
use crate::math::ln_factorial;

const BITS: usize = Cell::BITS as usize;

/// Labelled DAGs. The move `i * d + j` adds the edge `i -> j`, the removal of the same number takes it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledDags {
    names: Names,
    most_parents: usize,
}

impl LabelledDags {
    /// DAGs over `nodes` nodes called `0`, `1`, ...
    ///
    /// # Errors
    /// If there is no node, or there are more than 65535.
    pub fn new(nodes: usize) -> Result<Self, Problem> {
        size("nodes", nodes, 1..=usize::from(Cell::MAX))?;
        Ok(Self { names: Names::numbered(nodes), most_parents: nodes - 1 })
    }

    /// The same, with names.
    ///
    /// # Errors
    /// If there is not one name per node, or two are alike, or one holds white space or a character of `{,>}`.
    pub fn named<S: AsRef<str>>(self, names: &[S]) -> Result<Self, Problem> {
        size("names", names.len(), self.nodes()..=self.nodes())?;
        Ok(Self { names: Names::new("names", names, "{,>}")?, ..self })
    }

    /// Only those in which no node has more parents than this.
    ///
    /// # Errors
    /// If it is 0.
    pub fn with_most_parents(self, most_parents: usize) -> Result<Self, Problem> {
        if most_parents == 0 {
            return Err(Problem::new("most_parents", "0").allowed("1 or more"));
        }
        Ok(Self { most_parents: most_parents.min(self.nodes() - 1), ..self })
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.names.len()
    }

    /// Whether there is an edge `from -> to`.
    pub fn has_edge(&self, state: &[Cell], from: usize, to: usize) -> bool {
        has(self.parents(state, to), from)
    }

    /// Whether edges lead from one node to another; to itself they always do.
    pub fn has_path(&self, state: &[Cell], from: usize, to: usize) -> bool {
        has(self.ancestors(state, to), from)
    }

    /// The parents of a node, one bit each: node i is bit `i % 16` of cell `i / 16`. Equal parents have equal rows.
    pub fn parents<'a>(&self, state: &'a [Cell], node: usize) -> &'a [Cell] {
        &state[node * self.row()..][..self.row()]
    }

    fn ancestors<'a>(&self, state: &'a [Cell], node: usize) -> &'a [Cell] {
        self.parents(state, self.nodes() + node)
    }

    /// Cells of a row.
    fn row(&self) -> usize {
        self.nodes().div_ceil(BITS)
    }

    /// Adds the ancestors of one node to those of another.
    fn inherit(&self, state: &mut [Cell], from: usize, to: usize) {
        let row = self.row();
        let [from, to] = [from, to].map(|node| (self.nodes() + node) * row);
        for cell in 0..row {
            state[to + cell] |= state[from + cell];
        }
    }

    /// Pairs of a node and a parent.
    fn edges<'a>(&'a self, state: &'a [Cell]) -> impl Iterator<Item = (usize, usize)> + 'a {
        (0..self.nodes()).flat_map(|to| members(self.parents(state, to)).map(move |from| (from, to)))
    }

    /// Adds the edge that a text such as `a->b` names.
    fn parse_edge(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        let (from, to) =
            text.split_once("->").ok_or_else(|| refused(quoted(text), "an edge such as a->b"))?;
        let [i, j] = [self.names.find(from.trim())?, self.names.find(to.trim())?];
        if self.has_edge(state, i, j) {
            return Err(refused(format!("{} twice", quoted(text)), "edges that differ"));
        }
        if self.has_path(state, j, i) {
            return Err(refused(format!("{}, which closes a cycle", quoted(text)), "acyclic graphs"));
        }
        if count(self.parents(state, j)) == self.most_parents {
            let found = format!("more than {} parents of {}", self.most_parents, quoted(&self.names[j]));
            return Err(refused(found, format!("at most {}", self.most_parents)));
        }
        self.apply(state, i * self.nodes() + j);
        Ok(())
    }
}

fn has(row: &[Cell], node: usize) -> bool {
    row[node / BITS] >> (node % BITS) & 1 == 1
}

fn count(row: &[Cell]) -> usize {
    row.iter().map(|cell| cell.count_ones() as usize).sum()
}

/// The nodes whose bits are set.
fn members(row: &[Cell]) -> impl Iterator<Item = usize> {
    let of_cell = |(at, cell): (usize, &Cell)| {
        let left = std::iter::successors(Some(*cell), |cell| Some(cell & cell.wrapping_sub(1)));
        left.take_while(|cell| *cell > 0).map(move |cell| at * BITS + cell.trailing_zeros() as usize)
    };
    row.iter().enumerate().flat_map(of_cell)
}

/// The number of labelled DAGs.
fn robinson(nodes: usize) -> f64 {
    let mut dags = vec![1.0];
    for d in 1..=nodes {
        let term = |k: usize| {
            let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
            sign * binomial(d, k) * f64::powi(2.0, (k * (d - k)) as i32) * dags[d - k]
        };
        dags.push((1..=d).map(term).sum());
    }
    dags[nodes]
}

impl Environment for LabelledDags {
    fn cells(&self) -> usize {
        2 * self.nodes() * self.row()
    }

    fn moves(&self) -> usize {
        self.nodes() * self.nodes()
    }

    fn removals(&self) -> usize {
        self.moves()
    }

    fn longest(&self) -> usize {
        // Along an order of the nodes, node k can have the k before it as parents.
        (0..self.nodes()).map(|before| before.min(self.most_parents)).sum()
    }

    fn stops(&self) -> bool {
        self.nodes() > 1
    }

    fn source(&self, state: &mut [Cell]) {
        state.fill(0);
        for node in 0..self.nodes() {
            state[(self.nodes() + node) * self.row() + node / BITS] = 1 << (node % BITS);
        }
    }

    fn is_object(&self, _state: &[Cell]) -> bool {
        true
    }

    fn all_objects(&self) -> bool {
        true
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        let nodes = self.nodes();
        for (from, mask) in mask.chunks_exact_mut(nodes).enumerate() {
            let ancestors = self.ancestors(state, from);
            for (mask, cell) in mask.chunks_mut(BITS).zip(ancestors) {
                mask.iter_mut().enumerate().for_each(|(bit, may)| *may = cell >> bit & 1 == 0);
            }
        }
        for to in 0..nodes {
            let parents = self.parents(state, to);
            if count(parents) == self.most_parents {
                (0..nodes).for_each(|from| mask[from * nodes + to] = false);
            } else {
                members(parents).for_each(|from| mask[from * nodes + to] = false);
            }
        }
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        mask.fill(false);
        self.edges(state).for_each(|(from, to)| mask[from * self.nodes() + to] = true);
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        let (from, to) = (action / self.nodes(), action % self.nodes());
        state[to * self.row() + from / BITS] |= 1 << (from % BITS);
        for node in 0..self.nodes() {
            if self.has_path(state, to, node) {
                self.inherit(state, from, node);
            }
        }
        action
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        let (from, to) = (removal / self.nodes(), removal % self.nodes());
        let (nodes, row) = (self.nodes(), self.row());
        state[to * row + from / BITS] &= !(1 << (from % BITS));
        // Only what lies behind the edge loses ancestors, and it keeps `to` as one, which marks it below.
        for node in 0..nodes {
            if self.has_path(state, to, node) {
                let start = (nodes + node) * row;
                state.copy_within(node * row..(node + 1) * row, start);
                for kept in [node, to] {
                    state[start + kept / BITS] |= 1 << (kept % BITS);
                }
            }
        }
        // Warshall's algorithm on these rows; the others are closed already.
        for between in 0..nodes {
            for node in 0..nodes {
                if self.has_path(state, to, node) && self.has_path(state, between, node) {
                    self.inherit(state, between, node);
                }
            }
        }
        removal
    }

    fn features(&self) -> usize {
        self.moves()
    }

    /// One feature per edge.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        on.extend(self.edges(state).map(|(from, to)| (from * self.nodes() + to) as u32));
    }

    fn describe(&self, state: &[Cell]) -> String {
        let mut edges: Vec<(usize, usize)> = self.edges(state).collect();
        edges.sort_unstable();
        let edges: Vec<String> =
            edges.iter().map(|(from, to)| format!("{}->{}", &self.names[*from], &self.names[*to])).collect();
        format!("{{{}}}", edges.join(", "))
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        self.source(state);
        items(text, "{a->b, b->c}")?.into_iter().try_for_each(|edge| self.parse_edge(edge, state))
    }

    fn removable_above(&self, root: &[Cell], state: &[Cell], mask: &mut [bool]) {
        self.removable(state, mask);
        self.edges(root).for_each(|(from, to)| mask[from * self.nodes() + to] = false);
    }

    fn log_paths(&self, state: &[Cell]) -> Option<f64> {
        let edges: usize = (0..self.nodes()).map(|node| count(self.parents(state, node))).sum();
        Some(ln_factorial(edges as u64))
    }

    fn objects(&self) -> Option<f64> {
        let dags = (self.most_parents == self.nodes() - 1).then(|| robinson(self.nodes()))?;
        dags.is_finite().then_some(dags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::States;

    #[test]
    fn dags_are_as_many_as_robinson_counted() {
        for (nodes, dags) in [1.0, 3.0, 25.0, 543.0, 29_281.0, 3_781_503.0].into_iter().enumerate() {
            assert_eq!(robinson(nodes + 1), dags);
        }
        assert_eq!(LabelledDags::new(60).unwrap().objects(), None);
        assert!(LabelledDags::new(30).unwrap().objects().is_some());
    }

    /// Of d = 5 nodes: DAGs by their number of edges, and under the uniform law over them the chances of an edge, of a path
    /// and of being in the Markov blanket, as enumerated elsewhere.
    #[test]
    fn edges_and_paths_are_as_many_as_known() {
        for (nodes, edge, path, blanket, all) in
            [(3, 8, 9, 17, 25), (4, 168, 207, 377, 543), (5, 8816, 11_649, 20_765, 29_281)]
        {
            let dags = LabelledDags::new(nodes).unwrap();
            let states = States::of(&dags, 30_000).unwrap();
            assert_eq!(states.len(), all);
            // An asymmetric pair, so that an index that is turned round shows.
            let (i, j) = (nodes - 1, 0);
            let count = |holds: &dyn Fn(&[Cell]) -> bool| {
                (0..states.len()).filter(|at| holds(states.state(*at))).count()
            };
            assert_eq!(count(&|state| dags.has_edge(state, i, j)), edge);
            assert_eq!(count(&|state| dags.has_path(state, i, j)), path);
            let in_blanket = |state: &[Cell]| {
                let edge = |a, b| dags.has_edge(state, a, b);
                edge(i, j) || edge(j, i) || (0..nodes).any(|child| edge(i, child) && edge(j, child))
            };
            assert_eq!(count(&in_blanket), blanket);
            if nodes == 5 {
                let mut by_edges = vec![0; dags.longest() + 1];
                (0..states.len()).for_each(|at| by_edges[dags.edges(states.state(at)).count()] += 1);
                assert_eq!(by_edges, [1, 20, 180, 940, 3050, 6180, 7960, 6540, 3330, 960, 120]);
            }
        }
    }

    #[test]
    fn rows_may_take_several_cells() {
        let dags = LabelledDags::new(40).unwrap();
        let mut state = vec![0; dags.cells()];
        dags.parse("{39->0, 0->17, 17->31}", &mut state).unwrap();
        assert!(dags.has_path(&state, 39, 31) && !dags.has_path(&state, 31, 39));
        let mut mask = vec![false; dags.moves()];
        dags.allowed(&state, &mut mask);
        assert!(mask[39 * 40 + 31] && !mask[31 * 40 + 39]);
        assert_eq!(dags.parents(&state, 31), [0, 2, 0]);
    }

    #[test]
    fn wrong_graphs_are_refused() {
        let dags = LabelledDags::new(3).unwrap().named(&["rain", "sun", "wet"]).unwrap();
        let dags = dags.with_most_parents(1).unwrap();
        let mut state = vec![0; dags.cells()];
        dags.parse("{ sun->rain , rain -> wet}", &mut state).unwrap();
        assert_eq!(dags.describe(&state), "{rain->wet, sun->rain}");
        for (text, message) in [
            ("{rain->rain}", "\"rain->rain\", which closes a cycle; allowed: acyclic graphs"),
            ("{rain->sun, sun->rain}", "\"sun->rain\", which closes a cycle; allowed: acyclic graphs"),
            ("{rain->wet, rain->wet}", "\"rain->wet\" twice; allowed: edges that differ"),
            ("{rain->wet, sun->wet}", "more than 1 parents of \"wet\"; allowed: at most 1"),
            ("{rain->we}", "\"we\"; allowed: rain, sun, wet; did you mean \"wet\"?"),
            ("rain->wet", "\"rain->wet\"; allowed: a list such as {a->b, b->c}"),
            ("{rain}", "\"rain\"; allowed: an edge such as a->b"),
        ] {
            assert_eq!(dags.parse(text, &mut state).unwrap_err(), message);
        }
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let message = |dags: Result<LabelledDags, Problem>| dags.unwrap_err().to_string();
        assert_eq!(message(LabelledDags::new(0)), "nodes: found 0; allowed: 1 to 65535");
        let dags = LabelledDags::new(2).unwrap();
        assert_eq!(message(dags.clone().named(&["a"])), "names: found 1; allowed: 2");
        assert!(message(dags.clone().named(&["a", "a>"])).starts_with("names: found \"a>\""));
        assert!(message(dags.with_most_parents(0)).starts_with("most_parents: found 0; allowed: 1 or more"));
    }
}
