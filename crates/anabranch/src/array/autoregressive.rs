//! The sequential direction of a masked autoregressive network, at the cost of one pass of it.
//!
//! A block of inputs is one coordinate of a map, or the indicators of one category. Find, one block after the other, what follows from
//! the network's answer for it: of a map `u_i` with `h(u_i; theta_i(u_1 .. u_{i-1})) = v_i`, of categories a draw. A hidden unit of degree
//! `m` reads blocks `1 .. m` only, through hidden units of no higher degree: once block `m` is known, the units of degree `m` are
//! computed in every layer, and never again. A context is known from the start. Units are sorted by degree, so that what a unit reads
//! is a prefix, and no masked weight is touched.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::chunk::chunk_rows;
use super::layer::{Input, Layer, Outputs, forward};
use super::matmul::{Rows, row_stride};
use super::shape::{Feedforward, Transform};
use super::transform::Map;

/// One layer's weights, cut by the degree of the units they lead to.
#[derive(Debug)]
struct Stage {
    /// For each degree (or, in the last layer, block): the units' weights and where they begin in sorted order.
    groups: Vec<Option<(Layer, usize)>>,
    /// Units in the layer.
    width: usize,
}

/// A masked network's weights in the order of their units' degrees, made once where they do not change.
#[derive(Debug, Clone, Default)]
pub struct PackedStages(Arc<OnceLock<Vec<Stage>>>);

/// A masked network with its weights.
pub struct Masked<'a> {
    /// Its stack.
    pub shape: &'a Feedforward,
    /// Degrees of the inputs and the context (0), of each hidden layer's units, and of the outputs.
    pub degrees: &'a [Vec<usize>],
    /// Where its weights are packed, once they are.
    pub packed: &'a PackedStages,
    /// Inputs of a block.
    pub width: usize,
    /// Outputs of a block.
    pub answers: usize,
}

/// Solves for `u`, `[rows, n]` row-major, given `v` and a context, `[rows, c]` or `[1, c]`, and returns it with the
/// log-determinant of `v -> u`, `[rows]`. The weights are asked for where they are not yet packed.
pub fn invert(
    network: &Masked<'_>,
    theta: impl FnOnce() -> Vec<f32>,
    transform: Transform,
    [v, context]: [&[f32]; 2],
) -> (Vec<f32>, Vec<f32>) {
    let stages = network.stages(theta);
    let n = network.shape.input;
    let rows = v.len() / n;
    let size = chunk_rows(rows);
    let (mut u, mut log_det) = (vec![0.0; v.len()], vec![0.0; rows]);
    let chunks = v.par_chunks(size * n).zip(u.par_chunks_mut(size * n)).zip(log_det.par_chunks_mut(size));
    chunks.enumerate().for_each(|(index, ((v, u), log_det))| {
        let rows = log_det.len();
        let (mut column, mut mapped) = (vec![0.0; rows], vec![0.0; rows * 2]);
        let context = network.context(context, index * size, rows);
        network.walk(stages, context, rows, 0..n, |i, raw, block| {
            column.iter_mut().zip(v.chunks_exact(n)).for_each(|(to, row)| *to = row[i]);
            Map::of(transform, &column, raw, true, &mut mapped);
            for (row, pair) in mapped.chunks_exact(2).enumerate() {
                u[row * n + i] = pair[0];
                block[row] = pair[0];
                log_det[row] += pair[1];
            }
        });
    });
    (u, log_det)
}

/// Draws the categories of the blocks `asked` of every row, `[rows, blocks]` row-major, those before being known, by `choose`: it is given
/// a row, a block and the network's answer for it. An input of a block is `scale` where it is the category's, and 0 elsewhere.
pub fn draw(
    network: &Masked<'_>,
    theta: impl FnOnce() -> Vec<f32>,
    context: &[f32],
    (rows, asked, scale): (&mut [u16], Range<usize>, f32),
    choose: &(dyn Fn(usize, usize, &[f32]) -> u16 + Sync),
) {
    let stages = network.stages(theta);
    let (n, width, answers) = (network.blocks(), network.width, network.answers);
    let size = chunk_rows(rows.len() / n);
    rows.par_chunks_mut(size * n).enumerate().for_each(|(index, own)| {
        let (first, rows) = (index * size, own.len() / n);
        network.walk(stages, network.context(context, first, rows), rows, asked.clone(), |i, raw, block| {
            for row in 0..rows {
                let value = &mut own[row * n + i];
                if i >= asked.start {
                    *value = choose(first + row, i, &raw[row * answers..][..answers]);
                }
                // What is masked is no category.
                if usize::from(*value) < width {
                    block[row * width + usize::from(*value)] = scale;
                }
            }
        });
    });
}

