//! Targets: what a chain is to end in.
//!
//! ```text
//! gaussian    N(mean, covariance), times e^{log_z}                           log Z = log_z
//! mixture     sum_k w_k N(m_k, diag s_k^2); gmm9, gmm25, gmm40               log Z = 0
//! funnel      N(x_0; 0, s^2) prod_i N(x_i; 0, e^{x_0})   (Neal 2003)         log Z = 0
//! many-well   sum over pairs -d^4 + 6 d^2 + d / 2 - v^2 / 2                  log Z = pairs (ln 11784.50927 + ln(2 pi) / 2)
//! toy         seven densities in the plane, see [`toy`]                      log Z = 0
//! ```
//!
//! Every one has an exact sampler, so each can stand for data too.

pub mod funnel;
pub mod gaussian;
mod mersenne;
pub mod mixture;
mod recipe;
mod scored;
pub mod toy;
pub mod well;

pub use funnel::Funnel;
pub use gaussian::{DiagonalGaussian, FullGaussian};
pub use mixture::Mixture;
pub use recipe::EnergyRecipe;
pub use toy::Toy;
pub use well::ManyWell;

use crate::chain::{LogWeight, State};
use crate::rng::Noise;

/// An unnormalised density `R(x) = exp(-energy(x))`.
pub trait Energy: std::fmt::Debug + Send + Sync {
    /// The dimension of its space.
    fn dimension(&self) -> usize;

    /// `log R(x)`, `[batch]`, nats, differentiable (once) in `x`.
    fn log_density(&self, x: &State) -> LogWeight;

    /// `log` of the integral of `R`, where it is known exactly.
    fn log_z(&self) -> Option<f64>;

    /// The entropy of `R / Z`, nats, where it has a closed form.
    fn entropy(&self) -> Option<f64> {
        None
    }

    /// Whether `log R` is finite everywhere. Where it is not, its gradient says nothing, and means of `log w` over
    /// forward paths are minus infinity: no objective can learn from it.
    fn positive_everywhere(&self) -> bool {
        true
    }

    /// Exact independent samples, row-major, where there is an exact sampler.
    fn sample(&self, rows: usize, noise: &Noise) -> Option<Vec<f32>>;
}

#[cfg(test)]
mod tests;
