//! Networks over real coordinates: a vector is a collection of tokens, each some neighbouring coordinates.
//!
//! ```text
//! a_i = v_i V + e_i + c C           token i with values v_i, place e_i and context c
//! a_q = e_q + c C                   a token for coordinates that are asked about and not read
//! y   = body(a) at the tokens that answer
//! ```
//!
//! The body is a transformer, or a deep set (see [`Body`]). What answers is either the tokens that are read, as in a denoiser,
//! or tokens of their own, as where one part of the coordinates steers another. Without places (`positions = false`) tokens
//! are told apart by their values alone: the network is permutation-equivariant over the tokens that answer for themselves
//! and invariant in all others, which is what exchangeable particles want and what pixels do not.
//!
//! Vaswani et al., "Attention is all you need" (2017); Zaheer et al., "Deep Sets" (2017), section 3.2.

mod body;
mod composed;
mod embedding;
mod sets;

use super::transformer::Shape;
use super::{Evaluator, Inputs, Tape, TapedNetwork};
use crate::array::matmul::row_stride;
use crate::array::scratch::Scratch;
use crate::array::weights::{Slot, layout};
use crate::network::Activation;
use crate::rng::Noise;

use body::{Attention, Tokens};
use embedding::{Embedding, Gradients};
use sets::Sets;

/// Which coordinates a network reads and answers for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinates {
    /// Coordinates that are read.
    pub input: usize,
    /// Columns of the context that is added to every token; 0 for none.
    pub context: usize,
    /// Coordinates that are answered for.
    pub output: usize,
    /// Numbers for each of them.
    pub each: usize,
    /// Whether those are the coordinates that are read.
    pub own: bool,
    /// Whether outputs are laid out `[each, output]` rather than `[output, each]`.
    pub planar: bool,
    /// Neighbouring coordinates in a token; it divides both numbers of coordinates.
    pub patch: usize,
    /// Whether a token knows its place.
    pub positions: bool,
}

impl Coordinates {
    /// Tokens that have values.
    fn read(&self) -> usize {
        self.input / self.patch
    }

    /// Tokens that answer.
    fn answering(&self) -> usize {
        self.output / self.patch
    }

    /// Tokens before the first that answers.
    fn first_answering(&self) -> usize {
        if self.own { 0 } else { self.read() }
    }

    /// All tokens of a row.
    fn tokens(&self) -> usize {
        self.first_answering() + self.answering()
    }

    /// Numbers that a token answers.
    fn of_token(&self) -> usize {
        self.patch * self.each
    }

    /// The row of the embedding of places that is token `token`'s.
    fn place(&self, token: usize) -> usize {
        if self.positions { token } else { usize::from(token >= self.read()) }
    }

    fn places(&self) -> usize {
        if self.positions { self.tokens() } else { 1 + usize::from(!self.own) }
    }

    /// The output that is number `index` of answering token `token`.
    fn column(&self, token: usize, index: usize) -> usize {
        let (coordinate, number) = (token * self.patch + index / self.each, index % self.each);
        if self.planar { number * self.output + coordinate } else { coordinate * self.each + number }
    }

    /// Calls `each` with the rows of a buffer of outputs, those of the answering tokens that belong to them, and a token's
    /// places among a row's outputs.
    fn paired(&self, outputs: usize, answers: usize, mut each: impl FnMut(usize, usize)) {
        let (width, stride) = (row_stride(self.output * self.each), row_stride(self.of_token()));
        for row in 0..outputs / width {
            for token in 0..self.answering() {
                for index in 0..self.of_token() {
                    let answer = (row * self.answering() + token) * stride + index;
                    each(row * width + self.column(token, index), answer);
                }
            }
        }
        debug_assert_eq!(outputs / width * self.answering() * stride, answers, "all answers of all rows");
    }
}

/// What tokens go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Blocks of attention and perceptron (see [`super::Transformer`]), every token seeing all: `y = norm(x) W + b`.
    Transformer(Shape),
    /// `p_i = act(a_i)`, and `y_i = rho([p_i, mean of p over the tokens that are read])` with a perceptron `rho`.
    Sets {
        /// Numbers of a token.
        width: usize,
        /// Widths of the hidden layers of `rho`.
        hidden: Vec<usize>,
        /// The activation of both.
        activation: Activation,
    },
}

