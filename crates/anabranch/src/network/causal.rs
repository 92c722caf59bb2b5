//! The causal transformer over categories in a row.
//!
//! ```text
//! y_i = transformer(start, x_1 .. x_{i-1})      answers for coordinate i, such as logits; a condition enters at the start
//! ```
//!
//! A row's prefixes share their tokens, which see those before them alone: all of a row's answers come of one pass, and a row that
//! grows by one coordinate costs one token, since keys and values of those before it are kept. Vaswani et al., "Attention is all you
//! need" (2017), section 3.2.3.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::taped::bridge::{Lent, Tapes};
use super::taped::{Alphabet, Answers, Evaluator, NONE, Order, Shape, Tape, TapedNetwork, Transformer};
use crate::array::bridge::{Fused, Saved, fused};
use crate::array::matmul::row_stride;
use crate::array::network::sum;
use crate::array::scratch::Scratch;
use crate::array::weights::{Weights, to_vec};
use crate::rng::{Noise, Purpose};

/// Rows that are evaluated together, each with a token for every coordinate.
const CHUNK: usize = 32;

/// A causal transformer over `columns` coordinates of `values` categories each.
#[derive(Debug, Clone)]
pub struct CausalTransformer {
    network: Arc<Transformer>,
    weights: Weights,
    sizes: Sizes,
    tapes: Tapes,
}

#[derive(Debug, Clone, Copy)]
struct Sizes {
    columns: usize,
    values: usize,
    context: usize,
    answers: usize,
}

impl CausalTransformer {
    /// A transformer over rows of `columns` coordinates of `values` values and a context, with `answers` numbers for each coordinate, from
    /// `seed` and the stream `stream`; where `zero`, it answers 0 at first.
    pub fn new(
        name: impl Into<String>,
        [columns, values, context, answers]: [usize; 4],
        shape: Shape,
        (seed, stream, zero): (u64, u32, bool),
    ) -> Self {
        let alphabet = Alphabet { places: columns, letters: values, order: Order::Causal };
        let network =
            Transformer::new(alphabet, context, shape, Answers { whole: answers, ..Answers::default() });
        let slots = network.layout();
        let mut initial = network.initial(&Noise::new(seed, Purpose::Weights).step(stream << 8));
        if let (true, [.., weight, _]) = (zero, &slots[..]) {
            initial[weight.range.start..].fill(0.0);
        }
        Self {
            network: Arc::new(network),
            weights: Weights::new(name, slots, initial),
            sizes: Sizes { columns, values, context, answers },
            tapes: Tapes::default(),
        }
    }

    /// Coordinates of a row.
    pub fn columns(&self) -> usize {
        self.sizes.columns
    }

    /// Values of a coordinate.
    pub fn values(&self) -> usize {
        self.sizes.values
    }

    /// Numbers of the context.
    pub fn context(&self) -> usize {
        self.sizes.context
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        &mut self.weights
    }

    /// The answers for every coordinate given those before, `[rows, columns * answers]`, for categories as floats, `[rows, columns]`, and a context
    /// `[rows, context]` or `[1, context]`; what is no category counts as the first. No gradient reaches the context.
    pub fn apply(&self, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        assert_eq!(context.as_ref().map_or(0, |c| c.dims()[1]), self.sizes.context, "columns of the context");
        let op = Pass { network: self.network.clone(), sizes: self.sizes, tapes: self.tapes.clone() };
        fused(Arc::new(op), x, self.weights.tensor(), context)
    }

    /// Draws the categories `asked` of every row, `[rows, columns]`, those before being known, by `choose`: it is given a row, a coordinate and
    /// the answers for it. Each coordinate costs a token.
    pub fn draw(
        &self,
        rows: &mut [u16],
        asked: Range<usize>,
        context: Option<Tensor<2>>,
        choose: &(dyn Fn(usize, usize, &[f32]) -> u16 + Sync),
    ) {
        let (theta, context) = (self.weights.values(), context.map_or_else(Vec::new, to_vec));
        let evaluator = self.network.with(&theta);
        let Sizes { columns, answers, .. } = self.sizes;
        rows.par_chunks_mut(CHUNK * columns).enumerate().for_each(|(chunk, own)| {
            let (mut lent, count) = (self.tapes.lend(), own.len() / columns);
            for at in asked.clone() {
                let first = lent.tape.rows();
                for (row, x) in own.chunks_exact(columns).enumerate() {
                    self.sizes.push(&mut lent.tape, &x[..at], &context, chunk * CHUNK + row);
                }
                evaluator.evaluate(&mut lent.tape, first);
                for row in 0..count {
                    let found = lent.tape.output(first + row, answers);
                    own[row * columns + at] = choose(chunk * CHUNK + row, at, found);
                }
            }
        });
    }
}

