//! Functions from the literature on optimisation, as energies on the box: `log R(x) = -beta f(x)`.
//!
//! *Branin*, at `u = 15 x_1 - 5` and `v = 15 x_2`:
//!
//! ```text
//! f = (v - (5.1 / 4 pi^2 - (1 - m) / 10) u^2 + 5 u / pi - 6)^2 + 10 (1 - 1 / 8 pi) cos u + 10
//! ```
//!
//! *Hartmann-6*: `f = -sum_i a_i e^(-sum_j A_ij (x_j - P_ij)^2)`, with `a_1` less by `(1 - m) / 10`. The fidelity m is 1
//! for the functions themselves; below, they are the cheaper ones of multi-fidelity optimisation (Hernandez-Garcia et al.
//! 2024).

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::entry::{self, Built, Entry, shared};
use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::math::{gauss_legendre, log_sum_exp};
use crate::target::recipe::one;
use crate::target::{Failure, LARGEST, LEAST, Target, fill_rows, within};

/// Branin's function: three minima of 0.397887.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Branin {
    /// The inverse temperature.
    #[serde(default = "one")]
    beta: f64,
    /// From 0 to 1, which is the function itself.
    #[serde(default = "one")]
    fidelity: f64,
}

/// Hartmann's function of six coordinates: a minimum of -3.32237 and some more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hartmann6 {
    /// The inverse temperature.
    #[serde(default = "one")]
    beta: f64,
    /// From 0 to 1, which is the function itself.
    #[serde(default = "one")]
    fidelity: f64,
}

fn check(beta: f64, fidelity: f64) -> Result<(), Problem> {
    within("beta", beta, LEAST, LARGEST)?;
    within("fidelity", fidelity, 0.0, 1.0)
}

impl Branin {
    /// At an inverse temperature and a fidelity from 0 to 1.
    ///
    /// # Errors
    /// If `beta` is not positive or the fidelity out of range.
    pub fn new(beta: f64, fidelity: f64) -> Result<Self, Problem> {
        check(beta, fidelity).map(|()| Self { beta, fidelity })
    }

    /// The function at a point of the unit square.
    pub fn value(&self, [x_1, x_2]: [f64; 2]) -> f64 {
        let (u, v) = (15.0 * x_1 - 5.0, 15.0 * x_2);
        let bend = 5.1 / (4.0 * PI * PI) - 0.1 * (1.0 - self.fidelity);
        let root = v - bend * u * u + 5.0 * u / PI - 6.0;
        root * root + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * u.cos() + 10.0
    }

    /// `log` of the integral of `e^(-beta f)`, by `n * n` nodes.
    fn log_integral(&self, beta: f64, n: usize) -> f64 {
        let rule = gauss_legendre(n);
        let terms: Vec<f64> = rule
            .iter()
            .flat_map(|(x, w)| rule.iter().map(move |(y, v)| (w * v).ln() - beta * self.value([*x, *y])))
            .collect();
        log_sum_exp(&terms)
    }
}

impl Target for Branin {
    fn log_rewards(&self, objects: &[f32], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        fill_rows(objects, out, |point| match point {
            &[x, y] if super::band::in_box(point) => -self.beta * self.value([f64::from(x), f64::from(y)]),
            _ => f64::NEG_INFINITY,
        });
        Ok(())
    }

    /// By quadrature, where two orders of it agree to 1e-10.
    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        let [coarse, fine] = [160, 224].map(|n| self.log_integral(beta * self.beta, n));
        ((coarse - fine).abs() < 1e-10).then_some(fine)
    }
}

impl Entry for Branin {
    fn formula(&self) -> String {
        format!("Branin: exp(-{} f(x))", self.beta)
    }

    fn dimension(&self) -> Option<usize> {
        Some(2)
    }

    fn domain(&self) -> Option<Domain> {
        Some(Domain::Unit)
    }

