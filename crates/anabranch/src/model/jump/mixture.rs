//! The chain of discrete flow matching: a trained denoiser of categories, sampled by the rates of the mixture path.
//!
//! ```text
//! source    noise: uniform, or every coordinate masked
//! forward   x_t -> x_s: a product over coordinates of  sum_k p(k | x_t) S(y | x, k)            kernel::jump::MixtureStep
//! backward  x_s -> x_t: the same conditional steps the other way, by the denoiser at x_s
//! ```
//!
//! How often a coordinate that has come to its value is noised again, so that others may change what it should have been, is `eta`; the
//! law of the mixture path is the same for all, and `eta = 0` moves least. The backward half asks the denoiser too, since the noise of
//! the process is not the reversal of such steps: with it path weights have mean Z, and are the more even the better the denoiser. Both
//! ends of a step are asked where its log-probability is wanted, one where it is not.

use std::sync::Arc;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::denoiser::CategoricalDenoiser;
use super::{Clock, ROWS, Stationary};
use crate::array::weights::{Weights, to_vec};
use crate::chain::{Densities, Given, LogWeight, Score, Source, State, Step, Transition};
use crate::error::Failure;
use crate::kernel::categorical::{categories, drawn, numbers, state_of};
use crate::kernel::jump::{Answer, MixtureStep, Process};
use crate::model::Segment;
use crate::rng::Noise;

/// The mixture path of a uniform or an absorbing process, followed from noise to data.
#[derive(Debug, Clone)]
pub struct MixtureFlow {
    /// What is known of the data: not by marginals.
    pub denoiser: Box<dyn CategoricalDenoiser>,
    /// The process of each coordinate: uniform or absorbing.
    pub process: Arc<Process>,
    /// What the denoiser's logits are of.
    pub answer: Answer,
    /// The survival.
    pub clock: Clock,
    /// Steps of the chain.
    pub levels: usize,
    /// The rate of noising again, per unit of survival: 0 or more.
    pub eta: f64,
}

/// Which end of a step is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Late,
    Early,
}

/// The step from level `level` to the one before.
struct MixtureTransition<'a> {
    flow: &'a MixtureFlow,
    level: usize,
    step: MixtureStep,
}

impl MixtureTransition<'_> {
    /// The laws of the other end of every coordinate, `[rows]` of `[columns * states]`.
    fn laws(&self, end: End, all: &[u16], x: &State, given: &Given) -> Vec<Vec<f64>> {
        let flow = self.flow;
        let (columns, states) = (flow.denoiser.dimension(), flow.process.states());
        let level = if end == End::Late { self.level } else { self.level - 1 };
        // Data need not be told by a network what they are.
        let logits = if level == 0 {
            vec![0.0; all.len() * states]
        } else {
            let time = level as f32 / flow.levels as f32;
            let time = Tensor::full([1, 1], time, &x.device());
            to_vec(flow.denoiser.logits(x, time, given).detach())
        };
        let rows = all.par_chunks_exact(columns).zip(logits.par_chunks_exact(columns * states));
        let law = |(row, logits): (&[u16], &[f32])| {
            let (mut laws, mut signal, mut masses) = (Vec::new(), Vec::new(), Vec::new());
            for (from, logits) in row.iter().zip(logits.chunks_exact(states)) {
                let (from, logits) = (usize::from(*from), &logits[..flow.process.values()]);
                match end {
                    End::Late => {
                        self.step.late_signal(flow.answer, from, logits, &mut signal);
                        self.step.forward(&signal, from, &mut masses);
                    }
                    End::Early => {
                        self.step.early_signal(flow.answer, from, logits, &mut signal);
                        self.step.backward(&signal, from, &mut masses);
                    }
                }
                laws.extend_from_slice(&masses);
            }
            laws
        };
        rows.with_min_len(ROWS).map(law).collect()
    }

    fn drawn(&self, laws: &[Vec<f64>], noise: &Noise) -> Vec<u16> {
        let (columns, states) = (self.flow.denoiser.dimension(), self.flow.process.states());
        let uniform = noise.uniform(laws.len(), columns);
        let rows = laws.iter().zip(uniform.chunks_exact(columns));
        rows.flat_map(|(law, u)| law.chunks_exact(states).zip(u).map(|(law, u)| drawn(law, *u))).collect()
    }

    /// The log-probability of each row of `to` under its laws.
    fn log_masses(&self, laws: &[Vec<f64>], to: &[u16], like: &State) -> LogWeight {
        let (columns, states) = (self.flow.denoiser.dimension(), self.flow.process.states());
        let log = |(law, to): (&Vec<f64>, &[u16])| -> f64 {
            law.chunks_exact(states).zip(to).map(|(law, x)| law[usize::from(*x)].ln()).sum()
        };
        numbers(laws.iter().zip(to.chunks_exact(columns)).map(log).collect(), &like.device())
    }
}

impl Transition for MixtureTransition<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let before = categories(&from);
        let there = self.laws(End::Late, &before, &from, given);
        let after = self.drawn(&there, noise);
        let to = state_of(&after, self.flow.denoiser.dimension(), &from.device());
        let back = self.laws(End::Early, &after, &to, given);
        let forward = self.log_masses(&there, &after, &from);
        Ok(Densities { forward, backward: self.log_masses(&back, &before, &from) }.forward_step(to))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let after = categories(&from);
        let back = self.laws(End::Early, &after, &from, given);
        let before = self.drawn(&back, noise);
        let to = state_of(&before, self.flow.denoiser.dimension(), &from.device());
        let there = self.laws(End::Late, &before, &to, given);
        let forward = self.log_masses(&there, &after, &from);
        Ok(Densities { forward, backward: self.log_masses(&back, &before, &from) }.backward_step(to))
    }

    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        let laws = self.laws(End::Late, &categories(&from), &from, given);
        Ok(state_of(&self.drawn(&laws, noise), self.flow.denoiser.dimension(), &from.device()))
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        let [from, to] = [before, after].map(categories);
        let there = self.laws(End::Late, &from, before, given);
        let back = self.laws(End::Early, &to, after, given);
        let forward = self.log_masses(&there, &to, before);
        Ok(Score::Densities(Densities { forward, backward: self.log_masses(&back, &from, before) }))
    }
}

impl Segment for MixtureFlow {
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
        self.levels
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let survival = |level: usize| self.clock.survival(level as f64 / self.levels as f64);
        let step = |level: usize| -> Box<dyn Transition + '_> {
            let ends = [level - 1, level].map(survival);
            Box::new(MixtureTransition {
                flow: self,
                level,
                step: MixtureStep::new(&self.process, ends, self.eta),
            })
        };
        (1..=self.levels).rev().map(step).collect()
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
