//! Langevin dynamics with momentum: states `[z, rho]` between a lift and a drop.
//!
//! ```text
//! lift       rho_0 ~ N(0, I)
//! refresh    F(rho~ | z, rho) = N(eta_k rho  [+ (1 - eta_k^2) u(z, rho, k)],   (1 - eta_k^2) I)
//!            B(rho | z, rho~) = N(eta_k rho~ [+ (1 - eta_k^2) s(z, rho~, k)],   (1 - eta_k^2) I)
//! leapfrog   rho' = rho~ + eps/2 grad log gamma_k(z),   z' = z + eps rho',   rho'' = rho' + eps/2 grad log gamma_k(z')
//! drop       rho_K, with log N(rho_K; 0, I) as the density of the lift backward
//! ```
//!
//! with `eta_k = exp(-gamma eps_k)` of a friction `gamma`, the exact part of the dynamics. The leapfrog step has a Jacobian of 1.
//!
//! | reversal | |
//! |---|---|
//! | [`Reversal::Same`] | uncorrected Hamiltonian annealing (Geffner and Domke 2021; Thin et al. 2021) |
//! | [`Reversal::Learned`] | `s`: Langevin diffusion variational inference (Geffner and Domke 2023; Doucet et al. 2022) |
//! | [`Reversal::Controlled`] | `u` and `s`: controlled underdamped dynamics (Vargas et al. 2024; Blessing et al. 2025) |
//!
//! A control of momenta is two drifts, where that of points is one. Were `s = -u`, the reversal would be exact only for states of the law
//! `gamma_k(z) N(rho; 0, I)` at every level; but `dz = rho dt`, and momenta of mean 0 at every `z` move no law of `z`. States that are
//! carried from density to density have momenta `N(m_k(z), I)`, refreshed around `m_k` in both directions: `u` and `s` have the part of
//! `m_k` with the same sign, and the part of the force that keeps up with it with the other.
//!
//! Where states are given, `(z', rho'')` behind a leapfrog step has no density by its step size, on a surface of `z` that moves with
//! it: step sizes, ladder and base learn through the states alone.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::annealing_path::{AnnealingPath, Rung};
use super::langevin::Reversal;
use super::memory::Memory;
use crate::array::weights::{Weights, layout, sum_rows};
use crate::chain::{Densities, Given, LogWeight, Score, State, Step, Transition, beside, double};
use crate::error::Failure;
use crate::kernel::isotropic::Isotropic;
use crate::kernel::law::{HALF_LOG_TAU, log_one_minus_exp_neg, normal_like};
use crate::model::Segment;
use crate::rng::Noise;

/// How fast momenta are forgotten.
#[derive(Debug, Clone)]
pub struct Friction {
    weights: Weights,
    learned: bool,
}

impl Friction {
    /// `gamma > 0`, to begin with where it is learned.
    pub fn new(name: impl Into<String>, friction: f32, learned: bool) -> Self {
        Self {
            weights: Weights::new(name, layout([("log_friction", vec![1])]), vec![friction.ln()]),
            learned,
        }
    }

    /// `gamma`, `[1, 1]`.
    fn value(&self) -> Tensor<2> {
        let value = self.weights.matrix("log_friction").exp();
        if self.learned { value } else { value.detach() }
    }
}

/// Underdamped Langevin dynamics.
#[derive(Debug, Clone)]
pub struct Underdamped {
    /// The densities, and how far kernels move.
    pub path: AnnealingPath,
    /// What runs against them; drifts read `[z, rho]`, and a control answers `[u, s]`.
    pub reversal: Reversal,
    /// How fast momenta are forgotten.
    pub friction: Friction,
}

