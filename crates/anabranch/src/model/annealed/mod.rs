//! Chains along a path of densities from a simple law to an energy.
//!
//! ```text
//! q = gamma_0,  gamma_1,  ...,  gamma_K = R        the base, levels between, the target
//! log w = log R(x_K) - log q(x_0) + sum_k [log B_k(x_{k-1} | x_k) - log F_k(x_k | x_{k-1})]
//! ```
//!
//! | segment | forward kernel `F_k` | backward kernel `B_k` |
//! |---|---|---|
//! | [`Annealing`] | a Markov kernel that leaves `gamma_k` invariant | the same: annealed importance sampling |
//!
//! `E[w] = Z` whatever the kernels do (Jarzynski 1997; Neal 2001).

mod base;
mod kernel;
mod ladder;
mod level;
mod markov;
pub mod recipe;
mod strides;
mod warm_up;

pub use base::Base;
pub use kernel::KernelRecipe;
pub use ladder::Ladder;
pub use level::{Level, PathKind};
pub use markov::Annealing;
pub use strides::Strides;
pub use warm_up::WarmUp;
