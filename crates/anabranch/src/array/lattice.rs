//! The mean of a law on `K` levels, given logits and a noisy reading of the level, as one differentiable operation.
//!
//! ```text
//! z = alpha c + sigma eps with c one of c_1 .. c_K,   prior logits a_k:
//! p_k ~ exp( a_k + h c_k - q c_k^2 / 2 ),   h = z alpha / sigma^2,  q = alpha^2 / sigma^2
//! m = sum_k p_k c_k
//! dm/da_k = p_k (c_k - m),   dm/dh = sum_k p_k c_k (c_k - m),   dm/dq = -1/2 sum_k p_k c_k^2 (c_k - m)
//! ```

use std::sync::Arc;

use burn::tensor::Tensor;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use super::bridge::{Fused, Saved, fused};
use super::chunk::chunk_rows;
use super::lane::{LANES, Lane, lanes};
use super::math::exp;

/// `m`, `[rows, n]`, for `logits` `[rows, n * K]`, `h` `[rows, n]` and `q` `[rows, 1]`, with `K` the number of `centres`.
///
/// # Panics
/// If the shapes do not fit.
pub fn mean(centres: &Arc<[f32]>, logits: Tensor<2>, h: Tensor<2>, q: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = h.dims();
    assert_eq!(logits.dims(), [rows, columns * centres.len()], "one logit per coordinate and level");
    assert_eq!(q.dims(), [rows, 1], "one precision per row");
    fused(Arc::new(LatticeOp { centres: centres.clone(), columns }), logits, h, Some(q))
}

/// [`mean`] and its derivatives: `m`, `dm/da_k` `[rows, n * K]` and `dm/dh` `[rows, n]`. Nothing is recorded for a
/// gradient.
///
/// # Panics
/// If the shapes do not fit.
pub fn mean_and_slopes(
    centres: &Arc<[f32]>,
    logits: &[f32],
    h: &[f32],
    q: &[f32],
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    assert!(h.len().is_multiple_of(q.len()), "one precision per row");
    assert_eq!(logits.len(), h.len() * centres.len(), "one logit per coordinate and level");
    let op = LatticeOp { centres: centres.clone(), columns: h.len() / q.len() };
    let inputs = [logits, h, q];
    let saved: Saved = Arc::new(());
    let [to_logits, to_h, _] = op.backward(inputs, &saved, &vec![1.0; h.len()], [true, true, false]);
    (op.forward(inputs), to_logits.expect("it was wanted"), to_h.expect("it was wanted"))
}

#[derive(Debug)]
struct LatticeOp {
    centres: Arc<[f32]>,
    columns: usize,
}

/// The rows of one chunk.
struct Chunk<'a> {
    logits: &'a [f32],
    h: &'a [f32],
    q: &'a [f32],
}

impl LatticeOp {
    fn chunks<'a>(
        &self,
        [logits, h, q]: [&'a [f32]; 3],
    ) -> (usize, impl IndexedParallelIterator<Item = Chunk<'a>>) {
        let size = chunk_rows(q.len());
        let (n, k) = (self.columns, self.centres.len());
        let parts = logits.par_chunks(size * n * k).zip(h.par_chunks(size * n)).zip(q.par_chunks(size));
        (size, parts.map(|((logits, h), q)| Chunk { logits, h, q }))
    }

    /// Masses of the lanes from element `start` on, in `masses`, and their means.
    #[inline(always)]
    fn masses(&self, chunk: &Chunk<'_>, start: usize, masses: &mut [Lane]) -> Lane {
        let (n, k, count) = (self.columns, self.centres.len(), chunk.h.len());
        let (mut h, mut q) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let element = (start + lane).min(count - 1);
            (h[lane], q[lane]) = (chunk.h[element], chunk.q[element / n]);
            let logits = &chunk.logits[element * k..][..k];
            masses.iter_mut().zip(logits).for_each(|(row, logit)| row[lane] = *logit);
        }
        let mut largest = [f32::NEG_INFINITY; LANES];
        for (row, c) in masses.iter_mut().zip(self.centres.iter()) {
            *row = lanes(|l| row[l] + h[l] * c - 0.5 * q[l] * c * c);
            largest = lanes(|l| largest[l].max(row[l]));
        }
        let (mut sum, mut mean) = ([0.0; LANES], [0.0; LANES]);
        for (row, c) in masses.iter_mut().zip(self.centres.iter()) {
            *row = lanes(|l| exp(row[l] - largest[l]));
            sum = lanes(|l| sum[l] + row[l]);
            mean = lanes(|l| mean[l] + row[l] * c);
        }
        let inverse = lanes(|l| 1.0 / sum[l]);
        masses.iter_mut().for_each(|row| *row = lanes(|l| row[l] * inverse[l]));
        lanes(|l| mean[l] * inverse[l])
    }
}

