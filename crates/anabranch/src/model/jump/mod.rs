//! Jump processes: chains on categories whose backward half is the noise of a continuous-time Markov chain.
//!
//! Levels `0 .. T` at times `j / T`, level `T` next to the source, the process' stationary law (uniform, or all masks):
//!
//! ```text
//! backward  q(x_t | x_s)   the kernel of the jump process, each coordinate for itself        kernel::jump
//! forward   p(x_s | x_t)   a product of steps of coordinates: ancestral, Euler or tau-leaping
//! bound     -sum_j KL( q(x_s | x_t, x_0) | p(x_s | x_t) ),   s = (j - 1) / T,  t = j / T     D3PM, masked diffusion
//!           -integral of beta(t) E[score entropy] dt         in the limit of ever more steps
//! clock     linear    alpha = 1 - t          beta = 1 / (1 - t)
//!           cosine    alpha = 1 - cos(pi (1 - t) / 2)
//! ```
//!
//! `alpha` falls from 1 to 0, so that level 0 is the data, level `T` has forgotten them, and neither end has a term of its own. The
//! network sees whole states. Categories stand as floats `0, 1, ...`, the mask behind the last value.

pub mod clock;
mod corrector;
pub mod denoiser;
mod listed;
pub mod mixture;
pub mod recipe;
pub mod sampling;
pub mod unmasking;

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use super::schedule::times;
use super::{Goal, Segment};
use crate::array::weights::{Weights, matrix, to_vec};
use crate::chain::{Batch, Densities, Given, LogWeight, Score, Source, State, Step, Transition};
use crate::error::Failure;
use crate::kernel::categorical::{categories, drawn, numbers, softmax, state_of};
use crate::kernel::jump::{self as laws, Answer, Job, Process, Reverse, Scheme, Term, terms};
use crate::rng::{Noise, Purpose};
pub use clock::Clock;
use corrector::Corrector;
use denoiser::{CategoricalDenoiser, Tempered};
use mixture::MixtureFlow;
use sampling::Sampling;
use unmasking::Unmasking;

/// What is learned from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// The bound of the chain and, so many times, `-log p(x_0 | x_t)`.
    Bound(f32),
    /// The bound in the limit of ever more steps.
    ScoreEntropy,
    /// `-log p(x_0 | x_t)`, at times drawn alike: discrete flow matching.
    CrossEntropy,
    /// `-log p(x_t^d | x_t without d)`, at times drawn alike.
    RatioMatching,
    /// The same, with whether the coordinate has each of the other values.
    Likelihood,
}

/// Rows that a thread takes at least.
const ROWS: usize = 16;

/// Times of losses in continuous time lie this far from both ends, where rates are infinite.
const MARGIN: f64 = 1e-4;

/// A jump process and its reversal.
#[derive(Debug, Clone)]
pub struct Jump {
    /// What is known of the data.
    pub denoiser: Box<dyn CategoricalDenoiser>,
    /// The process of each coordinate.
    pub process: Arc<Process>,
    /// What the denoiser's logits are of.
    pub answer: Answer,
    /// How steps are made.
    pub scheme: Scheme,
    /// The survival.
    pub clock: Clock,
    /// Steps of the chain.
    pub levels: usize,
    /// What is learned from.
    pub loss: Loss,
    /// Gibbs updates of single coordinates behind every step but the last: none where it is trained.
    pub corrector: usize,
}

impl Jump {
    fn survival(&self, level: usize) -> f64 {
        self.clock.survival(level as f64 / self.levels as f64)
    }

    /// The stretch from level `level - 1` to `level`.
    fn stretch(&self, level: usize) -> Arc<Reverse> {
        Arc::new(Reverse::new(&self.process, [self.survival(level - 1), self.survival(level)]))
    }

