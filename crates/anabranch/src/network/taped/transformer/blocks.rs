//! Blocks of attention and perceptron over tokens, their derivative and their tangents; whoever has tokens embeds them and
//! reads them.
//!
//! ```text
//! x = x + attention(norm(x)) W_o,   x = x + act(norm(x) W_1) W_2     for each layer,   y = norm(x)
//! ```

use pulp::Arch;

use super::Shape;
use super::attention::{Attend, AttendBack, AttendTangent, Sizes};
use super::norm::{Norm, NormBack};
use crate::array::layer::{Input, Outputs, forward};
use crate::array::matmul::{Rows, row_stride};
use crate::array::scratch::Scratch;
use crate::network::taped::grown;
use crate::network::taped::maps::Maps;
use crate::network::taped::words::Groups;

/// What a layer keeps of every token, in buffers of its own: the normalised input and its scale; queries, keys and values;
/// what attention answers, and its sums; the normalised input of the perceptron and its scale; its hidden values and
/// slopes.
const KEPT: usize = 9;
/// How many linear maps a layer has, and which.
pub const MAPS: usize = 4;
const ATTENTION: usize = 0;
const MIX: usize = 1;
const WIDEN: usize = 2;
const NARROW: usize = 3;

/// Blocks with their weights: the first [`MAPS`] linear maps of each layer.
pub struct Blocks<'a> {
    pub shape: Shape,
    pub maps: Maps<'a>,
}

