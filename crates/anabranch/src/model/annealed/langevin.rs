//! Langevin dynamics along a path of densities, with no correction but the weights, and its reversal.
//!
//! ```text
//! F_k(z' | z)  = N(z  + eps_k grad log gamma_k(z)  [+ eps_k u(z, k - 1)],   2 eps_k I)
//! B_k(z | z')  = N(z' + eps_k grad log gamma_k(z') [+ eps_k s(z', k)] [- eps_k u(z', k)],   2 eps_k I)
//! ```
//!
//! | reversal | | |
//! |---|---|---|
//! | [`Reversal::Same`] | neither | the reversal of a chain in equilibrium: ULA as annealed importance sampling (Wu et al. 2020; Thin et al. 2021) |
//! | [`Reversal::Learned`] | `s` | Monte Carlo diffusion (Doucet et al. 2022); best at `s = 2 grad log(q_k / gamma_k)`, `q_k` the law of the chain |
//! | [`Reversal::Controlled`] | `u` | controlled Monte Carlo diffusion (Vargas et al. 2024): the drift carries the law along the path |
//!
//! Networks are 0 at first, so that all begin as the first. What ends one step begins the next: the energy is asked once about each
//! state.

use std::sync::Arc;

pub mod recipe;

use burn::tensor::Tensor;

use super::annealing_path::{AnnealingPath, Rung, Scores};
use super::drift::Drift;
use super::memory::Memory;
use crate::array::weights::Weights;
use crate::chain::{Densities, Given, LogWeight, Score, State, Step, Transition};
use crate::error::Failure;
use crate::kernel::isotropic::Isotropic;
use crate::model::Segment;
use crate::rng::Noise;

/// The chain that runs against the dynamics.
#[derive(Debug, Clone)]
pub enum Reversal {
    /// The dynamics themselves.
    Same,
    /// With a learned drift.
    Learned(Drift),
    /// With a learned drift that the forward chain has, too, with the other sign.
    Controlled(Drift),
}

impl Reversal {
    pub(super) fn drift(&self) -> Option<&Drift> {
        match self {
            Self::Same => None,
            Self::Learned(drift) | Self::Controlled(drift) => Some(drift),
        }
    }

    pub(super) fn drift_mut(&mut self) -> Option<&mut Drift> {
        match self {
            Self::Same => None,
            Self::Learned(drift) | Self::Controlled(drift) => Some(drift),
        }
    }
}

/// Overdamped Langevin dynamics.
#[derive(Debug, Clone)]
pub struct Langevin {
    /// The densities, and how far kernels move.
    pub path: AnnealingPath,
    /// What runs against them.
    pub reversal: Reversal,
}

impl Segment for Langevin {
    fn kind(&self) -> &'static str {
        "langevin"
    }

    fn inner_dimension(&self) -> usize {
        self.path.base.dimension()
    }

    fn outer_dimension(&self) -> usize {
        self.path.base.dimension()
    }

    fn steps(&self) -> usize {
        usize::from(self.path.draws_base) + self.path.ladder.steps()
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let shared = Arc::new((Scores::default(), Memory::default()));
        let steps = self.path.ladder.steps() as f32;
        let rungs = self.path.rungs(1.0, true).into_iter().enumerate().map(|(k, rung)| {
            let spread = Isotropic::new((rung.log_size.clone() + std::f32::consts::LN_2) * 0.5);
            let size = rung.log_size.clone().exp();
            let reversal = &self.reversal;
            Box::new(LangevinStep { rung, reversal, spread, size, k, steps, shared: shared.clone() })
                as Box<dyn Transition>
        });
        self.path.first().into_iter().chain(rungs).collect()
    }

    fn ladder(&self) -> Vec<f64> {
        self.path.draws_base.then_some(0.0).into_iter().chain(self.path.ladder.places()).collect()
    }

    fn weights(&self) -> Vec<&Weights> {
        let mut all = self.path.weights();
        all.extend(self.reversal.drift().map(Drift::weights));
        all
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let mut all = self.path.weights_mut();
        all.extend(self.reversal.drift_mut().map(Drift::weights_mut));
        all
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}

/// One step at one level.
struct LangevinStep<'a> {
    rung: Rung<'a>,
    reversal: &'a Reversal,
    spread: Isotropic,
    /// `eps_k`, `[1, 1]`.
    size: Tensor<2>,
    /// Steps before it.
    k: usize,
    steps: f32,
    /// What was found at the last state: the energy, and the control.
    shared: Arc<(Scores, Memory<State>)>,
}

impl LangevinStep<'_> {
    fn pulled(&self, x: &State, given: &Given) -> Result<State, Failure> {
        let found = self.shared.0.recall(x, given, 0, || self.rung.find(x, given))?;
        Ok(self.rung.step(x, found))
    }

    /// `u` behind `k` steps.
    fn control(&self, drift: &Drift, x: &State, k: usize, given: &Given) -> Result<State, Failure> {
        self.shared.1.recall(x, given, k, || Ok(drift.at(x, k as f32 / self.steps, given)))
    }

    fn forward_mean(&self, x: &State, given: &Given) -> Result<State, Failure> {
        let mean = self.pulled(x, given)?;
        Ok(match self.reversal {
            Reversal::Controlled(drift) => mean + self.control(drift, x, self.k, given)? * self.size.clone(),
            Reversal::Same | Reversal::Learned(_) => mean,
        })
    }

    fn backward_mean(&self, x: &State, given: &Given) -> Result<State, Failure> {
        let mean = self.pulled(x, given)?;
        let after = self.k + 1;
        Ok(match self.reversal {
            Reversal::Same => mean,
            Reversal::Learned(drift) => {
                mean + drift.at(x, after as f32 / self.steps, given) * self.size.clone()
            }
            Reversal::Controlled(drift) => mean - self.control(drift, x, after, given)? * self.size.clone(),
        })
    }
}

impl Transition for LangevinStep<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let (to, forward) = self.spread.draw(self.forward_mean(&from, given)?, noise);
        let backward = self.spread.log_density(&from, self.backward_mean(&to, given)?);
        Ok(Densities { forward, backward }.forward_step(to))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let (to, backward) = self.spread.draw(self.backward_mean(&from, given)?, noise);
        let forward = self.spread.log_density(&from, self.forward_mean(&to, given)?);
        Ok(Densities { forward, backward }.backward_step(to))
    }

    fn sample(&self, from: State, given: &Given, noise: &Noise) -> Result<State, Failure> {
        Ok(self.spread.draw(self.forward_mean(&from, given)?, noise).0)
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        // The state after it is the one that the step behind it began at, which was scored before.
        let backward = self.spread.log_density(before, self.backward_mean(after, given)?);
        let forward = self.spread.log_density(after, self.forward_mean(before, given)?);
        Ok(Score::Densities(Densities { forward, backward }))
    }

    fn level(&self, state: &State, given: &Given) -> Result<Option<LogWeight>, Failure> {
        self.rung.log_density(state, given).map(Some)
    }
}
