//! Feed-forward networks: plain stacks, residual stacks and masked autoregressive stacks.
//!
//! ```text
//! plain     h_0 = [x, c],  h_i = act(h_{i-1} W_i + b_i),  y = h_n W + b
//! residual  h_0 = [x, c] W_0 + b_0,  h_i = h_{i-1} + act(act(h_{i-1}) U_i + a_i) V_i + b_i,  y = h_n W + b
//! masked    plain, with W_i multiplied by 0/1 masks so that output block i sees inputs before i only (MADE)
//! ```
//!
//! He et al. (2016) for the pre-activated residual block; Germain et al. (2015) for the masks.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use crate::array::autoregressive::{self, PackedStages};
use crate::array::network::{Directions, PackedWeights, push_forward};
use crate::array::shape::{Activation, Feedforward, Transform};
use crate::array::weights::{Weights, matrix, to_vec};

/// A feed-forward network with its weights.
#[derive(Debug, Clone)]
pub struct Network {
    shape: Arc<Feedforward>,
    weights: Weights,
    mask: Option<Arc<[f32]>>,
    packed: PackedWeights,
}

impl Network {
    /// A network with initial weights drawn from `seed` and the network's own `stream`.
    pub fn new(name: impl Into<String>, shape: Feedforward, seed: u64, stream: u32, zero_last: bool) -> Self {
        let weights = Weights::new(name, shape.layout(), shape.initial(seed, stream, zero_last));
        Self { shape: Arc::new(shape), weights, mask: None, packed: PackedWeights::default() }
    }

    /// Columns of `x`.
    pub fn input(&self) -> usize {
        self.shape.input
    }

    /// Columns of `y`.
    pub fn output(&self) -> usize {
        self.shape.output
    }

    /// The shape.
    pub fn shape(&self) -> &Feedforward {
        &self.shape
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        self.packed = PackedWeights::default();
        &mut self.weights
    }

    /// `y` for inputs `x`, `[rows, input]`, and a context `[rows, context]` or `[1, context]` shared by all rows.
    ///
    /// # Panics
    /// If the columns do not fit, or a context is missing.
    pub fn apply(&self, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        // Weights in training are other ones at every step.
        let packed = (!self.weights.is_tracked()).then_some(&self.packed);
        crate::array::network::apply(
            &self.shape,
            self.mask.as_ref(),
            packed,
            x,
            self.weights.tensor(),
            context,
        )
    }

    /// `y` as [`Network::apply`] gives it and its derivative along each of `tangents`, `[rows * count, input]`, the `count`
    /// directions of a row next to each other: `[rows * count, output]`. Forward mode; nothing is recorded for a gradient.
    ///
    /// # Panics
    /// If the columns do not fit, a context is missing, or tangents are not a whole number per row.
    pub fn push_forward(
        &self,
        x: &Tensor<2>,
        context: Option<Tensor<2>>,
        tangents: &Tensor<2>,
    ) -> (Tensor<2>, Tensor<2>) {
        self.derivatives(x, context, &Directions::Given(tangents.clone()))
    }

    /// `y` and the derivatives of each coordinate's own outputs with respect to that coordinate, `dy_{i,k} / dx_i`, both
    /// `[rows, output]` with `output / input` numbers for each coordinate: for the trace of the Jacobian at a fraction of the
    /// cost of all of it.
    ///
    /// # Panics
    /// If the columns do not fit, a context is missing, or outputs are not a whole number per input.
    pub fn own_derivatives(&self, x: &Tensor<2>, context: Option<Tensor<2>>) -> (Tensor<2>, Tensor<2>) {
        self.derivatives(x, context, &Directions::Own)
    }

    fn derivatives(
        &self,
        x: &Tensor<2>,
        context: Option<Tensor<2>>,
        directions: &Directions,
    ) -> (Tensor<2>, Tensor<2>) {
        let packed = (!self.weights.is_tracked()).then_some(&self.packed);
        push_forward(&self.shape, self.mask.as_ref(), packed, x, self.weights.tensor(), context, directions)
    }

