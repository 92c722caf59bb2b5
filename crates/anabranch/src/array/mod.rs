//! Arrays: fused CPU kernels, their bridge to burn's autodiff, weight vectors, shapes of networks and maps.

mod activation;
mod affine;
pub mod autoregressive;
pub mod bridge;
mod chunk;
pub mod combine;
pub mod described;
pub mod double;
pub mod embedding;
pub mod gate;
mod lane;
pub mod lattice;
pub(crate) mod layer;
pub(crate) mod lu;
pub mod math;
pub mod matmul;
pub mod network;
pub mod noising;
pub mod rowwise;
pub(crate) mod scratch;
pub mod shape;
mod spline;
pub mod transform;
pub mod transformer;
pub mod weights;
