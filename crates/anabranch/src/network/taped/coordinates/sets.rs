//! The deep set among the bodies of coordinates.
//!
//! ```text
//! p_i = act(a_i),   m = mean of p over the tokens that are read,   y_i = rho([p_i, m])
//! ```
//!
//! The gradient of `p_i` is that of its own answer and, where it is read, a share of that of all answers of its row.

use super::Coordinates;
use super::body::Tokens;
use crate::array::layer::{Input, Outputs, forward};
use crate::array::matmul::{Panels, Rows, padded, row_stride};
use crate::array::scratch::Scratch;
use crate::network::Activation;
use crate::network::taped::grown;
use crate::network::taped::maps::Maps;

/// A deep set with its weights: the linear maps of `rho`.
pub(super) struct Sets<'a> {
    pub coordinates: Coordinates,
    pub width: usize,
    pub activation: Activation,
    pub maps: Maps<'a>,
}

/// The buffers before those of `rho`'s layers: `p`, the slope at it, and what `rho` reads.
const BEFORE: usize = 3;

impl Sets<'_> {
    fn padded(&self) -> usize {
        row_stride(self.width)
    }

    /// `[p_i, m]` of each answering token.
    fn join(&self, p: &[f32], out: &mut [f32]) {
        let (width, stride) = (self.width, self.padded());
        let (read, first) = (self.coordinates.read(), self.coordinates.first_answering());
        let (joined, answering) = (row_stride(2 * width), self.coordinates.answering());
        let mut mean = vec![0.0; width];
        let rows = p.chunks_exact(self.coordinates.tokens() * stride);
        for (p, out) in rows.zip(out.chunks_exact_mut(answering * joined)) {
            mean.fill(0.0);
            for p in p.chunks_exact(stride).take(read) {
                mean.iter_mut().zip(p).for_each(|(mean, p)| *mean += p);
            }
            mean.iter_mut().for_each(|mean| *mean /= read as f32);
            for (p, out) in p.chunks_exact(stride).skip(first).zip(out.chunks_exact_mut(joined)) {
                out[..width].copy_from_slice(&p[..width]);
                out[width..2 * width].copy_from_slice(&mean);
            }
        }
    }

    /// The transpose of [`Self::join`].
    fn part(&self, grad: &[f32], out: &mut [f32]) {
        let (width, stride) = (self.width, self.padded());
        let (read, first) = (self.coordinates.read(), self.coordinates.first_answering());
        let (joined, answering) = (row_stride(2 * width), self.coordinates.answering());
        let mut shared = vec![0.0; width];
        let rows = out.chunks_exact_mut(self.coordinates.tokens() * stride);
        for (out, grad) in rows.zip(grad.chunks_exact(answering * joined)) {
            shared.fill(0.0);
            for grad in grad.chunks_exact(joined) {
                shared.iter_mut().zip(&grad[width..]).for_each(|(shared, g)| *shared += g);
            }
            shared.iter_mut().for_each(|shared| *shared /= read as f32);
            out.fill(0.0);
            for out in out.chunks_exact_mut(stride).take(read) {
                out[..width].copy_from_slice(&shared);
            }
            for (out, grad) in out.chunks_exact_mut(stride).skip(first).zip(grad.chunks_exact(joined)) {
                out.iter_mut().zip(&grad[..width]).for_each(|(out, g)| *out += g);
            }
        }
    }

    fn last(&self) -> usize {
        self.maps.count() - 1
    }
}

impl Tokens for Sets<'_> {
    /// Hidden layer `k` of `rho` keeps its values and its slopes in buffers `3 + 2 k` and `4 + 2 k`.
    fn buffers(&self) -> usize {
        BEFORE + 2 * self.last()
    }

    fn pass(&self, x: Scratch, first: usize, buffers: &mut [Vec<f32>]) -> Scratch {
        let stride = self.padded();
        let tokens = x.len() / stride;
        let rows = tokens / self.coordinates.tokens();
        let [p, slope, joined, layers @ ..] = buffers else { unreachable!("the tape is of this network") };
        let start = first * self.coordinates.tokens();
        let (p, slope) = (grown(p, stride, start, tokens), grown(slope, stride, start, tokens));
        // A product with nothing, to which the tokens are added.
        let (none, zeros) = (Panels::pack(&[], self.width, 0, self.width), vec![0.0; padded(self.width)]);
        let nothing = Rows { values: &[], stride: 0, count: tokens };
        let input = Input { x: nothing, depth: 0, weight: &none, bias: &zeros, skip: Some(&x) };
        forward(Some(self.activation), input, Outputs { before: &mut [], next: &mut *p, slope });
        let (start, count) = (first * self.coordinates.answering(), rows * self.coordinates.answering());
        let mut source = grown(joined, row_stride(2 * self.width), start, count);
        self.join(p, source);
        for (layer, kept) in layers.chunks_exact_mut(2).enumerate() {
            let [value, slope] = kept else { unreachable!("a layer has two buffers") };
            let width = row_stride(self.maps.outputs(layer));
            let (next, slope) = (grown(value, width, start, count), grown(slope, width, start, count));
            let out = Outputs { before: &mut [], next: &mut *next, slope };
            self.maps.activated(layer, Some(self.activation), source, count, None, out);
            source = next;
        }
        let mut out = Scratch::take(count * row_stride(self.coordinates.of_token()));
        self.maps.apply(self.last(), source, count, None, &mut out);
        out
    }

    fn back(&self, buffers: &[Vec<f32>], grad: &[f32], gradient: &mut [f32]) -> Scratch {
        let [p, slope, joined, layers @ ..] = buffers else { unreachable!("the tape is of this network") };
        let mut above: Option<Scratch> = None;
        for layer in (0..self.maps.count()).rev() {
            let (x, slope) = match layer {
                0 => (joined, None),
                _ => (&layers[2 * layer - 2], Some(&layers[2 * layer - 1][..])),
            };
            let grad = above.as_deref().unwrap_or(grad);
            above = Some(self.maps.back(layer, x, grad, slope, gradient));
        }
        let mut out = Scratch::take(p.len());
        self.part(above.as_deref().unwrap_or(grad), &mut out);
        out.iter_mut().zip(slope).for_each(|(out, slope)| *out *= slope);
        out
    }

    fn tangent(&self, buffers: &[Vec<f32>], mut x: Scratch) -> Scratch {
        let [_, slope, _, layers @ ..] = buffers else { unreachable!("the tape is of this network") };
        x.iter_mut().zip(slope).for_each(|(x, slope)| *x *= slope);
        let count = x.len() / self.padded() / self.coordinates.tokens() * self.coordinates.answering();
        let mut source = Scratch::take(count * row_stride(2 * self.width));
        self.join(&x, &mut source);
        for layer in 0..self.maps.count() {
            let slope = layers.get(2 * layer + 1).map(|slope| &slope[..]);
            let mut next = Scratch::take(count * row_stride(self.maps.outputs(layer)));
            self.maps.tangent(layer, &source, slope, None, &mut next);
            source = next;
        }
        source
    }
}
