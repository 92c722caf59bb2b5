//! Time embeddings.
//!
//! ```text
//! e(u) = [ sin(1000 u f_0), ..., sin(1000 u f_{h-1}), cos(1000 u f_0), ..., cos(1000 u f_{h-1}) ]
//! f_j  = 10000^{-j / h}
//! ```
//!
//! Vaswani et al. (2017), as used by DDPM (Ho et al. 2020), with `u` in [0, 1] the place in the noise range.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::array::embedding::sines_and_cosines;
use crate::array::weights::matrix;

fn frequencies(width: usize) -> Arc<[f64]> {
    assert!(width > 0 && width.is_multiple_of(2), "a sine and a cosine per frequency");
    let half = width / 2;
    (0..half).map(|j| 1000.0 * (-(10_000f64.ln()) * j as f64 / half as f64).exp()).collect()
}

/// Embeds times `u`, `[rows, 1]`, into `[rows, width]`.
///
/// # Panics
/// If the width is odd or zero.
pub fn sinusoidal(times: Tensor<2>, width: usize) -> Tensor<2> {
    sines_and_cosines(frequencies(width), times)
}

/// [`sinusoidal`] composed of burn's own operations: the oracle of the fused kernel.
pub fn sinusoidal_composed(times: Tensor<2>, width: usize) -> Tensor<2> {
    let row: Vec<f32> = frequencies(width).iter().map(|f| *f as f32).collect();
    let angles = times.clone().matmul(matrix(row, width / 2, &times.device()));
    Tensor::cat(vec![angles.clone().sin(), angles.cos()], 1)
}