    /// [`Network::apply`] composed of burn's own operations: the oracle of the fused kernel.
    pub fn apply_composed(&self, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        let rows = x.dims()[0];
        let entry = match context {
            Some(context) => {
                let columns = context.dims()[1];
                Tensor::cat(vec![x, context.expand([rows, columns])], 1)
            }
            None => x,
        };
        let theta = match &self.mask {
            Some(mask) => {
                let device = self.weights.device();
                self.weights.tensor() * matrix(mask.to_vec(), mask.len(), &device).squeeze_dim::<1>(0)
            }
            None => self.weights.tensor(),
        };
        let linears = self.shape.linears();
        let slots = self.weights.slots();
        let linear = |index: usize, x: Tensor<2>| {
            let (input, output) = linears[index];
            let weight = theta.clone().slice([slots[2 * index].range.clone()]).reshape([input, output]);
            let bias = theta.clone().slice([slots[2 * index + 1].range.clone()]).reshape([1, output]);
            x.matmul(weight) + bias
        };
        let act = |x| self.shape.activation.apply(x);
        let last = linears.len() - 1;
        let mut hidden = linear(0, entry);
        if self.shape.residual {
            for block in 0..self.shape.hidden.len() {
                let inner = linear(1 + 2 * block, act(hidden.clone()));
                hidden = hidden + linear(2 + 2 * block, act(inner));
            }
            return linear(last, hidden);
        }
        for index in 1..=last {
            hidden = linear(index, act(hidden));
        }
        hidden
    }
}

/// A masked network whose output block `i` depends on inputs before `i` only.
#[derive(Debug, Clone)]
pub struct MaskedNetwork {
    network: Network,
    outputs_per_input: usize,
    /// Degrees of inputs, of each hidden layer's units and of outputs.
    degrees: Arc<[Vec<usize>]>,
    stages: PackedStages,
}

impl MaskedNetwork {
    /// A plain stack over `dimension` coordinates with `outputs_per_input` numbers for each.
    pub fn new(
        name: impl Into<String>,
        dimension: usize,
        hidden: &[usize],
        outputs_per_input: usize,
        activation: Activation,
        seed: u64,
        stream: u32,
    ) -> Self {
        let shape = Feedforward {
            input: dimension,
            context: 0,
            hidden: hidden.to_vec(),
            output: dimension * outputs_per_input,
            activation,
            residual: false,
        };
        let degrees = degrees(dimension, hidden, outputs_per_input);
        let mut network = Network::new(name, shape, seed, stream, true);
        network.mask = Some(masks(&degrees).into());
        Self { network, outputs_per_input, degrees: degrees.into(), stages: PackedStages::default() }
    }

    /// Numbers per coordinate.
    pub fn outputs_per_input(&self) -> usize {
        self.outputs_per_input
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

    /// The numbers for every coordinate, `[rows, dimension * outputs_per_input]`.
    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        self.network.apply(x, None)
    }

    /// Finds `u` with `h(u_i; theta_i(u_<i)) = v_i`, and the log-determinant of `v -> u`.
    ///
    /// Untracked weights take the cost of one evaluation; where a gradient is recorded it is [`Self::invert_composed`].
    pub fn invert(&self, transform: &Transform, v: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        if self.weights().is_tracked() || v.is_autodiff() {
            return self.invert_composed(transform, v);
        }
        let ([rows, dimension], device) = (v.dims(), v.device());
        let theta = || self.weights().values();
        let shape = self.network.shape();
        let (u, log_det) =
            autoregressive::invert(shape, &self.degrees, &self.stages, theta, *transform, &to_vec(v));
        let log_det = Tensor::from_data(TensorData::new(log_det, [rows]), &device);
        (matrix(u, dimension, &device), log_det)
    }

    /// [`Self::invert`] by one evaluation of the whole network per coordinate, differentiable: the oracle of the other.
    pub fn invert_composed(&self, transform: &Transform, v: Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let [rows, dimension] = v.dims();
        let raw_len = self.outputs_per_input;
        let mut u = Tensor::zeros([rows, dimension], &v.device());
        let mut log_det = Tensor::zeros([rows], &v.device());
        for i in 0..dimension {
            let raw = self.apply(u.clone()).slice([0..rows, i * raw_len..(i + 1) * raw_len]);
            let (column, ratio) = transform.apply(v.clone().slice([0..rows, i..i + 1]), raw, true);
            u = u.slice_assign([0..rows, i..i + 1], column);
            log_det = log_det + ratio;
        }
        (u, log_det)
    }
}

/// Degrees of a plain stack: inputs `1 ..= D`, hidden units in turn `1 ..= max(D - 1, 1)`, outputs that of their input.
fn degrees(dimension: usize, hidden: &[usize], outputs_per_input: usize) -> Vec<Vec<usize>> {
    let cycle = dimension.saturating_sub(1).max(1);
    let hidden = hidden.iter().map(|width| (0..*width).map(|unit| 1 + unit % cycle).collect());
    let outputs = (0..dimension * outputs_per_input).map(|output| 1 + output / outputs_per_input).collect();
    std::iter::once((1..=dimension).collect()).chain(hidden).chain([outputs]).collect()
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
