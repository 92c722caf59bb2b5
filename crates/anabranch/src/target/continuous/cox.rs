//! A log-Gaussian Cox process: where pine saplings grow (Moller, Syversveen and Waagepetersen 1998).
//!
//! ```text
//! f ~ N(m, K),   K_ij = 1.91 e^{-33 |i - j| / n},   m = ln 126 - 1.91 / 2,     i, j cells of an n x n grid
//! log R = log N(f; m, K) + sum_i (k_i f_i - e^{f_i} / n^2),     k_i saplings in the cell i
//! whitened: f = m + L z, K = L L^T, point z, of the same Z
//! ```
//!
//! Cells are counted row by row, a point `(x, y)` of the unit square being in the row `floor(n x)` and the column `floor(n y)`; points at
//! 1 belong to the last. The factor `prod 1 / k_i!` is left out, as everywhere.
//!
//! The 126 points are those of Finnish pine saplings that spatstat calls `finpines`. The file of 127 points that goes around, the first
//! of them twice and on another scale, is another target: at `n = 40` its log Z is 512.4, and 501.8 that of this one.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::density::log_normal;
use super::entry::{Built, Entry, Result, check_count, shared};
use crate::environment::continuous::Domain;
use crate::math::{Estimate, Real, cholesky, solve_lower, solve_lower_transposed};
use crate::papers::COX;
use crate::rng::Noise;

/// The posterior of the logarithm of the saplings' density.
#[derive(Debug, Clone)]
pub struct CoxProcess {
    side: usize,
    whitened: bool,
    /// Saplings in each cell.
    counts: Vec<f64>,
    /// The Cholesky factor of the covariance, row-major.
    lower: Vec<f64>,
    log_det: f64,
}

const VARIANCE: f64 = 1.91;
const DECAY: f64 = 33.0;

/// The largest grid: beyond it the factor alone takes a gigabyte.
const LARGEST_SIDE: usize = 64;

fn mean() -> f64 {
    126f64.ln() - 0.5 * VARIANCE
}

impl CoxProcess {
    /// On a grid of `side * side` cells; over the field itself, or whitened. The factor takes `side^6 / 3` operations.
    ///
    /// # Panics
    /// If `side` is 0.
    pub fn new(side: usize, whitened: bool) -> Self {
        let d = side * side;
        let mut counts = vec![0.0; d];
        let cell = |x: f32| ((f64::from(x) * side as f64) as usize).min(side - 1);
        let pines = crate::data::pines();
        pines.values.chunks_exact(2).for_each(|point| counts[cell(point[0]) * side + cell(point[1])] += 1.0);
        let place = |i: usize| ((i / side) as f64, (i % side) as f64);
        let covariance: Vec<f64> = (0..d * d)
            .map(|at| {
                let ((a, b), (c, e)) = (place(at / d), place(at % d));
                VARIANCE * (-DECAY * (a - c).hypot(b - e) / side as f64).exp()
            })
            .collect();
        let lower = cholesky(&covariance, d).expect("an exponential covariance is positive definite");
        let log_det = (0..d).map(|i| lower[i * d + i].ln()).sum();
        Self { side, whitened, counts, lower, log_det }
    }

    /// The likelihood's logarithm at a field; writes its gradient.
    fn likelihood<T: Real>(&self, field: &[T], slopes: &mut [T]) -> T {
        let area = 1.0 / (self.side * self.side) as f64;
        let mut value = T::from(0.0);
        for ((f, k), to) in field.iter().zip(&self.counts).zip(slopes) {
            let expected = f.exp() * area;
            value += *f * *k - expected;
            *to = -expected + *k;
        }
        value
    }
}