    /// The stretches of all rows, with their times and how their terms are weighed.
    fn stretches(&self, rows: usize, noise: &Noise, goal: Goal) -> (Vec<Arc<Reverse>>, Vec<f32>, Vec<f32>) {
        let drawn = times(rows, noise, goal);
        let (mut times, mut weights, mut stretches) = (Vec::new(), Vec::new(), Vec::new());
        let continuous = goal == Goal::Loss && !matches!(self.loss, Loss::Bound(_));
        let mut known = BTreeMap::new();
        for u in drawn {
            if continuous {
                let time = MARGIN + u * (1.0 - 2.0 * MARGIN);
                let alpha = self.clock.survival(time);
                // The cross-entropy is the surprise of a step from there to the data.
                let early = if self.loss == Loss::CrossEntropy { 1.0 } else { alpha };
                stretches.push(Arc::new(Reverse::new(&self.process, [early, alpha])));
                times.push(time as f32);
                let weighed = self.loss == Loss::ScoreEntropy;
                weights.push(if weighed { self.clock.rate(time) as f32 } else { 1.0 });
            } else {
                let level = 1 + ((u * self.levels as f64) as usize).min(self.levels - 1);
                stretches.push(known.entry(level).or_insert_with(|| self.stretch(level)).clone());
                times.push(level as f32 / self.levels as f32);
                weights.push(self.levels as f32);
            }
        }
        (stretches, times, weights)
    }

    fn job(&self, states: Arc<[u16]>, stretches: Arc<[Arc<Reverse>]>, term: Term) -> Job {
        let columns = self.denoiser.dimension();
        Job { process: self.process.clone(), answer: self.answer, columns, states, stretches, term }
    }

    /// States drawn from `law(row, state)` for every coordinate of `from`.
    fn noised<'a>(
        &self,
        from: &[u16],
        noise: &Noise,
        law: impl Fn(usize, usize) -> &'a [f64] + Sync,
    ) -> Arc<[u16]> {
        let columns = self.denoiser.dimension();
        let uniform = noise.uniform(from.len() / columns, columns);
        let mut to = vec![0; from.len()];
        let rows = to.par_chunks_mut(columns).zip(from.par_chunks(columns)).zip(uniform.par_chunks(columns));
        rows.with_min_len(ROWS).enumerate().for_each(|(row, ((to, from), uniform))| {
            let each = to.iter_mut().zip(from).zip(uniform);
            each.for_each(|((to, from), u)| *to = drawn(law(row, usize::from(*from)), *u));
        });
        to.into()
    }
}

/// The law that a process forgets in.
#[derive(Debug, Clone)]
struct Stationary {
    process: Arc<Process>,
    dimension: usize,
}

impl Source for Stationary {
    fn sample(&self, rows: usize, _: &Given, noise: &Noise) -> Result<State, Failure> {
        let masses = self.process.stationary();
        let drawn: Vec<u16> =
            noise.uniform(rows, self.dimension).into_iter().map(|u| drawn(&masses, u)).collect();
        Ok(state_of(&drawn, self.dimension, &Device::flex()))
    }

    fn log_density(&self, state: &State, _: &Given) -> Result<LogWeight, Failure> {
        let logs: Vec<f64> = self.process.stationary().iter().map(|mass| mass.ln()).collect();
        let all = categories(state);
        let rows = all.chunks_exact(self.dimension);
        Ok(numbers(
            rows.map(|row| row.iter().map(|x| logs[usize::from(*x)]).sum()).collect(),
            &state.device(),
        ))
    }
}

/// The step from level `level` to the one before.
struct JumpStep<'a> {
    jump: &'a Jump,
    level: usize,
    stretch: Arc<Reverse>,
}