impl Segment for Underdamped {
    fn kind(&self) -> &'static str {
        "langevin"
    }

    fn inner_dimension(&self) -> usize {
        self.path.base.dimension()
    }

    fn outer_dimension(&self) -> usize {
        self.path.base.dimension()
    }

    fn widest(&self) -> usize {
        2 * self.path.base.dimension()
    }

    fn steps(&self) -> usize {
        2 + usize::from(self.path.draws_base) + 2 * self.path.ladder.steps()
    }

    fn transitions(&self) -> Vec<Box<dyn Transition + '_>> {
        let shared: Arc<Halves> = Arc::default();
        let steps = self.path.ladder.steps() as f32;
        let friction = self.friction.value();
        let mut all: Vec<Box<dyn Transition + '_>> =
            self.path.first().into_iter().chain([Box::new(Lift) as Box<dyn Transition>]).collect();
        for (k, rung) in self.path.rungs(0.5, false).into_iter().enumerate() {
            let size = rung.log_size.clone().exp();
            let log_kept = -(friction.clone() * size.clone());
            let log_fresh = log_one_minus_exp_neg(log_kept.clone() * -2.0);
            all.push(Box::new(Refresh {
                reversal: &self.reversal,
                place: (k + 1) as f32 / steps,
                kept: log_kept.exp(),
                fresh: log_fresh.clone().exp(),
                spread: Isotropic::new(log_fresh * 0.5),
                shared: shared.clone(),
            }));
            all.push(Box::new(Leapfrog { rung, size, shared: shared.clone() }));
        }
        all.push(Box::new(Drop));
        all
    }

    fn ladder(&self) -> Vec<f64> {
        let places = self.path.ladder.places();
        let before = std::iter::once(0.0).chain(places.iter().copied());
        let steps = before.zip(&places).flat_map(|(before, after)| [before, *after]);
        let first = vec![0.0; 1 + usize::from(self.path.draws_base)];
        first.into_iter().chain(steps).chain([1.0]).collect()
    }

    fn weights(&self) -> Vec<&Weights> {
        let mut all = self.path.weights();
        all.push(&self.friction.weights);
        all.extend(self.reversal.drift().map(super::Drift::weights));
        all
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let mut all = self.path.weights_mut();
        all.push(&mut self.friction.weights);
        all.extend(self.reversal.drift_mut().map(super::Drift::weights_mut));
        all
    }

    fn boxed(&self) -> Box<dyn Segment> {
        Box::new(self.clone())
    }
}

/// The point of the state that was looked at last, and what the energy says there.
type Halves = Memory<(State, (LogWeight, State))>;

/// `z` and `rho` of a state, `u` and `s` of a control.
fn halves(state: &State) -> [State; 2] {
    let [rows, columns] = state.dims();
    let half = |first: usize| state.clone().slice([0..rows, first..first + columns / 2]);
    [half(0), half(columns / 2)]
}

/// `log N(rho; 0, I)` of each row, f64.
fn log_normal(momentum: &State) -> LogWeight {
    let constant = f64::from(HALF_LOG_TAU) * momentum.dims()[1] as f64;
    double(sum_rows(momentum.clone().square())) * -0.5 - constant
}

/// 0 for each row, f64.
fn nothing(state: &State) -> LogWeight {
    double(Tensor::zeros([state.dims()[0]], &state.device()))
}

/// Draws momenta.
struct Lift;

impl Lift {
    fn lift(from: State, noise: &Noise) -> (State, LogWeight) {
        let momentum = normal_like(&from, noise);
        let log_density = log_normal(&momentum);
        (beside(from, Some(momentum)), log_density)
    }
}

impl Transition for Lift {
    fn forward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
        let backward = nothing(&from);
        let (to, forward) = Self::lift(from, noise);
        Ok(Densities { forward, backward }.forward_step(to))
    }

    fn backward(&self, from: State, _: &Given, _: &Noise) -> Result<Step, Failure> {
        let [z, momentum] = halves(&from);
        let (forward, backward) = (log_normal(&momentum), nothing(&z));
        Ok(Densities { forward, backward }.backward_step(z))
    }

    fn score(&self, before: &State, after: &State, _: &Given) -> Result<Score, Failure> {
        let forward = log_normal(&halves(after)[1]);
        Ok(Score::Densities(Densities { forward, backward: nothing(before) }))
    }
}

/// Forgets momenta.
struct Drop;

impl Transition for Drop {
    fn forward(&self, from: State, _: &Given, _: &Noise) -> Result<Step, Failure> {
        let [z, momentum] = halves(&from);
        let (forward, backward) = (nothing(&z), log_normal(&momentum));
        Ok(Densities { forward, backward }.forward_step(z))
    }

    fn backward(&self, from: State, _: &Given, noise: &Noise) -> Result<Step, Failure> {
        let forward = nothing(&from);
        let (to, backward) = Lift::lift(from, noise);
        Ok(Densities { forward, backward }.backward_step(to))
    }

    fn score(&self, before: &State, after: &State, _: &Given) -> Result<Score, Failure> {
        let backward = log_normal(&halves(before)[1]);
        Ok(Score::Densities(Densities { forward: nothing(after), backward }))
    }
}

