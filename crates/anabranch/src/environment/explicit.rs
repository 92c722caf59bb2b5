//! Explicit graphs: a small environment given edge by edge, with the rewards of its objects.
//!
//! One row per edge of the flow network: a row without child is the edge into the sink, and its value is the reward. A value
//! of another edge is the probability that the environment takes it: its parent is a chance node.
//!
//! ```text
//! parent,child,value
//! start,left,             start -> left
//! left,right,0.25         at left the environment moves: to right with probability 1/4
//! left,end,0.75
//! right,end,
//! right,,3                R(right) = 3
//! end,,0.5                R(end) = 0.5
//! ```
//!
//! Empty lines and lines that start with `#` are left out. The source is the one node without parents.
//!
//! State: the number of the node, in the order in which the rows name them.

use std::collections::{HashMap, HashSet, VecDeque};

use super::text::Names;
use super::{Cell, Environment};
use crate::error::{Problem, quoted};
use crate::math::log_sum_exp;

const HEADER: &str = "parent,child,value";

/// A graph given edge by edge. Moves are numbered by the children of a node, removals by its parents, in order of the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplicitGraph {
    names: Names,
    nodes: Vec<Node>,
    source: usize,
    moves: usize,
    removals: usize,
    longest: usize,
    cyclic: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Node {
    /// By move: the child, and the removal that leads back.
    children: Vec<(Cell, Cell)>,
    /// By removal: the parent, and the move that leads here.
    parents: Vec<(Cell, Cell)>,
    /// By move, at a chance node; else empty.
    log_probabilities: Vec<f32>,
    log_reward: f64,
    log_paths: Option<f64>,
}

/// A graph as it is given.
#[derive(Default)]
struct Rows {
    names: Vec<String>,
    rows: Vec<Row>,
}

/// An edge, or a reward where there is no child.
struct Row {
    place: String,
    parent: usize,
    child: Option<usize>,
    value: Option<f64>,
}

impl ExplicitGraph {
    /// The acyclic graph of names, edges from parent to child, and rewards, nodes by their place among the names.
    ///
    /// # Errors
    /// If two names are alike, or a name holds white space or a comma; a number is none of a node; an edge or a reward stands
    /// twice; a reward is not positive; there is not one source; there is a cycle; no object is ahead of a node.
    pub fn new<S: AsRef<str>>(
        names: &[S],
        edges: &[(usize, usize)],
        rewards: &[(usize, f64)],
    ) -> Result<Self, Problem> {
        let edges = edges.iter().enumerate().map(|(i, (parent, child))| Row {
            place: format!("edges[{i}]"),
            parent: *parent,
            child: Some(*child),
            value: None,
        });
        let rewards = rewards.iter().enumerate().map(|(i, (parent, reward))| Row {
            place: format!("rewards[{i}]"),
            parent: *parent,
            child: None,
            value: Some(*reward),
        });
        let names = names.iter().map(|name| name.as_ref().to_owned()).collect();
        Self::build("graph", &Rows { names, rows: edges.chain(rewards).collect() }, None)
    }

    /// Reads an acyclic graph; `origin` is the file's name in messages.
    ///
    /// # Errors
    /// As [`ExplicitGraph::new`], and if a line does not read as a row: the message says which.
    pub fn read(origin: &str, text: &str) -> Result<Self, Problem> {
        Self::build(origin, &Rows::read(origin, text)?, None)
    }

    /// Reads a graph that may have cycles, in which a walk is cut after `longest` moves.
    ///
    /// # Errors
    /// As [`ExplicitGraph::read`], cycles apart; or if an object is more than `longest` moves away.
    pub fn read_cyclic(origin: &str, text: &str, longest: usize) -> Result<Self, Problem> {
        Self::build(origin, &Rows::read(origin, text)?, Some(longest))
    }

    /// The DAG of figure 2 in "GFlowNet Foundations" (Bengio et al. 2023): 11 nodes, 13 complete trajectories, Z = 112.
    pub fn toy() -> Self {
        let text = include_str!("../../../../data/toy-dag.csv");
        Self::read("toy-dag.csv", text).expect("the embedded graph is valid")
    }

    /// Two actions, each of which the environment answers with one of two objects, `x1` with probability 0.8 or 0.3: with
    /// equal rewards the policy takes the first with probability 0.4, and there are rewards that no policy fits.
    pub fn two_actions() -> Self {
        let text = include_str!("../../../../data/two-actions.csv");
        Self::read("two-actions.csv", text).expect("the embedded graph is valid")
    }

