//! Networks over the states of trajectories, with a tape of their own.
//!
//! A rollout evaluates a network at every state it visits; the loss needs its derivative at the same states. So the rollout
//! writes what the derivative will need on a [`Tape`], row by row, and nothing is computed twice. Weights are one flat
//! vector; an [`Evaluator`] is a network with weights, packed for its products.
//!
//! A state reaches a network as a few binary features that are on (a first layer *gathers* the rows of its weights that
//! they choose, and multiplies nothing) and some real inputs, such as a condition or a point.

pub(super) mod bridge;
mod coordinates;
mod deep_sets;
mod maps;
mod mlp;
mod table;
#[cfg(test)]
mod tests;
mod transformer;
mod trunks;
mod words;

use std::fmt::Debug;

use crate::array::matmul::row_stride;
use crate::array::weights::Slot;
use crate::rng::Noise;

pub use coordinates::{Body, CoordinateNetwork, Coordinates};
pub use deep_sets::DeepSets;
pub use mlp::Mlp;
pub use table::Tabular;
pub use transformer::{Answers, Shape, Transformer};
pub use trunks::Trunks;
pub use words::{Alphabet, Order};

use words::Words;

/// No row: a state that was not evaluated, or that none came before.
pub const NONE: u32 = u32::MAX;

/// How many binary features and real inputs a state has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inputs {
    /// Binary features.
    pub features: usize,
    /// Real inputs.
    pub dense: usize,
}

/// What a network saw and computed, row by row. Its memory is kept when it is cleared.
#[derive(Debug, Default)]
pub struct Tape {
    /// The features that are on; those of row `r` at `starts[r]..starts[r + 1]`.
    on: Vec<u32>,
    starts: Vec<usize>,
    /// Real inputs, `[rows, dense]`.
    dense: Vec<f32>,
    /// The row of the state before, or [`NONE`].
    parents: Vec<u32>,
    /// What the network keeps for its derivative, `[rows, ...]` each.
    buffers: Vec<Vec<f32>>,
    /// `[rows, row_stride(outputs)]`.
    outputs: Vec<f32>,
    /// The rows as words, where the network reads them so.
    words: Words,
    /// What the parts of a network computed, where it is several side by side.
    parts: Vec<Computed>,
}

impl Tape {
    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.on.clear();
        self.starts.clear();
        self.starts.push(0);
        self.dense.clear();
        self.parents.clear();
        self.forget();
    }

    /// Forgets what was computed, and keeps the rows' inputs: for other weights on the same states.
    pub fn forget(&mut self) {
        self.buffers.iter_mut().for_each(Vec::clear);
        self.outputs.clear();
        self.words.clear();
        self.parts.iter_mut().for_each(Computed::clear);
    }

    /// Takes out what was computed, and keeps the rows' inputs.
    pub fn set_aside(&mut self) -> Computed {
        Computed {
            buffers: std::mem::take(&mut self.buffers),
            outputs: std::mem::take(&mut self.outputs),
            words: std::mem::take(&mut self.words),
            parts: std::mem::take(&mut self.parts),
        }
    }

    /// Puts back what was set aside.
    pub fn restore(&mut self, computed: Computed) {
        self.buffers = computed.buffers;
        self.outputs = computed.outputs;
        self.words = computed.words;
        self.parts = computed.parts;
    }

    /// The same rows, with nothing computed.
    fn inputs_alone(&self) -> Self {
        Self {
            on: self.on.clone(),
            starts: self.starts.clone(),
            dense: self.dense.clone(),
            parents: self.parents.clone(),
            ..Self::default()
        }
    }

    /// Adds a row; `encode` appends its features and its real inputs. Answers its number.
    pub fn push(&mut self, parent: u32, encode: impl FnOnce(&mut Vec<u32>, &mut Vec<f32>)) -> u32 {
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        encode(&mut self.on, &mut self.dense);
        self.starts.push(self.on.len());
        self.parents.push(parent);
        self.parents.len() as u32 - 1
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.parents.len()
    }

    /// The features of row `row` that are on.
    pub fn features(&self, row: usize) -> &[u32] {
        &self.on[self.starts[row]..self.starts[row + 1]]
    }

    /// The real inputs of row `row`, of which there are `dense`.
    pub fn dense(&self, row: usize, dense: usize) -> &[f32] {
        &self.dense[row * dense..][..dense]
    }

    /// The row of the state before, or [`NONE`].
    pub fn parent(&self, row: usize) -> u32 {
        self.parents[row]
    }

    /// What the network answers at row `row`, where it has `outputs` outputs.
    pub fn output(&self, row: usize, outputs: usize) -> &[f32] {
        &self.outputs[row * row_stride(outputs)..][..outputs]
    }

    /// The same, to be changed in place.
    pub fn output_mut(&mut self, row: usize, outputs: usize) -> &mut [f32] {
        &mut self.outputs[row * row_stride(outputs)..][..outputs]
    }

    /// All outputs, `[rows, row_stride(outputs)]`.
    pub fn outputs(&self) -> &[f32] {
        &self.outputs
    }
}

