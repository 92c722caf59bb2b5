//! Whether importance weights are to be trusted: the shape of their tail, and weights smoothed by it.
//!
//! ```text
//! tail       the M largest of S weights,   M = ceil(min(S / 5, 3 sqrt(S)))
//! their excess over the next one is fitted by a generalised Pareto law  P(excess > y) = (1 + k y / sigma)^(-1 / k)
//! trusted    k <= min(1 - 1 / log10 S, 0.7)
//! smoothed   the j-th least of the tail becomes the (j - 1/2) / M quantile of the fitted law, at most the largest weight
//! ```
//!
//! A law of weights has as many moments as are below `1 / k`: beyond `1/2` the mean weight has no variance, beyond 1 no mean, and
//! neither `log Z` nor its stated error means anything, however small that error is. Sources: Vehtari, Simpson, Gelman, Yao and Gabry,
//! "Pareto smoothed importance sampling" (JMLR 2024), sections 3 and 4; the fit is that of Zhang and Stephens, "A new and efficient
//! estimation method for the generalized Pareto distribution" (Technometrics 2009), its `k` drawn towards 1/2 as ten more weights
//! would (Vehtari et al., appendix G).

use crate::math::log_sum_exp;

/// Weights of a tail that tell nothing: fewer than five.
const FEWEST: usize = 5;
/// The weights that the prior of `k` counts for, and its mean.
const PRIOR: (f64, f64) = (10.0, 0.5);

/// The tail of some importance weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Smoothed {
    /// `k`, the shape of the tail.
    pub pareto_k: f64,
    /// The logarithms of the weights, in their order, those of the tail smoothed. Nats.
    pub log_weights: Vec<f64>,
}

/// The largest `k` at which the weights of `count` paths are to be trusted.
pub fn threshold(count: usize) -> f64 {
    (1.0 - 1.0 / (count as f64).log10()).min(0.7)
}

/// Smooths weights by their tail; `None` where the tail has fewer than five weights, or they are all alike. A weight may be 0, its
/// logarithm minus infinity.
pub fn smoothed(log_weights: &[f64]) -> Option<Smoothed> {
    let count = log_weights.len();
    let tail = (count as f64 / 5.0).min(3.0 * (count as f64).sqrt()).ceil() as usize;
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| log_weights[*a].total_cmp(&log_weights[*b]));
    let largest = log_weights[*order.last()?];
    if tail >= count || !largest.is_finite() {
        return None;
    }
    // Weights that f64 cannot tell from 0 beside the largest are no part of the tail.
    let cut = (log_weights[order[count - tail - 1]] - largest).max(f64::MIN_POSITIVE.ln());
    let first = count - order.iter().rev().take_while(|at| log_weights[**at] - largest > cut).count();
    let excess: Vec<f64> =
        order[first..].iter().map(|at| (log_weights[*at] - largest).exp() - cut.exp()).collect();
    if excess.len() < FEWEST {
        return None;
    }
    let (k, sigma) = fit(&excess)?;
    let mut smoothed = log_weights.to_vec();
    for (j, at) in order[first..].iter().enumerate() {
        let level = (j as f64 + 0.5) / excess.len() as f64;
        smoothed[*at] = largest + (quantile(level, k, sigma) + cut.exp()).ln().min(0.0);
    }
    Some(Smoothed { pareto_k: k, log_weights: smoothed })
}

/// `k` alone.
pub fn pareto_k(log_weights: &[f64]) -> Option<f64> {
    smoothed(log_weights).map(|found| found.pareto_k)
}

/// Shape and scale of the generalised Pareto law of ascending positive numbers: the posterior mean of `b = k / sigma` over a grid, with
/// the profile likelihood and the prior of Zhang and Stephens, and the shape that is most likely there.
fn fit(ascending: &[f64]) -> Option<(f64, f64)> {
    let n = ascending.len() as f64;
    let (quartile, largest) = (ascending[(n / 4.0 + 0.5) as usize - 1], ascending[ascending.len() - 1]);
    if !(quartile > 0.0 && largest.is_finite()) {
        return None;
    }
    // In this notation theta = -b, as in the paper: 1 - theta x is positive for all x.
    let points = 30 + n.sqrt() as usize;
    let theta =
        |j: usize| 1.0 / largest + (1.0 - (points as f64 / (j as f64 + 0.5)).sqrt()) / (3.0 * quartile);
    let shape = |theta: f64| ascending.iter().map(|x| (-theta * x).ln_1p()).sum::<f64>() / n;
    let profile = |theta: f64| {
        let k = shape(theta);
        n * ((-theta / k).ln() - k - 1.0)
    };
    let grid: Vec<f64> = (0..points).map(theta).collect();
    let likelihoods: Vec<f64> = grid.iter().map(|theta| profile(*theta)).collect();
    let total = log_sum_exp(&likelihoods);
    let mean: f64 =
        grid.iter().zip(&likelihoods).map(|(theta, likelihood)| theta * (likelihood - total).exp()).sum();
    let k = shape(mean);
    let sigma = -k / mean;
    let (weight, centre) = PRIOR;
    let k = (n * k + weight * centre) / (n + weight);
    (k.is_finite() && sigma > 0.0).then_some((k, sigma))
}

