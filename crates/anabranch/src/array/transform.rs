//! Element-wise maps with a parameter vector per element, as one differentiable operation.
//!
//! Elements are taken `LANES` at a time, their parameters transposed so that every formula runs on all lanes at
//! once. Rows are cut into chunks of a fixed size and chunks' results are joined in order, so results are the same
//! for any number of threads. The backward pass computes the forward quantities again: that is cheaper than
//! keeping them.

use std::sync::Arc;

use burn::tensor::Tensor;
use pulp::NullaryFnOnce;
use rayon::prelude::*;

use super::bridge::{Fused, Saved, fused};
use super::lane::{LANES, Lane};
use super::shape::Transform;
use super::{affine, spline};

/// Rows per chunk.
const CHUNK: usize = 128;

/// Maps some coordinates of `x`, `[rows, d]`, those of `places`, with parameters `raw`, `[rows, places * raw_len]`; returns
/// `[rows, d + 1]`: all coordinates, then each row's log-determinant.
pub fn apply_at(
    transform: Transform,
    places: &Arc<[usize]>,
    x: Tensor<2>,
    raw: Tensor<2>,
    inverse: bool,
) -> Tensor<2> {
    let dimension = x.dims()[1];
    let op =
        TransformOp { transform, columns: places.len(), dimension, places: Some(places.clone()), inverse };
    fused::<2, 2, 1>(Arc::new(op), x, raw, None)
}

/// Maps `x`, `[rows, n]`, with parameters `raw`, `[rows, n * raw_len]` or, shared by all rows, `[1, n * raw_len]`;
/// returns `[rows, n + 1]`: the results, then each row's log-determinant.
pub fn apply(transform: Transform, x: Tensor<2>, raw: Tensor<2>, inverse: bool) -> Tensor<2> {
    let columns = x.dims()[1];
    let op = TransformOp { transform, columns, dimension: columns, places: None, inverse };
    fused::<2, 2, 1>(Arc::new(op), x, raw, None)
}

#[derive(Debug)]
struct TransformOp {
    transform: Transform,
    /// How many coordinates are mapped.
    columns: usize,
    /// How many coordinates a row has.
    dimension: usize,
    /// Which of them are mapped, unless all are.
    places: Option<Arc<[usize]>>,
    inverse: bool,
}

/// One chunk of rows.
struct Chunk<'a> {
    x: &'a [f32],
    /// The chunk's parameters, or those that all rows share.
    raw: &'a [f32],
}

impl TransformOp {
    fn width(&self) -> usize {
        self.columns * self.transform.raw_len()
    }

    fn chunk<'a>(&self, index: usize, x: &'a [f32], raw: &'a [f32]) -> Chunk<'a> {
        let shared = raw.len() == self.width();
        let rows = x.len() / self.dimension;
        let raw = if shared { raw } else { &raw[index * CHUNK * self.width()..][..rows * self.width()] };
        Chunk { x, raw }
    }

    /// Where the mapped element `element` stands, in rows that are `width` long.
    #[inline(always)]
    fn place(&self, element: usize, width: usize) -> usize {
        let (row, column) = (element / self.columns, element % self.columns);
        row * width + self.places.as_ref().map_or(column, |places| places[column])
    }

    /// How many elements of a chunk are mapped.
    fn elements(&self, chunk: &Chunk<'_>) -> usize {
        chunk.x.len() / self.dimension * self.columns
    }

    /// The parameters of the lanes from element `start` on, transposed; lanes past the end repeat the last element.
    #[inline(always)]
    fn gather(&self, chunk: &Chunk<'_>, start: usize, x: &mut Lane, raw: &mut [Lane]) {
        let (length, parameters) = (self.transform.raw_len(), chunk.raw.len() / self.transform.raw_len());
        let last = self.elements(chunk) - 1;
        for lane in 0..LANES {
            let element = (start + lane).min(last);
            x[lane] = chunk.x[self.place(element, self.dimension)];
            let values = &chunk.raw[element % parameters * length..][..length];
            for (row, value) in raw.iter_mut().zip(values) {
                row[lane] = *value;
            }
        }
    }

    fn map(&self, chunk: &Chunk<'_>, out: &mut [f32]) {
        pulp::Arch::new().dispatch(Map { op: self, chunk, out });
    }

    fn back(&self, chunk: &Chunk<'_>, grad: &[f32], grad_x: &mut [f32], grad_raw: &mut [f32]) {
        pulp::Arch::new().dispatch(Back { op: self, chunk, grad, grad_x, grad_raw });
    }
}

/// One chunk's map: results and each row's log-determinant.
pub(super) struct Map<'a> {
    op: &'a TransformOp,
    chunk: &'a Chunk<'a>,
    out: &'a mut [f32],
}

