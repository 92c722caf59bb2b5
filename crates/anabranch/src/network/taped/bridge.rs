//! A network of the tape as one differentiable operation of burn: for chains, whose states are tensors.
//!
//! ```text
//! y = network([x, c]; theta)        by rows, with a context c of each row's or shared by all
//! ```
//!
//! Rows are cut into chunks whose size depends on their number alone. Each chunk has a tape and, backward, a gradient of
//! the weights; these are added in the chunks' order, so that results are the same for any number of threads. Tapes go
//! back to the network that lent them, so that training makes no new ones.

use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;

use super::{Evaluator, NONE, Tape, TapedNetwork};
use crate::array::bridge::{Fused, Saved};
use crate::array::layer::unpad;
use crate::array::matmul::row_stride;
use crate::array::network::sum;
use crate::array::scratch::Scratch;

/// The most rows of a chunk: each has several tokens.
const CHUNK: usize = 32;

/// Tapes that are not in use.
#[derive(Debug, Clone, Default)]
pub struct Tapes(Arc<Mutex<Vec<Tape>>>);

impl Tapes {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Tape>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of them, or a new one, without rows.
    pub fn lend(&self) -> Lent {
        let mut tape = self.all().pop().unwrap_or_default();
        tape.clear();
        Lent { tape, home: self.clone() }
    }
}

/// A tape on loan.
#[derive(Debug)]
pub struct Lent {
    /// The tape.
    pub tape: Tape,
    home: Tapes,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.all().push(std::mem::take(&mut self.tape));
    }
}

/// A network's operation on `x`, weights and a context.
#[derive(Debug)]
pub struct Taped {
    /// The network, which reads real inputs alone.
    pub network: Arc<dyn TapedNetwork>,
    /// How many of its inputs are the context's.
    pub context: usize,
    /// Tapes for its chunks.
    pub tapes: Tapes,
}

impl Taped {
    fn input(&self) -> usize {
        self.network.inputs().dense - self.context
    }

    /// Rows of a chunk where `rows` are cut into the fewest even ones.
    fn chunk(rows: usize) -> usize {
        rows.div_ceil(rows.div_ceil(CHUNK).max(1)).max(1)
    }

    /// The tape of the rows `x`, which are those from `first` on, evaluated.
    fn evaluated(&self, evaluator: &dyn Evaluator, x: &[f32], context: &[f32], first: usize) -> Lent {
        let (input, width) = (self.input(), self.context);
        let mut lent = self.tapes.lend();
        for (row, x) in (first..).zip(x.chunks_exact(input)) {
            let own = if context.len() == width { context } else { &context[row * width..][..width] };
            lent.tape.push(NONE, |_, dense| {
                dense.extend_from_slice(x);
                dense.extend_from_slice(own);
            });
        }
        evaluator.evaluate(&mut lent.tape, 0);
        lent
    }

    /// The outputs, and what `keep` makes of each chunk's first row and tape.
    fn run<R: Send>(
        &self,
        [x, theta, context]: [&[f32]; 3],
        keep: impl Fn(&dyn Evaluator, usize, Lent) -> R + Sync,
    ) -> (Vec<f32>, Vec<R>) {
        let evaluator = self.network.with(theta);
        let (input, outputs) = (self.input(), self.network.outputs());
        let rows = x.len() / input;
        let size = Self::chunk(rows);
        let mut out = vec![0.0; rows * outputs];
        let run = |(chunk, (x, out)): (usize, (&[f32], &mut [f32]))| {
            let lent = self.evaluated(evaluator.as_ref(), x, context, chunk * size);
            unpad(lent.tape.outputs(), outputs, out);
            keep(evaluator.as_ref(), chunk * size, lent)
        };
        let chunks = x.par_chunks(size * input).zip(out.par_chunks_mut(size * outputs));
        let kept = chunks.enumerate().map(run).collect();
        (out, kept)
    }

    /// The outputs and their derivatives along `count` directions of each row of `x`, `[rows * count, input]`:
    /// `[rows * count, outputs]`.
    pub fn push_forward(&self, inputs: [&[f32]; 3], count: usize, tangents: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (input, outputs) = (self.input(), self.network.outputs());
        let (out, parts) = self.run(inputs, |evaluator, first, mut lent| {
            let rows = lent.tape.rows() * count;
            let along = &tangents[first * count * input..][..rows * input];
            let mut out = vec![0.0; rows * outputs];
            unpad(&self.along(evaluator, &mut lent.tape, count, along), outputs, &mut out);
            out
        });
        (out, parts.concat())
    }

