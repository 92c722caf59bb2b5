//! Fused CPU kernels and their bridge to burn's autodiff.

mod activation;
mod affine;
pub mod autoregressive;
pub mod bridge;
pub mod embedding;
pub mod gate;
pub mod lattice;
pub(crate) mod layer;
pub(crate) mod lu;
pub mod math;
pub mod matmul;
pub mod network;
pub mod noising;
pub(crate) mod scratch;
mod spline;
pub mod transform;
