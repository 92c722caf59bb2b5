//! The multilayer perceptron over binary features.
//!
//! ```text
//! h_1 = act(b_1 + sum of W_1's rows of the features that are on + W_1' u),   h_k = act(b_k + h_{k-1} W_k),   y = b + h W
//! ```
//!
//! with `u` the real inputs, or, in a residual stack, blocks of two layers that add to what they read:
//!
//! ```text
//! h_0 = b_0 + sum of W_0's rows of the features that are on + W_0' u
//! h_i = h_{i-1} + act(act(h_{i-1}) U_i + a_i) V_i + b_i,   y = b + h_n W             (He et al. 2016, pre-activated)
//! ```
//!
//! The first layer costs as much as there are features on, or as have changed since the state
//! before: its sum is carried along a trajectory, and the gradient is summed along it from the other end.

use std::borrow::Cow;

use pulp::{Arch, NullaryFnOnce};

use super::{Evaluator, Inputs, NONE, Tape, TapedNetwork, grown};
use crate::array::layer::{Backward, Input, Layer, Outputs, Tangent, forward, sum_columns, unpad};
use crate::array::matmul::{Panels, Rows, columns_times, padded, row_stride};
use crate::array::scratch::Scratch;
use crate::array::weights::{Slot, layout};
use crate::network::Activation;
use crate::rng::Noise;

/// The weight and the bias of a layer.
type WeightAndBias<'a> = (&'a [f32], &'a [f32]);

/// A multilayer perceptron.
#[derive(Debug, Clone)]
pub struct Mlp {
    inputs: Inputs,
    /// The widths of its layers, the outputs last.
    widths: Vec<usize>,
    activation: Activation,
    residual: bool,
}

impl Mlp {
    /// A perceptron with hidden layers of these widths.
    pub fn new(inputs: Inputs, hidden: &[usize], outputs: usize, activation: Activation) -> Self {
        let widths = hidden.iter().copied().chain([outputs]).collect();
        Self { inputs, widths, activation, residual: false }
    }

    /// A stack of so many residual blocks of two layers each, all of one width.
    pub fn residual(
        inputs: Inputs,
        blocks: usize,
        width: usize,
        outputs: usize,
        activation: Activation,
    ) -> Self {
        let widths = std::iter::repeat_n(width, 1 + 2 * blocks).chain([outputs]).collect();
        Self { inputs, widths, activation, residual: true }
    }

    /// Whether layer `index` ends a residual block, and adds what the layer two before summed up.
    fn joins(&self, index: usize) -> bool {
        self.residual && index > 0 && index.is_multiple_of(2) && index + 1 != self.widths.len()
    }

    /// The activation behind layer `index`: none behind the last, nor behind the last residual block.
    fn activation(&self, index: usize) -> Option<Activation> {
        let plain = index + if self.residual { 2 } else { 1 };
        (plain < self.widths.len()).then_some(self.activation)
    }

    /// Whether a residual block starts behind layer `index`.
    fn starts(&self, index: usize) -> bool {
        self.residual && index.is_multiple_of(2) && self.activation(index).is_some()
    }

    /// Rows of the weights of layer `index`.
    fn depth(&self, index: usize) -> usize {
        if index == 0 { self.inputs.features + self.inputs.dense } else { self.widths[index - 1] }
    }

    /// Weights and bias of each layer but the first, and the first's bias, from all that stands behind the first's weights.
    fn deep_layers<'a>(&self, tail: &'a [f32]) -> (Vec<WeightAndBias<'a>>, &'a [f32]) {
        let (bias, mut rest) = tail.split_at(self.widths[0]);
        let deep = (1..self.widths.len())
            .map(|index| {
                let (layer, tail) = rest.split_at((self.depth(index) + 1) * self.widths[index]);
                rest = tail;
                layer.split_at(self.depth(index) * self.widths[index])
            })
            .collect();
        (deep, bias)
    }

    /// The network with its first layer's weights, and all that stands behind them.
    pub(super) fn with_first<'a>(&'a self, first: Cow<'a, [f32]>, tail: &'a [f32]) -> WithWeights<'a> {
        let (layers, bias) = self.deep_layers(tail);
        let deep = || (1..).zip(&layers);
        let pack =
            || deep().map(|(index, (weight, bias))| Layer::pack(weight, bias, self.depth(index))).collect();
        let pack_transposed = || {
            deep()
                .map(|(index, (weight, _))| {
                    Panels::pack_transposed(weight, self.depth(index), self.widths[index])
                })
                .collect()
        };
        let (deep, transposed) = rayon::join(pack, pack_transposed);
        let mut first_bias = bias.to_vec();
        first_bias.resize(padded(bias.len()), 0.0);
        let empty = Panels::pack(&[], self.widths[0], 0, self.widths[0]);
        WithWeights { network: self, first, first_bias, empty, deep, transposed }
    }
}

