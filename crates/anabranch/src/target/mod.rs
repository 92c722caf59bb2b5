//! Targets: what a chain is to end in.
//!
//! ```text
//! gaussian    N(mean, diag std^2), times e^{log_z}                          log Z = log_z
//! funnel      N(x_0; 0, s^2) prod_i N(x_i; 0, e^{x_0})   (Neal 2003)         log Z = 0
//! many-well   sum over pairs -d^4 + 6 d^2 + d / 2 - v^2 / 2                  log Z = pairs (ln 11784.50927 + ln(2 pi) / 2)
//! ```

pub mod toy;

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chain::{LogWeight, State};
use crate::error::{Problem, Result};
use crate::kernel::law::{HALF_LOG_TAU, sum_rows};
use crate::network::weights::matrix;
use crate::rng::Noise;

/// An unnormalised density `R(x) = exp(-energy(x))`.
pub trait Energy: std::fmt::Debug + Send + Sync {
    /// The dimension of its space.
    fn dimension(&self) -> usize;

    /// `log R(x)`, `[batch]`, nats, differentiable in `x`.
    fn log_density(&self, x: &State) -> LogWeight;

    /// `log` of the integral of `R`, where it is known exactly.
    fn log_z(&self) -> Option<f64>;

    /// Exact independent samples, row-major, where there is an exact sampler.
    fn sample(&self, rows: usize, noise: &Noise) -> Option<Vec<f32>>;
}

/// An energy in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum EnergyRecipe {
    /// A diagonal Gaussian.
    Gaussian {
        /// The means.
        mean: Vec<f32>,
        /// The standard deviations.
        std: Vec<f32>,
        /// The logarithm of the normalising constant.
        #[serde(default)]
        log_z: f32,
    },
    /// Neal's funnel.
    Funnel {
        /// The dimension.
        dimension: usize,
        /// The standard deviation of the first coordinate.
        std: f32,
    },
    /// Independent double wells.
    ManyWell {
        /// The dimension, twice the number of pairs.
        dimension: usize,
    },
}

impl EnergyRecipe {
    /// Checks the values.
    ///
    /// # Errors
    /// If one is not allowed.
    pub fn check(&self) -> Result<()> {
        let problem = |key: &str, found: String, allowed: &str| {
            Err(Problem::new(format!("target.energy.{key}"), found).allowed(allowed).into())
        };
        match self {
            Self::Gaussian { mean, std, .. } => {
                if mean.is_empty() || mean.len() != std.len() {
                    return problem(
                        "std",
                        format!("{} values for {} means", std.len(), mean.len()),
                        "one per mean",
                    );
                }
                match std.iter().find(|s| !(s.is_finite() && **s > 0.0)) {
                    Some(bad) => problem("std", bad.to_string(), "positive numbers"),
                    None => Ok(()),
                }
            }
            Self::Funnel { dimension, std } => {
                if *dimension < 2 {
                    return problem("dimension", dimension.to_string(), "at least 2");
                }
                if !(std.is_finite() && *std > 0.0) {
                    return problem("std", std.to_string(), "a positive number");
                }
                Ok(())
            }
            Self::ManyWell { dimension } => {
                if *dimension == 0 || dimension % 2 == 1 {
                    return problem("dimension", dimension.to_string(), "an even number of at least 2");
                }
                Ok(())
            }
        }
    }

    /// The energy.
    ///
    /// # Errors
    /// If a value is not allowed.
    pub fn build(&self) -> Result<Box<dyn Energy>> {
        self.check()?;
        Ok(match self.clone() {
            Self::Gaussian { mean, std, log_z } => Box::new(DiagonalGaussian { mean, std, log_z }),
            Self::Funnel { dimension, std } => Box::new(Funnel { dimension, std }),
            Self::ManyWell { dimension } => Box::new(ManyWell { dimension }),
        })
    }
}

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

    fn sample(&self, rows: usize, noise: &Noise) -> Option<Vec<f32>> {
        let d = self.mean.len();
        let mut values = noise.normal(rows, d);
        for row in values.chunks_exact_mut(d) {
            row.iter_mut().zip(self.mean.iter().zip(&self.std)).for_each(|(v, (m, s))| *v = m + s * *v);
        }
        Some(values)
    }
}

/// Neal's funnel.
#[derive(Debug, Clone)]
pub struct Funnel {
    /// The dimension.
    pub dimension: usize,
    /// The standard deviation of the first coordinate.
    pub std: f32,
}

impl Energy for Funnel {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn log_density(&self, x: &State) -> LogWeight {
        let rows = x.dims()[0];
        let others = (self.dimension - 1) as f32;
        let neck: Tensor<1> = x.clone().slice([0..rows, 0..1]).squeeze_dim(1);
        let rest = sum_rows(x.clone().slice([0..rows, 1..self.dimension]).square());
        let first = (neck.clone() * self.std.recip()).square() * -0.5 - self.std.ln() - HALF_LOG_TAU;
        first - neck.clone() * (0.5 * others) - rest * (-neck).exp() * 0.5 - HALF_LOG_TAU * others
    }

