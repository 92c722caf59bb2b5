//! Energies that learn: unnormalised laws of categories with weights, targets that are also players.
//!
//! ```text
//! p(x) = R(x) / Z,     log R(x) = -E(x; theta),     d(-log p(x)) / d theta = dE(x) / d theta - E_{y ~ p}[dE(y) / d theta]
//! ```
//!
//! | energy | `log R(x)` | exact `log Z` |
//! |---|---|---|
//! | [`Pairwise::ising`] | `sum_{ij} K_ij s_i s_j + sum_i h_i s_i`, spins `s = 2 x - 1` | listed, or row by row on a narrow torus |
//! | [`Pairwise::potts`] | `sum_{ij} K_ij [x_i = x_j] + sum_i h_i(x_i)` | as well |
//! | [`Rbm`] | `a^T x + sum_j softplus(c_j + x^T W_j)` | hidden units listed |
//! | [`Perceptron`] | `log q(x) + f(x)` with a network `f` | listed |
//! | [`Convolution`] | the same with convolutions over an image | listed |
//!
//! On the way from the base `q`, the independent law of the data's marginals, to an energy lie energies of the same family, whose weights
//! are those at their end times the place ([`Family::on_the_way`]); at place 0 the law is `q` but for a constant. Annealed importance
//! sampling asks for no more.

mod base;
mod convolution;
mod form;
mod listed;
mod pairwise;
mod perceptron;
mod rbm;
mod strip;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

pub use base::Independent;
pub use convolution::{Convolution, ConvolutionShape};
pub use form::EnergyForm;
pub use pairwise::{Pairs, Pairwise};
pub use perceptron::Perceptron;
pub use rbm::Rbm;

use crate::array::weights::Slot;
use crate::kernel::discrete_mcmc::{CategoricalDensity, neighbours};
use crate::rng::Noise;

/// Energies of one form: what their weights are, and what they mean.
pub trait Family: Send + Sync + Debug {
    /// The law at place 0.
    fn base(&self) -> &Independent;

    /// The named parts of the weights.
    fn layout(&self) -> Vec<Slot>;

    /// Initial weights: nearly those of the base.
    fn initial(&self, noise: &Noise) -> Vec<f32>;

    /// The weights at `place` of the way from the base (0) to `weights` (1).
    fn on_the_way(&self, weights: &[f32], place: f64) -> Vec<f32>;

    /// The energy with these weights.
    ///
    /// # Panics
    /// If there are not as many as the layout says.
    fn with(&self, weights: &[f32]) -> Box<dyn Energy>;

    /// Whether states have hidden units given which their sites are independent.
    fn has_hidden(&self) -> bool {
        false
    }

    /// The couplings `J` of its pairs as a symmetric matrix, `[sites, sites]`, where `log R(s) = s^T J s + h^T s` with spins.
    fn couplings(&self, _weights: &[f32]) -> Option<Vec<f64>> {
        None
    }
}

/// An energy at given weights; [`CategoricalDensity::log_density`] is its `log R`.
pub trait Energy: CategoricalDensity {
    /// Adds the gradient of `sum_b slopes_b log R(x_b)` by the weights to `gradient`.
    fn pull(&self, states: &[u8], slopes: &[f64], gradient: &mut [f32]);

    /// Adds the gradient of `sum slopes * changes` by the weights to `gradient`; `slopes` is `[rows, sites, values]`, as
    /// [`CategoricalDensity::changes`].
    fn pull_changes(&self, states: &[u8], slopes: &[f64], gradient: &mut [f32]) {
        let sizes = [self.sites(), self.values()];
        self.pull(&neighbours(states, sizes, [0, sizes[0]]), slopes, gradient);
        let of_rows = slopes.chunks_exact(sizes[0] * sizes[1]).map(|row| -row.iter().sum::<f64>());
        self.pull(states, &of_rows.collect::<Vec<f64>>(), gradient);
    }

    /// The law itself, where its constant can be found.
    fn exact(&self) -> Option<Box<dyn ExactLaw>>;
}

/// A law whose constant is known.
pub trait ExactLaw: Send + Sync {
    /// `log Z`, nats.
    fn log_z(&self) -> f64;

    /// Independent draws, `[count, sites]`: draw `i` from row `i` of `noise`.
    fn draw(&self, count: usize, noise: &Noise) -> Vec<u8>;
}
