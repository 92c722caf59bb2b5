//! Likelihood of data under a model, in nats and bits per dimension.

use rayon::prelude::*;

use crate::array::weights::{matrix, to_vec_f64};
use crate::math::Estimate;
use crate::model::ode::Divergence;
use crate::model::path::Path;
use crate::model::{Goal, Model};
use crate::rng::{Address, Noise};

/// Rows evaluated together; also the unit of parallelism.
const CHUNK: usize = 128;

/// How the bound is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The bound of the chain ([`Model::bound`]), averaged over this many draws per row.
    Lower(usize),
    /// The same in the limit of ever more steps ([`Goal::ContinuousBound`]).
    Continuous(usize),
    /// The importance-weighted bound with this many full backward paths per row.
    Importance(usize),
    /// The bound along one full backward path per row: every step of the chain, not a random one.
    Path,
    /// The likelihood along the probability-flow ODE of the model's diffusions, with one draw per row of what else in the
    /// chain is random: exact up to the solver's error where nothing is, else a bound ([`Model::ode_chain`]).
    Ode {
        /// Runge-Kutta steps of each diffusion.
        steps: usize,
        /// How traces are found.
        divergence: Divergence,
    },
}

/// The negative log-likelihood (or its bound) per row of `rows`, row-major, averaged: nats with its standard error.
///
/// `noise` rows are the data's rows: the result does not depend on chunking or threads.
///
/// # Panics
/// If `rows` is empty or not a whole number of rows of the model's dimension.
pub fn nll(model: &Model, rows: &[f32], bound: Bound, noise: &Noise) -> Estimate {
    Estimate::mean(&row_nlls(model, rows, bound, noise))
}

/// [`nll`], telling `seen` the rows of every finished chunk; `None` where `seen` answered that this is enough.
///
/// # Panics
/// As [`nll`].
pub fn nll_observed(
    model: &Model,
    rows: &[f32],
    bound: Bound,
    noise: &Noise,
    seen: &(dyn Fn(usize) -> bool + Sync),
) -> Option<Estimate> {
    row_nlls_observed(model, rows, bound, noise, seen).map(|values| Estimate::mean(&values))
}

/// The negative log-likelihood (or its bound) of each row, nats.
pub fn row_nlls(model: &Model, rows: &[f32], bound: Bound, noise: &Noise) -> Vec<f64> {
    row_nlls_observed(model, rows, bound, noise, &|_| true).expect("nobody asks to stop")
}

fn row_nlls_observed(
    model: &Model,
    rows: &[f32],
    bound: Bound,
    noise: &Noise,
    seen: &(dyn Fn(usize) -> bool + Sync),
) -> Option<Vec<f64>> {
    let model = model.frozen();
    let dimension = model.dimension();
    assert!(rows.len().is_multiple_of(dimension), "rows of {dimension} columns");
    let chunks: Option<Vec<Vec<f64>>> = rows
        .par_chunks(CHUNK * dimension)
        .enumerate()
        .map(|(index, chunk)| {
            let count = chunk.len() / dimension;
            let x = matrix(chunk.to_vec(), dimension, &model.device());
            let first = index * CHUNK;
            let values = match bound {
                Bound::Lower(draws) | Bound::Continuous(draws) => {
                    let goal = match bound {
                        Bound::Continuous(_) => Goal::ContinuousBound,
                        _ => Goal::Bound,
                    };
                    let mut sum = vec![0.0; count];
                    for draw in 0..draws {
                        let address = noise.at(Address::of_draw(draw, first));
                        let values =
                            to_vec_f64(Path::backward(&model, x.clone(), &address, Some(goal)).total());
                        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum -= value / draws as f64);
                    }
                    sum
                }
                Bound::Importance(samples) => {
                    let address = noise.from_row(first * samples);
                    to_vec_f64(-model.importance_bound(x, samples, &address))
                }
                Bound::Ode { steps, divergence } => {
                    let chain = model.ode_chain(steps, divergence);
                    to_vec_f64(-chain.encode(x, &noise.from_row(first)).log_weight)
                }
                Bound::Path => to_vec_f64(-model.chain().encode(x, &noise.from_row(first)).log_weight),
            };
            seen(count).then_some(values)
        })
        .collect();
    chunks.map(|chunks| chunks.concat())
}

/// Nats per row as bits per dimension: `nats / (dimension ln 2)`.
pub fn bits_per_dim(nll: Estimate, dimension: usize) -> Estimate {
    nll.scaled(1.0 / (dimension as f64 * std::f64::consts::LN_2))
}
