//! Log-densities that bring their own gradient, row by row in f64.
//!
//! ```text
//! f(x) = f(stop(x)) + (x - stop(x)) . grad f(stop(x))
//! ```
//!
//! has the value and the first derivative of `f`, and costs the tape one product per coordinate however many
//! components or nodes `f` sums.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::array::weights::sum_rows;
use crate::array::weights::{matrix, to_vec};
use crate::chain::{LogWeight, State};

/// Rows that one task evaluates.
const CHUNK: usize = 64;

/// The log-density of every row of `x`, `[batch]`, differentiable once in `x`.
///
/// `row` maps a point to its log-density and overwrites its second argument with the gradient there.
pub fn with_score(x: &State, row: impl Fn(&[f64], &mut [f64]) -> f64 + Sync) -> LogWeight {
    let [rows, columns] = x.dims();
    let points = to_vec(x.clone());
    let (mut values, mut scores) = (vec![0.0; rows], vec![0.0; rows * columns]);
    let chunks = values.par_chunks_mut(CHUNK).zip(scores.par_chunks_mut(CHUNK * columns));
    chunks.zip(points.par_chunks(CHUNK * columns)).for_each(|((values, scores), points)| {
        let (mut point, mut score) = (vec![0.0; columns], vec![0.0; columns]);
        let rows = points.chunks_exact(columns).zip(scores.chunks_exact_mut(columns));
        for ((from, to), value) in rows.zip(values) {
            point.iter_mut().zip(from).for_each(|(p, v)| *p = f64::from(*v));
            *value = row(&point, &mut score) as f32;
            to.iter_mut().zip(&score).for_each(|(t, s)| *t = *s as f32);
        }
    });
    let device = x.device();
    let values = Tensor::<1>::from_data(TensorData::new(values, [rows]), &device);
    let zero = x.clone() - x.clone().detach();
    values + sum_rows(zero * matrix(scores, columns, &device))
}

/// `log sum_k exp(term(k))`; `visit(k, w)` is called with weights `w` that add up to one.
///
/// Terms below `e^{-40}` of the largest are left out: together they stay below the rounding of the sum.
pub fn log_sum_exp_visit(
    count: usize,
    term: impl Fn(usize) -> f64,
    mut visit: impl FnMut(usize, f64),
) -> f64 {
    let largest = (0..count).map(&term).fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    let kept = |k: &usize| term(*k) - largest > -40.0;
    let sum: f64 = (0..count).filter(kept).map(|k| (term(k) - largest).exp()).sum();
    (0..count).filter(kept).for_each(|k| visit(k, (term(k) - largest).exp() / sum));
    largest + sum.ln()
}
