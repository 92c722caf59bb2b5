//! A transformer's pass over the new tokens of a tape, and its derivative over all of them.

use pulp::Arch;

use super::attention::{Attend, AttendBack, Sizes};
use super::norm::{Norm, NormBack};
use super::{MAPS, Transformer};
use crate::array::layer::{Backward, Input, Layer, Outputs, forward, sum_columns};
use crate::array::matmul::{Panels, Rows, columns_times, row_stride};
use crate::array::scratch::Scratch;
use crate::network::taped::words::Words;
use crate::network::taped::{Evaluator, Tape};

/// What a layer keeps of every token, in buffers of its own: the normalised input and its scale; queries, keys and values;
/// what attention answers, and its sums; the normalised input of the perceptron and its scale; its hidden values and
/// slopes.
const KEPT: usize = 9;
/// The linear maps of a layer.
const ATTENTION: usize = 0;
const MIX: usize = 1;
const WIDEN: usize = 2;
const NARROW: usize = 3;
/// Those of the answers.
const PLACE: usize = 0;
const WHOLE: usize = 1;

pub struct WithWeights<'a> {
    network: &'a Transformer,
    weights: &'a [f32],
    /// The linear maps, layer by layer, then those of the answers.
    maps: Vec<Layer>,
}

/// The part of a buffer that holds `count` rows from `first` on, made room for.
fn grown(buffer: &mut Vec<f32>, width: usize, first: usize, count: usize) -> &mut [f32] {
    buffer.resize((first + count) * width, 0.0);
    &mut buffer[first * width..]
}

/// Two parts of the gradient, the second right behind the first.
fn two<'g>(gradient: &'g mut [f32], network: &Transformer, part: usize) -> (&'g mut [f32], &'g mut [f32]) {
    let (weight, bias) = (&network.parts[part].range, &network.parts[part + 1].range);
    gradient[weight.start..bias.end].split_at_mut(weight.len())
}

/// A linear map on rows without an activation.
fn apply(map: &Layer, x: &[f32], count: usize, skip: Option<&[f32]>, next: &mut [f32]) {
    let depth = map.weight.depth();
    let x = Rows { values: x, stride: row_stride(depth), count };
    let input = Input { x, depth, weight: &map.weight, bias: &map.bias, skip };
    forward(None, input, Outputs { before: &mut [], next, slope: &mut [] });
}

impl<'a> WithWeights<'a> {
    pub fn new(network: &'a Transformer, weights: &'a [f32]) -> Self {
        let maps = (network.map(0, 0)..network.parts.len()).step_by(2);
        let part = |index: usize| &weights[network.parts[index].range.clone()];
        let maps = maps.map(|at| Layer::pack(part(at), part(at + 1), network.parts[at].shape[0])).collect();
        Self { network, weights, maps }
    }

    fn part(&self, index: usize) -> &[f32] {
        &self.weights[self.network.parts[index].range.clone()]
    }

    fn layer_map(&self, layer: usize, map: usize) -> &Layer {
        &self.maps[MAPS * layer + map]
    }

    fn head(&self, head: usize) -> &Layer {
        self.layer_map(self.network.shape.layers, head)
    }

    fn sizes(&self) -> Sizes {
        let (width, heads) = (self.network.shape.width, self.network.shape.heads);
        Sizes { width, heads, stride: row_stride(3 * width), padded: row_stride(width) }
    }

    /// The embeddings of the tokens from `first` on, `[tokens, row_stride(width)]`.
    fn embed(&self, tape: &Tape, words: &Words, first: usize) -> Scratch {
        let (width, dense) = (self.network.shape.width, self.network.dense);
        let padded = row_stride(width);
        let mut x = Scratch::take((words.len() - first) * padded);
        let (tokens, positions, inputs) = (self.part(0), self.part(1), self.part(2));
        for (token, x) in (first..).zip(x.chunks_exact_mut(padded)) {
            let symbol = &tokens[words.symbols[token] as usize * width..][..width];
            let position = &positions[words.places[token] as usize * width..][..width];
            let both = symbol.iter().zip(position);
            x.iter_mut().zip(both).for_each(|(x, (symbol, position))| *x = symbol + position);
            x[width..].fill(0.0);
        }
        let new = words.starts.iter().filter(|(start, _)| *start as usize >= first);
        for (start, row) in new.filter(|_| dense > 0) {
            let x = &mut x[(*start as usize - first) * padded..][..width];
            for (u, weights) in tape.dense(*row as usize, dense).iter().zip(inputs.chunks_exact(width)) {
                x.iter_mut().zip(weights).for_each(|(x, weight)| *x = u.mul_add(*weight, *x));
            }
        }
        x
    }

