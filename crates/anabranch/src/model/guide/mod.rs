//! Guides: variational families as stretches of a chain, next to the source or behind one another.
//!
//! ```text
//! gaussian     x = m + D z,   m + D (I + N) z,   m + D (I + u_1 u_1^T) ... (I + u_r u_r^T) z     mean field, full rank, low rank
//! mixture      x ~ sum_k pi_k N(m_k, diag s_k^2)                                                   whatever z is
//! constrain    x = g(z), each block of coordinates onto its own set
//! ```
//!
//! A guide is no more than a source and kernels, so that it goes together with flows, diffusions and Monte Carlo layers, and is
//! trained by every objective of paths. [`super::start`] has where it begins.

pub mod constrain;
pub mod gaussian;
pub mod mixture;
mod place;

pub use place::PerCoordinate;