    fn check(&self) -> entry::Result<()> {
        check(self.beta, self.fidelity)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

const WEIGHTS: [f64; 4] = [1.0, 1.2, 3.0, 3.2];

const SCALES: [[f64; 6]; 4] = [
    [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
    [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
    [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
    [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
];

const CENTRES: [[f64; 6]; 4] = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
];

impl Hartmann6 {
    /// At an inverse temperature and a fidelity from 0 to 1.
    ///
    /// # Errors
    /// If `beta` is not positive or the fidelity out of range.
    pub fn new(beta: f64, fidelity: f64) -> Result<Self, Problem> {
        check(beta, fidelity).map(|()| Self { beta, fidelity })
    }

    /// The function at a point of six coordinates.
    pub fn value(&self, x: [f64; 6]) -> f64 {
        let peak = |i: usize| {
            let weight = WEIGHTS[i] - if i == 0 { 0.1 * (1.0 - self.fidelity) } else { 0.0 };
            let distance: f64 = (0..6).map(|j| SCALES[i][j] * (x[j] - CENTRES[i][j]).powi(2)).sum();
            weight * (-distance).exp()
        };
        -(0..4).map(peak).sum::<f64>()
    }
}

impl Target for Hartmann6 {
    fn log_rewards(&self, objects: &[f32], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        fill_rows(objects, out, |point| match <[f32; 6]>::try_from(point) {
            Ok(x) if super::band::in_box(point) => -self.beta * self.value(x.map(f64::from)),
            _ => f64::NEG_INFINITY,
        });
        Ok(())
    }
}

impl Entry for Hartmann6 {
    fn formula(&self) -> String {
        format!("Hartmann-6: exp(-{} f(x))", self.beta)
    }

    fn dimension(&self) -> Option<usize> {
        Some(6)
    }

    fn domain(&self) -> Option<Domain> {
        Some(Domain::Unit)
    }

    fn check(&self) -> entry::Result<()> {
        check(self.beta, self.fidelity)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that alexhernandezgarcia/gflownet tests, test_branin.py, on [-1, 1]^2.
    #[test]
    fn branin_has_its_published_values() {
        let points =
            [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0], [0.0, -1.0], [0.0, 1.0], [0.0, 0.0]];
        for (fidelity, values) in [
            (1.0, [308.1291, 17.5083, 10.9609, 145.8722, 10.3079, 150.4520, 24.1300]),
            (0.5, [266.7232, 13.6024, 5.9313, 290.8426, 8.6377, 158.1568, 27.1473]),
        ] {
            let branin = Branin::new(0.5, fidelity).unwrap();
            for (point, value) in points.iter().zip(values) {
                let at = point.map(|x: f64| 0.5 * (x + 1.0));
                assert!((branin.value(at) - value).abs() < 6e-5, "{point:?}: {}", branin.value(at));
                let mut out = [0.0];
                branin.log_rewards(&at.map(|x| x as f32), &[], &mut out).unwrap();
                assert_eq!(out[0], -0.5 * branin.value(at));
            }
        }
        // (pi, 2.275) is a minimum.
        let minimum = Branin::new(1.0, 1.0).unwrap().value([(PI + 5.0) / 15.0, 2.275 / 15.0]);
        assert!((minimum - 0.397_887).abs() < 5e-7, "{minimum}");
    }

    /// Against sums over midpoints, which err with the square of their width.
    #[test]
    fn branin_has_an_integral() {
        let branin = Branin::new(0.3, 1.0).unwrap();
        let by_midpoints = |n: usize| {
            let at = |i: usize| (i as f64 + 0.5) / n as f64;
            let terms: Vec<f64> = (0..n * n).map(|i| -0.3 * branin.value([at(i % n), at(i / n)])).collect();
            log_sum_exp(&terms) - 2.0 * (n as f64).ln()
        };
        let (coarse, fine) = (by_midpoints(500), by_midpoints(1000));
        let extrapolated = fine + (fine - coarse) / 3.0;
        let found = branin.log_z(&[]).unwrap();
        assert!((found - extrapolated).abs() < 1e-9, "{found}, {extrapolated}");
        assert_eq!(Branin::new(1e5, 1.0).unwrap().log_z(&[]), None);
    }

    /// The values that alexhernandezgarcia/gflownet tests, test_hartmann.py, at points as they stand.
    #[test]
    fn hartmann_has_its_published_values() {
        let full = Hartmann6::new(2.0, 1.0).unwrap();
        let low = Hartmann6::new(1.0, 0.1).unwrap();
        for (x, value, cheaper) in [
            ([-1.0; 6], -5.4972e-35, -5.4971e-35),
            ([1.0; 6], -3.4085e-5, -3.4084e-5),
            ([-1.0, -0.5, 0.5, -0.2, 0.2, 1.0], -2.5341e-4, -2.5340e-4),
            ([0.2, 0.2, 0.5, 0.3, 0.3, 0.7], -3.2216, -3.1874),
        ] {
            assert!((full.value(x) / value - 1.0).abs() < 3e-5, "{x:?}: {}", full.value(x));
            assert!((low.value(x) / cheaper - 1.0).abs() < 3e-5, "{x:?}: {}", low.value(x));
        }
        let optimum = [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573];
        assert!((full.value(optimum) + 3.322_37).abs() < 5e-6);
        let mut out = [0.0; 2];
        let mut points = optimum.map(|x| x as f32).to_vec();
        points.extend([0.5, 0.5, 1.5, 0.5, 0.5, 0.5]);
        full.log_rewards(&points, &[], &mut out).unwrap();
        assert!((out[0] - 6.644_74).abs() < 1e-4 && out[1] == f64::NEG_INFINITY);
    }

    #[test]
    fn wrong_parameters_are_named() {
        assert!(Branin::new(0.0, 1.0).unwrap_err().to_string().starts_with("beta: found 0"));
        assert!(Hartmann6::new(1.0, 1.5).unwrap_err().to_string().starts_with("fidelity: found 1.5"));
    }
}