    /// Two objects a and b between which one can walk for ever: `F(a) = Z + c` and `F(b) = R(b) + c` for any circulation c.
    /// A walk is cut after `longest` moves.
    ///
    /// # Errors
    /// If `longest` is less than 2.
    pub fn two_cycle(longest: usize) -> Result<Self, Problem> {
        Self::read_cyclic("two-cycle.csv", include_str!("../../../../data/two-cycle.csv"), longest)
    }

    /// `log R` of a node, `-inf` where it is no object. Nats.
    pub fn log_reward(&self, state: &[Cell]) -> f64 {
        self.node(state).log_reward
    }

    fn node(&self, state: &[Cell]) -> &Node {
        &self.nodes[usize::from(state[0])]
    }

    fn build(origin: &str, rows: &Rows, walk: Option<usize>) -> Result<Self, Problem> {
        let names = Names::new(origin, &rows.names, ",")?;
        super::text::size(&format!("{origin}: number of nodes"), names.len(), 1..=usize::from(Cell::MAX))?;
        let mut nodes = connect(origin, &names, &rows.rows)?;
        let source = the_source(origin, &names, &nodes)?;
        let problem = |found: String, allowed: &str| Err(Problem::new(origin, found).allowed(allowed));
        let order = topological(&nodes);
        let cyclic = order.len() < nodes.len();
        if cyclic && walk.is_none() {
            return problem(format!("the cycle {}", a_cycle(&names, &nodes, &order)), "acyclic graphs");
        }
        let depths = distances(&nodes, &[source], |node| &node.children);
        if let Some(node) = depths.iter().position(Option::is_none) {
            return problem(
                format!("{}, to which no edges lead", quoted(&names[node])),
                "nodes ahead of the source",
            );
        }
        let objects: Vec<usize> =
            (0..nodes.len()).filter(|node| nodes[*node].log_reward.is_finite()).collect();
        let ahead = distances(&nodes, &objects, |node| &node.parents);
        let lost = (0..nodes.len()).filter(|node| ahead[*node].is_none());
        if let Some(node) = lost.min_by_key(|node| nodes[*node].children.len()) {
            let found = format!("{}, ahead of which nothing has a reward", quoted(&names[node]));
            return problem(found, "nodes with a reward themselves or ahead");
        }
        let mut longest = walk.unwrap_or(0);
        if cyclic {
            let farthest = objects.iter().filter_map(|object| depths[*object]).max().unwrap_or(0);
            if longest < farthest {
                return Err(
                    Problem::new("longest", longest.to_string()).allowed(format!("{farthest} or more"))
                );
            }
        } else {
            longest = count_paths(&mut nodes, &order);
        }
        let most = |edges: fn(&Node) -> usize| nodes.iter().map(edges).max().unwrap_or(0);
        let (moves, removals) = (most(|node| node.children.len()), most(|node| node.parents.len()));
        Ok(Self { names, source, moves, removals, longest, cyclic, nodes })
    }
}

impl Rows {
    fn read(origin: &str, text: &str) -> Result<Self, Problem> {
        let lines =
            text.lines().enumerate().map(|(i, line)| (format!("{origin}, line {}", i + 1), line.trim()));
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let (place, header) = lines.next().unwrap_or_else(|| (origin.to_owned(), ""));
        if header.split(',').map(str::trim).ne(HEADER.split(',')) {
            return Err(Problem::new(place, quoted(header)).allowed(format!("the header {HEADER}")));
        }
        let (mut rows, mut numbers) = (Self::default(), HashMap::new());
        for (place, line) in lines {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [parent, child, value] = fields[..] else {
                return Err(Problem::new(place, quoted(line)).allowed(format!("three fields, {HEADER}")));
            };
            let mut number = |name: &str| {
                *numbers.entry(name.to_owned()).or_insert_with(|| {
                    rows.names.push(name.to_owned());
                    rows.names.len() - 1
                })
            };
            let read = |allowed: &str| {
                let problem = || Problem::new(place.clone(), quoted(value)).allowed(allowed);
                value.parse::<f64>().map_err(|_| problem())
            };
            if parent.is_empty() {
                return Err(Problem::new(place, quoted(line)).allowed("a parent in the first field"));
            }
            let value = match (value, child) {
                ("", child) if !child.is_empty() => None,
                (_, "") => Some(read("a reward, as there is no child")?),
                _ => Some(read("a probability, or nothing")?),
            };
            let (parent, child) = (number(parent), (!child.is_empty()).then(|| number(child)));
            rows.rows.push(Row { place, parent, child, value });
        }
        Ok(rows)
    }
}

