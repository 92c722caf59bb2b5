//! Unit lower triangular mixing: the off-diagonal part of a Cholesky factor.
//!
//! ```text
//! x = (I + N) z,   N strictly lower triangular     log |det| = 0
//! ```
//!
//! Behind it `x = m + D z` with a positive diagonal D gives `N(m, L L^T)` with `L = D (I + N)`, which is every Gaussian once. N has no
//! unit, so that one learning rate suits coordinates of any scale.

use burn::tensor::Tensor;

use super::Bijection;
use super::linear::RAW_ONE;
use crate::array::lu;
use crate::array::weights::{Weights, layout};
use crate::chain::{Given, LogWeight, State};

/// `x = (I + N) z`, row vectors.
#[derive(Debug, Clone)]
pub struct UnitLower {
    weights: Weights,
}

impl UnitLower {
    /// The identity on `dimension` coordinates. The weights are `N^T`, since rows of states are multiplied from the right.
    pub fn new(name: impl Into<String>, dimension: usize) -> Self {
        let slots = layout([("lower", vec![dimension, dimension])]);
        Self { weights: Weights::new(name, slots, vec![0.0; dimension * dimension]) }
    }

    fn apply(&self, state: State, inverse: bool) -> (State, LogWeight) {
        let [rows, d] = state.dims();
        let device = self.weights.device();
        let theta = Tensor::cat(
            vec![
                self.weights.tensor(),
                Tensor::zeros([d * d], &device),
                Tensor::full([d], RAW_ONE, &device),
                Tensor::zeros([d], &device),
            ],
            0,
        );
        let log_det = Tensor::zeros([rows], &state.device());
        (lu::apply(state, theta, inverse).slice([0..rows, 0..d]), log_det)
    }
}

impl Bijection for UnitLower {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        self.apply(z, false)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        self.apply(x, true)
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![&self.weights]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![&mut self.weights]
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}