/// The quantile of the generalised Pareto law.
fn quantile(level: f64, k: f64, sigma: f64) -> f64 {
    let exponential = -(-level).ln_1p();
    if k.abs() < f64::EPSILON { sigma * exponential } else { sigma * (k * exponential).exp_m1() / k }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};

    /// Quantiles of a generalised Pareto law, as weights: what ArviZ 0.23.4 makes of them (`arviz.psislw`).
    #[test]
    fn published_values() {
        for (shape, count, k, smoothed_first, smoothed_last) in REFERENCE {
            let weight = |i: usize| quantile((i as f64 + 0.5) / *count as f64, *shape, 1.0);
            // Not in their order, and with an offset that changes nothing.
            let log_weights: Vec<f64> = (0..*count).map(|i| 700.0 + weight(i * 7 % count).ln_1p()).collect();
            let found = smoothed(&log_weights).unwrap();
            assert!((found.pareto_k - k).abs() < 1e-6, "{shape}, {count}: {} against {k}", found.pareto_k);
            let normalised = |at: usize| found.log_weights[at] - log_sum_exp(&found.log_weights);
            let largest = (0..*count).max_by(|a, b| log_weights[*a].total_cmp(&log_weights[*b])).unwrap();
            assert!((normalised(0) - smoothed_first).abs() < 1e-6, "{shape}, {count}: {}", normalised(0));
            assert!(
                (normalised(largest) - smoothed_last).abs() < 1e-6,
                "{shape}, {count}: {}",
                normalised(largest)
            );
        }
    }

    const REFERENCE: &[(f64, usize, f64, f64, f64)] = &[
        (0.3, 200, 0.3490369714740373, -6.180465812506542, -3.304859464339858),
        (0.7, 1000, 0.6706577683143452, -8.282449118569673, -2.7097096622324193),
        (1.1, 5000, 1.0611418314166694, -11.251924572525535, -1.4039145930004806),
        (0.05, 60, 0.28608471847968303, -4.80705596885066, -2.9576743289934044),
    ];

    /// `w = e^(s^2 E)` of an exponential `E` is a Pareto law of shape `s^2`.
    #[test]
    fn the_shape_of_pareto_weights_is_found() {
        for shape in [0.1, 0.4, 0.7, 1.2] {
            let uniforms = Noise::new(3, Purpose::Metric).uniform(100_000, 1);
            let log_weights: Vec<f64> = uniforms.iter().map(|u| -shape * f64::from(*u).ln()).collect();
            let found = pareto_k(&log_weights).unwrap();
            // 949 weights of the tail tell k to about (1 + k) / sqrt(949).
            assert!((found - shape).abs() < 4.0 * (1.0 + shape) / 949f64.sqrt(), "{found} against {shape}");
            assert_eq!(found > threshold(100_000), shape > 0.71, "{found}");
        }
    }

    #[test]
    fn weights_without_a_tail_have_no_shape() {
        assert_eq!(smoothed(&[]), None);
        assert_eq!(smoothed(&[1.0; 1000]), None);
        assert_eq!(smoothed(&[0.0, 1.0, 2.0]), None);
        assert_eq!(smoothed(&[f64::NEG_INFINITY; 100]), None);
        // Weights of 0 are no part of it, and stay what they are.
        let mut some: Vec<f64> = (0..100).map(|i| (f64::from(i) * 0.7).sin()).collect();
        some[3] = f64::NEG_INFINITY;
        let found = smoothed(&some).unwrap();
        assert!(found.pareto_k.is_finite() && found.log_weights[3] == f64::NEG_INFINITY);
        assert!((threshold(100) - 0.5).abs() < 1e-12 && threshold(10_000) == 0.7);
    }
}
