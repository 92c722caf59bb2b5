//! Fused CPU kernels and their bridge to burn's autodiff.

pub mod bridge;
pub mod gate;
pub mod math;
pub mod matmul;
pub mod network;