/// Nodes with their edges and rewards, each valid by itself.
fn connect(origin: &str, names: &Names, rows: &[Row]) -> Result<Vec<Node>, Problem> {
    let empty = Node {
        children: Vec::new(),
        parents: Vec::new(),
        log_probabilities: Vec::new(),
        log_reward: f64::NEG_INFINITY,
        log_paths: None,
    };
    let mut nodes = vec![empty; names.len()];
    let mut known = HashSet::new();
    for row in rows {
        let problem = |found: String, allowed: &str| Err(Problem::new(&row.place, found).allowed(allowed));
        if let Some(node) =
            [Some(row.parent), row.child].into_iter().flatten().find(|node| *node >= names.len())
        {
            return problem(format!("node {node}"), &format!("0 to {}", names.len() - 1));
        }
        let parent = &names[row.parent];
        let Some(child) = row.child else {
            let reward = row.value.filter(|reward| *reward > 0.0 && reward.is_finite());
            let Some(reward) = reward else {
                return problem(format!("the reward {}", row.value.unwrap_or(0.0)), "positive rewards");
            };
            if nodes[row.parent].log_reward.is_finite() {
                return problem(format!("another reward of {}", quoted(parent)), "one reward of a node");
            }
            nodes[row.parent].log_reward = reward.ln();
            continue;
        };
        let edge = format!("{parent} -> {}", &names[child]);
        if row.parent == child || !known.insert((row.parent, child)) {
            return problem(edge, "one edge between two nodes that differ");
        }
        if let Some(probability) = row.value {
            if !(probability > 0.0 && probability <= 1.0) {
                return problem(format!("the probability {probability}"), "above 0, at most 1");
            }
            nodes[row.parent].log_probabilities.push(probability.ln() as f32);
        }
        let (action, removal) = (nodes[row.parent].children.len(), nodes[child].parents.len());
        nodes[row.parent].children.push((child as Cell, removal as Cell));
        nodes[child].parents.push((row.parent as Cell, action as Cell));
    }
    for (i, node) in nodes.iter_mut().enumerate().filter(|(_, node)| !node.log_probabilities.is_empty()) {
        let problem = |found: String, allowed: &str| Err(Problem::new(origin, found).allowed(allowed));
        let name = quoted(&names[i]);
        if node.log_reward.is_finite() || node.log_probabilities.len() < node.children.len() {
            let found = format!("{name}, some of whose edges have probabilities");
            return problem(found, "probabilities of all edges of a node, which then has no reward");
        }
        let total: f64 = node.log_probabilities.iter().map(|log| f64::from(*log).exp()).sum();
        if (total - 1.0).abs() > 1e-4 {
            return problem(format!("probabilities at {name} that sum to {total:.4}"), "a sum of 1");
        }
        node.log_probabilities.iter_mut().for_each(|log| *log -= total.ln() as f32);
    }
    Ok(nodes)
}

fn the_source(origin: &str, names: &Names, nodes: &[Node]) -> Result<usize, Problem> {
    let sources: Vec<usize> = (0..nodes.len()).filter(|node| nodes[*node].parents.is_empty()).collect();
    if let [source] = sources[..] {
        return Ok(source);
    }
    let shown: Vec<&str> = sources.iter().take(5).map(|node| &names[*node]).collect();
    let found = match sources.len() {
        0 => "a parent of every node".to_owned(),
        count => format!("{count} nodes without parents ({})", shown.join(", ")),
    };
    Err(Problem::new(origin, found).allowed("one node without parents, the source"))
}

/// The nodes that are on no cycle and behind none, each after its parents.
fn topological(nodes: &[Node]) -> Vec<usize> {
    let mut waiting: Vec<usize> = nodes.iter().map(|node| node.parents.len()).collect();
    let mut order: Vec<usize> = (0..nodes.len()).filter(|node| waiting[*node] == 0).collect();
    let mut at = 0;
    while at < order.len() {
        for (child, _) in &nodes[order[at]].children {
            let child = usize::from(*child);
            waiting[child] -= 1;
            if waiting[child] == 0 {
                order.push(child);
            }
        }
        at += 1;
    }
    order
}

/// One cycle among the nodes that a topological order leaves out, all of which have a parent there.
fn a_cycle(names: &Names, nodes: &[Node], order: &[usize]) -> String {
    let ordered: HashSet<usize> = order.iter().copied().collect();
    let left = |node: &usize| !ordered.contains(node);
    let mut walk: Vec<usize> = (0..nodes.len()).find(left).into_iter().collect();
    while let Some(last) = walk.last() {
        let Some(parent) = nodes[*last].parents.iter().map(|(parent, _)| usize::from(*parent)).find(left)
        else {
            break;
        };
        if let Some(first) = walk.iter().position(|node| *node == parent) {
            walk.drain(..first);
            walk.push(parent);
            break;
        }
        walk.push(parent);
    }
    let names: Vec<&str> = walk.iter().rev().map(|node| &names[*node]).collect();
    names.join(" -> ")
}

