//! Energy distance.
//!
//! ```text
//! E(P, Q) = 2 E|x - y| - E|x - x'| - E|y - y'| >= 0, and 0 only if P = Q
//! ```
//!
//! the discrepancy of [`pairs`](super::pairs) with h(x, y) = -|x - y|. Source: Székely and Rizzo, "Energy
//! statistics" (Journal of Statistical Planning and Inference 2013), eq. 2.1: this value, not its square root.

use super::pairs::{Discrepancy, Pairs};
use crate::error::Result;

/// Energy distance between the two samples of `pairs`, in the units of the points.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if either sample has fewer than two rows.
pub fn energy_distance(pairs: &Pairs) -> Result<Discrepancy> {
    pairs.discrepancy(negative_distance)
}

/// The conditionally positive definite kernel whose MMD^2 is the energy distance.
pub(super) fn negative_distance(squared: f32) -> f64 {
    -f64::from(squared).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Points;
    use crate::rng::{Noise, Purpose};

    /// E|z| for z ~ N(mean, variance), by the trapezoidal rule over ten deviations (error below 1e-6).
    fn folded_mean(mean: f64, variance: f64) -> f64 {
        let steps = 200_000;
        let width = 20.0 / f64::from(steps);
        let density = |u: f64| (-0.5 * u * u).exp() / std::f64::consts::TAU.sqrt();
        let at = |step: i32| -10.0 + f64::from(step) * width;
        (0..=steps).map(|step| (mean + variance.sqrt() * at(step)).abs() * density(at(step)) * width).sum()
    }

    #[test]
    fn unbiased_against_normal_laws_in_one_dimension() {
        // X ~ N(0, 1), Y ~ N(0.7, 2^2), unequal sizes.
        let expected = 2.0 * folded_mean(0.7, 5.0) - folded_mean(0.0, 2.0) - folded_mean(0.0, 8.0);
        assert!((folded_mean(0.0, 2.0) - 2.0 / std::f64::consts::PI.sqrt()).abs() < 1e-6);
        let runs: Vec<f64> = (0..300)
            .map(|seed| {
                let x = Noise::new(2 * seed, Purpose::Target).normal(25, 1);
                let mut y = Noise::new(2 * seed + 1, Purpose::Target).normal(40, 1);
                y.iter_mut().for_each(|value| *value = 0.7 + 2.0 * *value);
                let pairs = Pairs::new(Points::new(&x, 1).unwrap(), Points::new(&y, 1).unwrap()).unwrap();
                energy_distance(&pairs).unwrap().unbiased
            })
            .collect();
        let mean = runs.iter().sum::<f64>() / 300.0;
        let variance = runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>() / 299.0;
        assert!((mean - expected).abs() < 4.0 * (variance / 300.0).sqrt(), "{mean} against {expected}");
    }

    #[test]
    fn three_points_by_hand() {
        // X = {0, 1}, Y = {3}: V = 2 * 5/2 - 2/4 - 0. With Y = {3, 3}: U = 5 - 1 - 0.
        let (x, y) = ([0.0, 1.0], [3.0, 3.0]);
        let pairs = Pairs::new(Points::new(&x, 1).unwrap(), Points::new(&y, 1).unwrap()).unwrap();
        let found = energy_distance(&pairs).unwrap();
        assert!((found.biased - 4.5).abs() < 1e-12 && (found.unbiased - 4.0).abs() < 1e-12);
    }
}
