//! Stretching along few directions: the low-rank part of a covariance.
//!
//! ```text
//! x = (I + u_1 u_1^T) (I + u_2 u_2^T) ... (I + u_r u_r^T) z
//! log |det| = sum_k log(1 + |u_k|^2)                                     (the determinant lemma)
//! (I + u u^T)^{-1} z = z - u (u^T z) / (1 + |u|^2)                       (Sherman and Morrison)
//! ```
//!
//! Behind it `x = m + D z` gives a Gaussian of covariance `D (I + W) D` with W positive semidefinite of rank r: with orthogonal `u_k`
//! the product is `I + sum u_k u_k^T`, and a W of eigenvalues `e_k` has `|u_k|^2 = sqrt(1 + e_k) - 1`. So every covariance that is
//! a diagonal and a positive part of rank r is reached, at `2 r d` operations a row.

use burn::tensor::Tensor;

use super::Bijection;
use crate::array::weights::{Weights, layout, sum_rows};
use crate::chain::{Given, LogWeight, State};
use crate::rng::{Noise, Purpose};

/// `x = prod_k (I + u_k u_k^T) z`.
#[derive(Debug, Clone)]
pub struct LowRank {
    rank: usize,
    weights: Weights,
}

/// The norm of a direction at the start: at 0 it would have no gradient.
const START: f32 = 0.1;

impl LowRank {
    /// Of `rank` directions in `dimension` coordinates: short ones at random, addressed by `seed` and `stream`.
    pub fn new(name: impl Into<String>, [rank, dimension]: [usize; 2], seed: u64, stream: u32) -> Self {
        let scale = START / (dimension as f32).sqrt();
        let draws = Noise::new(seed, Purpose::Weights).step(stream).normal(rank, dimension);
        let slots = layout([("directions", vec![rank, dimension])]);
        Self { rank, weights: Weights::new(name, slots, draws.into_iter().map(|v| scale * v).collect()) }
    }

    /// Direction `k`, `[1, dimension]`, and `1 + |u|^2`, `[1, 1]`.
    fn direction(&self, all: &Tensor<2>, k: usize) -> (Tensor<2>, Tensor<2>) {
        let columns = all.dims()[1];
        let u = all.clone().slice([k..k + 1, 0..columns]);
        (u.clone(), u.square().sum_dim(1) + 1.0)
    }

    fn log_det(&self, all: &Tensor<2>, rows: usize) -> LogWeight {
        let stretched = (all.clone().square().sum_dim(1) + 1.0).log();
        sum_rows(stretched.transpose()).expand([rows])
    }
}

impl Bijection for LowRank {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        let all = self.weights.matrix("directions");
        let log_det = self.log_det(&all, z.dims()[0]);
        let x = (0..self.rank).rev().fold(z, |z, k| {
            let (u, _) = self.direction(&all, k);
            let along = (z.clone() * u.clone()).sum_dim(1);
            z + along * u
        });
        (x, log_det)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        let all = self.weights.matrix("directions");
        let log_det = self.log_det(&all, x.dims()[0]);
        let z = (0..self.rank).fold(x, |x, k| {
            let (u, stretch) = self.direction(&all, k);
            let along = (x.clone() * u.clone()).sum_dim(1) / stretch;
            x - along * u
        });
        (z, -log_det)
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