impl Body {
    /// Numbers of a token.
    fn width(&self) -> usize {
        match self {
            Self::Transformer(shape) => shape.width,
            Self::Sets { width, .. } => *width,
        }
    }

    /// Names, inputs and outputs of the linear maps, the last of which answers `outputs` numbers.
    fn maps(&self, outputs: usize) -> Vec<(String, usize, usize)> {
        match self {
            Self::Transformer(shape) => {
                let last = ("answers".to_owned(), shape.width, outputs);
                shape.maps().into_iter().chain([last]).collect()
            }
            Self::Sets { width, hidden, .. } => {
                let sizes = [2 * width].into_iter().chain(hidden.iter().copied()).chain([outputs]);
                let sizes: Vec<usize> = sizes.collect();
                let pairs = sizes.windows(2).enumerate();
                pairs.map(|(index, pair)| (index.to_string(), pair[0], pair[1])).collect()
            }
        }
    }
}

/// A network over real coordinates.
#[derive(Debug, Clone)]
pub struct CoordinateNetwork {
    coordinates: Coordinates,
    body: Body,
    /// All parts of the weights, those without a number too.
    parts: Vec<Slot>,
}

/// The parts before the linear maps: values, places, context.
const EMBEDDINGS: usize = 3;

impl CoordinateNetwork {
    /// A network of coordinates that a body answers for.
    ///
    /// # Panics
    /// If the patch does not divide both numbers of coordinates, those that answer for themselves are not those that are read,
    /// or a transformer's heads do not divide its width.
    pub fn new(coordinates: Coordinates, body: Body) -> Self {
        let Coordinates { input, output, patch, own, .. } = coordinates;
        assert!(input.is_multiple_of(patch) && output.is_multiple_of(patch), "whole patches");
        assert!(!own || input == output, "coordinates that answer for themselves");
        if let Body::Transformer(shape) = &body {
            assert!(shape.width.is_multiple_of(shape.heads), "heads divide the width");
        }
        let width = body.width();
        let mut parts = vec![
            ("values".to_owned(), vec![patch, width]),
            ("positions".to_owned(), vec![coordinates.places(), width]),
            ("context".to_owned(), vec![coordinates.context, width]),
        ];
        for (name, rows, columns) in body.maps(coordinates.of_token()) {
            parts.push((format!("{name}.weight"), vec![rows, columns]));
            parts.push((format!("{name}.bias"), vec![columns]));
        }
        let parts = layout(parts.iter().map(|(name, shape)| (name.as_str(), shape.clone())));
        Self { coordinates, body, parts }
    }

    /// What it reads and answers for.
    pub fn coordinates(&self) -> &Coordinates {
        &self.coordinates
    }
}

impl TapedNetwork for CoordinateNetwork {
    /// The coordinates, then the context.
    fn inputs(&self) -> Inputs {
        Inputs { features: 0, dense: self.coordinates.input + self.coordinates.context }
    }

    fn outputs(&self) -> usize {
        self.coordinates.output * self.coordinates.each
    }

    fn layout(&self) -> Vec<Slot> {
        self.parts.iter().filter(|part| !part.range.is_empty()).cloned().collect()
    }

    /// Embeddings normal with variance `1 / inputs` (places: 1), linear maps uniform within `1 / sqrt(inputs of the map)`,
    /// biases too.
    fn initial(&self, noise: &Noise) -> Vec<f32> {
        let mut weights = Vec::with_capacity(self.parameters());
        let mut inputs = 0;
        for (index, part) in self.parts.iter().enumerate().filter(|(_, part)| !part.range.is_empty()) {
            let noise = noise.from_trajectory((index as u64) << 32);
            if let [rows, _] = part.shape[..] {
                inputs = rows;
            }
            let (rows, columns) =
                (part.range.len() / part.shape[part.shape.len() - 1], part.shape[part.shape.len() - 1]);
            let bound = if part.name == "positions" { 1.0 } else { (inputs as f32).sqrt().recip() };
            if index < EMBEDDINGS {
                weights.extend(noise.normal(rows, columns).into_iter().map(|e| bound * e));
            } else {
                weights.extend(noise.uniform(rows, columns).into_iter().map(|u| bound * (2.0 * u - 1.0)));
            }
        }
        weights
    }