    /// Passes the tokens from `first` on through all layers.
    fn pass(&self, tape: &Tape, words: &Words, buffers: &mut [Vec<f32>], first: usize) {
        let shape = self.network.shape;
        let sizes = self.sizes();
        let (wide, count) = (sizes.padded, words.len() - first);
        let groups = words.groups(self.network.alphabet.order, first);
        let mut x = self.embed(tape, words, first);
        let mut next = Scratch::take(x.len());
        let norm = |x: &[f32], out: &mut [f32], scales: &mut [f32]| {
            Arch::new().dispatch(Norm { width: shape.width, padded: wide, x, out, scales });
        };
        for (layer, kept) in buffers.chunks_exact_mut(KEPT).enumerate() {
            let [normed, scale, qkv, seen, log_sums, normed_after, scale_after, hidden, slope] = kept else {
                unreachable!("a layer has all its buffers")
            };
            let normed = grown(normed, wide, first, count);
            norm(&x, normed, grown(scale, 1, first, count));
            let new = grown(qkv, sizes.stride, first, count);
            apply(self.layer_map(layer, ATTENTION), normed, count, None, new);
            grown(seen, wide, first, count);
            grown(log_sums, shape.heads, first, count);
            Arch::new().dispatch(Attend { sizes, groups: &groups, qkv, out: seen, log_sums });
            apply(self.layer_map(layer, MIX), &seen[first * wide..], count, Some(&x), &mut next);
            std::mem::swap(&mut x, &mut next);
            let normed = grown(normed_after, wide, first, count);
            norm(&x, normed, grown(scale_after, 1, first, count));
            let map = self.layer_map(layer, WIDEN);
            let stride = row_stride(shape.inner);
            let (hidden, slope) = (grown(hidden, stride, first, count), grown(slope, stride, first, count));
            let rows = Rows { values: normed, stride: wide, count };
            let input =
                Input { x: rows, depth: shape.width, weight: &map.weight, bias: &map.bias, skip: None };
            forward(Some(shape.activation), input, Outputs { before: &mut [], next: hidden, slope });
            apply(self.layer_map(layer, NARROW), hidden, count, Some(&x), &mut next);
            std::mem::swap(&mut x, &mut next);
        }
        let [.., normed, scale] = buffers else { unreachable!("the last norm has its buffers") };
        norm(&x, grown(normed, wide, first, count), grown(scale, 1, first, count));
    }

    /// The tokens at which the rows from `first` on are read, one behind the other.
    fn read(&self, words: &Words, normed: &[f32], first: usize) -> Scratch {
        let wide = self.sizes().padded;
        let mut out = Scratch::take((words.reads.len() - first) * wide);
        for (token, out) in words.reads[first..].iter().zip(out.chunks_exact_mut(wide)) {
            out.copy_from_slice(&normed[*token as usize * wide..][..wide]);
        }
        out
    }

    /// Hands the answers of each token that has a place, in the rows from `first` on, to `each`: the token, the row, the
    /// range of outputs that are the letters', and the output that is the place's.
    fn places(
        &self,
        words: &Words,
        first: usize,
        mut each: impl FnMut(usize, usize, std::ops::Range<usize>, Option<usize>),
    ) {
        let alphabet = self.network.alphabet;
        let letters = if self.network.answers.letters { alphabet.letters } else { 0 };
        for (row, start) in words.reads.iter().enumerate().skip(first) {
            for place in 0..alphabet.places {
                let one = self.network.answers.places.then_some(alphabet.places * letters + place);
                let token = *start as usize + 1 + place;
                each(token, row, place * letters..(place + 1) * letters, one);
            }
        }
    }

