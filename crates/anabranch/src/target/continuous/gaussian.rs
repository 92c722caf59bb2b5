//! Gaussians, times a constant `e^{log_z}`.
//!
//! ```text
//! diagonal   -sum ((x - m) / s)^2 / 2 - sum ln s - d ln(2 pi) / 2
//! full       -|L^{-1} (x - m)|^2 / 2 - sum ln L_ii - d ln(2 pi) / 2      covariance L L^T
//! gradient   -L^{-T} L^{-1} (x - m)
//! entropy     d (1 + ln 2 pi) / 2 + sum ln L_ii
//! ```

use super::Energy;
use super::scored::with_score;
use crate::array::weights::matrix;
use crate::array::weights::sum_rows;
use crate::chain::{LogWeight, State};
use crate::kernel::law::HALF_LOG_TAU;
use crate::math::{cholesky, solve_lower, solve_lower_transposed};
use crate::rng::Noise;

/// A diagonal Gaussian times a constant.
#[derive(Debug, Clone)]
pub struct DiagonalGaussian {
    /// The means.
    pub mean: Vec<f32>,
    /// The standard deviations.
    pub std: Vec<f32>,
    /// The logarithm of the constant.
    pub log_z: f32,
}

fn entropy(dimension: usize, log_det: f64) -> f64 {
    0.5 * dimension as f64 * (1.0 + std::f64::consts::TAU.ln()) + log_det
}

impl Energy for DiagonalGaussian {
    fn dimension(&self) -> usize {
        self.mean.len()
    }

    fn log_density(&self, x: &State) -> LogWeight {
        let (d, device) = (self.mean.len(), x.device());
        let (mean, std) = (matrix(self.mean.clone(), d, &device), matrix(self.std.clone(), d, &device));
        let log_std: f32 = self.std.iter().map(|s| s.ln()).sum();
        let residual = (x.clone() - mean) / std;
        sum_rows(residual.square()) * -0.5 + (self.log_z - log_std - HALF_LOG_TAU * d as f32)
    }

    fn log_z(&self) -> Option<f64> {
        Some(f64::from(self.log_z))
    }

    fn entropy(&self) -> Option<f64> {
        Some(entropy(self.mean.len(), self.std.iter().map(|s| f64::from(*s).ln()).sum()))
    }

    fn sample(&self, rows: usize, noise: &Noise) -> Option<Vec<f32>> {
        let d = self.mean.len();
        let mut values = noise.normal(rows, d);
        for row in values.chunks_exact_mut(d) {
            row.iter_mut().zip(self.mean.iter().zip(&self.std)).for_each(|(v, (m, s))| *v = m + s * *v);
        }
        Some(values)
    }
}

/// A Gaussian with any covariance, times a constant.
#[derive(Debug, Clone)]
pub struct FullGaussian {
    mean: Vec<f64>,
    /// The Cholesky factor of the covariance, row-major.
    lower: Vec<f64>,
    log_det: f64,
    log_z: f64,
}

impl FullGaussian {
    /// With covariance `L L^T`; `lower` is `L`, row-major, its diagonal positive, its upper triangle not read.
    ///
    /// # Panics
    /// If `lower` is not square of the dimension of `mean`.
    pub fn from_cholesky(mean: Vec<f64>, lower: Vec<f64>, log_z: f64) -> Self {
        let d = mean.len();
        assert_eq!(lower.len(), d * d, "a factor of the mean's dimension");
        let log_det = (0..d).map(|i| lower[i * d + i].ln()).sum();
        Self { mean, lower, log_det, log_z }
    }

    /// With the given covariance, row-major, its lower triangle read.
    ///
    /// # Errors
    /// If it is not positive definite: the size of the first leading block that is not.
    ///
    /// # Panics
    /// If `covariance` is not square of the dimension of `mean`.
    pub fn from_covariance(mean: Vec<f64>, covariance: &[f64], log_z: f64) -> Result<Self, usize> {
        let lower = cholesky(covariance, mean.len())?;
        Ok(Self::from_cholesky(mean, lower, log_z))
    }
}

impl Energy for FullGaussian {
    fn dimension(&self) -> usize {
        self.mean.len()
    }

    fn log_density(&self, x: &State) -> LogWeight {
        let half_log_tau = 0.5 * std::f64::consts::TAU.ln();
        let constant = self.log_z - self.log_det - half_log_tau * self.mean.len() as f64;
        with_score(x, |point, score| {
            score.iter_mut().zip(point.iter().zip(&self.mean)).for_each(|(s, (x, m))| *s = x - m);
            solve_lower(&self.lower, score);
            let square: f64 = score.iter().map(|z| z * z).sum();
            solve_lower_transposed(&self.lower, score);
            score.iter_mut().for_each(|s| *s = -*s);
            constant - 0.5 * square
        })
    }

    fn log_z(&self) -> Option<f64> {
        Some(self.log_z)
    }

    fn entropy(&self) -> Option<f64> {
        Some(entropy(self.mean.len(), self.log_det))
    }

    fn sample(&self, rows: usize, noise: &Noise) -> Option<Vec<f32>> {
        let d = self.mean.len();
        let normals = noise.normal(rows, d);
        let draw = |z: &[f32], i: usize| -> f32 {
            let factor = &self.lower[i * d..=i * d + i];
            let sum: f64 = factor.iter().zip(z).map(|(l, z)| l * f64::from(*z)).sum();
            (self.mean[i] + sum) as f32
        };
        Some(normals.chunks_exact(d).flat_map(|z| (0..d).map(move |i| draw(z, i))).collect())
    }
}
