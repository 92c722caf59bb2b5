//! The torus `[0, 2 pi)^dim`.
//!
//! ```text
//! x_{t+1} = x_t + z  (mod 2 pi),    x_{t-1} = x_t - z  (mod 2 pi)
//! ```
//!
//! Lahlou et al. (2023), section 4.2.

use std::f64::consts::TAU;

use super::Domain;
use super::walk::{Steps, Walk};
use crate::error::Result;

/// Steps along circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torus;

impl Walk<Torus> {
    /// The torus of `dim` angles, in `steps` steps.
    ///
    /// # Errors
    /// Unless both numbers are from 1 to 65535.
    pub fn torus(dim: usize, steps: usize) -> Result<Self> {
        Self::new(Torus, dim, steps)
    }
}

/// The angle in `[0, 2 pi)`.
pub(super) fn wrapped(angle: f64) -> f32 {
    let angle = angle.rem_euclid(TAU) as f32;
    if angle < std::f32::consts::TAU { angle } else { 0.0 }
}

impl Steps for Torus {
    fn domain(&self) -> Domain {
        Domain::Circle
    }

    fn forward(&self, x: f32, z: f64) -> f32 {
        wrapped(f64::from(x) + z)
    }

    fn read_forward(&self, x: f32, next: f32) -> (f64, f64) {
        (f64::from(next) - f64::from(x), 0.0)
    }

    fn backward(&self, x: f32, _t: f32, z: f64) -> f32 {
        wrapped(f64::from(x) - z)
    }

    fn read_backward(&self, x: f32, _t: f32, before: f32) -> (f64, f64) {
        (f64::from(x) - f64::from(before), 0.0)
    }

    fn dense(&self) -> usize {
        2
    }

    /// Cosine and sine.
    fn encode(&self, x: f32, _steps: f32, dense: &mut Vec<f32>) {
        dense.extend([x.cos(), x.sin()]);
    }
}