impl Density for CoxProcess {
    fn dimension(&self) -> usize {
        self.side * self.side
    }

    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let d = point.len();
        let mut slopes = vec![T::from(0.0); d];
        let row = |i: usize| &self.lower[i * d..=i * d + i];
        if self.whitened {
            let of = |i: usize| row(i).iter().zip(point).map(|(l, z)| *z * *l).sum::<T>() + mean();
            let field: Vec<T> = (0..d).map(of).collect();
            let value = self.likelihood(&field, &mut slopes);
            if let Some(score) = score {
                score.iter_mut().zip(point).for_each(|(to, z)| *to = -*z);
                for (i, slope) in slopes.iter().enumerate() {
                    score.iter_mut().zip(row(i)).for_each(|(to, l)| *to += *slope * *l);
                }
            }
            return value + point.iter().map(|z| log_normal(*z, 1.0)).sum::<T>();
        }
        let mut whitened: Vec<T> = point.iter().map(|f| *f - mean()).collect();
        solve_lower(&self.lower, &mut whitened);
        let square: T = whitened.iter().map(|z| *z * *z).sum();
        let value = self.likelihood(point, &mut slopes);
        if let Some(score) = score {
            solve_lower_transposed(&self.lower, &mut whitened);
            let both = slopes.iter().zip(&whitened);
            score.iter_mut().zip(both).for_each(|(to, (slope, prior))| *to = *slope - *prior);
        }
        value - square * 0.5 - (self.log_det + 0.5 * d as f64 * TAU.ln())
    }

    fn log_z_tempered(&self, _: f64) -> Option<f64> {
        None
    }

    /// By sequential Monte Carlo in the program of Midgley et al. (2023); annealing by another hand found 501.75(5) and 503.36(5).
    fn reference_log_z(&self) -> Option<Estimate> {
        match self.side {
            40 => Some(Estimate { value: 501.806, error: 0.05 }),
            32 => Some(Estimate { value: 503.394, error: 0.05 }),
            _ => None,
        }
    }

    fn draw(&self, _: usize, _: &Noise) -> Option<Vec<f32>> {
        None
    }
}

/// The log-Gaussian Cox process in a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CoxRecipe {
    /// Cells of a side.
    #[serde(default = "forty")]
    pub side: usize,
    /// Whether the coordinates are independent under the prior.
    #[serde(default)]
    pub whitened: bool,
}

fn forty() -> usize {
    40
}

impl Default for CoxRecipe {
    fn default() -> Self {
        Self { side: forty(), whitened: false }
    }
}

impl Entry for CoxRecipe {
    fn formula(&self) -> String {
        let Self { side, whitened } = self;
        let coordinates = if *whitened { ", whitened" } else { "" };
        format!(
            "log-Gaussian Cox process on {side} x {side}{coordinates}: N(f; m, K) prod_i e^{{k_i f_i - e^f_i / {side}^2}}"
        )
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![COX]
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.side.saturating_mul(self.side))
    }

    fn check(&self) -> Result<()> {
        check_count("side", self.side, 1, LARGEST_SIDE)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(CoxProcess::new(self.side, self.whitened))
    }

    /// The covariance is factored.
    fn is_costly(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As numpy computes it; the saplings are in 111 cells of 40 x 40.
    #[test]
    fn the_posterior_by_another_program() {
        let wave = |d: u32| (1..=d).map(|i| f64::from((0.1 * f64::from(i).sin()) as f32));
        for (side, field, white) in
            [(8, 369.393_819_771_0, 381.263_775_013_1), (40, -1_251.057_815_170_5, -1_033.778_668_271_5)]
        {
            let points: Vec<f64> = wave(side * side).map(|x| 4.0 + x).collect();
            let target = CoxProcess::new(side as usize, false);
            assert!((target.at(&points, None) - field).abs() < 1e-7, "{}", target.at(&points, None));
            let target = CoxProcess { whitened: true, ..target };
            let points: Vec<f64> = wave(side * side).collect();
            assert!((target.at(&points, None) - white).abs() < 1e-7, "{}", target.at(&points, None));
            let occupied = target.counts.iter().filter(|count| **count > 0.0).count();
            assert!(side != 40 || (occupied == 111 && target.counts.iter().sum::<f64>() == 126.0));
        }
    }
}