impl Map<'_> {
    /// Maps one column `x` with its parameters, into rows of the result and its log-slope.
    pub fn of(transform: Transform, x: &[f32], raw: &[f32], inverse: bool, out: &mut [f32]) {
        TransformOp { transform, columns: 1, dimension: 1, places: None, inverse }
            .map(&Chunk { x, raw }, out);
    }
}

impl NullaryFnOnce for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { op, chunk, out } = self;
        let (d, count) = (op.dimension, op.elements(chunk));
        let mut raw = vec![[0.0; LANES]; op.transform.raw_len()];
        let mut x = [0.0; LANES];
        for (out, x) in out.chunks_exact_mut(d + 1).zip(chunk.x.chunks_exact(d)) {
            out[..d].copy_from_slice(x);
            out[d] = 0.0;
        }
        for start in (0..count).step_by(LANES) {
            op.gather(chunk, start, &mut x, &mut raw);
            let (y, log_slope) = match op.transform {
                Transform::Affine { cap } => affine::map(&x, &raw, cap, op.inverse),
                Transform::Spline { bins, bound } => spline::map(&x, &mut raw, bins, bound, op.inverse),
            };
            for element in start..(start + LANES).min(count) {
                out[op.place(element, d + 1)] = y[element - start];
                out[element / op.columns * (d + 1) + d] += log_slope[element - start];
            }
        }
    }
}

struct Back<'a> {
    op: &'a TransformOp,
    chunk: &'a Chunk<'a>,
    grad: &'a [f32],
    grad_x: &'a mut [f32],
    grad_raw: &'a mut [f32],
}

impl NullaryFnOnce for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { op, chunk, grad, grad_x, grad_raw } = self;
        let (d, count, length) = (op.dimension, op.elements(chunk), op.transform.raw_len());
        for (to, grad) in grad_x.chunks_exact_mut(d).zip(grad.chunks_exact(d + 1)) {
            to.copy_from_slice(&grad[..d]);
        }
        let parameters = grad_raw.len() / length;
        let mut raw = vec![[0.0; LANES]; length];
        let (mut x, mut grad_y, mut grad_slope) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        for start in (0..count).step_by(LANES) {
            op.gather(chunk, start, &mut x, &mut raw);
            for lane in 0..LANES {
                let element = (start + lane).min(count - 1);
                grad_y[lane] = grad[op.place(element, d + 1)];
                grad_slope[lane] = grad[element / op.columns * (d + 1) + d];
            }
            // The parameters are replaced by their gradients.
            let found = match op.transform {
                Transform::Affine { cap } => {
                    affine::back(&x, &mut raw, cap, op.inverse, &grad_y, &grad_slope)
                }
                Transform::Spline { bins, bound } => {
                    spline::back(&x, &mut raw, bins, bound, op.inverse, &grad_y, &grad_slope)
                }
            };
            for element in start..(start + LANES).min(count) {
                let lane = element - start;
                grad_x[op.place(element, d)] = found[lane];
                let to = &mut grad_raw[element % parameters * length..][..length];
                to.iter_mut().zip(&raw).for_each(|(to, row)| *to += row[lane]);
            }
        }
    }
}

impl Fused for TransformOp {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.dimension, self.dimension + 1]
    }

    fn forward(&self, [x, raw, _]: [&[f32]; 3]) -> Vec<f32> {
        let d = self.dimension;
        let mut out = vec![0.0; x.len() / d * (d + 1)];
        let chunks = x.par_chunks(CHUNK * d).zip(out.par_chunks_mut(CHUNK * (d + 1)));
        chunks.enumerate().for_each(|(index, (x, out))| self.map(&self.chunk(index, x, raw), out));
        out
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        (self.forward(inputs), Arc::new(()))
    }

    fn backward(
        &self,
        [x, raw, _]: [&[f32]; 3],
        _: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let d = self.dimension;
        let shared = raw.len() == self.width() && x.len() > d;
        let mut grad_x = vec![0.0; x.len()];
        let mut grad_raw = vec![0.0; raw.len()];
        let chunks = x
            .par_chunks(CHUNK * d)
            .zip(grad_x.par_chunks_mut(CHUNK * d))
            .zip(grad.par_chunks(CHUNK * (d + 1)))
            .enumerate();
        if shared {
            let parts: Vec<Vec<f32>> = chunks
                .map(|(index, ((x, grad_x), grad))| {
                    let mut part = vec![0.0; raw.len()];
                    self.back(&self.chunk(index, x, raw), grad, grad_x, &mut part);
                    part
                })
                .collect();
            for part in parts {
                grad_raw.iter_mut().zip(&part).for_each(|(g, p)| *g += p);
            }
        } else {
            chunks.zip(grad_raw.par_chunks_mut(CHUNK * self.width())).for_each(
                |((index, ((x, grad_x), grad)), part)| {
                    self.back(&self.chunk(index, x, raw), grad, grad_x, part);
                },
            );
        }
        [wanted[0].then_some(grad_x), wanted[1].then_some(grad_raw), None]
    }
}
