//! Mixtures of diagonal Gaussians.
//!
//! ```text
//! R(x) = sum_k w_k prod_i N(x_i; m_ki, s_ki^2)      w_k > 0, sum w_k = 1, log Z = 0
//! gmm9     means {-5, 0, 5}^2,             covariance 0.3 I, equal weights     (Zhang and Chen 2022)
//! gmm25    means {-10, -5, 0, 5, 10}^2,    covariance 0.3 I, equal weights     (Lahlou et al. 2023)
//! gmm40    means 80 (u - 1/2) in any dimension, std ln(1 + e), equal weights   (Midgley et al. 2023)
//! ```
//!
//! In gmm40 `u` are the first numbers of the Mersenne Twister of seed 0, 24 bits each, component by component, as
//! the authors' program draws them. Other programs draw other means and take std 1: their "GMM40" is another target.

use super::Energy;
use super::mersenne::Mersenne;
use super::scored::{log_sum_exp_visit, with_score};
use crate::chain::{LogWeight, State};
use crate::rng::Noise;

/// A mixture of diagonal Gaussians.
#[derive(Debug, Clone)]
pub struct Mixture {
    dimension: usize,
    /// `w_0, w_0 + w_1, ...`, 1 at last.
    cumulative: Vec<f64>,
    /// `ln w_k - sum_i ln s_ki - d ln(2 pi) / 2`.
    log_scales: Vec<f64>,
    /// `[components, dimension]`.
    means: Vec<f64>,
    /// `[components, dimension]`.
    stds: Vec<f64>,
}

impl Mixture {
    /// Component `k` has weight `weights[k] / sum`, means `means[k]` and standard deviations `stds[k]`.
    ///
    /// # Panics
    /// If there is no component, or the numbers of weights, means, deviations or coordinates differ.
    pub fn new(weights: &[f64], means: &[Vec<f64>], stds: &[Vec<f64>]) -> Self {
        let (count, dimension) = (weights.len(), means[0].len());
        assert!(means.len() == count && stds.len() == count, "one mean and deviation per weight");
        assert!(means.iter().chain(stds).all(|row| row.len() == dimension), "rows of one dimension");
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = Vec::with_capacity(count);
        for weight in weights {
            sum += weight / total;
            cumulative.push(sum);
        }
        let normal = 0.5 * dimension as f64 * std::f64::consts::TAU.ln();
        let log_scale = |(weight, std): (&f64, &Vec<f64>)| {
            (weight / total).ln() - std.iter().map(|s| s.ln()).sum::<f64>() - normal
        };
        Self {
            dimension,
            cumulative,
            log_scales: weights.iter().zip(stds).map(log_scale).collect(),
            means: means.concat(),
            stds: stds.concat(),
        }
    }

    /// Equal weights and one standard deviation for all.
    fn isotropic(means: &[Vec<f64>], std: f64) -> Self {
        Self::new(&vec![1.0; means.len()], means, &vec![vec![std; means[0].len()]; means.len()])
    }

    fn grid(side: &[f64]) -> Self {
        let means: Vec<Vec<f64>> = side.iter().flat_map(|x| side.iter().map(|y| vec![*x, *y])).collect();
        Self::isotropic(&means, 0.3f64.sqrt())
    }

    /// Nine modes on the grid {-5, 0, 5}^2.
    pub fn gmm9() -> Self {
        Self::grid(&[-5.0, 0.0, 5.0])
    }

    /// Twenty-five modes on the grid {-10, -5, 0, 5, 10}^2.
    pub fn gmm25() -> Self {
        Self::grid(&[-10.0, -5.0, 0.0, 5.0, 10.0])
    }

    /// Forty modes in [-40, 40]^dimension.
    pub fn gmm40(dimension: usize) -> Self {
        let mut generator = Mersenne::new(0);
        let mut mean = || 80.0 * (f64::from(generator.word() & 0xFF_FFFF) / f64::from(1 << 24) - 0.5);
        let means: Vec<Vec<f64>> = (0..40).map(|_| (0..dimension).map(|_| mean()).collect()).collect();
        Self::isotropic(&means, 1f64.exp().ln_1p())
    }

    /// The number of components.
    pub fn components(&self) -> usize {
        self.log_scales.len()
    }
}

impl Energy for Mixture {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn log_density(&self, x: &State) -> LogWeight {
        let d = self.dimension;
        let component = |k: usize| (&self.means[k * d..(k + 1) * d], &self.stds[k * d..(k + 1) * d]);
        with_score(x, |point, score| {
            let term = |k: usize| {
                let (means, stds) = component(k);
                let residuals = point.iter().zip(means.iter().zip(stds)).map(|(x, (m, s))| (x - m) / s);
                self.log_scales[k] - 0.5 * residuals.map(|r| r * r).sum::<f64>()
            };
            score.fill(0.0);
            log_sum_exp_visit(self.components(), term, |k, weight| {
                let (means, stds) = component(k);
                for (i, s) in score.iter_mut().enumerate() {
                    *s -= weight * (point[i] - means[i]) / (stds[i] * stds[i]);
                }
            })
        })
    }

    fn log_z(&self) -> Option<f64> {
        Some(0.0)
    }

    fn entropy(&self) -> Option<f64> {
        let each = 0.5 * self.dimension as f64;
        (self.components() == 1).then(|| each - self.log_scales[0])
    }

    fn sample(&self, rows: usize, noise: &Noise) -> Option<Vec<f32>> {
        let d = self.dimension;
        let mut values = noise.step(noise.current_step() + 1).normal(rows, d);
        for (row, u) in values.chunks_exact_mut(d).zip(noise.uniform(rows, 1)) {
            let k = self.cumulative.partition_point(|sum| *sum <= f64::from(u)).min(self.components() - 1);
            for (i, value) in row.iter_mut().enumerate() {
                *value = (self.means[k * d + i] + self.stds[k * d + i] * f64::from(*value)) as f32;
            }
        }
        Some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The means that the authors' program prints for seed 0 in two dimensions.
    #[test]
    fn gmm40_is_the_published_one() {
        let target = Mixture::gmm40(2);
        let expected = [-0.2995, 21.4577, -32.9218, -29.4376, -15.4062, 10.7263];
        assert_eq!(target.components(), 40);
        for (mean, value) in target.means.iter().zip(expected) {
            assert!((mean - value).abs() < 5e-5, "{mean} {value}");
        }
        assert!((target.stds[0] - 1.313_261_69).abs() < 1e-8);
        assert!(target.means.iter().all(|m| m.abs() <= 40.0));
    }

    #[test]
    fn grids_have_their_corners() {
        assert_eq!(Mixture::gmm9().means[..4], [-5.0, -5.0, -5.0, 0.0]);
        let large = Mixture::gmm25();
        assert_eq!((large.components(), &large.means[48..]), (25, &[10.0, 10.0][..]));
        assert_eq!(Mixture::new(&[2.0], &[vec![1.0]], &[vec![3.0]]).entropy().map(|h| h > 2.5), Some(true));
    }
}