impl Sizes {
    /// Adds a prefix of row `row` to a tape.
    fn push(&self, tape: &mut Tape, prefix: &[u16], context: &[f32], row: usize) {
        let from = if context.len() == self.context { 0 } else { row * self.context };
        tape.push(NONE, |on, dense| {
            let letter = |(place, x): (usize, &u16)| {
                let letter = if usize::from(*x) < self.values { usize::from(*x) } else { 0 };
                (place * self.values + letter) as u32
            };
            on.extend(prefix.iter().enumerate().map(letter));
            dense.extend_from_slice(&context[from..from + self.context]);
        });
    }
}

/// All answers for some rows: of each its prefixes, one behind the other.
#[derive(Debug)]
struct Pass {
    network: Arc<Transformer>,
    sizes: Sizes,
    tapes: Tapes,
}

impl Pass {
    /// The answers, and what `keep` makes of each chunk's tape.
    fn run<R: Send>(
        &self,
        [x, theta, context]: [&[f32]; 3],
        keep: impl Fn(&dyn Evaluator, Lent) -> R + Sync,
    ) -> (Vec<f32>, Vec<R>) {
        let evaluator = self.network.with(theta);
        let Sizes { columns, answers, .. } = self.sizes;
        let mut out = vec![0.0; x.len() * answers];
        let run = |(chunk, (x, out)): (usize, (&[f32], &mut [f32]))| {
            let mut lent = self.tapes.lend();
            for (row, x) in x.chunks_exact(columns).enumerate() {
                let x: Vec<u16> = x.iter().map(|x| *x as u16).collect();
                for end in 0..columns {
                    self.sizes.push(&mut lent.tape, &x[..end], context, chunk * CHUNK + row);
                }
            }
            evaluator.evaluate(&mut lent.tape, 0);
            for (row, to) in out.chunks_exact_mut(answers).enumerate() {
                to.copy_from_slice(lent.tape.output(row, answers));
            }
            keep(evaluator.as_ref(), lent)
        };
        let chunks =
            x.par_chunks(CHUNK * columns).zip(out.par_chunks_mut(CHUNK * columns * answers)).enumerate();
        let kept = chunks.map(run).collect();
        (out, kept)
    }
}

impl Fused for Pass {
    fn shape(&self, [x, ..]: [&[f32]; 3]) -> [usize; 2] {
        [x.len() / self.sizes.columns, self.sizes.columns * self.sizes.answers]
    }

    fn forward(&self, inputs: [&[f32]; 3]) -> Vec<f32> {
        self.run(inputs, |_, _| ()).0
    }

    fn forward_saving(&self, inputs: [&[f32]; 3]) -> (Vec<f32>, Saved) {
        let (out, tapes) = self.run(inputs, |_, lent| Mutex::new(lent));
        (out, Arc::new(tapes))
    }

    fn backward(
        &self,
        [_, theta, _]: [&[f32]; 3],
        saved: &Saved,
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        if !wanted[1] {
            return [None, None, None];
        }
        let tapes = saved.downcast_ref::<Vec<Mutex<Lent>>>().expect("this operation's own tapes");
        let evaluator = self.network.with(theta);
        let (Sizes { columns, answers, .. }, stride) = (self.sizes, row_stride(self.sizes.answers));
        let chunks = tapes.par_iter().zip(grad.par_chunks(CHUNK * columns * answers));
        let parts: Vec<Scratch> = chunks
            .map(|(lent, grad)| {
                let mut lent = lent.lock().unwrap_or_else(PoisonError::into_inner);
                let mut slopes = Scratch::take(grad.len() / answers * stride);
                for (to, from) in slopes.chunks_exact_mut(stride).zip(grad.chunks_exact(answers)) {
                    to[..answers].copy_from_slice(from);
                    to[answers..].fill(0.0);
                }
                let mut of_theta = Scratch::take(theta.len());
                evaluator.backward(&mut lent.tape, &slopes, &mut of_theta);
                of_theta
            })
            .collect();
        [None, Some(sum(parts.into_iter())), None]
    }
}