    fn with<'a>(&'a self, weights: &'a [f32]) -> Box<dyn Evaluator + 'a> {
        assert_eq!(weights.len(), self.parameters(), "the weights of the network");
        let maps = super::maps::Maps::new(&self.parts[EMBEDDINGS..], weights);
        let coordinates = self.coordinates;
        let body: Box<dyn Tokens + 'a> = match &self.body {
            Body::Transformer(shape) => Box::new(Attention::new(coordinates, *shape, maps)),
            Body::Sets { width, activation, .. } => {
                Box::new(Sets { coordinates, width: *width, activation: *activation, maps })
            }
        };
        let [values, places, contexts] = [0, 1, 2].map(|part| &weights[self.parts[part].range.clone()]);
        let width = self.body.width();
        let embedding = Embedding { coordinates, width, values, places, contexts };
        Box::new(WithWeights { network: self, embedding, body })
    }
}

struct WithWeights<'a> {
    network: &'a CoordinateNetwork,
    embedding: Embedding<'a>,
    body: Box<dyn Tokens + 'a>,
}

impl Evaluator for WithWeights<'_> {
    fn evaluate(&self, tape: &mut Tape, first: usize) {
        if tape.rows() == first {
            return;
        }
        let dense = self.network.inputs().dense;
        let mut buffers = std::mem::take(&mut tape.buffers);
        buffers.resize_with(self.body.buffers(), Vec::new);
        let x = self.embedding.apply((first..tape.rows()).map(|row| tape.dense(row, dense)), true);
        let answers = self.body.pass(x, first, &mut buffers);
        let width = row_stride(self.network.outputs());
        tape.outputs.resize(tape.rows() * width, 0.0);
        let to = &mut tape.outputs[first * width..];
        self.network.coordinates.paired(to.len(), answers.len(), |at, answer| to[at] = answers[answer]);
        tape.buffers = buffers;
    }

    fn gradients(
        &self,
        tape: &mut Tape,
        slopes: &[f32],
        gradient: &mut [f32],
        of_inputs: Option<&mut [f32]>,
    ) {
        if tape.rows() == 0 {
            return gradient.fill(0.0);
        }
        let coordinates = self.network.coordinates;
        let answers = tape.rows() * coordinates.answering() * row_stride(coordinates.of_token());
        let mut grad = Scratch::take(answers);
        grad.fill(0.0);
        coordinates.paired(slopes.len(), answers, |at, answer| grad[answer] = slopes[at]);
        let grad = self.body.back(&tape.buffers, &grad, gradient);
        let parts = &self.network.parts;
        let embeddings = &mut gradient[..parts[EMBEDDINGS].range.start];
        embeddings.fill(0.0);
        let (values, rest) = embeddings.split_at_mut(parts[0].range.len());
        let (places, contexts) = rest.split_at_mut(parts[1].range.len());
        let rows = (0..tape.rows()).map(|row| tape.dense(row, self.network.inputs().dense));
        self.embedding.back(rows, &grad, Gradients { values, places, contexts }, of_inputs);
    }

    fn push_forward(&self, tape: &mut Tape, count: usize, tangents: &[f32], out: &mut [f32]) {
        let dense = self.network.inputs().dense;
        let width = row_stride(self.network.outputs());
        out.fill(0.0);
        for direction in 0..count {
            let along = |row: usize| &tangents[(row * count + direction) * dense..][..dense];
            let x = self.embedding.apply((0..tape.rows()).map(along), false);
            let answers = self.body.tangent(&tape.buffers, x);
            let each = |at: usize, answer: usize| {
                out[(at / width * count + direction) * width + at % width] = answers[answer];
            };
            self.network.coordinates.paired(tape.rows() * width, answers.len(), each);
        }
    }
}
