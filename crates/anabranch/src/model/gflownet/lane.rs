//! Trajectories of one thread: walked here, scored and differentiated on the same tape in `scored.rs`.
//!
//! A *node* is a state on a trajectory. Nodes are made in the order of the walk, all living trajectories a step at a time;
//! [`Lane::finish`] lists them trajectory by trajectory, in the order from the source. A node's *row* is where the network
//! answered at it: trajectories that start alike share their first row, and a state at which nothing is asked has none.

mod scored;

use crate::environment::{Ahead, Edge};
use crate::error::{Error, Result};
use crate::network::taped::{Evaluator, NONE, Tape};
use crate::policy::{Behaviour, NoLaw, Policy};
use crate::rng::Noise;

/// A walk's direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// One state on a trajectory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) trajectory: u32,
    row: u32,
    /// The edge to the next state of the walk.
    edge: Edge,
}

/// A parent: its row, and the edge that leads from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parent {
    pub(super) row: u32,
    pub(super) edge: Edge,
}

/// Trajectories that share a tape.
pub struct Lane<P: Policy> {
    pub(super) tape: Tape,
    pub(super) nodes: Vec<Node>,
    /// `[nodes, cells]`.
    pub(super) states: Vec<P::Cell>,
    direction: Direction,
    /// `[trajectories, width]`, or empty.
    pub(super) conditions: Vec<f32>,
    pub(super) width: usize,
    /// Trajectory `b` has the nodes `order[starts[b]..starts[b + 1]]`, from the source on.
    starts: Vec<usize>,
    /// `[trajectories]`: whether the walk was given up before its end.
    cut: Vec<bool>,
    pub(super) order: Vec<u32>,
    alive: Vec<u32>,
    moved: Vec<u32>,
    pub(super) work: P::Work,
    /// `[rows, row_stride(outputs)]`.
    pub(super) slopes: Vec<f32>,
    /// What other weights answered at the same rows, `[rows, row_stride(outputs)]`, or empty.
    reference: Vec<f32>,
    /// The parents of states, how many each has, and their states.
    pub(super) parents: Vec<Parent>,
    pub(super) parent_counts: Vec<usize>,
    pub(super) parent_states: Vec<P::Cell>,
    /// Why the walk was not made.
    pub(super) failure: Option<Error>,
    /// Rows of parents that are asked for nothing but `P_B`, and `log P_B` of removals.
    pub(super) aside: Tape,
    pub(super) log_backward: Vec<f32>,
}

impl<P: Policy> Default for Lane<P> {
    fn default() -> Self {
        Self {
            tape: Tape::default(),
            nodes: Vec::new(),
            states: Vec::new(),
            direction: Direction::Forward,
            conditions: Vec::new(),
            width: 0,
            starts: vec![0],
            cut: Vec::new(),
            order: Vec::new(),
            alive: Vec::new(),
            moved: Vec::new(),
            work: P::Work::default(),
            slopes: Vec::new(),
            reference: Vec::new(),
            parents: Vec::new(),
            parent_counts: Vec::new(),
            parent_states: Vec::new(),
            failure: None,
            aside: Tape::default(),
            log_backward: Vec::new(),
        }
    }
}