impl TapedNetwork for Mlp {
    fn inputs(&self) -> Inputs {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    fn layout(&self) -> Vec<Slot> {
        let names: Vec<[String; 2]> = (0..self.widths.len())
            .map(|index| [format!("{index}.weight"), format!("{index}.bias")])
            .collect();
        layout(names.iter().enumerate().flat_map(|(index, [weight, bias])| {
            let width = self.widths[index];
            [(weight.as_str(), vec![self.depth(index), width]), (bias.as_str(), vec![width])]
        }))
    }

    /// Uniform within `1 / sqrt(inputs of the layer)`, biases too.
    fn initial(&self, noise: &Noise) -> Vec<f32> {
        let layer = |index: usize| {
            let bound = 1.0 / (self.depth(index).max(1) as f32).sqrt();
            let rows = noise
                .from_trajectory((index as u64) << 32)
                .uniform(self.depth(index) + 1, self.widths[index]);
            rows.into_iter().map(move |u| bound * (2.0 * u - 1.0))
        };
        (0..self.widths.len()).flat_map(layer).collect()
    }

    fn with<'a>(&'a self, weights: &'a [f32]) -> Box<dyn Evaluator + 'a> {
        assert_eq!(weights.len(), self.parameters(), "the weights of the perceptron");
        let (first, tail) = weights.split_at(self.depth(0) * self.widths[0]);
        Box::new(self.with_first(Cow::Borrowed(first), tail))
    }
}

pub(super) struct WithWeights<'a> {
    network: &'a Mlp,
    /// The first layer's weights, row-major as they are.
    first: Cow<'a, [f32]>,
    /// Padded.
    first_bias: Vec<f32>,
    /// A factor of no rows: the first layer's sum has been gathered before.
    empty: Panels,
    /// The other layers, packed for each direction.
    deep: Vec<Layer>,
    transposed: Vec<Panels>,
}

