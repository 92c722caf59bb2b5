//! A policy as the kernels of a chain.
//!
//! ```text
//! s_0 -> s_1 -> ... -> s_n = x -> x, stopped -> x, stopped ...      a step is an action of every object that is not stopped
//! log P_B - log P_F       of a move  log P_B(s_{t-1} | s_t) - log P_F(s_t | s_{t-1}),   of stopping  - log P_F(s_f | x)
//! ```
//!
//! A chain has one step more than a trajectory has moves at most. Trajectories differ in length: forward they wait stopped at
//! their end, backward at their source. Waiting has ratio 0 and is no part of the trajectory, so that log-weights are those of
//! [`Batch`](super::Batch), which walks the same trajectories on fewer rows and differentiates them.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::lane::{encode, no_law};
use crate::chain::{Batch, Chain, Densities, Given, LogWeight, Rows, Score, Source, Step, Transition};
use crate::environment::Edge;
use crate::error::{Failure, Problem, Result};
use crate::network::taped::{Evaluator, NONE, Tape};
use crate::policy::{Behaviour, NoLaw, Policy, Visit};
use crate::rng::Noise;

/// Objects that are being built.
#[derive(Debug, Clone, PartialEq)]
pub struct Objects<C> {
    /// Their cells, `[trajectories, cells]`.
    pub cells: Rows<C>,
    /// The move that led to each, where it is known and there was one.
    pub came: Vec<Option<Edge>>,
    /// Whether each is finished.
    pub stopped: Vec<bool>,
}

impl<C: Copy> Objects<C> {
    /// Finished objects: what a backward walk starts from.
    pub fn finished(cells: Rows<C>) -> Self {
        let rows = cells.rows();
        Self { cells, came: vec![None; rows], stopped: vec![true; rows] }
    }

    fn row(&self, row: usize) -> &[C] {
        &self.cells.values[row * self.cells.columns..][..self.cells.columns]
    }
}

impl<C: Copy> Batch for Objects<C> {
    fn rows(&self) -> usize {
        self.cells.rows()
    }

    fn select(&self, rows: &[u32]) -> Self {
        let of = |row: &u32| *row as usize;
        Self {
            cells: self.cells.select(rows),
            came: rows.iter().map(|row| self.came[of(row)]).collect(),
            stopped: rows.iter().map(|row| self.stopped[of(row)]).collect(),
        }
    }

    fn concat(parts: Vec<Self>) -> Self {
        let (mut cells, mut came, mut stopped) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            cells.push(part.cells);
            came.extend(part.came);
            stopped.extend(part.stopped);
        }
        Self { cells: Rows::concat(cells), came, stopped }
    }
}

/// A policy with its network at given weights.
pub struct PolicyKernels<'a, P: Policy> {
    policy: &'a P,
    evaluator: Box<dyn Evaluator + 'a>,
}

impl<'a, P: Policy> PolicyKernels<'a, P> {
    /// Of a policy whose trajectories end by themselves, and whose removals need no parents to be asked.
    ///
    /// # Errors
    /// If walks can come back to a state, or `P_B` is implied by edge flows.
    pub fn new(policy: &'a P, evaluator: Box<dyn Evaluator + 'a>) -> Result<Self> {
        let refused =
            |found: &str| Problem::new("the policy", found).allowed("one with a law of either direction");
        if policy.cyclic() {
            return Err(refused("walks that may have to be given up").into());
        }
        if policy.implied().is_some() {
            return Err(refused("removals by the flows of edges").into());
        }
        Ok(Self { policy, evaluator })
    }

    /// The chain from the policy's source to its finished objects.
    pub fn chain(&self) -> Chain<'_, Objects<P::Cell>> {
        let step = || Box::new(PolicyStep(self)) as Box<dyn Transition<Objects<P::Cell>> + '_>;
        let transitions = (0..=self.policy.longest()).map(|_| step()).collect();
        Chain { source: Box::new(PolicySource(self.policy)), transitions }
    }

    /// What the network answers at the given rows, prepared.
    fn answers(&self, objects: &Objects<P::Cell>, rows: &[usize], given: &Given, work: &mut P::Work) -> Tape {
        let mut tape = Tape::default();
        for row in rows {
            let condition = if given.width() == 0 { &[] } else { given.row(*row) };
            encode(&mut tape, self.policy, objects.row(*row), condition, NONE);
        }
        self.evaluator.evaluate(&mut tape, 0);
        for (at, row) in rows.iter().enumerate() {
            self.policy.prepare(objects.row(*row), tape.output_mut(at, self.policy.outputs()), work);
        }
        tape
    }

    /// Both log-probabilities of the steps between two batches.
    fn densities(
        &self,
        before: &Objects<P::Cell>,
        after: &Objects<P::Cell>,
        given: &Given,
    ) -> Result<Densities, Failure> {
        let (policy, outputs) = (self.policy, self.policy.outputs());
        let mut work = P::Work::default();
        let moved: Vec<usize> = (0..before.rows()).filter(|row| !before.waits(after, *row)).collect();
        if let Some(row) = (0..before.rows()).find(|row| !after.tells(before, *row)) {
            let found = "a state whose move is not known";
            return Err(Problem::new(format!("row {row} of the objects"), found)
                .allowed("states as a walk leaves them: those of a forward walk, or one step's own ends")
                .into());
        }
        let (mut forward, mut backward) = (vec![0.0; before.rows()], vec![0.0; before.rows()]);
        let here = self.answers(before, &moved, given, &mut work);
        let there = self.answers(after, &moved, given, &mut work);
        for (at, row) in moved.into_iter().enumerate() {
            let (from, to) = (before.row(row), after.row(row));
            let edge = after.came[row].filter(|_| !after.stopped[row]);
            let visit = Visit { state: from, came: None, went: edge.map(|edge| (edge, to)) };
            let said = policy.log_probabilities(visit, here.output(at, outputs), &mut work);
            // Where stopping is the only action it has probability 1.
            let forced = edge.is_none() && policy.must_stop(from);
            forward[row] = if forced { 0.0 } else { said.forward };
            if let Some(edge) = edge {
                let visit = Visit { state: to, came: Some((edge, from)), went: None };
                backward[row] =
                    policy.log_probabilities(visit, there.output(at, outputs), &mut work).backward;
            }
        }
        Ok(Densities { forward: numbers(forward), backward: numbers(backward) })
    }
}