/// What a network computed for the rows of a tape.
#[derive(Debug, Default)]
pub struct Computed {
    buffers: Vec<Vec<f32>>,
    outputs: Vec<f32>,
    words: Words,
    parts: Vec<Computed>,
}

impl Computed {
    fn clear(&mut self) {
        self.buffers.iter_mut().for_each(Vec::clear);
        self.outputs.clear();
        self.words.clear();
        self.parts.iter_mut().for_each(Self::clear);
    }
}

/// The part of a buffer that holds `count` rows from `first` on, made room for.
fn grown(buffer: &mut Vec<f32>, width: usize, first: usize, count: usize) -> &mut [f32] {
    buffer.resize((first + count) * width, 0.0);
    &mut buffer[first * width..]
}

/// A function of states with trainable weights.
pub trait TapedNetwork: Send + Sync + Debug {
    /// What it reads.
    fn inputs(&self) -> Inputs;

    /// How many numbers it answers for a state.
    fn outputs(&self) -> usize;

    /// The named parts of its weights.
    fn layout(&self) -> Vec<Slot>;

    /// Initial weights.
    fn initial(&self, noise: &Noise) -> Vec<f32>;

    /// The network with weights.
    ///
    /// # Panics
    /// If there are not as many as the layout says.
    fn with<'a>(&'a self, weights: &'a [f32]) -> Box<dyn Evaluator + 'a>;

    /// How many weights there are.
    fn parameters(&self) -> usize {
        self.layout().last().map_or(0, |slot| slot.range.end)
    }
}

/// A network with weights.
pub trait Evaluator: Send + Sync {
    /// Evaluates the rows from `first` on.
    fn evaluate(&self, tape: &mut Tape, first: usize);

    /// The gradient of `sum slopes * outputs` over all rows by the weights, written to `gradient`, and, where asked for, by
    /// each row's real inputs, `[rows, dense]`, written to `of_inputs`; `slopes` is `[rows, row_stride(outputs)]`, zero beyond
    /// the outputs. The tape is left as it was.
    fn gradients(&self, tape: &mut Tape, slopes: &[f32], gradient: &mut [f32], of_inputs: Option<&mut [f32]>);

    /// [`Evaluator::gradients`] by the weights alone.
    fn backward(&self, tape: &mut Tape, slopes: &[f32], gradient: &mut [f32]) {
        self.gradients(tape, slopes, gradient, None);
    }

    /// The derivatives of all rows' outputs along `count` directions of each row's real inputs, `[rows * count, dense]`, those
    /// of a row next to each other: written to `out`, `[rows * count, row_stride(outputs)]`. Forward mode; the tape is left
    /// as it was.
    fn push_forward(&self, tape: &mut Tape, count: usize, tangents: &[f32], out: &mut [f32]);
}