struct Forward<'a> {
    op: &'a LatticeOp,
    chunk: Chunk<'a>,
    out: &'a mut [f32],
}

impl NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { op, chunk, out } = self;
        let mut masses = vec![[0.0; LANES]; op.centres.len()];
        for (block, out) in out.chunks_mut(LANES).enumerate() {
            let mean = op.masses(&chunk, block * LANES, &mut masses);
            out.copy_from_slice(&mean[..out.len()]);
        }
    }
}

struct Backward<'a> {
    op: &'a LatticeOp,
    chunk: Chunk<'a>,
    grad: &'a [f32],
    logits: &'a mut [f32],
    h: &'a mut [f32],
    q: &'a mut [f32],
}

impl NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { op, chunk, grad, logits, h, q } = self;
        let (n, k, count) = (op.columns, op.centres.len(), chunk.h.len());
        let mut masses = vec![[0.0; LANES]; k];
        for start in (0..count).step_by(LANES) {
            let mean = op.masses(&chunk, start, &mut masses);
            let g = lanes(|l| grad[(start + l).min(count - 1)]);
            let (mut to_h, mut to_q) = ([0.0; LANES], [0.0; LANES]);
            for (row, c) in masses.iter_mut().zip(op.centres.iter()) {
                *row = lanes(|l| g[l] * row[l] * (c - mean[l]));
                to_h = lanes(|l| to_h[l] + row[l] * c);
                to_q = lanes(|l| to_q[l] - 0.5 * row[l] * c * c);
            }
            for element in start..(start + LANES).min(count) {
                let lane = element - start;
                h[element] = to_h[lane];
                q[element / n] += to_q[lane];
                let to = &mut logits[element * k..][..k];
                to.iter_mut().zip(&masses).for_each(|(to, row)| *to = row[lane]);
            }
        }
    }
}

impl Fused for LatticeOp {
    fn shape(&self, [_, h, _]: [&[f32]; 3]) -> [usize; 2] {
        [h.len() / self.columns, self.columns]
    }

    fn forward(&self, inputs: [&[f32]; 3]) -> Vec<f32> {
        let mut out = vec![0.0; inputs[1].len()];
        let (size, chunks) = self.chunks(inputs);
        let outs = out.par_chunks_mut(size * self.columns);
        chunks.zip(outs).for_each(|(chunk, out)| Arch::new().dispatch(Forward { op: self, chunk, out }));
        out
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        (self.forward(inputs), Arc::new(()))
    }

    fn backward(
        &self,
        inputs: [&[f32]; 3],
        _: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let [mut logits, mut h, mut q] = inputs.map(|input| vec![0.0; input.len()]);
        let (n, k) = (self.columns, self.centres.len());
        let (size, chunks) = self.chunks(inputs);
        let grads = grad.par_chunks(size * n).zip(logits.par_chunks_mut(size * n * k));
        let grads = grads.zip(h.par_chunks_mut(size * n)).zip(q.par_chunks_mut(size));
        chunks.zip(grads).for_each(|(chunk, (((grad, logits), h), q))| {
            Arch::new().dispatch(Backward { op: self, chunk, grad, logits, h, q });
        });
        let [a, b, c] = wanted;
        [a.then_some(logits), b.then_some(h), c.then_some(q)]
    }
}

/// [`mean`] composed of burn's own operations: the oracle of the fused kernel.
pub fn mean_composed(centres: &Arc<[f32]>, logits: Tensor<2>, h: Tensor<2>, q: Tensor<2>) -> Tensor<2> {
    let ([rows, columns], k) = (h.dims(), centres.len());
    let grid = crate::array::weights::matrix(centres.to_vec(), k, &h.device()).reshape([1, 1, k]);
    let tilt = h.reshape([rows, columns, 1]) * grid.clone();
    let well = q.reshape([rows, 1, 1]) * grid.clone().square() * 0.5;
    let masses = burn::tensor::activation::softmax(logits.reshape([rows, columns, k]) + tilt - well, 2);
    (masses * grid).sum_dim(2).squeeze_dim(2)
}
