//! Simulators with their priors: problems of simulation-based inference whose posteriors can be drawn from exactly.
//!
//! ```text
//! theta ~ p(theta),   x ~ p(x | theta),   wanted: p(theta | x)
//!
//! two-moons                theta in [-1, 1]^2, x a noisy half circle moved by a map that folds: two crescents
//! gaussian-linear          theta ~ N(0, 0.1 I) in R^10, x ~ N(theta, 0.1 I)
//! gaussian-linear-uniform  theta uniform in [-1, 1]^10, x ~ N(theta, 0.1 I)
//! gaussian-mixture         theta uniform in [-10, 10]^2, x ~ N(theta, I) / 2 + N(theta, 0.01 I) / 2
//! slcp                     theta uniform in [-3, 3]^5, x four points of a normal law in the plane whose moments theta sets
//! ```
//!
//! Source: the benchmark sbibm (Lueckmann, Boelts, Greenberg, Gonçalves and Macke, "Benchmarking simulation-based inference",
//! AISTATS 2021, appendix T), whose ten observations of each task, with the parameters that made them, are embedded. Its reference
//! draws are not: each posterior here is drawn by an exact method of its own module.

mod gaussian_linear;
mod gaussian_mixture;
mod slcp;
mod two_moons;

use std::fmt::Debug;

use rayon::prelude::*;

use crate::data;
use crate::rng::{Noise, Stream};
use gaussian_linear::GaussianLinear;
use gaussian_mixture::GaussianMixture;
use slcp::Slcp;
use two_moons::TwoMoons;

/// A simulator with its prior.
pub trait Simulator: Debug + Send + Sync {
    /// How many parameters there are, and how many numbers an observation has.
    fn sizes(&self) -> [usize; 2];

    /// `theta ~ p(theta)`.
    fn prior(&self, stream: &mut Stream<'_>) -> Vec<f64>;

    /// `x ~ p(x | theta)`.
    fn simulate(&self, parameters: &[f64], stream: &mut Stream<'_>) -> Vec<f64>;

    /// `log p(theta)`, nats; minus infinity outside of the prior's support.
    fn log_prior(&self, parameters: &[f64]) -> f64;

    /// `log p(x | theta)`, nats.
    fn log_likelihood(&self, parameters: &[f64], observation: &[f64]) -> f64;

    /// `log p(x)`, nats, where it is known in closed form.
    fn log_evidence(&self, _observation: &[f64]) -> Option<f64> {
        None
    }

    /// One attempt at a draw from `p(theta | x)`; `None` where it is rejected.
    fn posterior(&self, observation: &[f64], stream: &mut Stream<'_>) -> Option<Vec<f64>>;
}

/// The names of the simulators.
pub const NAMES: [&str; 5] =
    ["two-moons", "gaussian-linear", "gaussian-linear-uniform", "gaussian-mixture", "slcp"];

/// The one of that name.
pub fn named(name: &str) -> Option<&'static dyn Simulator> {
    Some(match name {
        "two-moons" => &TwoMoons,
        "gaussian-linear" => &GaussianLinear { uniform: false },
        "gaussian-linear-uniform" => &GaussianLinear { uniform: true },
        "gaussian-mixture" => &GaussianMixture,
        "slcp" => &Slcp,
        _ => return None,
    })
}

/// Parameters with what was simulated, or observed, under them.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulations {
    /// `theta`, `[rows, parameters]`.
    pub parameters: Vec<f32>,
    /// `x`, `[rows, numbers of an observation]`.
    pub observations: Vec<f32>,
}

/// `rows` draws of the joint law; row `i` from row `i` of `noise`.
pub fn simulate(simulator: &dyn Simulator, rows: usize, noise: &Noise) -> Simulations {
    let rows: Vec<[Vec<f64>; 2]> = (0..rows)
        .into_par_iter()
        .map(|row| {
            let stream = &mut noise.stream(row);
            let parameters = simulator.prior(stream);
            let observation = simulator.simulate(&parameters, stream);
            [parameters, observation]
        })
        .collect();
    let side =
        |side: usize| rows.iter().flat_map(|row| row[side].iter().map(|value| *value as f32)).collect();
    Simulations { parameters: side(0), observations: side(1) }
}

/// How often a draw of a posterior is tried.
const ATTEMPTS: usize = 1_000_000;

/// `rows` exact draws of `p(theta | x)`, `[rows, parameters]`; row `i` from row `i` of `noise`. `None` where the observation is so
/// unlikely that draws are rejected a million times in a row.
pub fn posterior(
    simulator: &dyn Simulator,
    observation: &[f32],
    rows: usize,
    noise: &Noise,
) -> Option<Vec<f32>> {
    let observation: Vec<f64> = observation.iter().map(|value| f64::from(*value)).collect();
    let row = |row: usize| {
        let stream = &mut noise.stream(row);
        (0..ATTEMPTS).find_map(|_| simulator.posterior(&observation, stream))
    };
    let rows: Option<Vec<Vec<f64>>> = (0..rows).into_par_iter().map(row).collect();
    Some(rows?.into_iter().flatten().map(|value| value as f32).collect())
}

/// The ten observations of the benchmark, with the parameters that made them.
///
/// # Panics
/// If there is no simulator of that name.
pub fn observations(name: &str) -> Simulations {
    let (simulator, text) = match name {
        "two-moons" => ("two-moons", &include_bytes!("../../../../../data/simulators/two-moons.csv")[..]),
        "gaussian-linear" => {
            (name, &include_bytes!("../../../../../data/simulators/gaussian-linear.csv")[..])
        }
        "gaussian-linear-uniform" => {
            (name, &include_bytes!("../../../../../data/simulators/gaussian-linear-uniform.csv")[..])
        }
        "gaussian-mixture" => {
            (name, &include_bytes!("../../../../../data/simulators/gaussian-mixture.csv")[..])
        }
        "slcp" => (name, &include_bytes!("../../../../../data/simulators/slcp.csv")[..]),
        _ => panic!("no simulator is called {name}"),
    };
    let [parameters, _] = named(simulator).expect("it was matched").sizes();
    let table = data::parse(name, text, &[]).expect("an embedded table is whole");
    let rows = || table.values.chunks_exact(table.columns);
    Simulations {
        parameters: rows().flat_map(|row| row[..parameters].to_vec()).collect(),
        observations: rows().flat_map(|row| row[parameters..].to_vec()).collect(),
    }
}

/// `log` of the uniform density on `[-bound, bound]^d`.
fn log_uniform(parameters: &[f64], bound: f64) -> f64 {
    match parameters.iter().all(|value| value.abs() <= bound) {
        true => -(parameters.len() as f64) * (2.0 * bound).ln(),
        false => f64::NEG_INFINITY,
    }
}

/// A draw of it.
fn uniform(count: usize, bound: f64, stream: &mut Stream<'_>) -> Vec<f64> {
    (0..count).map(|_| bound * (2.0 * stream.uniform() - 1.0)).collect()
}

/// `log N(x; mean, variance I)`.
fn log_normal(x: &[f64], mean: &[f64], variance: f64) -> f64 {
    let square: f64 = x.iter().zip(mean).map(|(x, mean)| (x - mean).powi(2)).sum();
    -0.5 * (square / variance + x.len() as f64 * (std::f64::consts::TAU * variance).ln())
}

#[cfg(test)]
mod tests;