    fn log_z(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, rows: usize, noise: &Noise) -> Option<Vec<f32>> {
        let mut values = noise.normal(rows, self.dimension);
        for row in values.chunks_exact_mut(self.dimension) {
            row[0] *= self.std;
            let width = (0.5 * row[0]).exp();
            row[1..].iter_mut().for_each(|v| *v *= width);
        }
        Some(values)
    }
}

/// Independent pairs of a double well and a normal (Noe et al. 2019; Midgley et al. 2023).
#[derive(Debug, Clone)]
pub struct ManyWell {
    /// The dimension, twice the number of pairs.
    pub dimension: usize,
}

/// The integral of `exp(-d^4 + 6 d^2 + d / 2)`.
const WELL_INTEGRAL: f64 = 11_784.509_27;

fn well(d: f64) -> f64 {
    -d.powi(4) + 6.0 * d * d + 0.5 * d
}

/// The inverse distribution function of the well on a grid of 2^16 cells over [-4, 4], outside of which lies less
/// than e^{-150} of the mass.
fn well_quantile(u: f64) -> f64 {
    static TABLE: std::sync::OnceLock<Vec<f64>> = std::sync::OnceLock::new();
    const CELLS: usize = 1 << 16;
    let width = 8.0 / CELLS as f64;
    let table = TABLE.get_or_init(|| {
        let mut sum = 0.0;
        let mut table = vec![0.0];
        for cell in 0..CELLS {
            sum += (well(-4.0 + (cell as f64 + 0.5) * width)).exp() * width;
            table.push(sum);
        }
        table.iter().map(|mass| mass / sum).collect()
    });
    let cell = table.partition_point(|mass| *mass <= u).clamp(1, CELLS) - 1;
    let share = (u - table[cell]) / (table[cell + 1] - table[cell]).max(f64::MIN_POSITIVE);
    -4.0 + (cell as f64 + share) * width
}

impl Energy for ManyWell {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn log_density(&self, x: &State) -> LogWeight {
        let rows = x.dims()[0];
        let pairs = x.clone().reshape([rows, self.dimension / 2, 2]);
        let d: Tensor<2> = pairs.clone().slice([0..rows, 0..self.dimension / 2, 0..1]).squeeze_dim(2);
        let v: Tensor<2> = pairs.slice([0..rows, 0..self.dimension / 2, 1..2]).squeeze_dim(2);
        let square = d.clone().square();
        sum_rows(square.clone() * (-square + 6.0) + d * 0.5 - v.square() * 0.5)
    }

    fn log_z(&self) -> Option<f64> {
        let pair = WELL_INTEGRAL.ln() + 0.5 * std::f64::consts::TAU.ln();
        Some(pair * (self.dimension / 2) as f64)
    }

    fn sample(&self, rows: usize, noise: &Noise) -> Option<Vec<f32>> {
        let uniforms = noise.uniform(rows, self.dimension);
        let mut values = noise.step(noise.current_step() + 1).normal(rows, self.dimension);
        values.iter_mut().zip(uniforms).step_by(2).for_each(|(v, u)| *v = well_quantile(f64::from(u)) as f32);
        Some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::weights::to_vec;
    use crate::rng::Purpose;
    use burn::tensor::Device;

    #[test]
    fn the_well_has_its_published_integral() {
        let n = 200_000;
        let width = 8.0 / f64::from(n);
        let sum: f64 = (0..n).map(|i| well(-4.0 + (f64::from(i) + 0.5) * width).exp() * width).sum();
        assert!((sum - WELL_INTEGRAL).abs() < 1e-4, "{sum}");
        let many = ManyWell { dimension: 32 };
        assert!((many.log_z().unwrap() - 164.695_675).abs() < 1e-5);
    }

    /// `E_R[q / R] Z = 1` for any normalised `q`: samples, density and log Z of each target agree.
    #[test]
    fn samples_densities_and_constants_agree() {
        let targets: Vec<(Box<dyn Energy>, f32)> = vec![
            (Box::new(DiagonalGaussian { mean: vec![1.0, -2.0], std: vec![0.5, 3.0], log_z: 1.7 }), 0.4),
            (Box::new(Funnel { dimension: 3, std: 1.5 }), 0.5),
            (Box::new(ManyWell { dimension: 4 }), 0.3),
        ];
        for (target, width) in targets {
            let (n, d) = (200_000, target.dimension());
            let samples = target.sample(n, &Noise::new(4, Purpose::Target)).unwrap();
            // A narrow q around a fresh sample, off every symmetry.
            let centre = target.sample(1, &Noise::new(11, Purpose::Target)).unwrap();
            let q = DiagonalGaussian { mean: centre, std: vec![width; d], log_z: 0.0 };
            let x = matrix(samples, d, &Device::flex());
            let ratio = to_vec(q.log_density(&x) - target.log_density(&x));
            let log_z = target.log_z().unwrap();
            let weights: Vec<f64> = ratio.iter().map(|r| (f64::from(*r) + log_z).exp()).collect();
            let estimate = crate::math::Estimate::mean(&weights);
            assert!((estimate.value - 1.0).abs() < 4.0 * estimate.error, "{target:?}: {estimate:?}");
            assert!(estimate.error < 0.1, "{target:?}: the check has power, {estimate:?}");
        }
    }
}