impl Evaluator for WithWeights<'_> {
    /// Hidden layer `k` keeps its values in buffer `2 k` and its slopes, where it has an activation, in buffer `2 k + 1`; the
    /// last buffer has the sums of the features' weights.
    fn evaluate(&self, tape: &mut Tape, first: usize) {
        let widths = &self.network.widths;
        let (rows, last) = (tape.rows() - first, widths.len() - 1);
        if rows == 0 {
            return;
        }
        let mut buffers = std::mem::take(&mut tape.buffers);
        buffers.resize_with(2 * last + 1, Vec::new);
        let width = row_stride(widths[0]);
        let mut gathered = Scratch::take(rows * width);
        buffers[2 * last].resize(tape.rows() * width, 0.0);
        Arch::new().dispatch(Gather {
            tape,
            first,
            inputs: self.network.inputs,
            weight: &self.first,
            columns: widths[0],
            sums: &mut buffers[2 * last],
            out: &mut gathered,
        });
        let mut block = Scratch::take(0);
        for index in 0..=last {
            let (before, here) = buffers[..2 * last].split_at_mut(2 * index);
            let input = if index == 0 {
                let x = Rows { values: &[], stride: 0, count: rows };
                Input { x, depth: 0, weight: &self.empty, bias: &self.first_bias, skip: Some(&gathered) }
            } else {
                let stride = row_stride(widths[index - 1]);
                let x = Rows { values: &before[2 * (index - 1)][first * stride..], stride, count: rows };
                let layer = &self.deep[index - 1];
                let skip = self.network.joins(index).then_some(&block[..]);
                Input { x, depth: widths[index - 1], weight: &layer.weight, bias: &layer.bias, skip }
            };
            let width = row_stride(widths[index]);
            let activation = self.network.activation(index);
            if let [value, slope, ..] = here {
                let next = grown(value, width, first, rows);
                let slope = if activation.is_some() { grown(slope, width, first, rows) } else { &mut [] };
                let starts = self.network.starts(index);
                let mut sum = Scratch::take(if starts { rows * width } else { 0 });
                forward(activation, input, Outputs { before: &mut sum, next, slope });
                if starts {
                    block = sum;
                }
            } else {
                let next = grown(&mut tape.outputs, width, first, rows);
                forward(None, input, Outputs { before: &mut [], next, slope: &mut [] });
            }
        }
        tape.buffers = buffers;
    }

    fn gradients(
        &self,
        tape: &mut Tape,
        slopes: &[f32],
        gradient: &mut [f32],
        of_inputs: Option<&mut [f32]>,
    ) {
        let widths = &self.network.widths;
        let (rows, last) = (tape.rows(), widths.len() - 1);
        if rows == 0 {
            return gradient.fill(0.0);
        }
        // The gradient by what a layer adds up, from the last layer to the first.
        let mut above: Option<Scratch> = None;
        // The same at the end of the residual block that is being passed.
        let mut block: Option<Scratch> = None;
        let mut end = gradient.len();
        for index in (0..=last).rev() {
            let (width, depth) = (widths[index], self.network.depth(index));
            let grad = above.as_deref().unwrap_or(slopes);
            let part = &mut gradient[end - (depth + 1) * width..end];
            end -= part.len();
            let (weight, bias) = part.split_at_mut(depth * width);
            bias.fill(0.0);
            sum_columns(grad, bias);
            if index == 0 {
                weight.fill(0.0);
                let mut sums = Scratch::take(grad.len());
                sums.copy_from_slice(grad);
                let inputs = self.network.inputs;
                Arch::new().dispatch(Scatter { tape, inputs, grad, sums: &mut sums, columns: width, weight });
                if let Some(of_inputs) = of_inputs {
                    self.back_to_inputs(grad, rows, of_inputs);
                }
                break;
            }
            let below = &tape.buffers[2 * (index - 1)];
            let stride = row_stride(depth);
            let grad = Rows { values: grad, stride: row_stride(width), count: rows };
            columns_times(Rows { values: below, stride, count: rows }, depth, grad, width, weight);
            let slope = &tape.buffers[2 * (index - 1) + 1];
            let skip = if self.network.starts(index - 1) { block.take() } else { None };
            let mut out = Scratch::take(rows * stride);
            Backward {
                grad,
                transposed: &self.transposed[index - 1],
                slope: (!slope.is_empty()).then_some(slope),
                skip: skip.as_deref(),
                out: &mut out,
            }
            .run();
            if self.network.joins(index) {
                block = above;
            }
            above = Some(out);
        }
    }

    fn push_forward(&self, tape: &mut Tape, count: usize, tangents: &[f32], out: &mut [f32]) {
        let widths = &self.network.widths;
        let (dense, last) = (self.network.inputs.dense, widths.len() - 1);
        if dense == 0 || tangents.is_empty() {
            return out.fill(0.0);
        }
        let all = tangents.len() / dense;
        let entry = Panels::pack(self.dense_weights(), widths[0], dense, widths[0]);
        let mut previous = Scratch::take(0);
        let mut block = Scratch::take(0);
        for index in 0..=last {
            let width = row_stride(widths[index]);
            let (x, weight) = match index {
                0 => (Rows { values: tangents, stride: dense, count: all }, &entry),
                _ => {
                    let stride = row_stride(widths[index - 1]);
                    (Rows { values: &previous, stride, count: all }, &self.deep[index - 1].weight)
                }
            };
            let skip = self.network.joins(index).then_some(&block[..]);
            let slope = self.network.activation(index).map(|_| &tape.buffers[2 * index + 1][..]);
            let starts = self.network.starts(index);
            let mut before = Scratch::take(if starts { all * width } else { 0 });
            let mut hidden = Scratch::take(if index == last { 0 } else { all * width });
            let next = if index == last { &mut *out } else { &mut hidden[..] };
            let depth = weight.depth();
            Tangent { x, depth, weight, skip, slope, count, before: &mut before, next }.run();
            if starts {
                block = before;
            }
            previous = hidden;
        }
    }
}

impl WithWeights<'_> {
    /// The first layer's weights of the real inputs.
    fn dense_weights(&self) -> &[f32] {
        &self.first[self.network.inputs.features * self.network.widths[0]..]
    }

    /// The gradient by the real inputs, `[rows, dense]`, `grad` being that by the first layer's sums.
    fn back_to_inputs(&self, grad: &[f32], rows: usize, out: &mut [f32]) {
        let (dense, width) = (self.network.inputs.dense, self.network.widths[0]);
        if dense == 0 {
            return;
        }
        let transposed = &Panels::pack_transposed(self.dense_weights(), dense, width);
        let mut wide = Scratch::take(rows * row_stride(dense));
        let grad = Rows { values: grad, stride: row_stride(width), count: rows };
        Backward { grad, transposed, slope: None, skip: None, out: &mut wide }.run();
        unpad(&wide, dense, out);
    }
}

