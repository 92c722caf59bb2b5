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
mod coupling;
mod linear;

pub use affine::{ActNorm, Logit, Standardise};
pub use autoregressive::{Autoregressive, Direction};
pub use coupling::{Coupling, Split};
pub use linear::{LuLinear, Permutation};

use std::fmt::Debug;

use crate::array::weights::Weights;
use crate::chain::{LogWeight, State, Step, Transition, ratio_step};
use crate::rng::Noise;

/// An invertible, differentiable map between states of equal dimension.
pub trait Bijection: Debug + Send + Sync {
    /// `x = g(z)` and `log |det dg/dz|`, `[batch]`.
    fn forward(&self, z: State) -> (State, LogWeight);

    /// `z = g^{-1}(x)` and `log |det dg^{-1}/dx|`, `[batch]`.
    fn inverse(&self, x: State) -> (State, LogWeight);

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

    /// A copy behind a new box.
    fn boxed(&self) -> Box<dyn Bijection>;
}

/// A bijection as one step of a chain.
#[derive(Debug)]
pub struct BijectionStep<'a>(pub &'a dyn Bijection);

impl Transition for BijectionStep<'_> {
    fn forward(&self, from: State, _noise: &Noise) -> Step {
        let (state, log_det) = self.0.forward(from);
        ratio_step(state, log_det)
    }

    fn backward(&self, from: State, _noise: &Noise) -> Step {
        let (state, log_det) = self.0.inverse(from);
        ratio_step(state, log_det)
    }
}