    /// Answers for the rows from `first` on, whose tokens in slots start at `token`.
    fn answer(&self, tape: &mut Tape, words: &Words, normed: &[f32], first: usize, token: usize) {
        let outputs = self.network.alphabet.places * self.network.of_place();
        let whole = self.network.answers.whole;
        let width = row_stride(outputs + whole);
        tape.outputs.resize(tape.rows() * width, 0.0);
        if whole > 0 {
            let rows = words.reads.len() - first;
            let read = self.read(words, normed, first);
            let mut out = Scratch::take(rows * row_stride(whole));
            apply(self.head(WHOLE), &read, rows, None, &mut out);
            let to = tape.outputs[first * width..].chunks_exact_mut(width);
            for (to, out) in to.zip(out.chunks_exact(row_stride(whole))) {
                to[outputs..outputs + whole].copy_from_slice(&out[..whole]);
            }
        }
        if outputs > 0 {
            let count = words.len() - token;
            let stride = row_stride(self.network.of_place());
            let mut out = Scratch::take(count * stride);
            apply(self.head(PLACE), &normed[token * self.sizes().padded..], count, None, &mut out);
            self.places(words, first, |at, row, letters, place| {
                let (from, to) = (&out[(at - token) * stride..], &mut tape.outputs[row * width..]);
                let last = letters.len();
                to[letters].copy_from_slice(&from[..last]);
                if let Some(place) = place {
                    to[place] = from[last];
                }
            });
        }
    }

    /// The gradient by linear map `at` of the weights, `x^T grad`, and by what it reads, `(grad W^T) slope`.
    fn back(
        &self,
        at: usize,
        x: &[f32],
        grad: &[f32],
        slope: Option<&[f32]>,
        gradient: &mut [f32],
    ) -> Scratch {
        let [rows, columns] = self.network.parts[at].shape[..] else { unreachable!("a map is a matrix") };
        let (weight, bias) = two(gradient, self.network, at);
        let count = grad.len() / row_stride(columns);
        let (x, above) = (
            Rows { values: x, stride: row_stride(rows), count },
            Rows { values: grad, stride: row_stride(columns), count },
        );
        columns_times(x, rows, above, columns, weight);
        bias.fill(0.0);
        sum_columns(grad, bias);
        let mut out = Scratch::take(count * row_stride(rows));
        Backward {
            grad: above,
            transposed: &Panels::pack_transposed(self.part(at), rows, columns),
            slope,
            skip: None,
            out: &mut out,
        }
        .run();
        out
    }