impl<P: Policy> Lane<P> {
    /// How many trajectories there are.
    pub fn trajectories(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The rows that the network answered.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// Walks forward from `sources`, `[trajectories, cells]`, until every trajectory has stopped, or, where walks can come
    /// back to a state, is cut short after the most moves; trajectory `i` draws row `i` of `noise`.
    ///
    /// # Errors
    /// If the policy has no law at a state.
    pub fn forward(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        sources: &[P::Cell],
        conditions: &[f32],
        behaviour: Behaviour,
        noise: &Noise,
    ) -> Result<()> {
        let walked = self.walk_forward(policy, evaluator, sources, conditions, behaviour, noise);
        policy.failure().map_or(walked, |problem| Err(problem.into()))
    }

    fn walk_forward(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        sources: &[P::Cell],
        conditions: &[f32],
        behaviour: Behaviour,
        noise: &Noise,
    ) -> Result<()> {
        let cells = policy.cells();
        let count = sources.len() / cells;
        policy.foresee(sources, Ahead::Here);
        self.begin(count, conditions, Direction::Forward);
        let alike =
            conditions.is_empty() && sources.chunks_exact(cells).all(|source| *source == sources[..cells]);
        for (i, source) in sources.chunks_exact(cells).enumerate() {
            let row = if alike && i > 0 { self.nodes[0].row } else { self.row(policy, i, source, NONE) };
            self.node(i, source, row);
        }
        let mut first = 0;
        for time in 0u32.. {
            self.answer(policy, evaluator, first);
            first = self.tape.rows();
            let spent = time as usize >= policy.longest();
            if self.alive.is_empty() || (spent && !policy.cyclic()) {
                break;
            }
            let noise = noise.step(time);
            if policy.foresees() && !spent {
                self.foresee_moves(policy, behaviour, &noise);
            }
            self.moved.clear();
            for at in 0..self.alive.len() {
                let last = self.alive[at];
                let Node { trajectory, row, .. } = self.nodes[last as usize];
                let start = self.states.len();
                self.states.extend_from_within(last as usize * cells..(last as usize + 1) * cells);
                let state = &mut self.states[start..];
                if policy.must_stop(state) {
                    self.states.truncate(start);
                    continue;
                }
                let outputs = self.tape.output(row as usize, policy.outputs());
                let mut stream = noise.stream(trajectory as usize);
                let drawn = policy.draw_forward(state, outputs, behaviour, &mut stream, &mut self.work);
                let Some(edge) = drawn.map_err(|NoLaw| no_law(policy, "forward", state))? else {
                    self.states.truncate(start);
                    continue;
                };
                if spent {
                    self.cut[trajectory as usize] = true;
                    self.states.truncate(start);
                    continue;
                }
                self.nodes[last as usize].edge = edge;
                let silent = policy.must_stop(&self.states[start..]) && !policy.reads_last();
                let row = if silent { NONE } else { self.row_of(policy, trajectory as usize, start, row) };
                let next = self.nodes.len() as u32;
                self.nodes.push(Node { trajectory, row, edge: Edge::default() });
                if !silent {
                    self.moved.push(next);
                }
            }
            std::mem::swap(&mut self.alive, &mut self.moved);
        }
        self.finish(count);
        Ok(())
    }

    /// Walks backward from `objects`, `[trajectories, cells]`, until every trajectory has reached the source, or has made
    /// as many removals as `most` says, `[trajectories]` or empty; where walks can come back to a state, one that is not at
    /// the source after the most moves is cut short.
    ///
    /// # Errors
    /// If the policy has no law at a state.
    pub fn backward(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        objects: &[P::Cell],
        conditions: &[f32],
        most: &[u32],
        noise: &Noise,
    ) -> Result<()> {
        let walked = self.walk_backward(policy, evaluator, objects, conditions, most, noise);
        policy.failure().map_or(walked, |problem| Err(problem.into()))
    }

    fn walk_backward(
        &mut self,
        policy: &P,
        evaluator: &dyn Evaluator,
        objects: &[P::Cell],
        conditions: &[f32],
        most: &[u32],
        noise: &Noise,
    ) -> Result<()> {
        let cells = policy.cells();
        let count = objects.len() / cells;
        policy.foresee(objects, Ahead::Here);
        self.begin(count, conditions, Direction::Backward);
        for (i, object) in objects.chunks_exact(cells).enumerate() {
            let silent = policy.must_stop(object) && !policy.reads_last();
            let row = if silent { NONE } else { self.row(policy, i, object, NONE) };
            self.node(i, object, row);
        }
        let mut first = 0;
        for time in 0u32.. {
            // Where no network says how to go back, all rows are answered at once at the end.
            if policy.learns_backward() {
                self.answer(policy, evaluator, first);
                first = self.tape.rows();
            }
            if self.alive.is_empty() {
                break;
            }
            let spent = time as usize >= policy.longest();
            let noise = noise.step(time);
            self.moved.clear();
            if let Some(removals) = policy.implied() {
                self.weigh_removals(policy, evaluator, removals);
            }
            if policy.foresees() {
                self.foresee_removals(policy, most, time, &noise);
            }
            for at in 0..self.alive.len() {
                let last = self.alive[at];
                let Node { trajectory, row, .. } = self.nodes[last as usize];
                if most.get(trajectory as usize).is_some_and(|most| time >= *most) {
                    continue;
                }
                let start = self.states.len();
                self.states.extend_from_within(last as usize * cells..(last as usize + 1) * cells);
                let outputs = removal_row(policy, &self.tape, &self.log_backward, at, row);
                let mut stream = noise.stream(trajectory as usize);
                let state = &mut self.states[start..];
                let drawn = policy.draw_backward(state, outputs, &mut stream, &mut self.work);
                let Some(edge) = drawn.map_err(|NoLaw| no_law(policy, "backward", state))? else {
                    self.states.truncate(start);
                    continue;
                };
                if spent {
                    self.cut[trajectory as usize] = true;
                    self.states.truncate(start);
                    continue;
                }
                self.nodes[last as usize].edge = edge;
                let row = self.row_of(policy, trajectory as usize, start, NONE);
                self.moved.push(self.nodes.len() as u32);
                self.nodes.push(Node { trajectory, row, edge: Edge::default() });
            }
            std::mem::swap(&mut self.alive, &mut self.moved);
        }
        self.answer(policy, evaluator, first);
        self.finish(count);
        Ok(())
    }

    /// Tells the policy which moves this step of the walk is going to make.
    fn foresee_moves(&mut self, policy: &P, behaviour: Behaviour, noise: &Noise) {
        let (cells, mut states, mut moves) = (policy.cells(), Vec::new(), Vec::new());
        for last in &self.alive {
            let Node { trajectory, row, .. } = self.nodes[*last as usize];
            let state = &self.states[*last as usize * cells..][..cells];
            let mut stream = noise.stream(trajectory as usize);
            if policy.must_stop(state) {
                continue;
            }
            let outputs = self.tape.output(row as usize, policy.outputs());
            if let Some(action) = policy.next_move(state, outputs, behaviour, &mut stream, &mut self.work) {
                states.extend_from_slice(state);
                moves.push(action);
            }
        }
        policy.foresee(&states, Ahead::Moves(&moves));
    }

    /// Tells the policy which removals this step of the walk is going to make; see [`Lane::backward`] for `most`.
    fn foresee_removals(&mut self, policy: &P, most: &[u32], time: u32, noise: &Noise) {
        let (cells, mut states, mut removals) = (policy.cells(), Vec::new(), Vec::new());
        for (at, last) in self.alive.iter().enumerate() {
            let Node { trajectory, row, .. } = self.nodes[*last as usize];
            let state = &self.states[*last as usize * cells..][..cells];
            let outputs = removal_row(policy, &self.tape, &self.log_backward, at, row);
            let mut stream = noise.stream(trajectory as usize);
            if most.get(trajectory as usize).is_none_or(|most| time < *most)
                && let Some(removal) = policy.next_removal(state, outputs, &mut stream, &mut self.work)
            {
                states.extend_from_slice(state);
                removals.push(removal);
            }
        }
        policy.foresee(&states, Ahead::Removals(&removals));
    }

    /// Asks other weights about the same trajectories.
    pub fn ask_again(&mut self, policy: &P, evaluator: &dyn Evaluator) {
        self.tape.forget();
        self.answer(policy, evaluator, 0);
    }

    /// Keeps what the present weights answered as the reference.
    pub fn keep_reference(&mut self) {
        self.reference.clear();
        self.reference.extend_from_slice(self.tape.outputs());
    }

    /// Asks other weights about the same trajectories, and keeps their answers as the reference only.
    pub fn ask_reference(&mut self, policy: &P, evaluator: &dyn Evaluator) {
        let own = self.tape.set_aside();
        self.answer(policy, evaluator, 0);
        self.reference.clear();
        self.reference.extend_from_slice(self.tape.outputs());
        self.tape.restore(own);
    }

    fn begin(&mut self, count: usize, conditions: &[f32], direction: Direction) {
        self.tape.clear();
        self.nodes.clear();
        self.states.clear();
        self.reference.clear();
        self.conditions.clear();
        self.conditions.extend_from_slice(conditions);
        self.width = conditions.len() / count.max(1);
        self.cut.clear();
        self.cut.resize(count, false);
        self.direction = direction;
        self.alive.clear();
        self.alive.extend(0..count as u32);
    }

    fn node(&mut self, trajectory: usize, state: &[P::Cell], row: u32) {
        self.states.extend_from_slice(state);
        self.nodes.push(Node { trajectory: trajectory as u32, row, edge: Edge::default() });
    }

    /// A new row for a state.
    fn row(&mut self, policy: &P, trajectory: usize, state: &[P::Cell], parent: u32) -> u32 {
        let condition = &self.conditions[trajectory * self.width..][..self.width];
        encode(&mut self.tape, policy, state, condition, parent)
    }

    /// A new row for the state that stands at `start`.
    fn row_of(&mut self, policy: &P, trajectory: usize, start: usize, parent: u32) -> u32 {
        let condition = &self.conditions[trajectory * self.width..][..self.width];
        encode(&mut self.tape, policy, &self.states[start..], condition, parent)
    }

    /// Evaluates the rows from `first` on, and makes them log-probabilities.
    fn answer(&mut self, policy: &P, evaluator: &dyn Evaluator, first: usize) {
        if first == self.tape.rows() {
            return;
        }
        evaluator.evaluate(&mut self.tape, first);
        let (cells, outputs) = (policy.cells(), policy.outputs());
        let mut next = first as u32;
        // Rows come in the order of their nodes; a shared row is its first node's.
        let newest = self.nodes.len()
            - self.nodes.iter().rev().take_while(|node| node.row == NONE || node.row >= next).count();
        for index in newest..self.nodes.len() {
            if self.nodes[index].row == next {
                let state = &self.states[index * cells..][..cells];
                policy.prepare(state, self.tape.output_mut(next as usize, outputs), &mut self.work);
                next += 1;
            }
        }
    }

    /// Lists the nodes trajectory by trajectory.
    fn finish(&mut self, count: usize) {
        self.starts.clear();
        self.starts.resize(count + 1, 0);
        self.nodes.iter().for_each(|node| self.starts[node.trajectory as usize + 1] += 1);
        (0..count).for_each(|i| self.starts[i + 1] += self.starts[i]);
        self.order.clear();
        self.order.resize(self.nodes.len(), 0);
        // Filled from either end of a trajectory's stretch; `moved` counts how far.
        self.moved.clear();
        self.moved.resize(count, 0);
        for (index, node) in self.nodes.iter().enumerate() {
            let trajectory = node.trajectory as usize;
            let done = self.moved[trajectory] as usize;
            let place = match self.direction {
                Direction::Forward => self.starts[trajectory] + done,
                Direction::Backward => self.starts[trajectory + 1] - 1 - done,
            };
            self.order[place] = index as u32;
            self.moved[trajectory] += 1;
        }
    }

    /// The states of trajectory `b` from the source on.
    pub fn states<'a>(&'a self, policy: &P, b: usize) -> impl ExactSizeIterator<Item = &'a [P::Cell]> {
        let cells = policy.cells();
        let nodes = self.order[self.starts[b]..self.starts[b + 1]].iter();
        nodes.map(move |node| &self.states[*node as usize * cells..][..cells])
    }

    /// How many moves trajectory `b` has.
    pub fn moves(&self, b: usize) -> usize {
        self.starts[b + 1] - self.starts[b] - 1
    }

    /// Whether trajectory `b` was given up before it stopped, or before it was back at the source.
    pub fn is_cut(&self, b: usize) -> bool {
        self.cut[b]
    }

    /// The object at which trajectory `b` ends.
    pub fn object(&self, policy: &P, b: usize) -> &[P::Cell] {
        let cells = policy.cells();
        &self.states[self.order[self.starts[b + 1] - 1] as usize * cells..][..cells]
    }

    /// The condition of trajectory `b`, empty where there is none.
    pub fn condition(&self, b: usize) -> &[f32] {
        &self.conditions[b * self.width..][..self.width]
    }

    /// The removal that undoes the move to the state at `place` in trajectory order; none at a start.
    pub(super) fn removal(&self, place: usize) -> Option<u32> {
        let node = self.order[place];
        let start = self.starts[self.nodes[node as usize].trajectory as usize];
        let before = (place > start).then(|| self.order[place - 1]);
        before.map(|before| edge(self.direction, &self.nodes, before, node).removal)
    }

    /// The nodes at which the walk is.
    pub(super) fn alive(&mut self) -> &mut Vec<u32> {
        &mut self.alive
    }
}

