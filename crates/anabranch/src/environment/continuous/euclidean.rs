//! Euclidean space in Gaussian steps; the line is dimension 1.
//!
//! ```text
//! x_{t+1} = x_t + sigma z
//! x_{t-1} = x_t (t - 1) / t + sigma sqrt((t - 1) / t) z          the Brownian bridge, if z ~ N(0, 1)
//! ```
//!
//! With standard normal coordinates both ways, and `log R = log c - |x|^2 / (2 sigma^2 T)` after `T` steps, every flow is
//! exact: `F(x, t) = Z N(x; 0, sigma^2 t I)`, `Z = c (2 pi sigma^2 T)^(dim / 2)`.
//!
//! Lahlou et al. (2023); Zhang and Chen, "Path integral sampler" (2022).

use super::Domain;
use super::walk::{Steps, Walk};
use crate::error::{Problem, Result};

/// Steps of standard deviation `sigma`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Euclidean {
    sigma: f32,
}

impl Walk<Euclidean> {
    /// The space of `dim` coordinates, in `steps` steps of standard deviation `sigma` each.
    ///
    /// # Errors
    /// Unless both numbers are from 1 to 65535 and `sigma` is positive and finite.
    pub fn euclidean(dim: usize, steps: usize, sigma: f32) -> Result<Self> {
        if !(sigma.is_normal() && sigma > 0.0) {
            return Err(Problem::new("environment.sigma", sigma.to_string())
                .allowed("a number above 0")
                .into());
        }
        Self::new(Euclidean { sigma }, dim, steps)
    }
}

impl Euclidean {
    /// The share of `x_t` that `x_{t-1}` has on the average bridge, and the standard deviation around it.
    fn bridge(&self, t: f32) -> (f64, f64) {
        let share = 1.0 - 1.0 / f64::from(t);
        (share, f64::from(self.sigma) * share.sqrt())
    }
}

impl Steps for Euclidean {
    fn domain(&self) -> Domain {
        Domain::Line
    }

    fn forward(&self, x: f32, z: f64) -> f32 {
        (f64::from(x) + f64::from(self.sigma) * z) as f32
    }

    fn read_forward(&self, x: f32, next: f32) -> (f64, f64) {
        let sigma = f64::from(self.sigma);
        ((f64::from(next) - f64::from(x)) / sigma, -sigma.ln())
    }

    fn backward(&self, x: f32, t: f32, z: f64) -> f32 {
        let (share, deviation) = self.bridge(t);
        (share * f64::from(x) + deviation * z) as f32
    }

    fn read_backward(&self, x: f32, t: f32, before: f32) -> (f64, f64) {
        let (share, deviation) = self.bridge(t);
        ((f64::from(before) - share * f64::from(x)) / deviation, -deviation.ln())
    }

    fn dense(&self) -> usize {
        1
    }

    /// The coordinate in units of the last step's deviation from 0.
    fn encode(&self, x: f32, steps: f32, dense: &mut Vec<f32>) {
        dense.push(x / (self.sigma * steps.sqrt()));
    }
}