    /// The gradient of the answers: by their maps, and by the normalised tokens.
    fn back_from_answers(
        &self,
        words: &Words,
        normed: &[f32],
        slopes: &[f32],
        gradient: &mut [f32],
    ) -> Scratch {
        let wide = self.sizes().padded;
        let outputs = self.network.alphabet.places * self.network.of_place();
        let whole = self.network.answers.whole;
        let width = row_stride(outputs + whole);
        let mut grad = if outputs > 0 {
            let stride = row_stride(self.network.of_place());
            let mut of_places = Scratch::take(words.len() * stride);
            of_places.fill(0.0);
            self.places(words, 0, |at, row, letters, place| {
                let (from, to) = (&slopes[row * width..], &mut of_places[at * stride..]);
                let last = letters.len();
                to[..last].copy_from_slice(&from[letters]);
                if let Some(place) = place {
                    to[last] = from[place];
                }
            });
            self.back(self.network.head(PLACE), normed, &of_places, None, gradient)
        } else {
            let mut none = Scratch::take(words.len() * wide);
            none.fill(0.0);
            none
        };
        if whole > 0 {
            let stride = row_stride(whole);
            let mut of_words = Scratch::take(words.reads.len() * stride);
            of_words.fill(0.0);
            for (to, from) in of_words.chunks_exact_mut(stride).zip(slopes.chunks_exact(width)) {
                to[..whole].copy_from_slice(&from[outputs..outputs + whole]);
            }
            let read = self.read(words, normed, 0);
            let back = self.back(self.network.head(WHOLE), &read, &of_words, None, gradient);
            for (token, from) in words.reads.iter().zip(back.chunks_exact(wide)) {
                let to = &mut grad[*token as usize * wide..][..wide];
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
        grad
    }

    /// The gradient of the embeddings, `grad` being that of their sums.
    fn back_to_embeddings(&self, tape: &Tape, words: &Words, grad: &[f32], gradient: &mut [f32]) {
        let (width, dense) = (self.network.shape.width, self.network.dense);
        let wide = row_stride(width);
        let parts = &self.network.parts;
        let mut add = |part: usize, row: usize, factor: f32, token: usize| {
            let to = &mut gradient[parts[part].range.start + row * width..][..width];
            to.iter_mut().zip(&grad[token * wide..]).for_each(|(to, g)| *to = factor.mul_add(*g, *to));
        };
        for (token, (symbol, place)) in words.symbols.iter().zip(&words.places).enumerate() {
            add(0, *symbol as usize, 1.0, token);
            add(1, *place as usize, 1.0, token);
        }
        for (start, row) in &words.starts {
            for (at, u) in tape.dense(*row as usize, dense).iter().enumerate() {
                add(2, at, *u, *start as usize);
            }
        }
    }
}

impl Evaluator for WithWeights<'_> {
    fn evaluate(&self, tape: &mut Tape, first: usize) {
        if tape.rows() == first {
            return;
        }
        let mut words = std::mem::take(&mut tape.words);
        let mut buffers = std::mem::take(&mut tape.buffers);
        buffers.resize_with(KEPT * self.network.shape.layers + 2, Vec::new);
        let token = words.len();
        (first..tape.rows()).for_each(|_| words.read(&self.network.alphabet, tape, self.network.dense));
        if words.len() > token {
            self.pass(tape, &words, &mut buffers, token);
        }
        self.answer(tape, &words, &buffers[buffers.len() - 2], first, token);
        (tape.words, tape.buffers) = (words, buffers);
    }

    fn backward(&self, tape: &mut Tape, slopes: &[f32], gradient: &mut [f32]) {
        gradient.fill(0.0);
        if tape.rows() == 0 {
            return;
        }
        let (network, words, sizes) = (self.network, &tape.words, self.sizes());
        let [layers @ .., normed, scales] = &tape.buffers[..] else {
            unreachable!("the tape is of this network")
        };
        let mut x = Scratch::take(words.len() * sizes.padded);
        x.fill(0.0);
        let back_norm = |normed: &[f32], scales: &[f32], grad: &[f32], out: &mut [f32]| {
            let (width, padded) = (sizes.width, sizes.padded);
            Arch::new().dispatch(NormBack { width, padded, normed, scales, grad, out });
        };
        let grad = self.back_from_answers(words, normed, slopes, gradient);
        back_norm(normed, scales, &grad, &mut x);
        let groups = words.groups(network.alphabet.order, 0);
        for (layer, kept) in layers.chunks_exact(KEPT).enumerate().rev() {
            let [normed, scale, qkv, seen, log_sums, normed_after, scale_after, hidden, slope] = kept else {
                unreachable!("a layer has all its buffers")
            };
            let map = |map: usize| network.map(layer, map);
            let grad = self.back(map(NARROW), hidden, &x, Some(slope), gradient);
            let grad = self.back(map(WIDEN), normed_after, &grad, None, gradient);
            back_norm(normed_after, scale_after, &grad, &mut x);
            let grad = self.back(map(MIX), seen, &x, None, gradient);
            let mut of_qkv = Scratch::take(words.len() * sizes.stride);
            of_qkv.fill(0.0);
            Arch::new().dispatch(AttendBack {
                sizes,
                groups: &groups,
                qkv,
                log_sums,
                grad: &grad,
                out: &mut of_qkv,
            });
            let grad = self.back(map(ATTENTION), normed, &of_qkv, None, gradient);
            back_norm(normed, scale, &grad, &mut x);
        }
        self.back_to_embeddings(tape, words, &x, gradient);
    }
}
