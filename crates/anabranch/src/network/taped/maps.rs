//! Linear maps among the parts of a weight vector: each a weight, `[inputs, outputs]`, and a bias behind it.

use crate::array::layer::{Backward, Input, Layer, Outputs, Tangent, forward, sum_columns};
use crate::array::matmul::{Panels, Rows, columns_times, row_stride};
use crate::array::scratch::Scratch;
use crate::array::weights::Slot;
use crate::network::Activation;

/// Linear maps with their weights, packed.
pub(super) struct Maps<'a> {
    parts: &'a [Slot],
    weights: &'a [f32],
    packed: Vec<Layer>,
}

impl<'a> Maps<'a> {
    /// The maps whose weights and biases in turn are `parts` of all `weights`.
    pub fn new(parts: &'a [Slot], weights: &'a [f32]) -> Self {
        let of = |slot: &Slot| &weights[slot.range.clone()];
        let pack = |pair: &[Slot]| Layer::pack(of(&pair[0]), of(&pair[1]), pair[0].shape[0]);
        Self { parts, weights, packed: parts.chunks_exact(2).map(pack).collect() }
    }

    pub fn layer(&self, map: usize) -> &Layer {
        &self.packed[map]
    }

    /// How many maps there are.
    pub fn count(&self) -> usize {
        self.packed.len()
    }

    /// How many outputs a map has.
    pub fn outputs(&self, map: usize) -> usize {
        self.parts[2 * map + 1].range.len()
    }

    /// A map on padded rows, without an activation.
    pub fn apply(&self, map: usize, x: &[f32], count: usize, skip: Option<&[f32]>, next: &mut [f32]) {
        self.activated(map, None, x, count, skip, Outputs { before: &mut [], next, slope: &mut [] });
    }

    /// A map on padded rows.
    pub fn activated(
        &self,
        map: usize,
        activation: Option<Activation>,
        x: &[f32],
        count: usize,
        skip: Option<&[f32]>,
        out: Outputs<'_>,
    ) {
        let map = &self.packed[map];
        let depth = map.weight.depth();
        let x = Rows { values: x, stride: row_stride(depth), count };
        forward(activation, Input { x, depth, weight: &map.weight, bias: &map.bias, skip }, out);
    }

    /// The derivative of a map's outputs along one of its rows, times the slope, if it has one.
    pub fn tangent(
        &self,
        map: usize,
        x: &[f32],
        slope: Option<&[f32]>,
        skip: Option<&[f32]>,
        next: &mut [f32],
    ) {
        let weight = &self.packed[map].weight;
        let (depth, stride) = (weight.depth(), row_stride(weight.depth()));
        let x = Rows { values: x, stride, count: x.len() / stride };
        Tangent { x, depth, weight, skip, slope, count: 1, before: &mut [], next }.run();
    }

    /// The gradient by a map's weights, `x^T grad`, written to its part of `gradient`, and by what it reads,
    /// `(grad W^T) slope`.
    pub fn back(
        &self,
        map: usize,
        x: &[f32],
        grad: &[f32],
        slope: Option<&[f32]>,
        gradient: &mut [f32],
    ) -> Scratch {
        let [weight, bias] = &self.parts[2 * map..2 * map + 2] else { unreachable!("a weight and a bias") };
        let [rows, columns] = weight.shape[..] else { unreachable!("a map is a matrix") };
        let (of_weight, of_bias) =
            gradient[weight.range.start..bias.range.end].split_at_mut(weight.range.len());
        let count = grad.len() / row_stride(columns);
        let (x, above) = (
            Rows { values: x, stride: row_stride(rows), count },
            Rows { values: grad, stride: row_stride(columns), count },
        );
        columns_times(x, rows, above, columns, of_weight);
        of_bias.fill(0.0);
        sum_columns(grad, of_bias);
        let mut out = Scratch::take(count * row_stride(rows));
        let transposed = &Panels::pack_transposed(&self.weights[weight.range.clone()], rows, columns);
        Backward { grad: above, transposed, slope, skip: None, out: &mut out }.run();
        out
    }
}
