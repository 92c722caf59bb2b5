//! What a model must beat: simple densities fitted to the training split, scored on the test split.
//!
//! ```text
//! full Gaussian   N(mean, covariance + jitter), of uniformly dequantised levels
//! histogram       per coordinate, (count_k + 1) / (n + K): Laplace's rule
//! ```

use crate::math::{Estimate, cholesky, solve_lower};
use crate::rng::{Noise, Purpose};

/// The negative log-likelihood per row of `test` under a full-covariance Gaussian fitted to `train`, nats.
///
/// Both are row-major with `dimension` columns. With `dequantise`, uniform noise on [0, 1) is added to both, so that
/// the result bounds the negative log-mass of integers.
///
/// # Panics
/// If a slice is not a whole number of rows, or `train` is empty.
pub fn gaussian_nll(train: &[f32], test: &[f32], dimension: usize, dequantise: Option<u64>) -> Estimate {
    let noisy = |values: &[f32], first: u64| -> Vec<f64> {
        let mut noise = vec![0.0; values.len()];
        if let Some(seed) = dequantise {
            Noise::new(seed, Purpose::Metric).from_trajectory(first).fill_uniform(&mut noise, dimension);
        }
        values.iter().zip(&noise).map(|(v, u)| f64::from(*v) + f64::from(*u)).collect()
    };
    let train = noisy(train, 0);
    let test = noisy(test, (train.len() / dimension) as u64);
    let n = train.len() / dimension;
    assert!(n > 0 && train.len().is_multiple_of(dimension), "rows of {dimension} columns");
    let mean: Vec<f64> =
        (0..dimension).map(|c| train.iter().skip(c).step_by(dimension).sum::<f64>() / n as f64).collect();
    let mut covariance = vec![0.0; dimension * dimension];
    for row in train.chunks_exact(dimension) {
        for i in 0..dimension {
            for j in 0..=i {
                covariance[i * dimension + j] += (row[i] - mean[i]) * (row[j] - mean[j]) / n as f64;
            }
        }
    }
    let trace = (0..dimension).map(|i| covariance[i * dimension + i]).sum::<f64>();
    // The jitter keeps constant columns and fewer rows than columns from making the matrix singular.
    let jitter = 1e-6 * (trace / dimension as f64).max(1e-12);
    (0..dimension).for_each(|i| covariance[i * dimension + i] += jitter);
    let lower = cholesky(&covariance, dimension).expect("the jitter makes it positive definite");
    let log_det = 2.0 * (0..dimension).map(|i| lower[i * dimension + i].ln()).sum::<f64>();
    let nll = |row: &[f64]| {
        let mut solved: Vec<f64> = row.iter().zip(&mean).map(|(x, m)| x - m).collect();
        solve_lower(&lower, &mut solved);
        let quadratic: f64 = solved.iter().map(|v| v * v).sum();
        0.5 * (quadratic + log_det + dimension as f64 * std::f64::consts::TAU.ln())
    };
    Estimate::mean(&test.chunks_exact(dimension).map(nll).collect::<Vec<_>>())
}

/// The negative log-likelihood per row of integer data under independent histograms of `levels` bins, nats.
///
/// # Panics
/// If a value is no integer in `0..levels`.
pub fn histogram_nll(train: &[f32], test: &[f32], dimension: usize, levels: u32) -> Estimate {
    let levels = levels as usize;
    let mut counts = vec![1.0; dimension * levels];
    for row in train.chunks_exact(dimension) {
        for (column, value) in row.iter().enumerate() {
            counts[column * levels + *value as usize] += 1.0;
        }
    }
    let total = (train.len() / dimension + levels) as f64;
    let nll = |row: &[f32]| {
        let terms = row.iter().enumerate().map(|(column, value)| counts[column * levels + *value as usize]);
        terms.map(|count| -(count / total).ln()).sum::<f64>()
    };
    Estimate::mean(&test.chunks_exact(dimension).map(nll).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data with a known covariance: the fitted Gaussian's cross-entropy is its entropy, within the error.
    #[test]
    fn a_gaussian_scores_its_entropy() {
        let n = 20_000;
        let eps = Noise::new(2, Purpose::Target).normal(2 * n, 2);
        let rows: Vec<f32> =
            eps.chunks_exact(2).flat_map(|e| [1.0 + 2.0 * e[0], -3.0 + 0.5 * e[0] + 0.1 * e[1]]).collect();
        let nll = gaussian_nll(&rows[..2 * n], &rows[2 * n..], 2, None);
        let entropy = std::f64::consts::TAU.ln() + 1.0 + (2.0f64 * 0.1).ln();
        assert!((nll.value - entropy).abs() < 5.0 * nll.error + 1e-3, "{nll:?} against {entropy}");
    }

    #[test]
    fn a_histogram_follows_laplaces_rule() {
        let nll = histogram_nll(&[0.0, 0.0, 2.0], &[0.0, 1.0], 1, 3);
        let expected = -0.5 * ((3.0f64 / 6.0).ln() + (1.0f64 / 6.0).ln());
        assert!((nll.value - expected).abs() < 1e-12);
    }
}
