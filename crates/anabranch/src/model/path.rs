//! Paths of a chain as numbers on burn's tape.
//!
//! ```text
//! source -> s_0 -> s_1 -> ... -> s_m = x          one row per stochastic kernel, the source's draw being the first
//! forward[0]   log mu(s_0)                         backward[0]  0
//! forward[r]   log P_F(s_r | s_{r-1})              backward[r]  log P_B(s_{r-1} | s_r)
//! log p(x) >=  E sum_r (forward[r] - backward[r])  along backward paths from x
//! ```
//!
//! A stretch of kernels without densities, bijections above all, behind a kernel belongs to it: `forward[r]` is then the density of its end, by the change of
//! variables, and the states between are decided by that end. Where the model's first segment has a simulation-free estimate
//! it stands, with the source's, for `forward[0]`.
//!
//! Objectives see these numbers as [`Paths`] and answer [`Slopes`]; [`Path::pull`] is the scalar whose gradient is the
//! loss's, since `d loss = sum slope x d number`.

use burn::tensor::{Tensor, TensorData};

use super::{Goal, Model};
use crate::array::weights::to_vec_f64;
use crate::chain::{Densities, Given, LogWeight, Paths, Score, Slopes, State, Transition, double};
use crate::error::Failure;
use crate::rng::{Noise, Purpose};
use crate::target::{Target, log_density};

/// `log w = log R(x) - log mu(s_0) + sum_t [log P_B - log P_F]` of `rows` forward paths, `[rows]`, nats, f64.
///
/// # Errors
/// If a kernel fails, or as [`log_density`].
pub fn forward_log_weights(
    model: &Model,
    target: &dyn Target,
    rows: usize,
    given: &Given,
    noise: &Noise,
) -> Result<LogWeight, Failure> {
    let trajectory = model.chain().generate(rows, given, noise)?;
    Ok(trajectory.log_weight + log_density(target, &trajectory.end, given)?)
}

/// A batch of paths, one column of `[batch]` numbers per row, nats, f64.
#[derive(Debug, Clone)]
pub struct Path {
    /// `log P_F` of every kernel, from the source's on.
    pub forward: Vec<LogWeight>,
    /// `log P_B` of every kernel but the source's draw, which has none: one fewer than [`Path::forward`].
    pub backward: Vec<LogWeight>,
    /// `log R(x)` on the tape, where the loss is to be differentiated through the states.
    pub log_reward: Option<LogWeight>,
    /// `log F(s_{r-1})` of the kernels behind the source's draw, where state flows were asked for.
    pub flow: Vec<LogWeight>,
    /// `log Z` of every path's condition, where it is learned.
    pub log_z: Option<LogWeight>,
}

/// States of forward paths without gradients: what kernels are scored at.
#[derive(Debug, Clone)]
pub struct States(pub(crate) Vec<State>);

impl States {
    /// Draws `rows` forward paths of an untracked model.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn draw(model: &Model, rows: usize, given: &Given, noise: &Noise) -> Result<Self, Failure> {
        let mut states = Vec::new();
        model.chain().sample_observed(rows, given, noise, |_, state: &State| states.push(state.clone()))?;
        Ok(Self(states))
    }

    /// `x = s_T`.
    pub fn end(&self) -> &State {
        self.0.last().expect("a path has a source")
    }
}

