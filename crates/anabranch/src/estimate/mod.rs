//! Estimates from path log-weights, each with its standard error.
//!
//! ```text
//! ELBO    E_forward[log w]  <= log Z <=  E_backward[log w]    EUBO
//! log Z   log mean exp(log w)                                   importance-weighted; error by the delta method
//! ESS     (sum w)^2 / (n sum w^2)                               of forward paths, in (0, 1]
//! ESS     n^2 / (sum w  sum 1/w)                                of backward paths from exact samples
//! ```
//!
//! ELBO and EUBO together sandwich `log Z`; a collapsed mode is invisible in the ELBO and the forward ESS alone. [`pareto`] tells
//! whether weights have the moments that `log Z` and its error need, [`convergence`] whether Markov chains have mixed.

pub mod annealed;
pub mod baseline;
pub mod convergence;
pub mod exact;
pub mod likelihood;
pub mod pareto;
pub mod paths;
pub mod relative;
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
    /// The shape of the weights' tail, where it has one: see [`pareto`].
    pub pareto_k: Option<f64>,
    /// How many paths there are.
    pub paths: usize,
}

/// Estimates from the log-weights of independent forward paths. A path of weight 0, such as a walk that was cut short or an
/// end where the target has no mass, counts for `log Z`; the ELBO is that of the chain without such paths,
///
/// ```text
/// log Z = log P(w > 0) + log E[w | w > 0]  >=  log P(w > 0) + E[log w | w > 0]
/// variance of the estimate, m of n paths having weight:  s^2 / m  +  (1 - m / n) / m
/// ```
///
/// whose two parts are uncorrelated, the second being that of `log (m / n)` by the delta method. One path has no error.
///
/// # Panics
/// If there are none.
pub fn evidence(log_weights: &[f64]) -> Evidence {
    let n = log_weights.len() as f64;
    let log_sum = log_sum_exp(log_weights);
    let doubled: Vec<f64> = log_weights.iter().map(|log_weight| 2.0 * log_weight).collect();
    let ess = (2.0 * log_sum - log_sum_exp(&doubled)).exp() / n;
    // Delta method: the relative standard error of the mean weight is sqrt((1 / ess - 1) / n).
    let error = if n > 1.0 { ((1.0 / ess - 1.0).max(0.0) / n).sqrt() } else { f64::NAN };
    let positive: Vec<f64> =
        log_weights.iter().copied().filter(|log_weight| *log_weight > f64::NEG_INFINITY).collect();
    let elbo = match positive.len() as f64 {
        0.0 => Estimate { value: f64::NEG_INFINITY, error: f64::NAN },
        m => {
            let given = Estimate::mean(&positive);
            let of_share = ((1.0 - m / n) / m).sqrt();
            Estimate { value: given.value + (m / n).ln(), error: given.error.hypot(of_share) }
        }
    };
    let log_z = Estimate { value: log_sum - n.ln(), error };
    Evidence { elbo, log_z, ess, pareto_k: pareto::pareto_k(log_weights), paths: log_weights.len() }
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

    /// A share of the paths weighs nothing: the ELBO is `E[log w | w > 0] + log P(w > 0)`, and its stated error is how far
    /// repeated estimates spread.
    #[test]
    fn paths_without_weight_are_part_of_the_error() {
        let (m, s, share, n, repeats) = (0.5, 0.3, 0.4, 200, 4000);
        let noise = Noise::new(6, Purpose::Metric);
        let normals = noise.normal(n * repeats, 1);
        let kept = noise.step(1).uniform(n * repeats, 1);
        let weights = normals.iter().zip(&kept).map(|(z, u)| match *u < share {
            true => m + s * f64::from(*z),
            false => f64::NEG_INFINITY,
        });
        let weights: Vec<f64> = weights.collect();
        let found: Vec<Evidence> = weights.chunks_exact(n).map(evidence).collect();
        let elbo = Estimate::mean(&found.iter().map(|found| found.elbo.value).collect::<Vec<_>>());
        // The log of a share is too low by (1 - p) / (2 n p) on average.
        let exact =
            m + f64::from(share).ln() - (1.0 - f64::from(share)) / (2.0 * n as f64 * f64::from(share));
        assert!((elbo.value - exact).abs() < 4.0 * elbo.error + 1e-4, "{elbo:?}, {exact}");
        let spread = elbo.error * (repeats as f64).sqrt();
        let stated = found.iter().map(|found| found.elbo.error.powi(2)).sum::<f64>() / repeats as f64;
        let ratio = stated.sqrt() / spread;
        assert!((0.95..1.05).contains(&ratio), "stated {}, found {spread}", stated.sqrt());
        let none = super::evidence(&[f64::NEG_INFINITY; 3]);
        assert!(none.elbo.value == f64::NEG_INFINITY && none.elbo.error.is_nan());
        let one = super::evidence(&[1.0]);
        assert!(one.elbo.error.is_nan() && one.log_z.error.is_nan(), "one path has no error: {one:?}");
    }

    #[test]
    fn equal_weights_are_perfect() {
        let evidence = evidence(&[2.5; 10]);
        assert!((evidence.log_z.value - 2.5).abs() < 1e-12 && evidence.log_z.error < 1e-7);
        assert!((evidence.ess - 1.0).abs() < 1e-12 && (forward_ess(&[2.5; 10]) - 1.0).abs() < 1e-12);
    }
}
