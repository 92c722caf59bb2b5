//! Kernels: one step of a chain, each a forward/backward pair.

pub mod bijection;
pub mod categorical;
pub mod discrete_mcmc;
pub mod isotropic;
pub mod jump;
pub mod law;
pub mod mcmc;
pub mod pair;
pub mod probit;
pub mod quantise;
