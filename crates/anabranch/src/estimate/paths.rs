//! Log-weights of many paths between a model's source and an energy, drawn in chunks over all threads.
//!
//! ```text
//! forward    x from the chain            log w = log R(x) - log mu(s_0) + sum_t [log P_B - log P_F]
//! backward   x from the target itself    the same number along the backward chain from x
//! ```

use rayon::prelude::*;

use crate::array::weights::{matrix, to_vec, to_vec_f64};
use crate::chain::Given;
use crate::model::Model;
use crate::rng::Noise;
use crate::target::{Failure, Target, log_density};

/// Paths drawn together; also the unit of parallelism.
const CHUNK: usize = 128;

/// The ends of forward paths with their weights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WeightedPaths {
    /// `[paths, dimension]`.
    pub ends: Vec<f32>,
    /// `log w`, `[paths]`, nats.
    pub log_weights: Vec<f64>,
}

/// `log w` of `paths` forward paths of an untracked model, each under its condition, nats; `None` where `seen`, which is told the
/// paths of every finished chunk, answered that this is enough.
///
/// # Errors
/// If a kernel fails, or as [`log_density`].
pub fn forward_weights(
    model: &Model,
    target: &dyn Target,
    paths: usize,
    given: &Given,
    noise: &Noise,
    seen: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Option<Vec<f64>>, Failure> {
    Ok(weighted_paths(model, target, paths, given, noise, seen)?.map(|paths| paths.log_weights))
}

/// [`forward_weights`] with the paths' ends.
///
/// # Errors
/// As [`forward_weights`].
pub fn weighted_paths(
    model: &Model,
    target: &dyn Target,
    paths: usize,
    given: &Given,
    noise: &Noise,
    seen: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Option<WeightedPaths>, Failure> {
    let starts: Vec<usize> = (0..paths).step_by(CHUNK).collect();
    let draw = |first: &usize| {
        let rows = CHUNK.min(paths - first);
        let given = given.range(*first, rows);
        let trajectory = model.chain().generate(rows, &given, &noise.from_row(*first))?;
        let weights = to_vec_f64(trajectory.log_weight + log_density(target, &trajectory.end, &given)?);
        Ok(seen(rows).then(|| (to_vec(trajectory.end), weights)))
    };
    let chunks: Result<Vec<_>, Failure> = starts.par_iter().map(draw).collect();
    let chunks = chunks?.into_iter().collect::<Option<Vec<_>>>();
    Ok(chunks.map(|chunks| {
        let (ends, weights): (Vec<_>, Vec<_>) = chunks.into_iter().unzip();
        WeightedPaths { ends: ends.concat(), log_weights: weights.concat() }
    }))
}

/// `log w` of one backward path of an untracked model from each row of `x`, row-major, each under its condition; `seen` as in
/// [`forward_weights`].
///
/// # Errors
/// If a kernel fails, or as [`log_density`].
///
/// # Panics
/// If `x` is not a whole number of rows of the model's dimension.
pub fn backward_weights(
    model: &Model,
    target: &dyn Target,
    x: &[f32],
    given: &Given,
    noise: &Noise,
    seen: &(dyn Fn(usize) -> bool + Sync),
) -> Result<Option<Vec<f64>>, Failure> {
    let dimension = model.dimension();
    assert!(x.len().is_multiple_of(dimension), "rows of {dimension} columns");
    let score = |(index, chunk): (usize, &[f32])| {
        let x = matrix(chunk.to_vec(), dimension, &model.device());
        let given = given.range(index * CHUNK, chunk.len() / dimension);
        let reward = log_density(target, &x, &given)?;
        let address = noise.from_row(index * CHUNK);
        let weights = to_vec_f64(reward - model.chain().encode(x, &given, &address)?.log_weight);
        Ok(seen(chunk.len() / dimension).then_some(weights))
    };
    joined(x.par_chunks(CHUNK * dimension).enumerate().map(score).collect())
}

fn joined(chunks: Result<Vec<Option<Vec<f64>>>, Failure>) -> Result<Option<Vec<f64>>, Failure> {
    Ok(chunks?.into_iter().collect::<Option<Vec<_>>>().map(|chunks| chunks.concat()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::kernel::bijection::Standardise;
    use crate::model::flow::Flow;
    use crate::model::path::forward_log_weights;
    use crate::rng::Purpose;
    use crate::target::DiagonalGaussian;

    /// A flow onto the very Gaussian that is the target: every weight is its constant, in chunks as in one batch.
    #[test]
    fn weights_of_a_perfect_flow_are_the_constant() {
        let energy = DiagonalGaussian { mean: vec![1.0, -2.0], std: vec![0.5, 3.0], log_z: 1.7 };
        let flow = Flow::new(2, vec![Box::new(Standardise::new(vec![1.0, -2.0], vec![0.5, 3.0]))]);
        let model = Model::new(vec![Box::new(flow)]);
        let (noise, none) = (Noise::new(3, Purpose::Source), Given::nothing());
        let (paths, counted) = (300, AtomicUsize::new(0));
        let count = |rows: usize| {
            counted.fetch_add(rows, Ordering::Relaxed);
            true
        };
        let forward = forward_weights(&model, &energy, paths, &none, &noise, &count).unwrap().unwrap();
        let rows = energy.draw(paths, &noise).unwrap();
        let backward = backward_weights(&model, &energy, &rows, &none, &noise, &count).unwrap().unwrap();
        assert_eq!((forward.len(), backward.len(), counted.into_inner()), (paths, paths, 2 * paths));
        assert!(forward.iter().chain(&backward).all(|w| (w - 1.7).abs() < 1e-4), "{forward:?}");
        let whole = to_vec_f64(forward_log_weights(&model, &energy, paths, &none, &noise).unwrap());
        assert!(forward.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!(forward_weights(&model, &energy, paths, &none, &noise, &|_| false).unwrap().is_none());
        assert!(backward_weights(&model, &energy, &rows, &none, &noise, &|_| false).unwrap().is_none());
    }
}