/// How a row's features differ from those of the state before.
#[derive(Default)]
struct Change {
    added: Vec<u32>,
    removed: Vec<u32>,
}

impl Change {
    /// Finds what has changed; answers the row before if it is cheaper to start from it than from nothing.
    fn find(&mut self, tape: &Tape, row: usize) -> Option<usize> {
        let before = tape.parent(row);
        if before == NONE {
            return None;
        }
        self.added.clear();
        self.removed.clear();
        let (old, new) = (tape.features(before as usize), tape.features(row));
        let ascending = |list: &[u32]| list.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending(old) || !ascending(new) {
            return None;
        }
        let (mut i, mut j) = (0, 0);
        while i < old.len() || j < new.len() {
            match (old.get(i), new.get(j)) {
                (Some(a), Some(b)) if a == b => (i, j) = (i + 1, j + 1),
                (Some(a), b) if b.is_none_or(|b| a < b) => {
                    self.removed.push(*a);
                    i += 1;
                }
                (_, b) => {
                    self.added.extend(b);
                    j += 1;
                }
            }
        }
        (self.added.len() + self.removed.len() + 1 < new.len()).then_some(before as usize)
    }
}

/// What the first layer adds up besides its bias, `[rows, row_stride(columns)]`.
struct Gather<'a> {
    tape: &'a Tape,
    first: usize,
    inputs: Inputs,
    weight: &'a [f32],
    columns: usize,
    /// The features' part of it for all rows of the tape; those before `first` are known.
    sums: &'a mut [f32],
    out: &'a mut [f32],
}

impl NullaryFnOnce for Gather<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { tape, first, inputs, weight, columns, sums, out } = self;
        let width = row_stride(columns);
        let mut change = Change::default();
        for (row, out) in (first..).zip(out.chunks_exact_mut(width)) {
            let (known, sum) = sums.split_at_mut(row * width);
            let sum = &mut sum[..width];
            let start = change.find(tape, row);
            match start {
                Some(before) => sum.copy_from_slice(&known[before * width..][..width]),
                None => sum.fill(0.0),
            }
            let mut add = |features: &[u32], sign: f32| {
                for feature in features {
                    let weights = &weight[*feature as usize * columns..][..columns];
                    sum.iter_mut().zip(weights).for_each(|(sum, weight)| *sum = sign.mul_add(*weight, *sum));
                }
            };
            if start.is_some() {
                add(&change.added, 1.0);
                add(&change.removed, -1.0);
            } else {
                add(tape.features(row), 1.0);
            }
            out.copy_from_slice(sum);
            let dense = weight[inputs.features * columns..].chunks_exact(columns);
            for (x, weights) in tape.dense(row, inputs.dense).iter().zip(dense) {
                out.iter_mut().zip(weights).for_each(|(out, weight)| *out = x.mul_add(*weight, *out));
            }
        }
    }
}

/// The gradient of [`Gather`] by its weights, added to `weight`.
struct Scatter<'a> {
    tape: &'a Tape,
    inputs: Inputs,
    grad: &'a [f32],
    /// A copy of `grad`, to which rows that start from another add theirs.
    sums: &'a mut [f32],
    columns: usize,
    weight: &'a mut [f32],
}

impl NullaryFnOnce for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { tape, inputs, grad, sums, columns, weight } = self;
        let (sparse, dense) = weight.split_at_mut(inputs.features * columns);
        let width = row_stride(columns);
        let mut change = Change::default();
        for row in (0..tape.rows()).rev() {
            let (before, own) = sums.split_at_mut(row * width);
            let own = &own[..columns];
            let mut add = |features: &[u32], sign: f32| {
                for feature in features {
                    let weights = &mut sparse[*feature as usize * columns..][..columns];
                    weights.iter_mut().zip(own).for_each(|(weight, g)| *weight = sign.mul_add(*g, *weight));
                }
            };
            match change.find(tape, row) {
                Some(start) => {
                    add(&change.added, 1.0);
                    add(&change.removed, -1.0);
                    let start = &mut before[start * width..][..columns];
                    start.iter_mut().zip(own).for_each(|(start, g)| *start += g);
                }
                None => add(tape.features(row), 1.0),
            }
        }
        for (row, grad) in grad.chunks_exact(width).enumerate() {
            for (x, weights) in tape.dense(row, inputs.dense).iter().zip(dense.chunks_exact_mut(columns)) {
                weights.iter_mut().zip(grad).for_each(|(weight, g)| *weight = x.mul_add(*g, *weight));
            }
        }
    }
}
