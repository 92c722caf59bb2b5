//! Maximum mean discrepancy with Gaussian kernels.
//!
//! ```text
//! MMD^2(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y)
//! gaussian:   k(x, y) = exp(-|x - y|^2 / (2 s^2))
//! multiscale: k(x, y) = sum over f in {1/4, 1/2, 1, 2, 4} of exp(-|x - y|^2 / (2 f^2 s^2))
//! ```
//!
//! with bandwidth s: by default the median distance of the pooled sample, over all pairs. Source: Gretton et
//! al., "A kernel two-sample test" (JMLR 2012), section 8 for the median heuristic; estimates and standard
//! error in [`pairs`](super::pairs).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pairs::{Discrepancy, Pairs};
use crate::error::{Problem, Result};

/// The family of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KernelShape {
    /// One Gaussian; MMD^2 is at most 2.
    #[default]
    Gaussian,
    /// The sum of five Gaussians, of 1/4, 1/2, 1, 2 and 4 times the bandwidth; MMD^2 is at most 10.
    Multiscale,
}

/// A positive definite kernel of the distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kernel {
    shape: KernelShape,
    bandwidth: f64,
}

impl Kernel {
    /// The kernel of this shape and bandwidth (in the units of the points).
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) unless the bandwidth is positive and finite.
    pub fn new(shape: KernelShape, bandwidth: f64) -> Result<Self> {
        if !(bandwidth > 0.0 && bandwidth.is_finite()) {
            let problem = Problem::new("kernel.bandwidth", bandwidth.to_string());
            return Err(problem.allowed("a positive finite number").into());
        }
        Ok(Self { shape, bandwidth })
    }

    /// The kernel of this shape whose bandwidth is the median distance of the pooled sample, over all pairs
    /// without subsampling: see [`Pairs::median_distance`].
    pub fn median(shape: KernelShape, pairs: &Pairs) -> Self {
        Self { shape, bandwidth: pairs.median_distance() }
    }

    /// The bandwidth, in the units of the points.
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// The kernel's value at a squared distance.
    pub fn value(&self, squared: f64) -> f64 {
        let exponent = -squared / (2.0 * self.bandwidth * self.bandwidth);
        match self.shape {
            KernelShape::Gaussian => exponent.exp(),
            KernelShape::Multiscale => {
                // The widest Gaussian; each narrower one is the fourth power of the one before.
                let mut power = (exponent / 16.0).exp();
                let mut sum = power;
                for _ in 0..4 {
                    power *= power;
                    power *= power;
                    sum += power;
                }
                sum
            }
        }
    }
}

/// Squared maximum mean discrepancy between the two samples of `pairs`.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if either sample has fewer than two rows.
pub fn mmd(pairs: &Pairs, kernel: &Kernel) -> Result<Discrepancy> {
    pairs.discrepancy(|squared| kernel.value(f64::from(squared)))
}

