//! Sums in log space, and estimates with their standard errors.

use burn::tensor::Tensor;

use crate::chain::LogWeight;

/// `log sum exp(x)`, `-inf` for no terms. Stable for any finite or `-inf` terms.
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

/// `log mean exp(x)` over each row of `[rows, samples]`, differentiable.
pub fn log_mean_exp_rows(values: Tensor<2>) -> LogWeight {
    let samples = values.dims()[1] as f64;
    let largest = values.clone().max_dim(1).detach();
    let sum = (values - largest.clone()).exp().sum_dim(1).log() + largest;
    (sum - samples.ln()).squeeze_dim(1)
}

/// A number with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error; NaN-free: 0 for a single exact value.
    pub error: f64,
}

impl Estimate {
    /// A number known exactly.
    pub fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// The mean of independent values and its standard error `s / sqrt(n)`.
    ///
    /// # Panics
    /// If there are no values.
    pub fn mean(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "a mean needs values");
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Self { value: mean, error: (variance / n).sqrt() }
    }

    /// The same estimate in another unit.
    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, error: self.error * factor.abs() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_sums_survive_extremes() {
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY, 3.0]), 3.0);
        assert!((log_sum_exp(&[1000.0, 1000.0]) - 1000.0 - 2f64.ln()).abs() < 1e-12);
        assert!((log_sum_exp(&[-1000.0, -1001.0]) + 1000.0 - (1.0 + (-1f64).exp()).ln()).abs() < 1e-12);
    }

    #[test]
    fn means_carry_their_standard_error() {
        let estimate = Estimate::mean(&[1.0, 2.0, 4.0, 5.0]);
        assert_eq!(estimate.value, 3.0);
        assert!((estimate.error - (10.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
    }
}