/// The fewest edges from any of some nodes to each node.
fn distances(nodes: &[Node], from: &[usize], next: fn(&Node) -> &[(Cell, Cell)]) -> Vec<Option<usize>> {
    let mut distances = vec![None; nodes.len()];
    from.iter().for_each(|node| distances[*node] = Some(0));
    let mut open: VecDeque<usize> = from.iter().copied().collect();
    while let Some(node) = open.pop_front() {
        let further = distances[node].map(|distance| distance + 1);
        for (other, _) in next(&nodes[node]) {
            let other = usize::from(*other);
            if distances[other].is_none() {
                distances[other] = further;
                open.push_back(other);
            }
        }
    }
    distances
}

/// Writes `log n(s)` of every node; answers how long the longest path is.
fn count_paths(nodes: &mut [Node], order: &[usize]) -> usize {
    let (mut log_paths, mut depths) = (vec![0.0; nodes.len()], vec![0; nodes.len()]);
    for node in order {
        let parents = || nodes[*node].parents.iter().map(|(parent, _)| usize::from(*parent));
        if nodes[*node].parents.is_empty() {
            continue;
        }
        log_paths[*node] = log_sum_exp(&parents().map(|parent| log_paths[parent]).collect::<Vec<f64>>());
        depths[*node] = parents().map(|parent| depths[parent] + 1).max().unwrap_or(0);
    }
    nodes.iter_mut().zip(log_paths).for_each(|(node, log_paths)| node.log_paths = Some(log_paths));
    depths.into_iter().max().unwrap_or(0)
}

impl Environment for ExplicitGraph {
    fn cells(&self) -> usize {
        1
    }

    fn moves(&self) -> usize {
        self.moves
    }

    fn removals(&self) -> usize {
        self.removals
    }

    fn longest(&self) -> usize {
        self.longest
    }

    fn stops(&self) -> bool {
        self.nodes.iter().any(|node| node.log_reward.is_finite() && !node.children.is_empty())
    }

    fn source(&self, state: &mut [Cell]) {
        state[0] = self.source as Cell;
    }

    fn is_object(&self, state: &[Cell]) -> bool {
        self.node(state).log_reward.is_finite()
    }

    fn all_objects(&self) -> bool {
        self.nodes.iter().all(|node| node.log_reward.is_finite())
    }

    fn allowed(&self, state: &[Cell], mask: &mut [bool]) {
        mask.fill(false);
        mask[..self.node(state).children.len()].fill(true);
    }

    fn removable(&self, state: &[Cell], mask: &mut [bool]) {
        mask.fill(false);
        mask[..self.node(state).parents.len()].fill(true);
    }

    fn apply(&self, state: &mut [Cell], action: usize) -> usize {
        let (child, removal) = self.node(state).children[action];
        state[0] = child;
        usize::from(removal)
    }

    fn undo(&self, state: &mut [Cell], removal: usize) -> usize {
        let (parent, action) = self.node(state).parents[removal];
        state[0] = parent;
        usize::from(action)
    }

    fn features(&self) -> usize {
        self.nodes.len()
    }

    /// The node.
    fn encode(&self, state: &[Cell], on: &mut Vec<u32>) {
        on.push(u32::from(state[0]));
    }

    fn describe(&self, state: &[Cell]) -> String {
        self.names[usize::from(state[0])].to_owned()
    }

    fn parse(&self, text: &str, state: &mut [Cell]) -> Result<(), String> {
        state[0] = self.names.find(text.trim())? as Cell;
        Ok(())
    }

    fn cyclic(&self) -> bool {
        self.cyclic
    }

    fn chance(&self, state: &[Cell], log_probabilities: &mut [f32]) -> bool {
        let known = &self.node(state).log_probabilities;
        if known.is_empty() {
            return false;
        }
        log_probabilities.fill(f32::NEG_INFINITY);
        log_probabilities[..known.len()].copy_from_slice(known);
        true
    }

    fn stochastic(&self) -> bool {
        self.nodes.iter().any(|node| !node.log_probabilities.is_empty())
    }

    fn log_paths(&self, state: &[Cell]) -> Option<f64> {
        self.node(state).log_paths
    }

    fn objects(&self) -> Option<f64> {
        Some(self.nodes.iter().filter(|node| node.log_reward.is_finite()).count() as f64)
    }
}

#[cfg(test)]
mod tests;
