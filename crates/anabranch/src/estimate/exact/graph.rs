//! Graphs given by their edges, as environments: for tests.

use crate::environment::{Cell, Environment, States};

/// State `[i]` is node `i`, node 0 the source; a node's moves are its edges in the order given, its removals likewise.
#[derive(Debug)]
pub struct Graph {
    out: Vec<Vec<usize>>,
    /// Edges as `(parent, which of its edges)`.
    into: Vec<Vec<(usize, usize)>>,
    objects: Vec<usize>,
}

impl Graph {
    pub fn new(nodes: usize, edges: &[(usize, usize)], objects: &[usize]) -> Self {
        let mut graph =
            Self { out: vec![vec![]; nodes], into: vec![vec![]; nodes], objects: objects.to_vec() };
        for (parent, child) in edges {
            graph.into[*child].push((*parent, graph.out[*parent].len()));
            graph.out[*parent].push(*child);
        }
        graph
    }

    /// The toy of "GFlowNet Foundations", figure 2, with its states.
    pub fn toy() -> (Self, States) {
        let edges = [
            (0, 1),
            (0, 2),
            (1, 3),
            (2, 3),
            (2, 4),
            (3, 5),
            (4, 6),
            (5, 7),
            (5, 8),
            (6, 8),
            (6, 10),
            (7, 9),
            (8, 9),
        ];
        Self::new(11, &edges, &[3, 4, 6, 8, 9, 10]).enumerated()
    }

    /// All subsets of `0..items` as bits of the node's number, all of them objects; moves add an item.
    pub fn subsets(items: usize) -> (Self, States) {
        let absent = |set: usize| (0..items).filter(move |item| set >> item & 1 == 0);
        let edges: Vec<(usize, usize)> =
            (0..1 << items).flat_map(|set| absent(set).map(move |item| (set, set | 1 << item))).collect();
        Self::new(1 << items, &edges, &(0..1 << items).collect::<Vec<_>>()).enumerated()
    }

    /// A connected graph of chance: every node has an edge from an earlier one, and there are as many others again (some
    /// parallel); about half of the nodes and every one without moves are objects.
    pub fn random(nodes: usize, seed: u64) -> (Self, States) {
        use crate::rng::{Noise, Purpose};
        let below = |step: usize, row: u64, bound: usize| {
            Noise::new(seed, Purpose::Choice).step(step as u32).from_trajectory(row).below(0, bound)
        };
        let mut edges: Vec<(usize, usize)> =
            (1..nodes).map(|child| (below(child, 0, child), child)).collect();
        edges.extend((1..nodes).map(|child| (below(child, 1, child), child)));
        let leaf = |node: usize| edges.iter().all(|(parent, _)| *parent != node);
        let objects: Vec<usize> = (0..nodes).filter(|node| leaf(*node) || below(*node, 2, 2) == 0).collect();
        Self::new(nodes, &edges, &objects).enumerated()
    }

    pub fn enumerated(self) -> (Self, States) {
        let states = States::of(&self, 100_000).expect("a small graph");
        (self, states)
    }

    /// The place of a node among the states.
    pub fn place(&self, states: &States, node: usize) -> usize {
        states.find(&[node as Cell]).expect("the node is reached")
    }

    /// Values by node in the order of the states.
    pub fn by_node(&self, states: &States, values: &[f64]) -> Vec<f64> {
        (0..self.out.len()).map(|node| values[self.place(states, node)]).collect()
    }

    /// The number of the (first) edge between two nodes.
    pub fn edge(&self, states: &States, parent: usize, child: usize) -> usize {
        let (parent, child) = (self.place(states, parent), self.place(states, child) as u32);
        states.children(parent).iter().find(|(to, _)| *to == child).expect("there is such an edge").1 as usize
    }
}

impl Environment for Graph {
    fn cells(&self) -> usize {
        1
    }

    fn moves(&self) -> usize {
        self.out.iter().map(Vec::len).max().unwrap_or(0)
    }

    fn removals(&self) -> usize {
        self.into.iter().map(Vec::len).max().unwrap_or(0)
    }

    fn longest(&self) -> usize {
        // Relaxed once per node; a cycle runs into the cap.
        let (cap, mut moves) = (self.out.len(), vec![0; self.out.len()]);
        for _ in 0..cap {
            for (parent, children) in self.out.iter().enumerate() {
                children
                    .iter()
                    .for_each(|child| moves[*child] = moves[*child].max((moves[parent] + 1).min(cap)));
            }
        }
        moves.into_iter().max().unwrap_or(0)
    }

    fn stops(&self) -> bool {
        self.objects.iter().any(|node| !self.out[*node].is_empty())
    }

    fn source(&self, state: &mut [Cell]) {
        state.fill(0);
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        self.objects.contains(&usize::from(state[0]))
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        let edges = self.out[usize::from(state[0])].len();
        mask.iter_mut().enumerate().for_each(|(action, may)| *may = action < edges);
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        let edges = self.into[usize::from(state[0])].len();
        mask.iter_mut().enumerate().for_each(|(removal, may)| *may = removal < edges);
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        let parent = usize::from(state[0]);
        let child = self.out[parent][action];
        state[0] = child as Cell;
        self.into[child]
            .iter()
            .position(|edge| *edge == (parent, action))
            .expect("each edge is in both lists")
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        let (parent, action) = self.into[usize::from(state[0])][removal];
        state[0] = parent as Cell;
        action
    }

    fn features(&self) -> usize {
        self.out.len()
    }

    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        on.push(u32::from(state[0]));
    }

    fn describe(&self, state: &[Cell]) -> String {
        format!("node {}", state[0])
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        state[0] =
            text.trim_start_matches("node ").parse().map_err(|_| format!("{text}; allowed: a number"))?;
        Ok(())
    }
}

#[test]
fn graphs_are_environments() {
    use crate::environment::check::exhaustively;
    assert_eq!(exhaustively(&Graph::toy().0, 11), Ok(11));
    assert_eq!(exhaustively(&Graph::subsets(4).0, 16), Ok(16));
    assert_eq!(exhaustively(&Graph::random(40, 1).0, 40), Ok(40));
}
