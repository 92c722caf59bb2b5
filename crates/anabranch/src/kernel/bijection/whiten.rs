//! Undoing correlations: a fixed triangular map.
//!
//! ```text
//! x = L z,   L lower triangular     log |det| = sum_i log L_ii
//! ```
//!
//! With `L L^T` the correlations of data and [`Standardise`](super::Standardise) behind it, a standard normal `z` becomes the Gaussian of these data.

use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::json;

use super::Bijection;
use crate::array::described::Described;
use crate::array::weights::matrix;
use crate::chain::{Given, LogWeight, State};

/// `x = L z` with a fixed lower triangular `L`.
#[derive(Debug, Clone)]
pub struct Correlate {
    /// `L^T` and its inverse, `[dimension, dimension]`: rows of states are multiplied from the right.
    maps: Arc<[Vec<f32>; 2]>,
    dimension: usize,
    log_det: f32,
}

impl Correlate {
    /// From `L`, row-major `[dimension, dimension]`, of which the lower triangle is read.
    ///
    /// # Panics
    /// If it is not square, or its diagonal not positive.
    pub fn new(lower: &[f64], dimension: usize) -> Self {
        assert_eq!(lower.len(), dimension * dimension, "a square matrix");
        let diagonal = || (0..dimension).map(|i| lower[i * (dimension + 1)]);
        assert!(diagonal().all(|value| value > 0.0), "a positive diagonal");
        let mut transposed = vec![0.0; dimension * dimension];
        let mut inverse = transposed.clone();
        for column in 0..dimension {
            // The column of L^{-1} that undoes this coordinate.
            let mut unit = vec![0.0; dimension];
            unit[column] = 1.0;
            crate::math::solve_lower(lower, &mut unit);
            for row in column..dimension {
                transposed[column * dimension + row] = lower[row * dimension + column] as f32;
                inverse[column * dimension + row] = unit[row] as f32;
            }
        }
        let log_det = diagonal().map(f64::ln).sum::<f64>() as f32;
        Self { maps: Arc::new([transposed, inverse]), dimension, log_det }
    }

    fn apply(&self, state: State, which: usize, log_det: f32) -> (State, LogWeight) {
        let (rows, device) = (state.dims()[0], state.device());
        let map = matrix(self.maps[which].clone(), self.dimension, &device);
        (state.matmul(map), Tensor::full([rows], log_det, &device))
    }
}

impl Bijection for Correlate {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        self.apply(z, 0, self.log_det)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        self.apply(x, 1, -self.log_det)
    }

    fn described(&self) -> Option<Described> {
        let (d, [transposed, _]) = (self.dimension, &*self.maps);
        let lower = (0..d * d).map(|at| transposed[at % d * d + at / d]).collect();
        Some(Described::new("correlate", json!({})).with("lower", vec![d, d], lower))
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}
