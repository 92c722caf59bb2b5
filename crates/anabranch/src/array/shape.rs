//! Shapes of networks and of element-wise maps: what their kernels and their weights are laid out by.
//!
//! ```text
//! plain     h_0 = [x, c],  h_i = act(h_{i-1} W_i + b_i),  y = h_n W + b
//! residual  h_0 = [x, c] W_0 + b_0,  h_i = h_{i-1} + act(act(h_{i-1}) U_i + a_i) V_i + b_i,  y = h_n W + b
//! affine    y = e^s x + b,  s = cap tanh(raw / cap)
//! spline    rational-quadratic on K bins over [-B, B], identity outside
//! ```
//!
//! He et al. (2016) for the pre-activated residual block; Durkan et al. (2019) for the spline.

use burn::tensor::{Tensor, activation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::weights::{Slot, layout};
use crate::rng::{Noise, Purpose};

/// A network's activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x sigmoid(x)`.
    Silu,
    /// The tanh form of GELU.
    Gelu,
    /// The hyperbolic tangent.
    Tanh,
    /// `x` above 0, `e^x - 1` below.
    Elu,
}

impl Activation {
    pub(crate) fn apply(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Relu => activation::relu(x),
            Self::Silu => activation::silu(x),
            Self::Gelu => {
                let inner = (x.clone() + x.clone().powi_scalar(3) * 0.044_715) * 0.797_884_6;
                x * (inner.tanh() + 1.0) * 0.5
            }
            Self::Tanh => x.tanh(),
            Self::Elu => activation::relu(x.clone()) + (x.clamp_max(0.0).exp() - 1.0),
        }
    }

    /// Its derivative, as operations that can be differentiated again.
    pub(crate) fn slope(self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Relu => x.greater_elem(0.0).float(),
            Self::Silu => {
                let s = activation::sigmoid(x.clone());
                s.clone() * (x * (-s + 1.0) + 1.0)
            }
            Self::Gelu => {
                let t = ((x.clone() + x.clone().powi_scalar(3) * 0.044_715) * 0.797_884_6).tanh();
                let inner = (x.clone().square() * (3.0 * 0.044_715) + 1.0) * 0.797_884_6;
                (t.clone() + 1.0) * 0.5 + x * (-t.square() + 1.0) * inner * 0.5
            }
            Self::Tanh => -x.tanh().square() + 1.0,
            Self::Elu => x.clamp_max(0.0).exp(),
        }
    }
}

/// The shape of a feed-forward network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedforward {
    /// Columns of `x`.
    pub input: usize,
    /// Columns of the context `c`; 0 for none.
    pub context: usize,
    /// Widths of the hidden layers; with `residual`, one block of two layers per entry, all equal.
    pub hidden: Vec<usize>,
    /// Columns of `y`.
    pub output: usize,
    /// The activation.
    pub activation: Activation,
    /// Whether hidden layers are residual blocks.
    pub residual: bool,
}

impl Feedforward {
    /// Inputs and outputs of every linear layer, in order.
    pub(crate) fn linears(&self) -> Vec<(usize, usize)> {
        let entry = self.input + self.context;
        let mut linears = Vec::new();
        if self.residual {
            let width = self.hidden[0];
            linears.push((entry, width));
            linears.extend(std::iter::repeat_n((width, width), 2 * self.hidden.len()));
            linears.push((width, self.output));
        } else {
            let sizes: Vec<usize> =
                [entry].into_iter().chain(self.hidden.iter().copied()).chain([self.output]).collect();
            linears.extend(sizes.windows(2).map(|pair| (pair[0], pair[1])));
        }
        linears
    }

    pub(crate) fn layout(&self) -> Vec<Slot> {
        let names: Vec<[String; 2]> =
            (0..self.linears().len()).map(|i| [format!("{i}.weight"), format!("{i}.bias")]).collect();
        let linears = self.linears();
        let parts = names.iter().zip(&linears).flat_map(|([weight, bias], (input, output))| {
            [(weight.as_str(), vec![*input, *output]), (bias.as_str(), vec![*output])]
        });
        layout(parts)
    }

    /// Uniform on `+-1 / sqrt(inputs)` per layer; the last layer zero where `zero_last`.
    pub(crate) fn initial(&self, seed: u64, stream: u32, zero_last: bool) -> Vec<f32> {
        let linears = self.linears();
        let mut values = Vec::new();
        for (index, (input, output)) in linears.iter().enumerate() {
            let count = (input + 1) * output;
            if zero_last && index + 1 == linears.len() {
                values.resize(values.len() + count, 0.0);
                continue;
            }
            let bound = (*input as f32).sqrt().recip();
            let noise = Noise::new(seed, Purpose::Weights).step(stream << 8 | index as u32);
            values.extend(noise.uniform(1, count).into_iter().map(|u| bound * (2.0 * u - 1.0)));
        }
        values
    }
}

/// An element-wise map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Transform {
    /// `y = e^s x + b`, with `|s| < cap`.
    Affine {
        /// The bound of the log-scale.
        cap: f32,
    },
    /// The monotone rational-quadratic spline.
    Spline {
        /// Bins `K`.
        bins: usize,
        /// The half-width `B`.
        bound: f32,
    },
}

/// The smallest width and height of a bin, as a fraction of the interval, and the smallest slope.
pub(crate) const SMALLEST: f32 = 1e-3;
/// Added to raw slopes, so that zero means a slope of one.
pub(crate) const RAW_SLOPE_ONE: f32 = 0.539_742_4;

impl Transform {
    /// Its settings by their names.
    pub fn described(self) -> Value {
        match self {
            Self::Affine { cap } => json!({ "kind": "affine", "cap": cap }),
            Self::Spline { bins, bound } => json!({
                "kind": "spline", "bins": bins, "bound": bound, "smallest": SMALLEST, "raw_slope_one": RAW_SLOPE_ONE,
            }),
        }
    }

    /// Raw numbers per coordinate.
    pub fn raw_len(self) -> usize {
        match self {
            Self::Affine { .. } => 2,
            Self::Spline { bins, .. } => 3 * bins - 1,
        }
    }
}
