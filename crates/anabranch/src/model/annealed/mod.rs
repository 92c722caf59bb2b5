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
//! | [`Langevin`] | a step of Langevin dynamics | the same, or a learned reversal |
//! | [`Underdamped`] | a step of Langevin dynamics with a momentum | the same, or a learned reversal |
//! | [`Controlled`] | a step of a simple process with a learned drift | that of the process run backward |
//! | [`AnnealedFlow`] | a bijection, then such a kernel | the kernel, then the inverse: annealed flow transport |
//!
//! `E[w] = Z` whatever the kernels do (Jarzynski 1997; Neal 2001).

mod annealing_path;
mod base;
mod bootstrap;
pub mod controlled;
mod drift;
mod flowing;
mod kernel;
mod ladder;
pub mod langevin;
mod level;
mod markov;
mod memory;
pub mod recipe;
mod step_sizes;
mod strides;
mod transport;
mod underdamped;
mod warm_up;

pub use annealing_path::AnnealingPath;
pub use base::Base;
pub use bootstrap::{Bootstrap, bootstrap_chain};
pub use controlled::Controlled;
pub use drift::Drift;
pub use flowing::Flowing;
pub use kernel::{Kernel, KernelRecipe};
pub use ladder::Ladder;
pub use langevin::{Langevin, Reversal};
pub use level::{Level, PathKind};
pub use markov::Annealing;
pub use step_sizes::{Decay, StepSizes};
pub use strides::Strides;
pub use transport::{AnnealedFlow, AnnealedFlowRecipe};
pub use underdamped::{Friction, Underdamped};
pub use warm_up::WarmUp;
