//! Backward paths as a list of terms, so that objectives can weigh them.
//!
//! Along `x = s_T -> ... -> s_0` the bound on `log p(x)` falls into a reconstruction and one divergence per
//! stochastic state:
//!
//! ```text
//! log P_F(x | s_{T-1})  -  sum_t [ log P_B(s_t | s_{t+1}) - log P_F(s_t | s_{t-1}) - (log-dets between) ]
//! ```
//!
//! with `mu` in the place of `P_F` at `s_0`. Log-determinants of bijections belong to the prior of the state they
//! lead to.

use super::KlTerms;
use crate::chain::{LogWeight, Source, State, Transition, double};
use crate::model::{Goal, Model};
use crate::rng::{Noise, Purpose};

/// The terms of a batch of backward paths, `[batch]` each, nats, f64.
#[derive(Debug, Clone)]
pub struct Path {
    /// `log P_F(x | s_{T-1})`, with the log-determinants between the data and that kernel.
    pub reconstruction: LogWeight,
    /// `log P_B - log P_F` per stochastic state, from the data's side to the source's.
    pub divergences: Vec<LogWeight>,
}

impl Path {
    /// Draws backward paths from `x`, ending in the first segment's simulation-free estimate where it has one.
    pub fn backward(model: &Model, x: State, noise: &Noise, goal: Goal) -> Self {
        let (first, rest) = model.head();
        let mut builder = Builder::default();
        let offset = model.chain_offset();
        let mut state = x;
        for (index, transition) in rest.iter().enumerate().rev() {
            let address = noise.purpose(Purpose::Backward).step((offset + index) as u32);
            let step = transition.backward(state, &address);
            builder.push(step.log_ratio, step.densities.map(|d| (d.forward, d.backward)));
            state = step.state;
        }
        if let Some(prior) = first.local(&state, noise, goal) {
            return builder.finish(prior);
        }
        for (index, transition) in first.transitions().iter().enumerate().rev() {
            let address = noise.purpose(Purpose::Backward).step(index as u32);
            let step = transition.backward(state, &address);
            builder.push(step.log_ratio, step.densities.map(|d| (d.forward, d.backward)));
            state = step.state;
        }
        builder.finish(model.source().log_density(&state))
    }

    /// Scores given states `s_0, ..., s_T` with the model's kernels; deterministic stretches are re-encoded from
    /// the state after them.
    pub fn scored(model: &Model, states: Vec<State>, noise: &Noise) -> Self {
        let mut builder = Builder::default();
        let transitions: Vec<Box<dyn Transition + '_>> = model.chain().transitions;
        let mut after = states[transitions.len()].clone();
        for (index, transition) in transitions.iter().enumerate().rev() {
            match transition.densities(&states[index], &after) {
                Some(densities) => {
                    let ratio = densities.forward.clone() - densities.backward.clone();
                    builder.push(ratio, Some((densities.forward, densities.backward)));
                    after = states[index].clone();
                }
                None => {
                    let step = transition.backward(after, &noise.step(index as u32));
                    builder.push(step.log_ratio, None);
                    after = step.state;
                }
            }
        }
        builder.finish(model.source().log_density(&after))
    }

    /// The bound on `log p(x)`: reconstruction less divergences.
    pub fn total(self) -> LogWeight {
        self.divergences.into_iter().fold(self.reconstruction, |sum, divergence| sum - divergence)
    }

    /// The negative bound with weighted divergences, each counted at no less than the free nats on average over
    /// the batch.
    pub fn weighted_loss(self, terms: KlTerms) -> LogWeight {
        let mut loss = -self.reconstruction;
        for divergence in self.divergences {
            let mean = divergence.mean();
            let counted = mean.clamp_min(f64::from(terms.free_nats));
            loss = loss + counted * terms.weight;
        }
        loss
    }
}

#[derive(Default)]
struct Builder {
    reconstruction: Option<LogWeight>,
    divergences: Vec<LogWeight>,
    log_dets: Option<LogWeight>,
    posterior: Option<LogWeight>,
}

impl Builder {
    /// Adds a backward step's ratio, with the densities it is made of where there are any.
    fn push(&mut self, ratio: LogWeight, densities: Option<(LogWeight, LogWeight)>) {
        match densities {
            None => self.log_dets = Some(plus(self.log_dets.take(), double(ratio))),
            Some((forward, backward)) => {
                self.close(double(forward));
                self.posterior = Some(double(backward));
            }
        }
    }

    /// Ends the current state with the density that its prior gives it.
    fn close(&mut self, prior: LogWeight) {
        let prior = plus(self.log_dets.take(), prior);
        match self.posterior.take() {
            None => self.reconstruction = Some(prior),
            Some(posterior) => self.divergences.push(posterior - prior),
        }
    }

    fn finish(mut self, source: LogWeight) -> Path {
        self.close(double(source));
        let reconstruction = self.reconstruction.expect("the first state closed is the data");
        Path { reconstruction, divergences: self.divergences }
    }
}

fn plus(sum: Option<LogWeight>, term: LogWeight) -> LogWeight {
    match sum {
        Some(sum) => sum + term,
        None => term,
    }
}
