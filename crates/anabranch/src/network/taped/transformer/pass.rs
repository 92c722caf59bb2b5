//! A transformer's pass over the words of a tape: embedding, answers, and the derivatives of both.

use super::blocks::{Blocks, MAPS};
use super::{EMBEDDINGS, Transformer};
use crate::array::matmul::row_stride;
use crate::array::scratch::Scratch;
use crate::network::taped::maps::Maps;
use crate::network::taped::words::{Order, Words};
use crate::network::taped::{Evaluator, Tape, TapedNetwork};

/// The linear maps of the answers, behind those of the blocks.
const PLACE: usize = 0;
const WHOLE: usize = 1;

pub struct WithWeights<'a> {
    network: &'a Transformer,
    weights: &'a [f32],
    blocks: Blocks<'a>,
}

impl<'a> WithWeights<'a> {
    pub fn new(network: &'a Transformer, weights: &'a [f32]) -> Self {
        let maps = Maps::new(&network.parts[EMBEDDINGS..], weights);
        Self { network, weights, blocks: Blocks { shape: network.shape, maps } }
    }

    fn part(&self, index: usize) -> &[f32] {
        &self.weights[self.network.parts[index].range.clone()]
    }

    fn head(&self, head: usize) -> usize {
        MAPS * self.network.shape.layers + head
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

    /// A direction of the embeddings, one of `count` directions of each row's real inputs.
    fn embed_tangent(&self, words: &Words, count: usize, direction: usize, tangents: &[f32]) -> Scratch {
        let (width, dense) = (self.network.shape.width, self.network.dense);
        let padded = row_stride(width);
        let mut x = Scratch::take(words.len() * padded);
        x.fill(0.0);
        for (start, row) in &words.starts {
            let x = &mut x[*start as usize * padded..][..width];
            let tangent = &tangents[(*row as usize * count + direction) * dense..][..dense];
            for (u, weights) in tangent.iter().zip(self.part(2).chunks_exact(width)) {
                x.iter_mut().zip(weights).for_each(|(x, weight)| *x = u.mul_add(*weight, *x));
            }
        }
        x
    }

    /// The tokens at which the rows from `first` on are read, one behind the other.
    fn read(&self, words: &Words, normed: &[f32], first: usize) -> Scratch {
        let wide = row_stride(self.network.shape.width);
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

    /// Answers for the rows from `first` on, whose tokens in slots start at `token`, by `apply`, which is given a linear map, the
    /// padded rows that it reads, how many they are and where to write: to `outputs`, those of all rows.
    fn answer(
        &self,
        words: &Words,
        normed: &[f32],
        [first, token]: [usize; 2],
        outputs: &mut [f32],
        apply: impl Fn(usize, &[f32], usize, &mut [f32]),
    ) {
        let of_places = self.network.alphabet.places * self.network.of_place();
        let whole = self.network.answers.whole;
        let width = row_stride(of_places + whole);
        if whole > 0 {
            let rows = words.reads.len() - first;
            let read = self.read(words, normed, first);
            let mut out = Scratch::take(rows * row_stride(whole));
            apply(self.head(WHOLE), &read, rows, &mut out);
            let to = outputs[first * width..].chunks_exact_mut(width);
            for (to, out) in to.zip(out.chunks_exact(row_stride(whole))) {
                to[of_places..of_places + whole].copy_from_slice(&out[..whole]);
            }
        }
        if of_places > 0 {
            let count = words.len() - token;
            let stride = row_stride(self.network.of_place());
            let mut out = Scratch::take(count * stride);
            let padded = row_stride(self.network.shape.width);
            apply(self.head(PLACE), &normed[token * padded..], count, &mut out);
            self.places(words, first, |at, row, letters, place| {
                let (from, to) = (&out[(at - token) * stride..], &mut outputs[row * width..]);
                let last = letters.len();
                to[letters].copy_from_slice(&from[..last]);
                if let Some(place) = place {
                    to[place] = from[last];
                }
            });
        }
    }

    /// The gradient of the answers: by their maps, and by the normalised tokens.
    fn back_from_answers(
        &self,
        words: &Words,
        normed: &[f32],
        slopes: &[f32],
        gradient: &mut [f32],
    ) -> Scratch {
        let wide = row_stride(self.network.shape.width);
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
            self.blocks.maps.back(self.head(PLACE), normed, &of_places, None, gradient)
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
            let back = self.blocks.maps.back(self.head(WHOLE), &read, &of_words, None, gradient);
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

    /// The gradient by the real inputs, `[rows, dense]`, of rows that share no token, `grad` being that of the embeddings.
    fn back_to_inputs(&self, words: &Words, grad: &[f32], out: &mut [f32]) {
        let (width, dense) = (self.network.shape.width, self.network.dense);
        for (start, row) in &words.starts {
            let grad = &grad[*start as usize * row_stride(width)..][..width];
            let to = &mut out[*row as usize * dense..][..dense];
            for (to, weights) in to.iter_mut().zip(self.part(2).chunks_exact(width)) {
                *to = weights.iter().zip(grad).map(|(weight, g)| weight * g).sum();
            }
        }
    }

    /// Whether rows may share tokens, so that a token's derivative is that of several rows.
    fn shares(&self, tape: &Tape) -> bool {
        self.network.alphabet.order == Order::Causal && !tape.words.apart
    }

    /// The same rows with tokens of their own, evaluated.
    fn apart(&self, tape: &Tape) -> Tape {
        let mut own = tape.inputs_alone();
        own.words.apart = true;
        self.evaluate(&mut own, 0);
        own
    }
}

impl Evaluator for WithWeights<'_> {
    fn evaluate(&self, tape: &mut Tape, first: usize) {
        if tape.rows() == first {
            return;
        }
        let network = self.network;
        let mut words = std::mem::take(&mut tape.words);
        let mut buffers = std::mem::take(&mut tape.buffers);
        buffers.resize_with(self.blocks.buffers(), Vec::new);
        let token = words.len();
        (first..tape.rows()).for_each(|_| words.read(&network.alphabet, tape, network.dense));
        if words.len() > token {
            let groups = words.groups(network.alphabet.order, token);
            self.blocks.pass(&groups, self.embed(tape, &words, token), &mut buffers, token);
        }
        tape.outputs.resize(tape.rows() * row_stride(network.outputs()), 0.0);
        let normed = &buffers[buffers.len() - 2];
        let apply = |map: usize, x: &[f32], count: usize, out: &mut [f32]| {
            self.blocks.maps.apply(map, x, count, None, out);
        };
        self.answer(&words, normed, [first, token], &mut tape.outputs, apply);
        (tape.words, tape.buffers) = (words, buffers);
    }

    fn gradients(
        &self,
        tape: &mut Tape,
        slopes: &[f32],
        gradient: &mut [f32],
        of_inputs: Option<&mut [f32]>,
    ) {
        gradient.fill(0.0);
        if tape.rows() == 0 {
            return;
        }
        if of_inputs.is_some() && self.shares(tape) {
            return self.gradients(&mut self.apart(tape), slopes, gradient, of_inputs);
        }
        let (network, words) = (self.network, &tape.words);
        let normed = &tape.buffers[tape.buffers.len() - 2];
        let grad = self.back_from_answers(words, normed, slopes, gradient);
        let groups = words.groups(network.alphabet.order, 0);
        let x = self.blocks.back(&groups, &tape.buffers, &grad, gradient);
        self.back_to_embeddings(tape, words, &x, gradient);
        if let Some(of_inputs) = of_inputs {
            self.back_to_inputs(words, &x, of_inputs);
        }
    }

    fn push_forward(&self, tape: &mut Tape, count: usize, tangents: &[f32], out: &mut [f32]) {
        if self.shares(tape) {
            return self.push_forward(&mut self.apart(tape), count, tangents, out);
        }
        let words = &tape.words;
        let groups = words.groups(self.network.alphabet.order, 0);
        let width = row_stride(self.network.outputs());
        let mut of_rows = Scratch::take(tape.rows() * width);
        of_rows.fill(0.0);
        for direction in 0..count {
            let x = self.embed_tangent(words, count, direction, tangents);
            let normed = self.blocks.tangent(&groups, &tape.buffers, x);
            let apply = |map: usize, x: &[f32], _: usize, out: &mut [f32]| {
                self.blocks.maps.tangent(map, x, None, None, out);
            };
            self.answer(words, &normed, [0, 0], &mut of_rows, apply);
            for (row, from) in of_rows.chunks_exact(width).enumerate() {
                out[(row * count + direction) * width..][..width].copy_from_slice(from);
            }
        }
    }
}
