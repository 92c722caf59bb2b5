//! Fused CPU kernels and their bridge to burn's autodiff.

mod affine;
pub mod bridge;
pub mod gate;
pub mod math;
pub mod matmul;
pub mod network;
mod spline;
pub mod transform;
