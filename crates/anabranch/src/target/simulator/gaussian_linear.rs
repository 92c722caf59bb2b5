//! The mean of a normal law, under a normal prior or a uniform one.
//!
//! ```text
//! x ~ N(theta, v I),   v = 0.1,   theta ~ N(0, v I)  or uniform in [-1, 1]^10
//! normal   p(theta | x) = N(x / 2, v / 2 I),                        log p(x) = log N(x; 0, 2 v I)
//! uniform  p(theta | x) = N(x, v I) within the box,                 log p(x) = sum_i log((F(1) - F(-1)) / 2)
//! ```
//!
//! with `F` the distribution function of `N(x_i, v)`. Each coordinate is drawn for itself, those outside of the box again.

use super::{Simulator, log_normal, log_uniform, uniform};
use crate::math::normal_cdf;
use crate::rng::Stream;

const DIMENSION: usize = 10;
const VARIANCE: f64 = 0.1;
const BOUND: f64 = 1.0;
/// How often a coordinate is tried before the whole draw is.
const ATTEMPTS: usize = 10_000;

/// The mean of a normal law.
#[derive(Debug)]
pub(super) struct GaussianLinear {
    /// Whether the prior is the uniform one.
    pub uniform: bool,
}

impl Simulator for GaussianLinear {
    fn sizes(&self) -> [usize; 2] {
        [DIMENSION; 2]
    }

    fn prior(&self, stream: &mut Stream<'_>) -> Vec<f64> {
        match self.uniform {
            true => uniform(DIMENSION, BOUND, stream),
            false => (0..DIMENSION).map(|_| VARIANCE.sqrt() * stream.normal()).collect(),
        }
    }

    fn simulate(&self, parameters: &[f64], stream: &mut Stream<'_>) -> Vec<f64> {
        parameters.iter().map(|mean| mean + VARIANCE.sqrt() * stream.normal()).collect()
    }

    fn log_prior(&self, parameters: &[f64]) -> f64 {
        match self.uniform {
            true => log_uniform(parameters, BOUND),
            false => log_normal(parameters, &[0.0; DIMENSION], VARIANCE),
        }
    }

    fn log_likelihood(&self, parameters: &[f64], observation: &[f64]) -> f64 {
        log_normal(observation, parameters, VARIANCE)
    }

    fn log_evidence(&self, observation: &[f64]) -> Option<f64> {
        if !self.uniform {
            return Some(log_normal(observation, &[0.0; DIMENSION], 2.0 * VARIANCE));
        }
        let at = |end: f64, x: f64| normal_cdf((end - x) / VARIANCE.sqrt());
        let mass = |x: &f64| (at(BOUND, *x) - at(-BOUND, *x)) / (2.0 * BOUND);
        Some(observation.iter().map(|x| mass(x).ln()).sum())
    }

    fn posterior(&self, observation: &[f64], stream: &mut Stream<'_>) -> Option<Vec<f64>> {
        let mut coordinate = |x: &f64| {
            if !self.uniform {
                return Some(0.5 * x + (0.5 * VARIANCE).sqrt() * stream.normal());
            }
            (0..ATTEMPTS).map(|_| x + VARIANCE.sqrt() * stream.normal()).find(|value| value.abs() <= BOUND)
        };
        observation.iter().map(&mut coordinate).collect()
    }
}
