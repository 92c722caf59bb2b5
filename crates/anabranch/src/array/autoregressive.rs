//! The sequential direction of a masked autoregressive map, at the cost of one pass of its network.
//!
//! Find `u` with `h(u_i; theta_i(u_1 .. u_{i-1})) = v_i`. A hidden unit of degree `m` reads coordinates `1 .. m` only,
//! through hidden units of no higher degree: once `u_m` is known, the units of degree `m` are computed in every layer,
//! and never again. A context is known from the start. Units are sorted by degree, so that what a unit reads is a prefix, and no masked weight is touched.

use std::sync::{Arc, OnceLock};

use rayon::prelude::*;

use super::chunk::chunk_rows;
use super::layer::{Input, Layer, Outputs, forward};
use super::matmul::{Rows, row_stride};
use super::shape::Feedforward;
use super::shape::Transform;
use super::transform::Map;

/// One layer's weights, cut by the degree of the units they lead to.
#[derive(Debug)]
struct Stage {
    /// For each degree (or, in the last layer, coordinate): the units' weights and where they begin in sorted order.
    groups: Vec<Option<(Layer, usize)>>,
    /// Units in the layer.
    width: usize,
}

/// A masked network's weights in the order of [`invert`], made once where they do not change.
#[derive(Debug, Clone, Default)]
pub struct PackedStages(Arc<OnceLock<Vec<Stage>>>);

/// Solves for `u`, `[rows, n]` row-major, given `v` and a context, `[rows, c]` or `[1, c]`, and returns it with the
/// log-determinant of `v -> u`, `[rows]`. The weights are asked for where they are not yet packed.
pub fn invert(
    shape: &Feedforward,
    degrees: &[Vec<usize>],
    packed: &PackedStages,
    theta: impl FnOnce() -> Vec<f32>,
    transform: Transform,
    [v, context]: [&[f32]; 2],
) -> (Vec<f32>, Vec<f32>) {
    let stages = packed.0.get_or_init(|| stages(shape, degrees, &theta()));
    let n = shape.input;
    let rows = v.len() / n;
    let size = chunk_rows(rows);
    let (mut u, mut log_det) = (vec![0.0; v.len()], vec![0.0; rows]);
    let chunks = v.par_chunks(size * n).zip(u.par_chunks_mut(size * n)).zip(log_det.par_chunks_mut(size));
    chunks.enumerate().for_each(|(index, ((v, u), log_det))| {
        let context = match context.len() == shape.context {
            true => context,
            false => &context[index * size * shape.context..][..log_det.len() * shape.context],
        };
        solve(shape, stages, transform, [v, context], u, log_det);
    });
    (u, log_det)
}

/// `degrees` holds those of the inputs and the context (0), of each hidden layer's units, and of the outputs.
fn stages(shape: &Feedforward, degrees: &[Vec<usize>], theta: &[f32]) -> Vec<Stage> {
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
        // An output of coordinate i reads what is known before it, a hidden unit of degree m also coordinate m.
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
        stages.push(Stage { groups: (1..=shape.input).map(group).collect(), width: output });
    }
    stages
}

fn solve(
    shape: &Feedforward,
    stages: &[Stage],
    transform: Transform,
    [v, context]: [&[f32]; 2],
    u: &mut [f32],
    log_det: &mut [f32],
) {
    let (n, rows, length) = (shape.input, log_det.len(), transform.raw_len());
    let (last, hidden) = stages.split_last().expect("a network has a last layer");
    // Sorted activations: the context is first, the inputs are sorted as they are.
    let c = shape.context;
    let entry = c + n;
    let mut known: Vec<Vec<f32>> = std::iter::once(entry)
        .chain(hidden.iter().map(|stage| stage.width))
        .map(|width| vec![0.0; rows * width])
        .collect();
    for (row, to) in known[0].chunks_exact_mut(entry).enumerate() {
        let first = if context.len() == c { 0 } else { row * c };
        to[..c].copy_from_slice(&context[first..first + c]);
    }
    let mut column = vec![0.0; rows];
    let mut raw = vec![0.0; rows * length];
    let mut mapped = vec![0.0; rows * 2];
    for i in 0..n {
        if i > 0 {
            for (index, stage) in hidden.iter().enumerate() {
                let Some((layer, first)) = &stage.groups[i - 1] else { continue };
                let (below, above) = known.split_at_mut(index + 1);
                let width = if index == 0 { entry } else { hidden[index - 1].width };
                let new = evaluate(Some(shape.activation), layer, &below[index], width, rows);
                scatter(&new, layer.weight.columns(), &mut above[0], stage.width, *first);
            }
        }
        let (layer, _) = last.groups[i].as_ref().expect("every coordinate has outputs");
        let width = hidden.last().map_or(entry, |stage| stage.width);
        let wide = evaluate(None, layer, &known[hidden.len()], width, rows);
        scatter(&wide, length, &mut raw, length, 0);
        column.iter_mut().zip(v.chunks_exact(n)).for_each(|(to, row)| *to = row[i]);
        Map::of(transform, &column, &raw, true, &mut mapped);
        for (row, pair) in mapped.chunks_exact(2).enumerate() {
            u[row * n + i] = pair[0];
            known[0][row * entry + c + i] = pair[0];
            log_det[row] += pair[1];
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
