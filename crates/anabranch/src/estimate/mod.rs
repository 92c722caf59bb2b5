//! Estimates from path log-weights, each with its standard error.
//!
//! ```text
//! ELBO    E_forward[log w]  <= log Z <=  E_backward[log w]    EUBO
//! log Z   log mean exp(log w)                                   importance-weighted; error by the delta method
//! ESS     (sum w)^2 / (n sum w^2)                               of forward paths, in (0, 1]
//! ESS     n^2 / (sum w  sum 1/w)                                of backward paths from exact samples
//! ```
//!
//! ELBO and EUBO together sandwich `log Z`; a collapsed mode is invisible in the ELBO and the forward ESS alone.

pub mod baseline;
pub mod exact;
pub mod likelihood;
pub mod paths;
pub mod rooted;
pub mod trajectories;

use crate::math::{Estimate, log_sum_exp};

/// What forward paths say about the normalising constant.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Evidence {
    /// `E_forward[log w]`, nats.
    pub elbo: Estimate,
    /// `log mean exp(log w)`, nats.
    pub log_z: Estimate,
    /// The effective sample size as a fraction of the number of paths.
    pub ess: f64,
}

/// Estimates from the log-weights of independent forward paths. A path of weight 0, such as a walk that was cut short, counts
/// for `log Z`; the ELBO is that of the chain without such paths, `E[log w | w > 0] + log P(w > 0)`, a bound just the same.
///
/// # Panics
/// If there are none.
pub fn evidence(log_weights: &[f64]) -> Evidence {
    let n = log_weights.len() as f64;
    let log_sum = log_sum_exp(log_weights);
    let doubled: Vec<f64> = log_weights.iter().map(|log_weight| 2.0 * log_weight).collect();
    let ess = (2.0 * log_sum - log_sum_exp(&doubled)).exp() / n;
    // Delta method: the relative standard error of the mean weight is sqrt((1 / ess - 1) / n).
    let error = ((1.0 / ess - 1.0).max(0.0) / n).sqrt();
    let positive: Vec<f64> =
        log_weights.iter().copied().filter(|log_weight| *log_weight > f64::NEG_INFINITY).collect();
    let mut elbo = match positive.is_empty() {
        true => Estimate { value: f64::NEG_INFINITY, error: f64::NAN },
        false => Estimate::mean(&positive),
    };
    elbo.value += (positive.len() as f64 / n).ln();
    Evidence { elbo, log_z: Estimate { value: log_sum - n.ln(), error }, ess }
}

/// `E_backward[log w]` over backward paths from exact samples of the target: an upper bound on `log Z`, nats.
///
/// # Panics
/// If there are none.
pub fn upper_bound(log_weights: &[f64]) -> Estimate {
    Estimate::mean(log_weights)
}

/// The effective sample size of backward paths from exact samples, `n^2 / (sum w sum 1/w)`: near 0 where the forward
/// chain misses part of the target.
pub fn forward_ess(log_weights: &[f64]) -> f64 {
    let negated: Vec<f64> = log_weights.iter().map(|log_weight| -log_weight).collect();
    (2.0 * (log_weights.len() as f64).ln() - log_sum_exp(log_weights) - log_sum_exp(&negated)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};

    /// Log-normal weights: `log w ~ N(m, s^2)` has `log E w = m + s^2 / 2`, ESS `e^{-s^2}`.
    #[test]
    fn log_normal_weights_are_recovered() {
        let (m, s, n) = (-3.0, 0.7, 40_000);
        let normals = Noise::new(5, Purpose::Metric).normal(n, 1);
        let log_weights: Vec<f64> = normals.iter().map(|z| m + s * f64::from(*z)).collect();
        let evidence = evidence(&log_weights);
        assert!((evidence.log_z.value - (m + s * s / 2.0)).abs() < 4.0 * evidence.log_z.error);
        assert!((evidence.elbo.value - m).abs() < 4.0 * evidence.elbo.error);
        assert!((evidence.ess - (-s * s).exp()).abs() < 0.02);
        let expected_error = ((s * s).exp_m1() / n as f64).sqrt();
        assert!((evidence.log_z.error / expected_error - 1.0).abs() < 0.1);
        // Backward paths: log w ~ N(m + s^2, s^2), whose forward ESS is e^{-s^2} too.
        let backward: Vec<f64> = log_weights.iter().map(|log_weight| log_weight + s * s).collect();
        assert!((forward_ess(&backward) - (-s * s).exp()).abs() < 0.02);
        assert!(upper_bound(&backward).value > evidence.log_z.value);
    }

    #[test]
    fn equal_weights_are_perfect() {
        let evidence = evidence(&[2.5; 10]);
        assert!((evidence.log_z.value - 2.5).abs() < 1e-12 && evidence.log_z.error < 1e-7);
        assert!((evidence.ess - 1.0).abs() < 1e-12 && (forward_ess(&[2.5; 10]) - 1.0).abs() < 1e-12);
    }
}
