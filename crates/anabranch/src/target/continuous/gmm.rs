//! Published mixtures of Gaussians.
//!
//! ```text
//! gmm9     means {-5, 0, 5}^2,             covariance 0.3 I, equal weights     (Zhang and Chen 2022)
//! gmm25    means {-10, -5, 0, 5, 10}^2,    covariance 0.3 I, equal weights     (Lahlou et al. 2023)
//! gmm40    means 80 (u - 1/2) in any dimension, std ln(1 + e), equal weights   (Midgley et al. 2023)
//! ```
//!
//! In gmm40 `u` are the first numbers of the Mersenne Twister of seed 0, 24 bits each, component by component, as
//! the authors' program draws them. Other programs draw other means and take std 1: their "GMM40" is another target.

use super::Mixture;
use super::mersenne::Mersenne;

impl Mixture {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    /// The means that the authors' program prints for seed 0 in two dimensions.
    #[test]
    fn gmm40_is_the_published_one() {
        let target = Mixture::gmm40(2);
        let expected = [-0.2995, 21.4577, -32.9218, -29.4376, -15.4062, 10.7263];
        assert_eq!(target.components(), 40);
        for (mean, value) in target.means().iter().zip(expected) {
            assert!((mean - value).abs() < 5e-5, "{mean} {value}");
        }
        assert!((target.stds()[0] - 1.313_261_69).abs() < 1e-8);
        assert!(target.means().iter().all(|m| m.abs() <= 40.0));
    }

    #[test]
    fn grids_have_their_corners() {
        assert_eq!(Mixture::gmm9().means()[..4], [-5.0, -5.0, -5.0, 0.0]);
        let large = Mixture::gmm25();
        assert_eq!((large.components(), &large.means()[48..]), (25, &[10.0, 10.0][..]));
        assert_eq!(Mixture::new(&[2.0], &[vec![1.0]], &[vec![3.0]]).entropy().map(|h| h > 2.5), Some(true));
    }
}
