//! A path of densities with the step sizes of the Langevin kernels that follow it.
//!
//! ```text
//! grad log gamma_k(x) = (1 - b_k) (m - x) / s^2 + b_k grad log R(x)          of a geometric path
//! ```
//!
//! A step of size `eps_k` along it is `A x + B grad log R(x) + C` with one `A`, `B`, `C` for each level and coordinate.

use std::sync::Arc;

use burn::tensor::Tensor;

use super::memory::Memory;
use super::{Base, Ladder, Level, PathKind, StepSizes};
use crate::array::combine::combined;
use crate::array::weights::Weights;
use crate::chain::{Given, LogWeight, State, Transition};
use crate::error::Failure;
use crate::kernel::bijection::{Bijection as _, BijectionStep};
use crate::kernel::mcmc::LogDensity as _;
use crate::target::{Target, score};

/// The densities from a base to an energy, and how far Langevin kernels move at each.
#[derive(Debug, Clone)]
pub struct AnnealingPath {
    /// The energy.
    pub target: Arc<dyn Target>,
    /// Where the path begins.
    pub base: Base,
    /// Whether it begins with a draw of the base, as next to the source; elsewhere states come to it as they are.
    pub draws_base: bool,
    /// The densities on the way.
    pub kind: PathKind,
    /// Where they lie.
    pub ladder: Ladder,
    /// How far kernels move.
    pub sizes: StepSizes,
}

/// `log R` and its score at a state.
type Found = (LogWeight, State);

/// The energy at the state that was asked about last.
pub(super) type Scores = Memory<Found>;

/// One level of the path.
pub(super) struct Rung<'a> {
    path: &'a AnnealingPath,
    level: Level<'a>,
    /// `log eps_k`, `[1, 1]`.
    pub log_size: Tensor<2>,
    /// Of a geometric path: `A`, `B`, `C`, `[3, dimension]`.
    coefficients: Tensor<2>,
    /// What of a step is taken.
    share: f32,
    /// Whether the step ends at a point, and is not a shift.
    moves: bool,
}

impl AnnealingPath {
    /// The draw of the base, if there is one.
    pub(super) fn first(&self) -> Option<Box<dyn Transition + '_>> {
        self.draws_base.then(|| Box::new(BijectionStep(&self.base)) as Box<dyn Transition>)
    }

    /// The levels, each with `share` of a step; one that `moves` adds it to the state.
    pub(super) fn rungs(&self, share: f32, moves: bool) -> Vec<Rung<'_>> {
        let steps = self.ladder.steps();
        let logs = self.sizes.logs();
        let on_tape = self.ladder.on_tape();
        let coefficients = self.coefficients(on_tape.as_ref(), &logs, share, moves);
        let dimension = self.base.dimension();
        let rung = |(k, place): (usize, f64)| {
            let learned = on_tape.as_ref().map(|all| all.clone().slice([0..1, k..k + 1]).squeeze_dim(0));
            Rung {
                path: self,
                level: Level::new(&self.base, &self.target, self.kind, place, learned),
                log_size: logs.clone().slice([k..k + 1, 0..1]),
                coefficients: coefficients.clone().slice([k..k + 1, 0..3]).reshape([3, dimension]),
                share,
                moves,
            }
        };
        debug_assert_eq!(logs.dims()[0], steps);
        self.ladder.places().into_iter().enumerate().map(rung).collect()
    }

    /// `A`, `B`, `C` of all levels, `[K, 3, dimension]`.
    fn coefficients(
        &self,
        on_tape: Option<&Tensor<2>>,
        logs: &Tensor<2>,
        share: f32,
        moves: bool,
    ) -> Tensor<3> {
        let (steps, device) = (self.ladder.steps(), logs.device());
        let places = match on_tape {
            Some(places) => places.clone().reshape([steps, 1]),
            None => {
                let places = self.ladder.places().into_iter().map(|place| place as f32).collect();
                crate::array::weights::matrix(places, 1, &device)
            }
        };
        let sizes = logs.clone().exp() * share;
        let rest = (-places.clone() + 1.0) * sizes.clone();
        let [mean, log_std] = self.base.parts();
        let precision = (log_std * -2.0).exp();
        let of_state = -(rest.clone() * precision.clone());
        let of_state = if moves { of_state + 1.0 } else { of_state };
        let of_score = (places * sizes).expand(of_state.dims());
        let constant = rest * (precision * mean);
        Tensor::stack(vec![of_state, of_score, constant], 1)
    }

    /// The weights.
    pub(super) fn weights(&self) -> Vec<&Weights> {
        let mut all = self.base.weights();
        all.extend([self.ladder.weights(), self.sizes.weights()]);
        all
    }

    /// The weights, to update.
    pub(super) fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let mut all = self.base.weights_mut();
        all.extend([self.ladder.weights_mut(), self.sizes.weights_mut()]);
        all
    }
}

impl Rung<'_> {
    /// What the energy says at `x`.
    pub(super) fn find(&self, x: &State, given: &Given) -> Result<Found, Failure> {
        score(&self.path.target, x, given)
    }

    /// The share of the step `eps_k grad log gamma_k(x)`, or `x` after it.
    pub(super) fn step(&self, x: &State, (log_reward, score): Found) -> State {
        match self.path.kind {
            PathKind::Geometric => combined(x.clone(), score, self.coefficients.clone()),
            PathKind::Linear => {
                let (log_base, of_base) = self.path.base.with_score(x);
                let (_, pull) = self.level.joined([log_base, log_reward], Some([of_base, score]));
                let shift = pull.expect("scores were given") * (self.log_size.clone().exp() * self.share);
                if self.moves { x.clone() + shift } else { shift }
            }
        }
    }

    /// `log gamma_k(x)`, `[batch]`, nats.
    pub(super) fn log_density(&self, x: &State, given: &Given) -> Result<LogWeight, Failure> {
        self.level.log_density(x, given)
    }
}
