//! Bijections: deterministic kernels.
//!
//! ```text
//! forward   x = g(z),        log_det = log |det dg/dz|         (generating)
//! inverse   z = g^{-1}(x),   log_det = log |det dg^{-1}/dx|    (encoding)
//! ```
//!
//! As a step of a chain pair a bijection's ratio is its log-determinant: `log p(x) = log p(z) - log |det g'|`.
//! Law 3 of the test harness runs over every bijection here.

mod affine;
mod autoregressive;
mod constraint;
mod coupling;
mod linear;
mod low_rank;
mod triangular;
mod whiten;

pub use affine::{ActNorm, Logit, Standardise};
pub use autoregressive::{Autoregressive, Direction};
pub use constraint::{Constrain, Constraint};
pub use coupling::{Coupling, Split};
pub use linear::{LuLinear, Permutation};
pub use low_rank::LowRank;
pub use triangular::UnitLower;
pub use whiten::Correlate;

use std::fmt::Debug;

use crate::array::described::Described;
use crate::array::weights::Weights;
use crate::chain::{Given, LogWeight, Score, State, Step, Transition};
use crate::error::Failure;
use crate::rng::Noise;

/// An invertible, differentiable map between states of equal dimension, which may depend on a condition.
pub trait Bijection: Debug + Send + Sync {
    /// `x = g(z)` and `log |det dg/dz|`, `[batch]`.
    fn forward(&self, z: State, given: &Given) -> (State, LogWeight);

    /// `z = g^{-1}(x)` and `log |det dg^{-1}/dx|`, `[batch]`.
    fn inverse(&self, x: State, given: &Given) -> (State, LogWeight);

    /// The trainable weights.
    fn weights(&self) -> Vec<&Weights> {
        Vec::new()
    }

    /// The trainable weights, to update.
    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        Vec::new()
    }

    /// Sets data-dependent initial values from a batch `x` on the data side.
    fn initialise(&mut self, _x: &State) {}

    /// What a reader of exported weights must know of it besides them, where it can be told.
    fn described(&self) -> Option<Described> {
        None
    }

    /// A copy behind a new box.
    fn boxed(&self) -> Box<dyn Bijection>;
}

/// A bijection as one step of a chain.
#[derive(Debug)]
pub struct BijectionStep<'a>(pub &'a dyn Bijection);

impl Transition for BijectionStep<'_> {
    fn forward(&self, from: State, given: &Given, _noise: &Noise) -> Result<Step, Failure> {
        let (state, log_det) = self.0.forward(from, given);
        Ok(Step::of_ratio(state, log_det))
    }

    fn backward(&self, from: State, given: &Given, _noise: &Noise) -> Result<Step, Failure> {
        let (state, log_det) = self.0.inverse(from, given);
        Ok(Step::of_ratio(state, log_det))
    }

    fn score(&self, _before: &State, _after: &State, _given: &Given) -> Result<Score, Failure> {
        Ok(Score::Deterministic)
    }
}
