//! Time embeddings.
//!
//! ```text
//! e(u) = [ sin(1000 u f_0), ..., sin(1000 u f_{h-1}), cos(1000 u f_0), ..., cos(1000 u f_{h-1}) ]
//! f_j  = 10000^{-j / h}
//! ```
//!
//! Vaswani et al. (2017), as used by DDPM (Ho et al. 2020), with `u` in [0, 1] the place in the noise range.

use burn::tensor::Tensor;

use super::weights::matrix;

/// Embeds times `u`, `[rows, 1]`, into `[rows, width]`.
///
/// # Panics
/// If the width is odd or zero.
pub fn sinusoidal(times: Tensor<2>, width: usize) -> Tensor<2> {
    assert!(width > 0 && width.is_multiple_of(2), "a sine and a cosine per frequency");
    let half = width / 2;
    let frequencies = (0..half).map(|j| 1000.0 * (-(10_000f64.ln()) * j as f64 / half as f64).exp());
    let frequencies = matrix(frequencies.map(|f| f as f32).collect(), half, &times.device());
    let angles = times.matmul(frequencies);
    Tensor::cat(vec![angles.clone().sin(), angles.cos()], 1)
}