    /// The outputs and the derivatives of each coordinate's own outputs by it, laid out as they are.
    pub fn own_derivatives(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Vec<f32>) {
        let (input, outputs) = (self.input(), self.network.outputs());
        let each = outputs / input;
        let (out, parts) = self.run(inputs, |evaluator, _, mut lent| {
            let rows = lent.tape.rows();
            let mut out = vec![0.0; rows * outputs];
            for coordinate in 0..input {
                let mut along = vec![0.0; rows * input];
                along.chunks_exact_mut(input).for_each(|row| row[coordinate] = 1.0);
                let all = self.along(evaluator, &mut lent.tape, 1, &along);
                let own = coordinate * each..(coordinate + 1) * each;
                for (to, from) in out.chunks_exact_mut(outputs).zip(all.chunks_exact(row_stride(outputs))) {
                    to[own.clone()].copy_from_slice(&from[own.clone()]);
                }
            }
            out
        });
        (out, parts.concat())
    }

    /// The derivatives of a tape's outputs along directions of `x` alone, padded.
    fn along(&self, evaluator: &dyn Evaluator, tape: &mut Tape, count: usize, tangents: &[f32]) -> Scratch {
        let (input, dense) = (self.input(), self.network.inputs().dense);
        let rows = tape.rows() * count;
        let mut wide = Scratch::take(rows * dense);
        for (to, from) in wide.chunks_exact_mut(dense).zip(tangents.chunks_exact(input)) {
            to[..input].copy_from_slice(from);
            to[input..].fill(0.0);
        }
        let mut out = Scratch::take(rows * row_stride(self.network.outputs()));
        evaluator.push_forward(tape, count, &wide, &mut out);
        out
    }
}

impl Fused for Taped {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.input(), self.network.outputs()]
    }

    fn forward(&self, inputs: [&[f32]; 3]) -> Vec<f32> {
        self.run(inputs, |_, _, _| ()).0
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        let (out, tapes) = self.run(inputs, |_, _, lent| Mutex::new(lent));
        (out, Arc::new(tapes))
    }

    fn backward(
        &self,
        [x, theta, context]: [&[f32]; 3],
        saved: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let tapes = saved.downcast_ref::<Vec<Mutex<Lent>>>().expect("this operation's own tapes");
        let evaluator = self.network.with(theta);
        let (input, dense, outputs) = (self.input(), self.network.inputs().dense, self.network.outputs());
        let rows = x.len() / input;
        let wanted_context = wanted[2] && self.context > 0;
        let mut of_inputs = vec![0.0; if wanted[0] || wanted_context { rows * dense } else { 0 }];
        let size = Self::chunk(rows);
        let back = |(chunk, (lent, of_inputs)): (usize, (&Mutex<Lent>, Option<&mut [f32]>))| {
            let mut lent = lent.lock().unwrap_or_else(PoisonError::into_inner);
            let count = lent.tape.rows();
            let mut slopes = Scratch::take(count * row_stride(outputs));
            let own = grad[chunk * size * outputs..].chunks_exact(outputs);
            for (to, from) in slopes.chunks_exact_mut(row_stride(outputs)).zip(own) {
                to[..outputs].copy_from_slice(from);
                to[outputs..].fill(0.0);
            }
            let mut of_theta = Scratch::take(theta.len());
            evaluator.gradients(&mut lent.tape, &slopes, &mut of_theta, of_inputs);
            of_theta
        };
        let parts: Vec<Scratch> = if of_inputs.is_empty() {
            tapes.par_iter().map(|tape| (tape, None)).enumerate().map(back).collect()
        } else {
            let of_inputs = of_inputs.par_chunks_mut(size * dense).map(Some);
            tapes.par_iter().zip(of_inputs).enumerate().map(back).collect()
        };
        let part = |from: usize, to: usize| -> Vec<f32> {
            of_inputs.chunks_exact(dense).flat_map(|row| row[from..to].iter().copied()).collect()
        };
        let of_context = wanted_context.then(|| {
            let all = part(input, dense);
            if context.len() == self.context {
                let mut total = vec![0.0; self.context];
                for row in all.chunks_exact(self.context) {
                    total.iter_mut().zip(row).for_each(|(total, g)| *total += g);
                }
                return total;
            }
            all
        });
        let of_x = wanted[0].then(|| part(0, input));
        [of_x, wanted[1].then(|| sum(parts.into_iter())), of_context]
    }
}
