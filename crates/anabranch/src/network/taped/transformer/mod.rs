//! The transformer over words.
//!
//! ```text
//! x = token embedding + position embedding (+ W u at the start, with the real inputs u)
//! x = x + attention(norm(x)) W_o,      x = x + act(norm(x) W_1) W_2         for each layer
//! answers of the whole word:  norm(x) W at the token where it is read
//! answers of a place:         norm(x) W at its token, the same W for all places
//! ```
//!
//! Norms come first in each block. Where words grow at the end alone, attention is causal ([`Order::Causal`]): a state adds
//! one token to those of the state before, whose keys and values are on the tape, and states that start alike share their
//! tokens, whichever trajectories they are on.
//!
//! Vaswani et al., "Attention is all you need" (2017); Xiong et al., "On layer normalization in the transformer
//! architecture" (2020).

mod attention;
pub(super) mod blocks;
mod norm;
mod pass;

use crate::array::weights::{Slot, layout};
use crate::network::Activation;
use crate::network::taped::words::{Alphabet, Order};
use crate::network::taped::{Evaluator, Inputs, TapedNetwork};
use crate::rng::Noise;

/// The size of a transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Blocks of attention and perceptron.
    pub layers: usize,
    /// Heads of each attention; they divide the width.
    pub heads: usize,
    /// Numbers of a token.
    pub width: usize,
    /// Width of the hidden layer of each block's perceptron.
    pub inner: usize,
    /// Its activation.
    pub activation: Activation,
}

impl Shape {
    /// Names, inputs and outputs of the blocks' linear maps, in order.
    pub(super) fn maps(&self) -> Vec<(String, usize, usize)> {
        let Self { layers, width, inner, .. } = *self;
        let of_layer = |layer: usize| {
            let name = |map: &str| format!("{layer}.{map}");
            [
                (name("attention"), width, 3 * width),
                (name("mix"), width, width),
                (name("widen"), width, inner),
                (name("narrow"), inner, width),
            ]
        };
        (0..layers).flat_map(of_layer).collect()
    }
}

/// What a transformer answers, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    /// Whether there is a number for every place and letter, number `place * letters + letter`; only in slots.
    pub letters: bool,
    /// Whether there is then a number for every place; only in slots.
    pub places: bool,
    /// Numbers of the whole word.
    pub whole: usize,
}

/// A transformer over words.
#[derive(Debug, Clone)]
pub struct Transformer {
    alphabet: Alphabet,
    /// Real inputs.
    dense: usize,
    shape: Shape,
    answers: Answers,
    /// All parts of the weights, those without a number too.
    parts: Vec<Slot>,
}

/// The parts before the linear maps: token embedding, position embedding, map of the real inputs.
const EMBEDDINGS: usize = 3;

impl Transformer {
    /// A transformer that reads `dense` real inputs besides a word.
    ///
    /// # Panics
    /// If the heads do not divide the width, or places are asked about that have no tokens.
    pub fn new(alphabet: Alphabet, dense: usize, shape: Shape, answers: Answers) -> Self {
        assert!(shape.width.is_multiple_of(shape.heads), "heads divide the width");
        let slots = alphabet.order == Order::Slots;
        assert!(slots || !(answers.letters || answers.places), "every place has a token");
        let mut this = Self { alphabet, dense, shape, answers, parts: Vec::new() };
        this.parts = this.all_parts();
        this
    }

    /// Numbers that a place answers.
    fn of_place(&self) -> usize {
        let letters = if self.answers.letters { self.alphabet.letters } else { 0 };
        letters + usize::from(self.answers.places)
    }

    fn all_parts(&self) -> Vec<Slot> {
        let width = self.shape.width;
        let mut parts = vec![
            ("tokens".to_owned(), vec![self.alphabet.symbols(), width]),
            ("positions".to_owned(), vec![self.alphabet.places + 1, width]),
            ("inputs".to_owned(), vec![self.dense, width]),
        ];
        let answers =
            [("place".to_owned(), width, self.of_place()), ("whole".to_owned(), width, self.answers.whole)];
        for (name, rows, columns) in self.shape.maps().into_iter().chain(answers) {
            parts.push((format!("{name}.weight"), vec![rows, columns]));
            parts.push((format!("{name}.bias"), vec![columns]));
        }
        layout(parts.iter().map(|(name, shape)| (name.as_str(), shape.clone())))
    }
}

impl TapedNetwork for Transformer {
    fn inputs(&self) -> Inputs {
        Inputs { features: self.alphabet.places * self.alphabet.letters, dense: self.dense }
    }

    fn outputs(&self) -> usize {
        self.alphabet.places * self.of_place() + self.answers.whole
    }

    fn layout(&self) -> Vec<Slot> {
        self.parts.iter().filter(|part| !part.range.is_empty()).cloned().collect()
    }

    /// Embeddings normal, linear maps uniform within `1 / sqrt(inputs of the map)`, biases too.
    fn initial(&self, noise: &Noise) -> Vec<f32> {
        let mut weights = Vec::with_capacity(self.parameters());
        let mut inputs = 0;
        for (index, part) in self.parts.iter().enumerate() {
            let noise = noise.from_trajectory((index as u64) << 32);
            let (rows, columns) = match part.shape[..] {
                [rows, columns] => (rows, columns),
                _ => (1, part.range.len()),
            };
            if part.range.is_empty() {
                continue;
            }
            if index < EMBEDDINGS {
                weights.extend(noise.normal(rows, columns));
                continue;
            }
            if part.shape.len() == 2 {
                inputs = rows;
            }
            let bound = 1.0 / (inputs as f32).sqrt();
            weights.extend(noise.uniform(rows, columns).into_iter().map(|u| bound * (2.0 * u - 1.0)));
        }
        weights
    }

    fn with<'a>(&'a self, weights: &'a [f32]) -> Box<dyn Evaluator + 'a> {
        assert_eq!(weights.len(), self.parameters(), "the weights of the transformer");
        Box::new(pass::WithWeights::new(self, weights))
    }
}
