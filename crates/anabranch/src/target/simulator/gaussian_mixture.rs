//! The common mean of two normal laws, one wide and one narrow.
//!
//! ```text
//! x ~ N(theta, I) / 2 + N(theta, 0.01 I) / 2,   theta uniform in [-10, 10]^2
//! p(theta | x) = N(x, I) / 2 + N(x, 0.01 I) / 2 within the box
//! p(x) = (1 / 400) sum_k 1/2 prod_i (F_k(10) - F_k(-10))
//! ```
//!
//! with `F_k` the distribution function of `N(x_i, s_k^2)`. Draws outside of the box are rejected.

use super::{Simulator, log_normal, log_uniform, uniform};
use crate::math::{log_sum_exp, normal_cdf};
use crate::rng::Stream;

const BOUND: f64 = 10.0;
const DEVIATIONS: [f64; 2] = [1.0, 0.1];

/// The common mean of two normal laws.
#[derive(Debug)]
pub(super) struct GaussianMixture;

/// `centre` with the noise of either law.
fn noisy(centre: &[f64], stream: &mut Stream<'_>) -> Vec<f64> {
    let deviation = DEVIATIONS[usize::from(stream.uniform() < 0.5)];
    centre.iter().map(|mean| mean + deviation * stream.normal()).collect()
}

impl Simulator for GaussianMixture {
    fn sizes(&self) -> [usize; 2] {
        [2, 2]
    }

    fn prior(&self, stream: &mut Stream<'_>) -> Vec<f64> {
        uniform(2, BOUND, stream)
    }

    fn simulate(&self, parameters: &[f64], stream: &mut Stream<'_>) -> Vec<f64> {
        noisy(parameters, stream)
    }

    fn log_prior(&self, parameters: &[f64]) -> f64 {
        log_uniform(parameters, BOUND)
    }

    fn log_likelihood(&self, parameters: &[f64], observation: &[f64]) -> f64 {
        let each = DEVIATIONS.map(|deviation| log_normal(observation, parameters, deviation * deviation));
        log_sum_exp(&each) - 2f64.ln()
    }

    fn log_evidence(&self, observation: &[f64]) -> Option<f64> {
        let mass = |deviation: f64| -> f64 {
            let at = |end: f64, x: f64| normal_cdf((end - x) / deviation);
            observation.iter().map(|x| (at(BOUND, *x) - at(-BOUND, *x)) / (2.0 * BOUND)).product()
        };
        Some((0.5 * DEVIATIONS.map(mass).iter().sum::<f64>()).ln())
    }

    fn posterior(&self, observation: &[f64], stream: &mut Stream<'_>) -> Option<Vec<f64>> {
        let parameters = noisy(observation, stream);
        (self.log_prior(&parameters) > f64::NEG_INFINITY).then_some(parameters)
    }
}
