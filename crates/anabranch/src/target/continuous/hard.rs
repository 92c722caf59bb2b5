//! The hard mixture in the plane of annealed flow transport (Arbel, Matthews and Doucet 2021).
//!
//! ```text
//! R(x, y) = (f(x, y) + f(y, x)) / 2,     f = (N(a, A) + N(b, A) + N(c, C)) / 3           log Z = 0
//! a = (3, 0),  b = (-5/2, 0),  c = (2, 3),     A = diag(0.7, 0.05),     C = [[1, 0.95], [0.95, 1]]
//! ```
//!
//! Six modes: four needles along the axes and two along the diagonal, close to each other.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::density::log_sum_exp_visit;
use super::entry::{Built, Entry, shared};
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::papers::ANNEALED_FLOW;
use crate::rng::Noise;

/// The hard mixture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HardMixture {}

/// Means, standard deviations and correlations of the components, all of one weight.
const COMPONENTS: [([f64; 2], [f64; 2], f64); 6] = {
    let (wide, narrow) = (0.836_660_026_534_075_5, 0.223_606_797_749_978_97);
    [
        ([3.0, 0.0], [wide, narrow], 0.0),
        ([-2.5, 0.0], [wide, narrow], 0.0),
        ([2.0, 3.0], [1.0, 1.0], 0.95),
        ([0.0, 3.0], [narrow, wide], 0.0),
        ([0.0, -2.5], [narrow, wide], 0.0),
        ([3.0, 2.0], [1.0, 1.0], 0.95),
    ]
};

/// A component's residuals, the second without what the first explains, in units of their deviations, and these.
fn residuals<T: Real>(k: usize, [x, y]: [T; 2]) -> ([T; 2], [f64; 2]) {
    let (mean, std, correlation) = COMPONENTS[k];
    let rest = (1.0 - correlation * correlation).sqrt();
    let (u, v) = ((x - mean[0]) / std[0], (y - mean[1]) / std[1]);
    ([u, (v - u * correlation) / rest], [std[0], std[1] * rest])
}

impl Density for HardMixture {
    fn dimension(&self) -> usize {
        2
    }

    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let at = [point[0], point[1]];
        let term = |k: usize| {
            let ([u, v], [a, b]) = residuals(k, at);
            (u * u + v * v) * -0.5 - (6.0 * TAU * a * b).ln()
        };
        let mut slopes = [T::from(0.0); 2];
        let value = log_sum_exp_visit(COMPONENTS.len(), term, |k, share| {
            let (_, std, correlation) = COMPONENTS[k];
            let ([u, v], [first, second]) = residuals(k, at);
            slopes[0] -= share * (u / first - v * (correlation / (std[0] * second / std[1])));
            slopes[1] -= share * v / second;
        });
        if let Some(score) = score {
            score.copy_from_slice(&slopes);
        }
        value
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        (beta == 1.0).then_some(0.0)
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let mut values = noise.step(noise.current_step() + 1).normal(count, 2);
        for (row, u) in values.chunks_exact_mut(2).zip(noise.uniform(count, 1)) {
            let (mean, std, correlation) = COMPONENTS[((f64::from(u) * 6.0) as usize).min(5)];
            let [u, v] = [f64::from(row[0]), f64::from(row[1])];
            let along = correlation * u + (1.0 - correlation * correlation).sqrt() * v;
            row.copy_from_slice(&[(mean[0] + std[0] * u) as f32, (mean[1] + std[1] * along) as f32]);
        }
        Some(values)
    }
}

impl Entry for HardMixture {
    fn formula(&self) -> String {
        "hard mixture: (f(x, y) + f(y, x)) / 2, f of three normals".to_owned()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![ANNEALED_FLOW]
    }

    fn dimension(&self) -> Option<usize> {
        Some(2)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the covariances as they are written, and in the mirror.
    #[test]
    fn the_mixture_by_hand() {
        let normal = |[x, y]: [f64; 2], [m, n]: [f64; 2], [a, b, c]: [f64; 3]| {
            let (det, x, y) = (a * c - b * b, x - m, y - n);
            (-0.5 * (c * x * x - 2.0 * b * x * y + a * y * y) / det).exp() / (TAU * det.sqrt())
        };
        let f = |p: [f64; 2]| {
            let needle = [0.7, 0.0, 0.05];
            let sum = normal(p, [3.0, 0.0], needle) + normal(p, [-2.5, 0.0], needle);
            (sum + normal(p, [2.0, 3.0], [1.0, 0.95, 1.0])) / 3.0
        };
        for (x, y) in [(0.3, -0.7), (2.5, 2.0), (-3.0, 0.1), (3.2, 0.4)] {
            let exact = (0.5 * (f([x, y]) + f([y, x]))).ln();
            let found = [HardMixture {}.at(&[x, y], None), HardMixture {}.at(&[y, x], None)];
            assert!(found.iter().all(|found| (found - exact).abs() < 1e-12), "{found:?}, {exact}");
        }
    }
}
