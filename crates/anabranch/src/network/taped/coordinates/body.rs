//! What tokens of coordinates go through, and the transformer among such bodies.

use super::Coordinates;
use crate::array::matmul::row_stride;
use crate::array::scratch::Scratch;
use crate::network::taped::maps::Maps;
use crate::network::taped::transformer::Shape;
use crate::network::taped::transformer::blocks::{Blocks, MAPS};
use crate::network::taped::words::Groups;

/// A body with its weights. Tokens are `[rows * tokens, row_stride(width)]`, answers those of the answering tokens,
/// `[rows * answering, row_stride(numbers of a token)]`.
pub(super) trait Tokens: Send + Sync {
    /// How many buffers it keeps.
    fn buffers(&self) -> usize;

    /// The answers of the tokens `x` of the rows from `first` on.
    fn pass(&self, x: Scratch, first: usize, buffers: &mut [Vec<f32>]) -> Scratch;

    /// The gradient by the tokens, `grad` being that by the answers; that of the weights is written.
    fn back(&self, buffers: &[Vec<f32>], grad: &[f32], gradient: &mut [f32]) -> Scratch;

    /// The derivative of the answers along a direction of the tokens.
    fn tangent(&self, buffers: &[Vec<f32>], x: Scratch) -> Scratch;
}

/// The answering tokens of `rows` rows of `stride` numbers a token, one behind the other.
pub(super) fn answering(coordinates: &Coordinates, all: &[f32], stride: usize) -> Scratch {
    let (first, tokens) = (coordinates.first_answering(), coordinates.tokens());
    let own = coordinates.answering() * stride;
    let mut out = Scratch::take(all.len() / tokens * coordinates.answering());
    for (to, from) in out.chunks_exact_mut(own).zip(all.chunks_exact(tokens * stride)) {
        to.copy_from_slice(&from[first * stride..][..own]);
    }
    out
}

/// A transformer.
pub(super) struct Attention<'a> {
    coordinates: Coordinates,
    blocks: Blocks<'a>,
}

impl<'a> Attention<'a> {
    pub fn new(coordinates: Coordinates, shape: Shape, maps: Maps<'a>) -> Self {
        Self { coordinates, blocks: Blocks { shape, maps } }
    }

    /// The linear map of the answers.
    fn answers(&self) -> usize {
        MAPS * self.blocks.shape.layers
    }

    fn padded(&self) -> usize {
        row_stride(self.blocks.shape.width)
    }

    fn groups(&self, first: usize, tokens: usize) -> Groups {
        let size = self.coordinates.tokens();
        Groups::even(first * size, tokens / size, size)
    }
}

impl Tokens for Attention<'_> {
    fn buffers(&self) -> usize {
        self.blocks.buffers()
    }

    fn pass(&self, x: Scratch, first: usize, buffers: &mut [Vec<f32>]) -> Scratch {
        let (start, padded) = (first * self.coordinates.tokens(), self.padded());
        let groups = self.groups(first, x.len() / padded);
        self.blocks.pass(&groups, x, buffers, start);
        let normed = &buffers[buffers.len() - 2][start * padded..];
        let read = answering(&self.coordinates, normed, padded);
        let count = read.len() / padded;
        let mut out = Scratch::take(count * row_stride(self.coordinates.of_token()));
        self.blocks.maps.apply(self.answers(), &read, count, None, &mut out);
        out
    }

    fn back(&self, buffers: &[Vec<f32>], grad: &[f32], gradient: &mut [f32]) -> Scratch {
        let (normed, padded) = (&buffers[buffers.len() - 2], self.padded());
        let read = answering(&self.coordinates, normed, padded);
        let of_read = self.blocks.maps.back(self.answers(), &read, grad, None, gradient);
        let mut of_normed = Scratch::take(normed.len());
        of_normed.fill(0.0);
        let (first, tokens) = (self.coordinates.first_answering(), self.coordinates.tokens());
        let own = self.coordinates.answering() * padded;
        for (to, from) in of_normed.chunks_exact_mut(tokens * padded).zip(of_read.chunks_exact(own)) {
            to[first * padded..][..own].copy_from_slice(from);
        }
        let groups = self.groups(0, normed.len() / padded);
        self.blocks.back(&groups, buffers, &of_normed, gradient)
    }

    fn tangent(&self, buffers: &[Vec<f32>], x: Scratch) -> Scratch {
        let groups = self.groups(0, x.len() / self.padded());
        let normed = self.blocks.tangent(&groups, buffers, x);
        let read = answering(&self.coordinates, &normed, self.padded());
        let mut out = Scratch::take(read.len() / self.padded() * row_stride(self.coordinates.of_token()));
        self.blocks.maps.tangent(self.answers(), &read, None, None, &mut out);
        out
    }
}
