//! Likelihood of data under a model, in nats and bits per dimension.

use rayon::prelude::*;

use crate::array::weights::{matrix, to_vec_f64};
use crate::chain::Given;
use crate::error::Failure;
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

/// The negative log-likelihood (or its bound) per row of `rows`, row-major, averaged, each row under its condition: nats with its
/// standard error.
///
/// `noise` rows are the data's rows: the result does not depend on chunking or threads.
///
/// # Errors
/// If a kernel fails.
///
/// # Panics
/// If `rows` is empty or not a whole number of rows of the model's dimension.
pub fn nll(
    model: &Model,
    rows: &[f32],
    given: &Given,
    bound: Bound,
    noise: &Noise,
) -> Result<Estimate, Failure> {
    Ok(Estimate::mean(&row_nlls(model, rows, given, bound, noise)?))
}

/// The negative log-likelihood (or its bound) of each row, nats.
///
/// # Errors
/// As [`nll`].
///
/// # Panics
/// As [`nll`].
pub fn row_nlls(
    model: &Model,
    rows: &[f32],
    given: &Given,
    bound: Bound,
    noise: &Noise,
) -> Result<Vec<f64>, Failure> {
    let all = row_nlls_observed(model, rows, given, bound, noise, &|_| true)?;
    Ok(values(&all.expect("nobody asks to stop")))
}

/// Estimates without their errors.
pub fn values(estimates: &[Estimate]) -> Vec<f64> {
    estimates.iter().map(|estimate| estimate.value).collect()
}

/// [`row_nlls`], each with the standard error of its own draws (NaN of one alone), telling `seen` the rows of every finished chunk;
/// `None` where `seen` answered that this is enough.
///
/// # Errors
/// As [`nll`].
///
/// # Panics
/// As [`nll`].
pub fn row_nlls_observed(
    model: &Model,
    rows: &[f32],
    given: &Given,
    bound: Bound,
    noise: &Noise,
    seen: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Option<Vec<Estimate>>, Failure> {
    let model = model.frozen();
    let dimension = model.dimension();
    assert!(rows.len().is_multiple_of(dimension), "rows of {dimension} columns");
    let score = |(index, chunk): (usize, &[f32])| -> Result<Option<Vec<Estimate>>, Failure> {
        let (first, count) = (index * CHUNK, chunk.len() / dimension);
        let values = chunk_nlls(&model, chunk, first, &given.range(first, count), bound, noise)?;
        Ok(seen(count).then_some(values))
    };
    let chunks: Result<Vec<_>, Failure> = rows.par_chunks(CHUNK * dimension).enumerate().map(score).collect();
    Ok(chunks?.into_iter().collect::<Option<Vec<_>>>().map(|chunks| chunks.concat()))
}

/// Of the rows of one chunk, of which the first is the data's row `first`.
fn chunk_nlls(
    model: &Model,
    chunk: &[f32],
    first: usize,
    given: &Given,
    bound: Bound,
    noise: &Noise,
) -> Result<Vec<Estimate>, Failure> {
    let x = matrix(chunk.to_vec(), model.dimension(), &model.device());
    let log_likelihood = match bound {
        Bound::Lower(draws) | Bound::Continuous(draws) => {
            let goal = match bound {
                Bound::Continuous(_) => Goal::ContinuousBound,
                _ => Goal::Bound,
            };
            let mut all = vec![Vec::with_capacity(draws); x.dims()[0]];
            for draw in 0..draws {
                let address = noise.at(Address::of_draw(draw, first));
                let values = Path::backward(model, x.clone(), given, &address, Some(goal))?.total();
                all.iter_mut().zip(to_vec_f64(values)).for_each(|(row, value)| row.push(-value));
            }
            return Ok(all.iter().map(|row| Estimate::mean(row)).collect());
        }
        Bound::Importance(samples) => {
            model.importance_bound(x, samples, given, &noise.from_row(first * samples))?
        }
        Bound::Ode { steps, divergence } => {
            model.ode_chain(steps, divergence).encode(x, given, &noise.from_row(first))?.log_weight
        }
        Bound::Path => model.chain().encode(x, given, &noise.from_row(first))?.log_weight,
    };
    let alone = |value| Estimate { value, error: f64::NAN };
    Ok(to_vec_f64(-log_likelihood).into_iter().map(alone).collect())
}

/// Nats per row as bits per dimension: `nats / (dimension ln 2)`.
pub fn bits_per_dim(nll: Estimate, dimension: usize) -> Estimate {
    nll.scaled(1.0 / (dimension as f64 * std::f64::consts::LN_2))
}