/// The root of the MMD as Blessing et al., "Beyond ELBOs" (2024), have it, with a Gaussian kernel of the median bandwidth: diagonals are
/// summed, and divided by one less than the number of rows,
///
/// ```text
/// sqrt(U + 1 / (n - 1) + 1 / (m - 1)),   U the unbiased squared MMD
/// ```
///
/// so that it is never near 0: about `sqrt(2 / (n - 1))` for two samples of one law and of one size.
///
/// # Errors
/// As [`mmd`].
pub fn mmd_root(pairs: &Pairs) -> Result<f64> {
    let squared = mmd(pairs, &Kernel::median(KernelShape::Gaussian, pairs))?.unbiased;
    let diagonals = [pairs.samples(), pairs.reference()].map(|rows| 1.0 / (rows as f64 - 1.0));
    Ok((squared + diagonals.iter().sum::<f64>()).max(0.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Points;
    use crate::rng::{Noise, Purpose};

    fn gaussian(seed: u64, rows: usize, dimension: usize, mean: f32, deviation: f32) -> Vec<f32> {
        let mut values = Noise::new(seed, Purpose::Target).normal(rows, dimension);
        values.iter_mut().for_each(|value| *value = mean + deviation * *value);
        values
    }

    /// E k(x, y) for x ~ N(0, variance_x I), y ~ N(shift 1, variance_y I), one Gaussian kernel.
    fn expected_kernel(dimension: usize, shift: f64, variances: f64, bandwidth: f64) -> f64 {
        let (d, b) = (dimension as f64, bandwidth * bandwidth);
        (b / (b + variances)).powf(d / 2.0) * (-d * shift * shift / (2.0 * (b + variances))).exp()
    }

    #[test]
    fn unbiased_against_the_closed_form() {
        // X ~ N(0, I), Y ~ N(0.4, 1.5^2 I), unequal sizes.
        for (dimension, shape, factors) in [
            (1, KernelShape::Gaussian, &[1.0][..]),
            (3, KernelShape::Multiscale, &[0.25, 0.5, 1.0, 2.0, 4.0]),
            (64, KernelShape::Gaussian, &[1.0]),
        ] {
            let bandwidth = 1.3 * (dimension as f64).sqrt();
            let expected: f64 = factors
                .iter()
                .map(|factor| {
                    let e =
                        |shift, variances| expected_kernel(dimension, shift, variances, factor * bandwidth);
                    e(0.0, 2.0) + e(0.0, 4.5) - 2.0 * e(0.4, 3.25)
                })
                .sum();
            let kernel = Kernel::new(shape, bandwidth).unwrap();
            let runs: Vec<Discrepancy> = (0..200)
                .map(|seed| {
                    let x = gaussian(2 * seed, 30, dimension, 0.0, 1.0);
                    let y = gaussian(2 * seed + 1, 45, dimension, 0.4, 1.5);
                    let (x, y) = (Points::new(&x, dimension).unwrap(), Points::new(&y, dimension).unwrap());
                    mmd(&Pairs::new(x, y).unwrap(), &kernel).unwrap()
                })
                .collect();
            let mean = runs.iter().map(|run| run.unbiased).sum::<f64>() / 200.0;
            let variance = runs.iter().map(|run| (run.unbiased - mean).powi(2)).sum::<f64>() / 199.0;
            let error = (mean - expected).abs();
            assert!(error < 4.0 * (variance / 200.0).sqrt(), "{dimension}: {mean} against {expected}");
            // The jackknife variance estimates that of U, with an upward bias.
            let claimed = runs.iter().map(|run| run.standard_error.unwrap().powi(2)).sum::<f64>() / 200.0;
            assert!((0.75..2.2).contains(&(claimed / variance)), "{dimension}: {}", claimed / variance);
            assert!(runs.iter().all(|run| run.biased > run.unbiased && run.biased >= 0.0));
        }
    }

    /// By hand, from all entries of the three kernel matrices; and the floor of two samples of one law.
    #[test]
    fn the_root_keeps_diagonals() {
        let (x, y) = ([0.0, 1.0, 3.0], [0.5, 2.0]);
        let pairs = Pairs::new(Points::new(&x, 1).unwrap(), Points::new(&y, 1).unwrap()).unwrap();
        let bandwidth = pairs.median_distance();
        let sum = |a: &[f32], b: &[f32]| -> f64 {
            let of = |x: &f32| {
                b.iter()
                    .map(|y| (-f64::from(x - y).powi(2) / (2.0 * bandwidth * bandwidth)).exp())
                    .sum::<f64>()
            };
            a.iter().map(of).sum()
        };
        let expected = sum(&x, &x) / 6.0 + sum(&y, &y) / 2.0 - 2.0 * sum(&x, &y) / 6.0;
        assert!((mmd_root(&pairs).unwrap() - expected.sqrt()).abs() < 1e-7);
        let (x, y) = (gaussian(1, 1000, 2, 0.0, 1.0), gaussian(2, 1000, 2, 0.0, 1.0));
        let pairs = Pairs::new(Points::new(&x, 2).unwrap(), Points::new(&y, 2).unwrap()).unwrap();
        assert!((mmd_root(&pairs).unwrap() - (2.0 / 999.0f64).sqrt()).abs() < 0.02);
    }

    #[test]
    fn multiscale_is_the_sum_of_its_gaussians() {
        let kernel = Kernel::new(KernelShape::Multiscale, 0.7).unwrap();
        for squared in [0.0, 1e-3, 0.5, 3.0, 80.0] {
            let sum: f64 = [0.25, 0.5, 1.0, 2.0, 4.0]
                .iter()
                .map(|factor| Kernel::new(KernelShape::Gaussian, 0.7 * factor).unwrap().value(squared))
                .sum();
            assert!((kernel.value(squared) - sum).abs() < 1e-13, "{squared}");
        }
        assert!(Kernel::new(KernelShape::Gaussian, 0.0).unwrap_err().is_input());
        assert!(Kernel::new(KernelShape::Gaussian, f64::NAN).unwrap_err().is_input());
    }

    #[test]
    fn identical_samples_have_a_zero_v_statistic_and_a_negative_u() {
        let x = gaussian(3, 20, 2, 0.0, 1.0);
        let points = Points::new(&x, 2).unwrap();
        let pairs = Pairs::new(points, points).unwrap();
        let found = mmd(&pairs, &Kernel::median(KernelShape::Gaussian, &pairs)).unwrap();
        assert!(found.biased.abs() < 1e-12 && found.unbiased < 0.0);
        let constant = [5.0; 8];
        let points = Points::new(&constant, 2).unwrap();
        let pairs = Pairs::new(points, points).unwrap();
        let found = mmd(&pairs, &Kernel::median(KernelShape::Gaussian, &pairs)).unwrap();
        assert_eq!((found.unbiased, found.biased), (0.0, 0.0));
    }
}
