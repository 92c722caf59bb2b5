//! Published mixtures of Gaussians.
//!
//! ```text
//! gmm9     means {-5, 0, 5}^2,             covariance 0.3 I, equal weights     (Zhang and Chen 2022)
//! gmm25    means {-10, -5, 0, 5, 10}^2,    covariance 0.3 I, equal weights     (Lahlou et al. 2023)
//! gmm40    means 80 (u - 1/2) in any dimension, equal weights                  (Midgley et al. 2023)
//! ```
//!
//! "GMM40" is three targets, by the generator whose first numbers, component by component, are `u`:
//!
//! | generator | `u` | std | where |
//! |---|---|---|---|
//! | `torch` | Mersenne Twister of seed 0, 24 bits each | ln(1 + e) | the authors' program, iDEM |
//! | `jax` | Threefry under the key 0, 23 bits each: counters `(i, i + n/2)`, all first words, then all second ones | 1 | JAX before 0.5: FAB in JAX, "Beyond ELBOs" |
//! | `jax-partitionable` | Threefry under the key 0, 23 bits each: of the counters `(0, i)`, the exclusive or of both words | 1 | the same programs under later JAX |
//!
//! Compare only like with like.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mixture;
use super::entry::{Built, Entry, Result, check_dimension, shared};
use super::mersenne::Mersenne;
use super::threefry::threefry;
use crate::environment::continuous::Domain;
use crate::papers::{CONTINUOUS, FAB, PIS};

/// Nine modes on the grid {-5, 0, 5}^2 in a recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gmm9Recipe {}

/// Twenty-five modes on the grid {-10, -5, 0, 5, 10}^2 in a recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gmm25Recipe {}

/// Forty modes in [-40, 40]^dimension in a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gmm40Recipe {
    /// The dimension.
    #[serde(default = "plane")]
    pub dimension: usize,
    /// Whose numbers the means are; it decides the standard deviation, too.
    #[serde(default)]
    pub generator: Generator,
}

/// A generator whose first numbers are the means of gmm40.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Generator {
    /// The Mersenne Twister as torch takes numbers from it; standard deviation ln(1 + e).
    #[default]
    Torch,
    /// Threefry as JAX before 0.5 took numbers from it; standard deviation 1.
    Jax,
    /// Threefry as later JAX does; standard deviation 1.
    JaxPartitionable,
}

impl Generator {
    /// The first `count` numbers, from 0 to 1.
    fn uniforms(self, count: usize) -> Vec<f64> {
        let bits = |word: u32| f64::from(word >> 9) / f64::from(1 << 23);
        let index = 0..count as u32;
        match self {
            Self::Torch => {
                let mut generator = Mersenne::new(0);
                index.map(|_| f64::from(generator.word() & 0xFF_FFFF) / f64::from(1 << 24)).collect()
            }
            Self::Jax => {
                let half = count as u32 / 2;
                let pairs: Vec<[u32; 2]> = (0..half).map(|i| threefry([0; 2], [i, i + half])).collect();
                [0, 1].into_iter().flat_map(|k| pairs.iter().map(move |pair| bits(pair[k]))).collect()
            }
            Self::JaxPartitionable => {
                let word = |i| threefry([0; 2], [0, i]).into_iter().fold(0, |all, word| all ^ word);
                index.map(|i| bits(word(i))).collect()
            }
        }
    }

    /// The standard deviation of every component.
    fn std(self) -> f64 {
        if self == Self::Torch { 1f64.exp().ln_1p() } else { 1.0 }
    }
}

fn plane() -> usize {
    2
}

impl Entry for Gmm9Recipe {
    fn formula(&self) -> String {
        "gmm9: 9 equal N(m, 0.3 I), m in {-5, 0, 5}^2".to_owned()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![PIS]
    }

    fn dimension(&self) -> Option<usize> {
        Some(2)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(Mixture::gmm9())
    }
}

impl Entry for Gmm25Recipe {
    fn formula(&self) -> String {
        "gmm25: 25 equal N(m, 0.3 I), m in {-10, -5, 0, 5, 10}^2".to_owned()
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![CONTINUOUS]
    }

    fn dimension(&self) -> Option<usize> {
        Some(2)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(Mixture::gmm25())
    }
}

impl Entry for Gmm40Recipe {
    fn formula(&self) -> String {
        let std = if self.generator == Generator::Torch { "ln(1 + e)^2 I" } else { "I" };
        format!("gmm40: 40 equal N(m, {std}), m in [-40, 40]^{}", self.dimension)
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![FAB]
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.dimension)
    }

    fn check(&self) -> Result<()> {
        check_dimension(self.dimension, 1)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(Mixture::gmm40(self.dimension, self.generator))
    }
}

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
    pub fn gmm40(dimension: usize, generator: Generator) -> Self {
        let means: Vec<f64> =
            generator.uniforms(40 * dimension).into_iter().map(|u| 80.0 * (u - 0.5)).collect();
        let means: Vec<Vec<f64>> = means.chunks_exact(dimension).map(<[f64]>::to_vec).collect();
        Self::isotropic(&means, generator.std())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    /// The means that the authors' program prints for seed 0 in two dimensions.
    #[test]
    fn gmm40_is_the_published_one() {
        let target = Mixture::gmm40(2, Generator::Torch);
        let expected = [-0.2995, 21.4577, -32.9218, -29.4376, -15.4062, 10.7263];
        assert_eq!(target.components(), 40);
        for (mean, value) in target.means().iter().zip(expected) {
            assert!((mean - value).abs() < 5e-5, "{mean} {value}");
        }
        assert!((target.stds()[0] - 1.313_261_69).abs() < 1e-8);
        assert!(target.means().iter().all(|m| m.abs() <= 40.0));
    }

    /// The first means that JAX prints for the key 0, and nothing between -40 and 40 twice.
    #[test]
    fn other_generators_make_other_targets() {
        for (generator, first) in
            [(Generator::Jax, [-15.7582, 18.1165]), (Generator::JaxPartitionable, [35.8134, 38.2864])]
        {
            let target = Mixture::gmm40(2, generator);
            let means = target.means();
            assert!((means[0] - first[0]).abs() < 5e-5 && (means[1] - first[1]).abs() < 5e-5, "{means:?}");
            let mut sorted = means.to_vec();
            sorted.sort_by(f64::total_cmp);
            assert!(
                sorted.windows(2).all(|pair| pair[0] < pair[1]) && sorted[0] > -40.0 && sorted[79] < 40.0
            );
            assert_eq!((means.len(), target.stds()[7]), (80, 1.0));
        }
    }

    #[test]
    fn grids_have_their_corners() {
        assert_eq!(Mixture::gmm9().means()[..4], [-5.0, -5.0, -5.0, 0.0]);
        let large = Mixture::gmm25();
        assert_eq!((large.components(), &large.means()[48..]), (25, &[10.0, 10.0][..]));
        assert_eq!(Mixture::new(&[2.0], &[vec![1.0]], &[vec![3.0]]).entropy().map(|h| h > 2.5), Some(true));
    }
}
