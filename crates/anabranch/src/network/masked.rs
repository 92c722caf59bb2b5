//! Masked autoregressive stacks.
//!
//! ```text
//! h_i = act(h_{i-1} (W_i m_i) + b_i)      masks m of 0 and 1, so that output block i sees input blocks before i only (MADE)
//! ```
//!
//! A block of inputs is one number, or the indicators of one category. A context, of degree 0, is seen by all.
//!
//! Germain et al. (2015) for the masks.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use serde_json::Value;

use super::module::Network;
use crate::array::autoregressive::{self, Masked, PackedStages};
use crate::array::shape::{Activation, Feedforward, Transform};
use crate::array::weights::{Weights, matrix, to_vec};

/// A masked network whose output block `i` depends on input blocks before `i` only, and on a context.
#[derive(Debug, Clone)]
pub struct MaskedNetwork {
    network: Network,
    shape: Feedforward,
    width: usize,
    answers: usize,
    /// Degrees of inputs, of each hidden layer's units and of outputs.
    degrees: Arc<[Vec<usize>]>,
    stages: PackedStages,
}

impl MaskedNetwork {
    /// A plain stack over `blocks` blocks of `width` inputs and a context, with `answers` numbers for each block.
    pub fn new(
        name: impl Into<String>,
        [blocks, width, context]: [usize; 3],
        hidden: &[usize],
        answers: usize,
        activation: Activation,
        seed: u64,
        stream: u32,
    ) -> Self {
        let shape = Feedforward {
            input: blocks * width,
            context,
            hidden: hidden.to_vec(),
            output: blocks * answers,
            activation,
            residual: false,
        };
        let degrees = degrees([blocks, width, context], hidden, answers);
        let network = Network::new(name, shape.clone(), seed, stream, true).masked(masks(&degrees));
        Self { network, shape, width, answers, degrees: degrees.into(), stages: PackedStages::default() }
    }

    /// [`Network::described`], and the mask of the weights, laid out as they are.
    pub fn described(&self) -> Option<(Value, Vec<f32>)> {
        Some((self.network.described()?, self.network.mask().to_vec()))
    }

    /// Numbers that are answered for a block.
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// Blocks of inputs.
    pub fn blocks(&self) -> usize {
        self.shape.input / self.width
    }

    /// Numbers of the context.
    pub fn context(&self) -> usize {
        self.shape.context
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        self.network.weights()
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        self.stages = PackedStages::default();
        self.network.weights_mut()
    }

    /// The numbers for every block, `[rows, blocks * answers]`; the context is `[rows, context]` or `[1, context]`.
    pub fn apply(&self, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        self.network.apply(x, context)
    }

    /// Draws the categories of the blocks `asked` of every row, `[rows, blocks]`, at the cost of one evaluation: see
    /// [`autoregressive::draw`]. A block's inputs are `sqrt(width)` where they are its category's, and 0 elsewhere.
    pub fn draw(
        &self,
        rows: &mut [u16],
        asked: Range<usize>,
        context: Option<Tensor<2>>,
        choose: &(dyn Fn(usize, usize, &[f32]) -> u16 + Sync),
    ) {
        let context = context.map_or_else(Vec::new, to_vec);
        let asked = (rows, asked, (self.width as f32).sqrt());
        autoregressive::draw(&self.sequential(), || self.weights().values(), &context, asked, choose);
    }

    fn sequential(&self) -> Masked<'_> {
        let (degrees, packed) = (&self.degrees[..], &self.stages);
        Masked { shape: &self.shape, degrees, packed, width: self.width, answers: self.answers }
    }

    /// Of blocks of one input: finds `u` with `h(u_i; theta_i(u_<i)) = v_i`, and the log-determinant of `v -> u`.
    ///
    /// Untracked weights take the cost of one evaluation; where a gradient is recorded it is [`Self::invert_composed`].
    pub fn invert(
        &self,
        transform: &Transform,
        v: Tensor<2>,
        context: Option<Tensor<2>>,
    ) -> (Tensor<2>, Tensor<1>) {
        if self.weights().is_tracked() || v.is_autodiff() {
            return self.invert_composed(transform, v, context);
        }
        let ([rows, dimension], device) = (v.dims(), v.device());
        let theta = || self.weights().values();
        let context = context.map_or_else(Vec::new, to_vec);
        let inputs = [&to_vec(v)[..], &context];
        let (u, log_det) = autoregressive::invert(&self.sequential(), theta, *transform, inputs);
        let log_det = Tensor::from_data(TensorData::new(log_det, [rows]), &device);
        (matrix(u, dimension, &device), log_det)
    }

    /// [`Self::invert`] by one evaluation of the whole network per coordinate, differentiable: the oracle of the other.
    pub fn invert_composed(
        &self,
        transform: &Transform,
        v: Tensor<2>,
        context: Option<Tensor<2>>,
    ) -> (Tensor<2>, Tensor<1>) {
        let [rows, dimension] = v.dims();
        let raw_len = self.answers;
        let mut u = Tensor::zeros([rows, dimension], &v.device());
        let mut log_det = Tensor::zeros([rows], &v.device());
        for i in 0..dimension {
            let raw = self.apply(u.clone(), context.clone());
            let raw = raw.slice([0..rows, i * raw_len..(i + 1) * raw_len]);
            let (column, ratio) = transform.apply(v.clone().slice([0..rows, i..i + 1]), raw, true);
            u = u.slice_assign([0..rows, i..i + 1], column);
            log_det = log_det + ratio;
        }
        (u, log_det)
    }
}

/// Degrees of a plain stack: inputs of block `b` `b` from 1 on, context 0, hidden units in turn `1 ..= max(B - 1, 1)`, outputs that of their
/// block.
fn degrees([blocks, width, context]: [usize; 3], hidden: &[usize], answers: usize) -> Vec<Vec<usize>> {
    let cycle = blocks.saturating_sub(1).max(1);
    let hidden = hidden.iter().map(|width| (0..*width).map(|unit| 1 + unit % cycle).collect());
    let outputs = (0..blocks * answers).map(|output| 1 + output / answers).collect();
    let inputs = (0..blocks * width).map(|input| 1 + input / width);
    let inputs = inputs.chain(std::iter::repeat_n(0, context)).collect();
    std::iter::once(inputs).chain(hidden).chain([outputs]).collect()
}

/// 0/1 masks of a plain stack, laid out as its weights (biases are never masked): an edge into a hidden unit needs
/// `degree(to) >= degree(from)`, an edge into an output `degree(to) > degree(from)`.
fn masks(degrees: &[Vec<usize>]) -> Vec<f32> {
    let mut mask = Vec::new();
    for (layer, pair) in degrees.windows(2).enumerate() {
        let (from, to) = (&pair[0], &pair[1]);
        let last = layer + 2 == degrees.len();
        let allowed = |from: usize, to: usize| if last { to > from } else { to >= from };
        mask.extend(from.iter().flat_map(|f| to.iter().map(move |t| f32::from(u8::from(allowed(*f, *t))))));
        mask.resize(mask.len() + to.len(), 1.0);
    }
    mask
}