/// Replaces a part of the momenta.
struct Refresh<'a> {
    reversal: &'a Reversal,
    place: f32,
    /// `eta_k`, `[1, 1]`.
    kept: Tensor<2>,
    /// `1 - eta_k^2`, `[1, 1]`.
    fresh: Tensor<2>,
    spread: Isotropic,
    shared: Arc<Halves>,
}

impl Refresh<'_> {
    fn forward_mean(&self, state: &State, momentum: State, given: &Given) -> State {
        let mean = momentum * self.kept.clone();
        match self.reversal {
            Reversal::Controlled(drift) => {
                let [of_forward, _] = halves(&drift.at(state, self.place, given));
                mean + of_forward * self.fresh.clone()
            }
            Reversal::Same | Reversal::Learned(_) => mean,
        }
    }

    fn backward_mean(&self, state: &State, momentum: State, given: &Given) -> State {
        let mean = momentum * self.kept.clone();
        let drift = match self.reversal {
            Reversal::Same => return mean,
            Reversal::Learned(drift) => drift.at(state, self.place, given),
            Reversal::Controlled(drift) => {
                let [_, of_backward] = halves(&drift.at(state, self.place, given));
                of_backward
            }
        };
        mean + drift * self.fresh.clone()
    }

    /// The state with another momentum: what is known of its point stays known.
    fn refreshed(&self, from: &State, z: State, momentum: State, given: &Given) -> State {
        let to = beside(z, Some(momentum));
        self.shared.carry(from, &to, given);
        to
    }
}

impl Transition for Refresh<'_> {
    fn forward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let [z, momentum] = halves(&from);
        let (fresh, forward) = self.spread.draw(self.forward_mean(&from, momentum.clone(), given), noise);
        let to = self.refreshed(&from, z, fresh.clone(), given);
        let backward = self.spread.log_density(&momentum, self.backward_mean(&to, fresh, given));
        Ok(Densities { forward, backward }.forward_step(to))
    }

    fn backward(&self, from: State, given: &Given, noise: &Noise) -> Result<Step, Failure> {
        let [z, momentum] = halves(&from);
        let (old, backward) = self.spread.draw(self.backward_mean(&from, momentum.clone(), given), noise);
        let to = self.refreshed(&from, z, old.clone(), given);
        let forward = self.spread.log_density(&momentum, self.forward_mean(&to, old, given));
        Ok(Densities { forward, backward }.backward_step(to))
    }

    fn score(&self, before: &State, after: &State, given: &Given) -> Result<Score, Failure> {
        let ([_, old], [_, fresh]) = (halves(before), halves(after));
        let forward = self.spread.log_density(&fresh, self.forward_mean(before, old.clone(), given));
        let backward = self.spread.log_density(&old, self.backward_mean(after, fresh, given));
        Ok(Score::Densities(Densities { forward, backward }))
    }
}

/// A leapfrog step.
struct Leapfrog<'a> {
    rung: Rung<'a>,
    /// `eps_k`, `[1, 1]`.
    size: Tensor<2>,
    shared: Arc<Halves>,
}

impl Leapfrog<'_> {
    /// The step with its size times `sign`, which is its inverse for -1.
    fn walk(&self, from: State, sign: f32, given: &Given) -> Result<Step, Failure> {
        let (z, found) = self.shared.recall(&from, given, 0, || {
            let [z, _] = halves(&from);
            let found = self.rung.find(&z, given)?;
            Ok((z, found))
        })?;
        let momentum = halves(&from)[1].clone() + self.rung.step(&z, found) * sign;
        let z = z + momentum.clone() * (self.size.clone() * sign);
        let found = self.rung.find(&z, given)?;
        let momentum = momentum + self.rung.step(&z, found.clone()) * sign;
        let to = beside(z.clone(), Some(momentum));
        self.shared.keep(&to, given, 0, (z, found));
        let ratio = nothing(&to);
        Ok(Step::of_ratio(to, ratio))
    }
}

impl Transition for Leapfrog<'_> {
    fn forward(&self, from: State, given: &Given, _: &Noise) -> Result<Step, Failure> {
        self.walk(from, 1.0, given)
    }

    fn backward(&self, from: State, given: &Given, _: &Noise) -> Result<Step, Failure> {
        self.walk(from, -1.0, given)
    }

    fn score(&self, _: &State, _: &State, _: &Given) -> Result<Score, Failure> {
        Ok(Score::Deterministic)
    }

    fn level(&self, state: &State, given: &Given) -> Result<Option<LogWeight>, Failure> {
        let [z, momentum] = halves(state);
        Ok(Some(self.rung.log_density(&z, given)? + log_normal(&momentum)))
    }
}
