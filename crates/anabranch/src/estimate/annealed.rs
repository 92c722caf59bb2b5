//! `log Z` of an energy that learns, by annealing from both ends, and the likelihood of data between two bounds.
//!
//! ```text
//! forward    from the base                 E[log w] <= log Z,      log mean exp(log w)
//! backward   from exact draws              E[log w] >= log Z
//! backward   from data                     the same number is conservative: see crate::model::energy
//! ```

use rayon::prelude::*;

use crate::array::weights::{matrix, to_vec_f64};
use crate::chain::Given;
use crate::error::Failure;
use crate::kernel::discrete_mcmc::bytes;
use crate::model::Model;
use crate::rng::Noise;

/// Paths drawn together; also the unit of parallelism.
const CHUNK: usize = 128;

/// Log-weights of `paths` forward paths of a model that is one annealed energy, nats; `None` where `seen` answered that this is enough.
///
/// # Errors
/// If a kernel fails.
///
/// # Panics
/// If the model is another.
pub fn forward(
    model: &Model,
    paths: usize,
    noise: &Noise,
    seen: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Option<Vec<f64>>, Failure> {
    let energy = model.segments()[0].as_energy().expect("an annealed energy").energy();
    let chain = model.chain();
    let starts: Vec<usize> = (0..paths).step_by(CHUNK).collect();
    let walk = |first: &usize| -> Result<Option<Vec<f64>>, Failure> {
        let rows = CHUNK.min(paths - first);
        let path = chain.generate(rows, &Given::nothing(), &noise.from_row(*first))?;
        let mut log_weights = vec![0.0; rows];
        energy.log_density(&bytes(&path.end), &mut log_weights);
        log_weights.iter_mut().zip(to_vec_f64(path.log_weight)).for_each(|(sum, own)| *sum += own);
        Ok(seen(rows).then_some(log_weights))
    };
    let all: Result<Vec<_>, Failure> = starts.par_iter().map(walk).collect();
    Ok(all?.into_iter().collect::<Option<Vec<_>>>().map(|all| all.concat()))
}

/// Log-weights of one backward path from each of `states`, `[rows, sites]`, nats; `None` where `seen` answered that this is enough.
///
/// # Errors
/// If a kernel fails.
///
/// # Panics
/// If the model is another.
pub fn backward(
    model: &Model,
    states: &[u8],
    noise: &Noise,
    seen: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Option<Vec<f64>>, Failure> {
    let energy = model.segments()[0].as_energy().expect("an annealed energy").energy();
    let (chain, sites) = (model.chain(), model.dimension());
    let walk = |(index, states): (usize, &[u8])| -> Result<Option<Vec<f64>>, Failure> {
        let mut log_weights = vec![0.0; states.len() / sites];
        energy.log_density(states, &mut log_weights);
        let x = matrix(states.iter().map(|x| f32::from(*x)).collect(), sites, &model.device());
        let path = chain.encode(x, &Given::nothing(), &noise.from_row(index * CHUNK))?;
        log_weights.iter_mut().zip(to_vec_f64(path.log_weight)).for_each(|(sum, own)| *sum -= own);
        Ok(seen(log_weights.len()).then_some(log_weights))
    };
    let all: Result<Vec<_>, Failure> = states.par_chunks(CHUNK * sites).enumerate().map(walk).collect();
    Ok(all?.into_iter().collect::<Option<Vec<_>>>().map(|all| all.concat()))
}