impl Blocks<'_> {
    /// How many buffers they keep, the normalised tokens in the last but one.
    pub fn buffers(&self) -> usize {
        KEPT * self.shape.layers + 2
    }

    pub fn sizes(&self) -> Sizes {
        let (width, heads) = (self.shape.width, self.shape.heads);
        Sizes { width, heads, stride: row_stride(3 * width), padded: row_stride(width) }
    }

    /// Passes the tokens `x`, `[tokens, row_stride(width)]`, which are those from `first` on, through all layers.
    pub fn pass(&self, groups: &Groups, mut x: Scratch, buffers: &mut [Vec<f32>], first: usize) {
        let shape = self.shape;
        let sizes = self.sizes();
        let wide = sizes.padded;
        let count = x.len() / wide;
        let mut next = Scratch::take(x.len());
        let norm = |x: &[f32], out: &mut [f32], scales: &mut [f32]| {
            Arch::new().dispatch(Norm { width: shape.width, padded: wide, x, out, scales });
        };
        for (layer, kept) in buffers.chunks_exact_mut(KEPT).enumerate() {
            let [normed, scale, qkv, seen, log_sums, normed_after, scale_after, hidden, slope] = kept else {
                unreachable!("a layer has all its buffers")
            };
            let map = |map: usize| MAPS * layer + map;
            let normed = grown(normed, wide, first, count);
            norm(&x, normed, grown(scale, 1, first, count));
            let new = grown(qkv, sizes.stride, first, count);
            self.maps.apply(map(ATTENTION), normed, count, None, new);
            grown(seen, wide, first, count);
            grown(log_sums, shape.heads, first, count);
            Arch::new().dispatch(Attend { sizes, groups, qkv, out: seen, log_sums });
            self.maps.apply(map(MIX), &seen[first * wide..], count, Some(&x), &mut next);
            std::mem::swap(&mut x, &mut next);
            let normed = grown(normed_after, wide, first, count);
            norm(&x, normed, grown(scale_after, 1, first, count));
            let widen = self.maps.layer(map(WIDEN));
            let stride = row_stride(shape.inner);
            let (hidden, slope) = (grown(hidden, stride, first, count), grown(slope, stride, first, count));
            let rows = Rows { values: normed, stride: wide, count };
            let input =
                Input { x: rows, depth: shape.width, weight: &widen.weight, bias: &widen.bias, skip: None };
            forward(Some(shape.activation), input, Outputs { before: &mut [], next: hidden, slope });
            self.maps.apply(map(NARROW), hidden, count, Some(&x), &mut next);
            std::mem::swap(&mut x, &mut next);
        }
        let [.., normed, scale] = buffers else { unreachable!("the last norm has its buffers") };
        norm(&x, grown(normed, wide, first, count), grown(scale, 1, first, count));
    }

    /// The gradient by the tokens, `grad` being that by the normalised ones; that of the weights is written.
    pub fn back(&self, groups: &Groups, buffers: &[Vec<f32>], grad: &[f32], gradient: &mut [f32]) -> Scratch {
        let sizes = self.sizes();
        let [layers @ .., normed, scales] = buffers else { unreachable!("the tape is of this network") };
        let mut x = Scratch::take(grad.len());
        x.fill(0.0);
        let back_norm = |normed: &[f32], scales: &[f32], grad: &[f32], out: &mut [f32]| {
            let (width, padded) = (sizes.width, sizes.padded);
            Arch::new().dispatch(NormBack { width, padded, normed, scales, grad, out });
        };
        back_norm(normed, scales, grad, &mut x);
        for (layer, kept) in layers.chunks_exact(KEPT).enumerate().rev() {
            let [normed, scale, qkv, seen, log_sums, normed_after, scale_after, hidden, slope] = kept else {
                unreachable!("a layer has all its buffers")
            };
            let map = |map: usize| MAPS * layer + map;
            let grad = self.maps.back(map(NARROW), hidden, &x, Some(slope), gradient);
            let grad = self.maps.back(map(WIDEN), normed_after, &grad, None, gradient);
            back_norm(normed_after, scale_after, &grad, &mut x);
            let grad = self.maps.back(map(MIX), seen, &x, None, gradient);
            let mut of_qkv = Scratch::take(x.len() / sizes.padded * sizes.stride);
            of_qkv.fill(0.0);
            let attend = AttendBack { sizes, groups, qkv, log_sums, grad: &grad, out: &mut of_qkv };
            Arch::new().dispatch(attend);
            let grad = self.maps.back(map(ATTENTION), normed, &of_qkv, None, gradient);
            back_norm(normed, scale, &grad, &mut x);
        }
        x
    }

    /// The derivative of the normalised tokens along a direction `x` of the tokens, laid out as they are.
    pub fn tangent(&self, groups: &Groups, buffers: &[Vec<f32>], mut x: Scratch) -> Scratch {
        let sizes = self.sizes();
        let count = x.len() / sizes.padded;
        let [layers @ .., normed, scales] = buffers else { unreachable!("the tape is of this network") };
        let mut next = Scratch::take(x.len());
        // The Jacobian of a row's norm is symmetric: one kernel serves both modes.
        let norm = |normed: &[f32], scales: &[f32], x: &[f32]| {
            let (width, padded) = (sizes.width, sizes.padded);
            let mut out = Scratch::take(x.len());
            out.fill(0.0);
            Arch::new().dispatch(NormBack { width, padded, normed, scales, grad: x, out: &mut out });
            out
        };
        for (layer, kept) in layers.chunks_exact(KEPT).enumerate() {
            let [normed, scale, qkv, _, log_sums, normed_after, scale_after, _, slope] = kept else {
                unreachable!("a layer has all its buffers")
            };
            let map = |map: usize| MAPS * layer + map;
            let mut of_qkv = Scratch::take(count * sizes.stride);
            self.maps.tangent(map(ATTENTION), &norm(normed, scale, &x), None, None, &mut of_qkv);
            let mut seen = Scratch::take(x.len());
            let attend = AttendTangent { sizes, groups, qkv, log_sums, tangent: &of_qkv, out: &mut seen };
            Arch::new().dispatch(attend);
            self.maps.tangent(map(MIX), &seen, None, Some(&x), &mut next);
            std::mem::swap(&mut x, &mut next);
            let mut hidden = Scratch::take(count * row_stride(self.shape.inner));
            let after = norm(normed_after, scale_after, &x);
            self.maps.tangent(map(WIDEN), &after, Some(slope), None, &mut hidden);
            self.maps.tangent(map(NARROW), &hidden, None, Some(&x), &mut next);
            std::mem::swap(&mut x, &mut next);
        }
        norm(normed, scales, &x)
    }
}