impl<C: Copy + PartialEq> Objects<C> {
    /// Whether it is known how row `row` came to be from what it was before.
    fn tells(&self, before: &Self, row: usize) -> bool {
        self.stopped[row] || self.came[row].is_some() || self.row(row) == before.row(row)
    }

    /// Whether row `row` waits between two batches, at its end or at its source.
    fn waits(&self, after: &Self, row: usize) -> bool {
        let at_end = self.stopped[row] && after.stopped[row];
        let at_source = !after.stopped[row] && after.came[row].is_none();
        at_end || at_source
    }
}

/// `[trajectories]`, f64.
fn numbers(values: Vec<f64>) -> LogWeight {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), (&Device::flex(), DType::F64))
}

struct PolicySource<'a, P>(&'a P);

impl<P: Policy> Source<Objects<P::Cell>> for PolicySource<'_, P> {
    fn sample(&self, rows: usize, _: &Given, _: &Noise) -> Result<Objects<P::Cell>, Failure> {
        let columns = self.0.cells();
        let mut source = vec![P::Cell::default(); columns];
        self.0.source(&mut source);
        let cells = Rows { columns, values: source.repeat(rows) };
        Ok(Objects { cells, came: vec![None; rows], stopped: vec![false; rows] })
    }

    fn log_density(&self, state: &Objects<P::Cell>, _: &Given) -> Result<LogWeight, Failure> {
        Ok(numbers(vec![0.0; state.rows()]))
    }
}

struct PolicyStep<'a, P: Policy>(&'a PolicyKernels<'a, P>);

impl<P: Policy> PolicyStep<'_, P> {
    /// The next states of a forward walk.
    fn walk(
        &self,
        from: &Objects<P::Cell>,
        given: &Given,
        noise: &Noise,
    ) -> Result<Objects<P::Cell>, Failure> {
        let PolicyKernels { policy, .. } = self.0;
        let (mut work, mut to, columns) = (P::Work::default(), from.clone(), from.cells.columns);
        let alive: Vec<usize> = (0..from.rows()).filter(|row| !from.stopped[*row]).collect();
        let answers = self.0.answers(from, &alive, given, &mut work);
        for (at, row) in alive.into_iter().enumerate() {
            let state = &mut to.cells.values[row * columns..][..columns];
            let edge = match policy.must_stop(state) {
                true => None,
                false => {
                    let (mut stream, output) = (noise.stream(row), answers.output(at, policy.outputs()));
                    let drawn =
                        policy.draw_forward(state, output, Behaviour::default(), &mut stream, &mut work);
                    drawn.map_err(|NoLaw| no_law(*policy, "forward", state))?
                }
            };
            (to.came[row], to.stopped[row]) = (edge, edge.is_none());
        }
        policy.failure().map_or(Ok(to), |problem| Err(problem.into()))
    }
}

impl<P: Policy> Transition<Objects<P::Cell>> for PolicyStep<'_, P> {
    fn forward(
        &self,
        from: Objects<P::Cell>,
        given: &Given,
        noise: &Noise,
    ) -> Result<Step<Objects<P::Cell>>, Failure> {
        let to = self.walk(&from, given, noise)?;
        Ok(self.0.densities(&from, &to, given)?.forward_step(to))
    }

    fn backward(
        &self,
        from: Objects<P::Cell>,
        given: &Given,
        noise: &Noise,
    ) -> Result<Step<Objects<P::Cell>>, Failure> {
        let PolicyKernels { policy, .. } = self.0;
        let (mut work, columns) = (P::Work::default(), from.cells.columns);
        let (mut before, mut after) = (from.clone(), from);
        // What is finished was stopped; what is not has a move behind it, unless it is where walks begin.
        let unfinished: Vec<usize> = (0..after.rows()).filter(|row| !after.stopped[*row]).collect();
        let answers = match policy.learns_backward() {
            true => self.0.answers(&after, &unfinished, given, &mut work),
            false => Tape::default(),
        };
        for (at, row) in unfinished.into_iter().enumerate() {
            let state = &mut before.cells.values[row * columns..][..columns];
            let output = if policy.learns_backward() { answers.output(at, policy.outputs()) } else { &[] };
            let drawn = policy.draw_backward(state, output, &mut noise.stream(row), &mut work);
            after.came[row] = drawn.map_err(|NoLaw| no_law(*policy, "backward", state))?;
        }
        if let Some(problem) = policy.failure() {
            return Err(problem.into());
        }
        before.came.fill(None);
        before.stopped.fill(false);
        Ok(self.0.densities(&before, &after, given)?.backward_step(before))
    }

    fn sample(
        &self,
        from: Objects<P::Cell>,
        given: &Given,
        noise: &Noise,
    ) -> Result<Objects<P::Cell>, Failure> {
        self.walk(&from, given, noise)
    }

    fn score(
        &self,
        before: &Objects<P::Cell>,
        after: &Objects<P::Cell>,
        given: &Given,
    ) -> Result<Score, Failure> {
        Ok(Score::Densities(self.0.densities(before, after, given)?))
    }
}