impl JumpStep<'_> {
    fn logits(&self, x: &State, given: &Given) -> Tensor<2> {
        let time = self.level as f32 / self.jump.levels as f32;
        self.jump.denoiser.logits(x, Tensor::full([1, 1], time, &x.device()), given)
    }

    /// `x_s` for every coordinate of `x_t`.
    fn drawn(&self, from: &[u16], logits: Tensor<2>, noise: &Noise) -> Arc<[u16]> {
        let jump = self.jump;
        let (columns, states) = (jump.denoiser.dimension(), jump.process.states());
        let uniform = noise.uniform(from.len() / columns, columns);
        let logits = to_vec(logits.detach());
        let made = (jump.answer, jump.scheme);
        let mut to = from.to_vec();
        let rows = to.par_chunks_mut(columns).zip(uniform.par_chunks(columns));
        let rows = rows.zip(logits.par_chunks(columns * states)).with_min_len(ROWS);
        rows.for_each_init(laws::Step::default, |step, ((to, uniform), logits)| {
            for ((x, u), logits) in to.iter_mut().zip(uniform).zip(logits.chunks_exact(states)) {
                let logits = &logits[..jump.process.values()];
                self.stretch.step(&jump.process, made, usize::from(*x), logits, step);
                *x = drawn(&step.masses, *u);
            }
        });
        to.into()
    }

    /// Both masses of a step from `before`, at level `level`, to `after`.
    fn densities(&self, before: Arc<[u16]>, after: Arc<[u16]>, logits: Tensor<2>) -> Densities {
        let columns = self.jump.denoiser.dimension();
        let noising = self.stretch.noising_step();
        let log = |(x, y): (&u16, &u16)| noising.log_mass(usize::from(*y), usize::from(*x));
        let rows = before.chunks_exact(columns).zip(after.chunks_exact(columns));
        let backward = rows.map(|(before, after)| before.iter().zip(after).map(log).sum()).collect();
        let backward = numbers(backward, &logits.device());
        let term = Term::Surprise(self.jump.scheme, after);
        let job = self.jump.job(before, Arc::new([self.stretch.clone()]), term);
        Densities { forward: -terms(job, logits), backward }
    }
}

impl Transition for JumpStep<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let (before, logits) = (Arc::from(categories(&from)), self.logits(&from, given));
        let after = self.drawn(&before, logits.clone(), noise);
        let to = state_of(&after, self.jump.denoiser.dimension(), &from.device());
        Ok(self.densities(before, after, logits).forward_step(to))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let after: Arc<[u16]> = categories(&from).into();
        let before = self.jump.noised(&after, noise, |_, x| self.stretch.noising_step().row(x));
        let to = state_of(&before, self.jump.denoiser.dimension(), &from.device());
        let logits = self.logits(&to, given);
        Ok(self.densities(before, after, logits).backward_step(to))
    }

    /// Under a mask the network is asked for rows alone of which a coordinate is revealed: which, its own chance decides before.
    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        let (jump, columns) = (self.jump, self.jump.denoiser.dimension());
        let before = categories(&from);
        let Some(chance) = self.stretch.revealing(&jump.process, (jump.answer, jump.scheme)) else {
            let after = self.drawn(&before, self.logits(&from, given), noise);
            return Ok(state_of(&after, columns, &from.device()));
        };
        let mask = jump.process.values() as u16;
        let uniform = noise.uniform(before.len() / columns, columns);
        let revealed = |(x, u): (&u16, &f32)| *x == mask && f64::from(*u) < chance;
        let rows = before.chunks_exact(columns).zip(uniform.chunks_exact(columns)).enumerate();
        let moved = rows.filter(|(_, (row, uniform))| row.iter().zip(*uniform).any(revealed));
        let moved: Vec<u32> = moved.map(|(row, _)| row as u32).collect();
        if moved.is_empty() {
            return Ok(from);
        }
        let logits = to_vec(self.logits(&Batch::select(&from, &moved), &given.select(&moved)));
        let (width, values) = (jump.process.states(), jump.process.values());
        let (mut after, mut masses) = (before, vec![0.0; values]);
        for (row, logits) in moved.iter().zip(logits.chunks_exact(columns * width)) {
            let range = *row as usize * columns..(*row as usize + 1) * columns;
            let own = after[range.clone()].iter_mut().zip(&uniform[range]).zip(logits.chunks_exact(width));
            for ((x, u), logits) in own.filter(|((x, u), _)| revealed((&**x, *u))) {
                softmax(&logits[..values], &mut masses);
                *x = drawn(&masses, (f64::from(*u) / chance) as f32);
            }
        }
        Ok(state_of(&after, columns, &from.device()))
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        let [from, to] = [before, after].map(|state| Arc::from(categories(state)));
        Ok(Score::Densities(self.densities(from, to, self.logits(before, given))))
    }
}