impl Path {
    /// Walks forward from the source; the states carry gradients where the model is tracked.
    ///
    /// # Errors
    /// If a kernel fails, or as [`log_density`].
    pub fn forward(
        model: &Model,
        target: &dyn Target,
        rows: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<Self, Failure> {
        let chain = model.chain();
        let mut state = chain.source.sample(rows, given, &noise.purpose(Purpose::Source))?;
        let mut forward = vec![double(chain.source.log_density(&state, given)?)];
        let mut backward = Vec::new();
        for (index, transition) in chain.transitions.iter().enumerate() {
            let noise = noise.purpose(Purpose::Forward).step(index as u32);
            let step = transition.forward(state, given, &noise)?;
            match step.densities {
                Some(densities) => {
                    forward.push(double(densities.forward));
                    backward.push(double(densities.backward));
                }
                None => {
                    let last = forward.pop().expect("the source's is there");
                    forward.push(last - double(step.log_ratio));
                }
            }
            state = step.state;
        }
        let log_reward = Some(log_density(target, &state, given)?);
        Ok(Self { forward, backward, log_reward, flow: Vec::new(), log_z: None })
    }

    /// [`Path::forward`] with `log P_F` and determinants of stopped weights, which the states alone lead back to; `log P_B` keeps
    /// its own, and so does a ratio without densities.
    ///
    /// # Errors
    /// If a kernel fails, or as [`log_density`].
    pub fn forward_stopped(
        model: &Model,
        target: &dyn Target,
        rows: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<Self, Failure> {
        let chain = model.chain();
        let mut states = vec![chain.source.sample(rows, given, &noise.purpose(Purpose::Source))?];
        for (index, transition) in chain.transitions.iter().enumerate() {
            let noise = noise.purpose(Purpose::Forward).step(index as u32);
            states.push(transition.forward(states[index].clone(), given, &noise)?.state);
        }
        let states = States(states);
        let log_reward = Some(log_density(target, states.end(), given)?);
        let stopped = model.stopped();
        let (path, _) = Self::scored_by([&stopped, model], &states, given, noise)?;
        Ok(Self { log_reward, ..path })
    }

    /// Walks backward from `x`, to the source or, where `goal` is given, to the first segment's simulation-free estimate if
    /// it has one.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn backward(
        model: &Model,
        x: State,
        given: &Given,
        noise: &Noise,
        goal: Option<Goal>,
    ) -> Result<Self, Failure> {
        let (first, rest) = model.head();
        let mut builder = Builder::default();
        let offset = model.chain_offset();
        let mut state = x;
        for (index, transition) in rest.iter().enumerate().rev() {
            let address = noise.purpose(Purpose::Backward).step((offset + index) as u32);
            let step = transition.backward(state, given, &address)?;
            builder.push(step.log_ratio, step.densities.map(|d| (d.forward, d.backward)));
            state = step.state;
        }
        if let Some(prior) = goal.and_then(|goal| model.local(&state, given, noise, goal)) {
            return Ok(builder.finish(prior));
        }
        for (index, transition) in first.transitions().iter().enumerate().rev() {
            let address = noise.purpose(Purpose::Backward).step(index as u32);
            let step = transition.backward(state, given, &address)?;
            builder.push(step.log_ratio, step.densities.map(|d| (d.forward, d.backward)));
            state = step.state;
        }
        Ok(builder.finish(model.source().log_density(&state, given)?))
    }

    /// Scores given states with the model's kernels; deterministic stretches are encoded again from the state after them.
    /// Answers the states before every kernel but the source's draw, too.
    ///
    /// # Errors
    /// If a kernel fails.
    pub fn scored(
        model: &Model,
        states: &States,
        given: &Given,
        noise: &Noise,
    ) -> Result<(Self, Vec<State>), Failure> {
        Self::scored_by([model, model], states, given, noise)
    }

    /// [`Path::scored`] with `log P_F` of one model, which encodes, and `log P_B` of another.
    fn scored_by(
        [model, other]: [&Model; 2],
        states: &States,
        given: &Given,
        noise: &Noise,
    ) -> Result<(Self, Vec<State>), Failure> {
        let mut builder = Builder::default();
        let device = model.device();
        let transitions: Vec<Box<dyn Transition + '_>> = model.chain().transitions;
        let others = if std::ptr::eq(model, other) { Vec::new() } else { other.chain().transitions };
        let state = |index: usize| states.0[index].clone().to_device(&device);
        let mut after = state(transitions.len());
        let mut before = Vec::new();
        for (index, transition) in transitions.iter().enumerate().rev() {
            let here = state(index);
            let own = transition.score(&here, &after, given)?;
            let score = match (own, others.get(index)) {
                (Score::Densities(own), Some(other)) => match other.score(&here, &after, given)? {
                    Score::Densities(theirs) => {
                        Score::Densities(Densities { backward: theirs.backward, ..own })
                    }
                    _ => Score::Densities(own),
                },
                (Score::Ratio(_), Some(other)) => other.score(&here, &after, given)?,
                (own, _) => own,
            };
            match score {
                Score::Densities(densities) => {
                    let ratio = densities.forward.clone() - densities.backward.clone();
                    builder.push(ratio, Some((densities.forward, densities.backward)));
                    before.push(here.clone());
                    after = here;
                }
                Score::Ratio(log_ratio) => {
                    builder.push(-log_ratio, None);
                    after = here;
                }
                Score::Deterministic => {
                    let step = transition.backward(after, given, &noise.step(index as u32))?;
                    builder.push(step.log_ratio, None);
                    after = step.state;
                }
            }
        }
        before.reverse();
        Ok((builder.finish(model.source().log_density(&after, given)?), before))
    }

    /// `sum_r (forward[r] - backward[r])`, `[batch]`: the bound on `log p(x)` along a backward path.
    pub fn total(self) -> LogWeight {
        let forward = self.forward.into_iter().reduce(|sum, term| sum + term).expect("the source's is there");
        self.backward.into_iter().fold(forward, |sum, term| sum - term)
    }

    /// The numbers, with `log R(x)` of every path: a row for each kernel, and a last one at which nothing is left but to stop.
    pub fn numbers(&self, log_reward: Vec<f64>, paths: &mut Paths) {
        let batch = log_reward.len();
        let rows = self.forward.len() + 1;
        paths.starts.clear();
        paths.starts.extend((0..=batch).map(|b| b * rows));
        paths.forced.clear();
        paths.forced.extend((0..batch * rows).map(|row| row % rows == rows - 1));
        by_rows(&self.forward, 0, rows, batch, &mut paths.forward);
        // `P_B(s_{r-1} | s_r)` is kept with the state that the kernel starts from, as `P_F` is.
        by_rows(&self.backward, 1, rows, batch, &mut paths.backward);
        by_rows(&self.flow, 1, rows, batch, &mut paths.flow);
        paths.log_reward = log_reward;
    }

    /// `sum slope x number` over all numbers, `[1]`: its gradient is that of the loss. None where every slope is 0, so that
    /// nothing is to be learned.
    pub fn pull(self, slopes: &Slopes) -> Option<Tensor<1>> {
        let rows = self.forward.len() + 1;
        let device = self.forward[0].device();
        let batch = self.forward[0].dims()[0];
        let column = |all: &[f64], row: usize| {
            let values: Vec<f64> = (0..batch).map(|b| all[b * rows + row]).collect();
            values.iter().any(|value| *value != 0.0).then(|| from_f64(values, &device))
        };
        let mut terms: Vec<Tensor<1>> = Vec::new();
        let parts = [
            (self.forward, &slopes.forward, 0),
            (self.backward, &slopes.backward, 1),
            (self.flow, &slopes.flow, 1),
        ];
        for (numbers, slopes, first) in parts {
            for (index, number) in numbers.into_iter().enumerate() {
                terms.extend(column(slopes, first + index).map(|slope| number * slope));
            }
        }
        if let Some(log_reward) = self.log_reward {
            terms.push(log_reward * from_f64(slopes.log_reward.clone(), &device));
        }
        if let Some(log_z) = self.log_z {
            terms.push(log_z * from_f64(slopes.log_z.clone(), &device));
        }
        terms.into_iter().reduce(|sum, term| sum + term).map(Tensor::sum)
    }
}

/// An f64 tensor of plain numbers.
fn from_f64(values: Vec<f64>, device: &burn::tensor::Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), (device, burn::tensor::DType::F64))
}

