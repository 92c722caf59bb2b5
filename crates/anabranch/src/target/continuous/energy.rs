//! Energies as chains on burn's tape see them.

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