/// What a removal is drawn by at the node at place `at` among the living ones.
fn removal_row<'a, P: Policy>(
    policy: &P,
    tape: &'a Tape,
    log_backward: &'a [f32],
    at: usize,
    row: u32,
) -> &'a [f32] {
    match (policy.learns_backward(), policy.implied()) {
        (true, _) => tape.output(row as usize, policy.outputs()),
        (false, Some(removals)) => &log_backward[at * removals..][..removals],
        (false, None) => &[],
    }
}

pub(super) fn no_law<P: Policy>(policy: &P, direction: &str, state: &[P::Cell]) -> Error {
    let (term, detail) = (format!("the {direction} policy"), format!("at {}", policy.describe(state)));
    Error::Numeric { step: 0, term, detail }
}

/// The edge between two nodes, which is kept at the end from which it was walked.
fn edge(direction: Direction, nodes: &[Node], earlier: u32, later: u32) -> Edge {
    match direction {
        Direction::Forward => nodes[earlier as usize].edge,
        Direction::Backward => nodes[later as usize].edge,
    }
}

pub(super) fn encode<P: Policy>(
    tape: &mut Tape,
    policy: &P,
    state: &[P::Cell],
    condition: &[f32],
    parent: u32,
) -> u32 {
    tape.push(parent, |on, dense| {
        policy.encode(state, on, dense);
        dense.extend_from_slice(condition);
    })
}