/// The weights of a network, cut by the degrees that [`Masked`] has.
fn stages(shape: &Feedforward, degrees: &[Vec<usize>], theta: &[f32]) -> Vec<Stage> {
    let blocks = degrees[0].iter().copied().max().unwrap_or(0);
    let sorted: Vec<Vec<usize>> = degrees
        .iter()
        .map(|degrees| {
            let mut order: Vec<usize> = (0..degrees.len()).collect();
            order.sort_by_key(|unit| degrees[*unit]);
            order
        })
        .collect();
    let linears = shape.linears();
    let last = linears.len() - 1;
    let mut start = 0;
    let mut stages = Vec::new();
    for (index, (input, output)) in linears.into_iter().enumerate() {
        let weight = &theta[start..][..input * output];
        let bias = &theta[start + input * output..][..output];
        start += (input + 1) * output;
        let (from, to) = (&sorted[index], &sorted[index + 1]);
        // An output of block i reads what is known before it, a hidden unit of degree m also block m.
        let reads = |degree: usize| if index == last { degree - 1 } else { degree };
        let group = |degree: usize| {
            let units: Vec<usize> =
                to.iter().copied().filter(|unit| degrees[index + 1][*unit] == degree).collect();
            let first = to.iter().position(|unit| degrees[index + 1][*unit] == degree)?;
            let depth = from.iter().filter(|unit| degrees[index][**unit] <= reads(degree)).count();
            let rows = from[..depth].iter();
            let gathered: Vec<f32> =
                rows.flat_map(|k| units.iter().map(move |unit| weight[k * output + unit])).collect();
            let biases: Vec<f32> = units.iter().map(|unit| bias[*unit]).collect();
            Some((Layer::pack(&gathered, &biases, depth), first))
        };
        stages.push(Stage { groups: (1..=blocks).map(group).collect(), width: output });
    }
    stages
}

impl Masked<'_> {
    fn blocks(&self) -> usize {
        self.shape.input / self.width
    }

    fn stages(&self, theta: impl FnOnce() -> Vec<f32>) -> &[Stage] {
        self.packed.0.get_or_init(|| stages(self.shape, self.degrees, &theta()))
    }

    /// The context of `rows` rows from `first` on.
    fn context<'a>(&self, context: &'a [f32], first: usize, rows: usize) -> &'a [f32] {
        let c = self.shape.context;
        if context.len() == c { context } else { &context[first * c..][..rows * c] }
    }

    /// Goes through the blocks up to the last of `asked`. `next` is given a block, the answers for it, `[rows, answers]` and of a block
    /// before `asked` empty, and writes its inputs, `[rows, width]` and 0 before.
    fn walk(
        &self,
        stages: &[Stage],
        context: &[f32],
        rows: usize,
        asked: Range<usize>,
        mut next: impl FnMut(usize, &[f32], &mut [f32]),
    ) {
        let (shape, width) = (self.shape, self.width);
        let (last, hidden) = stages.split_last().expect("a network has a last layer");
        // Sorted activations: the context is first, the inputs are sorted as they are.
        let c = shape.context;
        let entry = c + shape.input;
        let mut known: Vec<Vec<f32>> = std::iter::once(entry)
            .chain(hidden.iter().map(|stage| stage.width))
            .map(|width| vec![0.0; rows * width])
            .collect();
        for (row, to) in known[0].chunks_exact_mut(entry).enumerate() {
            let first = if context.len() == c { 0 } else { row * c };
            to[..c].copy_from_slice(&context[first..first + c]);
        }
        let (mut raw, mut block) = (vec![0.0; rows * self.answers], vec![0.0; rows * width]);
        for i in 0..asked.end {
            if i > 0 {
                for (index, stage) in hidden.iter().enumerate() {
                    let Some((layer, first)) = &stage.groups[i - 1] else { continue };
                    let (below, above) = known.split_at_mut(index + 1);
                    let width = if index == 0 { entry } else { hidden[index - 1].width };
                    let new = evaluate(Some(shape.activation), layer, &below[index], width, rows);
                    scatter(&new, layer.weight.columns(), &mut above[0], stage.width, *first);
                }
            }
            if i >= asked.start {
                let (layer, _) = last.groups[i].as_ref().expect("every block has outputs");
                let width = hidden.last().map_or(entry, |stage| stage.width);
                let wide = evaluate(None, layer, &known[hidden.len()], width, rows);
                scatter(&wide, self.answers, &mut raw, self.answers, 0);
            }
            block.fill(0.0);
            next(i, if i >= asked.start { &raw } else { &[] }, &mut block);
            for (to, from) in known[0].chunks_exact_mut(entry).zip(block.chunks_exact(width)) {
                to[c + i * width..][..width].copy_from_slice(from);
            }
        }
    }
}

/// The padded activations of some units, from a prefix of what is known.
fn evaluate(
    activation: Option<super::shape::Activation>,
    layer: &Layer,
    known: &[f32],
    stride: usize,
    rows: usize,
) -> Vec<f32> {
    let mut next = vec![0.0; rows * row_stride(layer.weight.columns())];
    let x = Rows { values: known, stride, count: rows };
    let input =
        Input { x, depth: layer.weight.depth(), weight: &layer.weight, bias: &layer.bias, skip: None };
    forward(activation, input, Outputs { before: &mut [], next: &mut next, slope: &mut [] });
    next
}

/// Copies padded rows into columns `first ..` of rows of `width`.
fn scatter(from: &[f32], columns: usize, to: &mut [f32], width: usize, first: usize) {
    let rows = to.chunks_exact_mut(width).zip(from.chunks_exact(row_stride(columns)));
    rows.for_each(|(to, from)| to[first..first + columns].copy_from_slice(&from[..columns]));
}
