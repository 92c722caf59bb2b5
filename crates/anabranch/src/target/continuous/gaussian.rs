//! Gaussians, times a constant `e^{log_z}`.
//!
//! ```text
//! diagonal   -sum ((x - m) / s)^2 / 2 - sum ln s - d ln(2 pi) / 2
//! full       -|L^{-1} (x - m)|^2 / 2 - sum ln L_ii - d ln(2 pi) / 2      covariance L L^T
//! gradient   -L^{-T} L^{-1} (x - m)
//! entropy     d (1 + ln 2 pi) / 2 + sum ln L_ii
//! ```

use std::f64::consts::TAU;

use super::Density;
use crate::math::{Real, cholesky, solve_lower, solve_lower_transposed};
use crate::rng::Noise;
pub use recipe::GaussianRecipe;

mod recipe;

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
    0.5 * dimension as f64 * (1.0 + TAU.ln()) + log_det
}

/// `log` of the integral of `(e^{log_z} N)^beta`.
fn log_z_tempered(dimension: usize, log_det: f64, log_z: f64, beta: f64) -> f64 {
    let d = dimension as f64;
    beta * log_z + (1.0 - beta) * (0.5 * d * TAU.ln() + log_det) - 0.5 * d * beta.ln()
}

impl DiagonalGaussian {
    /// `sum ln s`, by one logarithm of as many deviations as f64 holds the product of.
    fn log_det(&self) -> f64 {
        let product = |stds: &[f32]| stds.iter().map(|s| f64::from(*s)).product::<f64>();
        self.std.chunks(8).map(|stds| product(stds).ln()).sum()
    }
}

impl Density for DiagonalGaussian {
    fn dimension(&self) -> usize {
        self.mean.len()
    }

    #[inline]
    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let laws = || point.iter().zip(self.mean.iter().zip(&self.std));
        let residual = |(x, (m, s)): (&T, (&f32, &f32))| (*x - f64::from(*m)) / f64::from(*s);
        if let Some(score) = score {
            let slopes = laws().map(|(x, (m, s))| -residual((x, (m, s))) / f64::from(*s));
            score.iter_mut().zip(slopes).for_each(|(to, slope)| *to = slope);
        }
        let square: T = laws().map(residual).map(|r| r * r).sum();
        let constant = f64::from(self.log_z) - self.log_det();
        (square + TAU.ln() * point.len() as f64) * -0.5 + constant
    }

    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        vec![(0..self.mean.len()).collect()]
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        Some(log_z_tempered(self.mean.len(), self.log_det(), f64::from(self.log_z), beta))
    }

    fn entropy(&self) -> Option<f64> {
        Some(entropy(self.mean.len(), self.log_det()))
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let d = self.mean.len();
        let mut values = noise.normal(count, d);
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

impl Density for FullGaussian {
    fn dimension(&self) -> usize {
        self.mean.len()
    }

    #[inline]
    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let differ = |to: &mut [T]| {
            to.iter_mut().zip(point.iter().zip(&self.mean)).for_each(|(s, (x, m))| *s = *x - *m);
            solve_lower(&self.lower, to);
            to.iter().map(|z| *z * *z).sum::<T>()
        };
        let square = match score {
            Some(score) => {
                let square = differ(score);
                solve_lower_transposed(&self.lower, score);
                score.iter_mut().for_each(|s| *s = -*s);
                square
            }
            None => differ(&mut vec![T::from(0.0); point.len()]),
        };
        let constant = self.log_z - self.log_det - 0.5 * TAU.ln() * self.mean.len() as f64;
        square * -0.5 + constant
    }

    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        (0..self.mean.len()).map(|c| vec![c]).collect()
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        Some(log_z_tempered(self.mean.len(), self.log_det, self.log_z, beta))
    }

    fn entropy(&self) -> Option<f64> {
        Some(entropy(self.mean.len(), self.log_det))
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let d = self.mean.len();
        let normals = noise.normal(count, d);
        let draw = |z: &[f32], i: usize| -> f32 {
            let factor = &self.lower[i * d..=i * d + i];
            let sum: f64 = factor.iter().zip(z).map(|(l, z)| l * f64::from(*z)).sum();
            (self.mean[i] + sum) as f32
        };
        Some(normals.chunks_exact(d).flat_map(|z| (0..d).map(move |i| draw(z, i))).collect())
    }
}