impl Segment for Jump {
    fn kind(&self) -> &'static str {
        "jump"
    }

    fn inner_dimension(&self) -> usize {
        self.denoiser.dimension()
    }

    fn outer_dimension(&self) -> usize {
        self.denoiser.dimension()
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        Some(Arc::new(Stationary { process: self.process.clone(), dimension: self.denoiser.dimension() }))
    }

    fn steps(&self) -> usize {
        self.levels + self.corrector * (self.levels - 1)
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let mut steps: Vec<Box<dyn Transition + '_>> = Vec::with_capacity(self.steps());
        for level in (1..=self.levels).rev() {
            steps.push(Box::new(JumpStep { jump: self, level, stretch: self.stretch(level) }));
            for _ in 0..if level > 1 { self.corrector } else { 0 } {
                steps.push(Box::new(Corrector {
                    denoiser: self.denoiser.as_ref(),
                    process: &self.process,
                    answer: self.answer,
                    stretch: self.stretch(level - 1),
                    time: (level - 1) as f32 / self.levels as f32,
                }));
            }
        }
        steps
    }

    fn is_local(&self) -> bool {
        self.corrector == 0
    }

    fn listed_law(&self, states: &[f32]) -> Option<Vec<f64>> {
        self.law_of(states)
    }

    fn local(&self, x: &State, given: &Given, noise: &Noise, goal: Goal) -> Option<LogWeight> {
        if self.corrector > 0 {
            return None;
        }
        let (rows, device) = (x.dims()[0], x.device());
        let data: Arc<[u16]> = categories(x).into();
        let (stretches, times, weights) = self.stretches(rows, noise, goal);
        let stretches: Arc<[Arc<Reverse>]> = stretches.into();
        let states =
            self.noised(&data, &noise.purpose(Purpose::Local), |row, x| stretches[row].noising().row(x));
        let seen = state_of(&states, self.denoiser.dimension(), &device);
        let logits = self.denoiser.logits(&seen, matrix(times, 1, &device), given);
        let term = match (goal, self.loss) {
            (Goal::Loss, Loss::ScoreEntropy) => Term::ScoreEntropy(data.clone()),
            (Goal::Loss, Loss::CrossEntropy) => Term::Surprise(Scheme::Ancestral, data.clone()),
            (Goal::Loss, Loss::RatioMatching) => Term::RatioMatching,
            (Goal::Loss, Loss::Likelihood) => Term::Likelihood,
            _ => Term::Divergence(self.scheme, data.clone()),
        };
        let job = self.job(states.clone(), stretches.clone(), term);
        let weights: Tensor<1> = matrix(weights, 1, &device).squeeze_dim(1);
        let bound = -terms(job, logits.clone()) * weights;
        match (goal, self.loss) {
            (Goal::Loss, Loss::Bound(share)) if share > 0.0 => {
                let whole = stretches.iter().map(|stretch| Arc::new(stretch.from_data(&self.process)));
                let term = Term::Surprise(Scheme::Ancestral, data);
                Some(bound - terms(self.job(states, whole.collect(), term), logits) * share)
            }
            _ => Some(bound),
        }
    }

    fn sampled(&self, sampling: &Sampling) -> Option<Box<dyn Segment>> {
        let denoiser = self.denoiser.as_ref();
        if let (Some(order), Some(values)) = (sampling.order, self.process.mask()) {
            return Some(Box::new(Unmasking::of(denoiser, values, self.clock, order, sampling)));
        }
        let denoiser = Tempered::at(denoiser.boxed(), sampling.temperature);
        let levels = sampling.steps.unwrap_or(self.levels);
        if let Some(eta) = sampling.eta {
            let (process, answer, clock) = (self.process.clone(), self.answer, self.clock);
            return Some(Box::new(MixtureFlow { denoiser, process, answer, clock, levels, eta }));
        }
        Some(Box::new(Self { denoiser, levels, corrector: sampling.corrector, ..self.clone() }))
    }

    fn weights(&self) -> Vec<&Weights> {
        self.denoiser.weights()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        self.denoiser.weights_mut()
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}