/// Columns `[batch]` from row `first` on, as `[batch, rows]`; other rows are 0.
fn by_rows(columns: &[LogWeight], first: usize, rows: usize, batch: usize, out: &mut Vec<f64>) {
    out.clear();
    out.resize(batch * rows, 0.0);
    for (index, column) in columns.iter().enumerate() {
        let values = to_vec_f64(column.clone().detach());
        values.into_iter().enumerate().for_each(|(b, value)| out[b * rows + first + index] = value);
    }
}

/// Collects a path from its end to its source.
#[derive(Default)]
struct Builder {
    forward: Vec<LogWeight>,
    backward: Vec<LogWeight>,
    log_dets: Option<LogWeight>,
}

impl Builder {
    /// Adds a backward step's ratio, with the densities it is made of where there are any.
    fn push(&mut self, ratio: LogWeight, densities: Option<(LogWeight, LogWeight)>) {
        match densities {
            None => self.log_dets = Some(plus(self.log_dets.take(), double(ratio))),
            Some((forward, backward)) => {
                let forward = plus(self.log_dets.take(), double(forward));
                self.forward.push(forward);
                self.backward.push(double(backward));
            }
        }
    }

    fn finish(mut self, source: LogWeight) -> Path {
        let source = plus(self.log_dets.take(), double(source));
        self.forward.push(source);
        self.forward.reverse();
        self.backward.reverse();
        Path {
            forward: self.forward,
            backward: self.backward,
            log_reward: None,
            flow: Vec::new(),
            log_z: None,
        }
    }
}

fn plus(sum: Option<LogWeight>, term: LogWeight) -> LogWeight {
    match sum {
        Some(sum) => sum + term,
        None => term,
    }
}
