//! The networks of chains: a stack or a network over coordinates with its weights, as operations of burn.

use std::sync::Arc;

use burn::tensor::Tensor;
use serde_json::{Value, json};

use super::taped::bridge::{Taped, Tapes};
use super::taped::{CoordinateNetwork, TapedNetwork as _};
use crate::array::bridge::fused;
use crate::array::network::{Directions, PackedWeights, push_forward};
use crate::array::shape::Feedforward;
use crate::array::weights::{Weights, matrix, to_vec};
use crate::rng::{Noise, Purpose};

/// What a network is made of.
#[derive(Debug, Clone)]
pub enum Architecture {
    /// A plain or residual stack.
    Stack(Feedforward),
    /// Tokens of coordinates through a transformer or a deep set.
    Coordinates(CoordinateNetwork),
}

impl From<Feedforward> for Architecture {
    fn from(shape: Feedforward) -> Self {
        Self::Stack(shape)
    }
}

impl From<CoordinateNetwork> for Architecture {
    fn from(network: CoordinateNetwork) -> Self {
        Self::Coordinates(network)
    }
}

#[derive(Debug, Clone)]
enum Function {
    Stack { shape: Arc<Feedforward>, mask: Option<Arc<[f32]>>, packed: PackedWeights },
    Coordinates { network: Arc<CoordinateNetwork>, tapes: Tapes },
}

/// A network with its weights.
#[derive(Debug, Clone)]
pub struct Network {
    function: Function,
    weights: Weights,
}

impl Network {
    /// A network with initial weights drawn from `seed` and the network's own `stream`; the last linear map is zero where
    /// `zero_last`.
    pub fn new(
        name: impl Into<String>,
        architecture: impl Into<Architecture>,
        seed: u64,
        stream: u32,
        zero_last: bool,
    ) -> Self {
        match architecture.into() {
            Architecture::Stack(shape) => {
                let weights = Weights::new(name, shape.layout(), shape.initial(seed, stream, zero_last));
                let shape = Arc::new(shape);
                Self { function: Function::Stack { shape, mask: None, packed: Default::default() }, weights }
            }
            Architecture::Coordinates(network) => {
                let slots = network.layout();
                let mut values = network.initial(&Noise::new(seed, Purpose::Weights).step(stream << 8));
                if let (true, [.., weight, _]) = (zero_last, &slots[..]) {
                    values[weight.range.start..].fill(0.0);
                }
                let function = Function::Coordinates { network: Arc::new(network), tapes: Tapes::default() };
                Self { function, weights: Weights::new(name, slots, values) }
            }
        }
    }

    /// The same stack with its weights multiplied by a mask.
    pub(super) fn masked(mut self, values: Vec<f32>) -> Self {
        if let Function::Stack { mask, .. } = &mut self.function {
            *mask = Some(values.into());
        }
        self
    }

    /// What a reader of its weights must know of a stack: shape and activation, and the name of the weights, whose parts are
    /// `I.weight` and `I.bias` of each linear map.
    pub fn described(&self) -> Option<Value> {
        match &self.function {
            Function::Stack { shape, .. } => Some(json!({
                "weights": self.weights.name(),
                "maps": shape.linears().len(),
                "activation": shape.activation,
                "residual": shape.residual,
                "context": shape.context,
            })),
            Function::Coordinates { .. } => None,
        }
    }

    /// The mask on its weights; empty where it has none.
    pub(super) fn mask(&self) -> &[f32] {
        match &self.function {
            Function::Stack { mask: Some(mask), .. } => mask,
            _ => &[],
        }
    }

    /// Columns of `x`.
    pub fn input(&self) -> usize {
        match &self.function {
            Function::Stack { shape, .. } => shape.input,
            Function::Coordinates { network, .. } => network.coordinates().input,
        }
    }

    /// Columns of the context; 0 for none.
    pub fn context(&self) -> usize {
        match &self.function {
            Function::Stack { shape, .. } => shape.context,
            Function::Coordinates { network, .. } => network.coordinates().context,
        }
    }

    /// Columns of `y`.
    pub fn output(&self) -> usize {
        match &self.function {
            Function::Stack { shape, .. } => shape.output,
            Function::Coordinates { network, .. } => network.outputs(),
        }
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> &mut Weights {
        if let Function::Stack { packed, .. } = &mut self.function {
            *packed = PackedWeights::default();
        }
        &mut self.weights
    }

    /// `y` for inputs `x`, `[rows, input]`, and a context `[rows, context]` or `[1, context]` shared by all rows.
    ///
    /// # Panics
    /// If the columns do not fit, or a context is missing.
    pub fn apply(&self, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        match &self.function {
            Function::Stack { shape, mask, packed } => {
                // Weights in training are other ones at every step.
                let packed = (!self.weights.is_tracked()).then_some(packed);
                let theta = self.weights.tensor();
                crate::array::network::apply(shape, mask.as_ref(), packed, x, theta, context)
            }
            Function::Coordinates { network, tapes } => {
                self.assert_columns(&x, context.as_ref());
                fused(Arc::new(self.taped(network, tapes)), x, self.weights.tensor(), context)
            }
        }
    }

    fn taped(&self, network: &Arc<CoordinateNetwork>, tapes: &Tapes) -> Taped {
        Taped { network: network.clone(), context: self.context(), tapes: tapes.clone() }
    }

    fn assert_columns(&self, x: &Tensor<2>, context: Option<&Tensor<2>>) {
        assert_eq!(x.dims()[1], self.input(), "columns of the input");
        assert_eq!(context.map_or(0, |c| c.dims()[1]), self.context(), "columns of the context");
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
    /// `[rows, output]` with `output / input` numbers for each coordinate: for the trace of the Jacobian, of a stack at a
    /// fraction of the cost of all of it.
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
        let theta = self.weights.tensor();
        match &self.function {
            Function::Stack { shape, mask, packed } => {
                let packed = (!self.weights.is_tracked()).then_some(packed);
                push_forward(shape, mask.as_ref(), packed, x, theta, context, directions)
            }
            Function::Coordinates { network, tapes } => {
                self.assert_columns(x, context.as_ref());
                let (rows, device) = (x.dims()[0], x.device());
                let taped = self.taped(network, tapes);
                let context = context.map_or_else(Vec::new, to_vec);
                let (x, theta) = (to_vec(x.clone()), to_vec(theta));
                let inputs = [&x[..], &theta[..], &context[..]];
                let (y, derivatives) = match directions {
                    Directions::Given(tangents) => {
                        let [all, columns] = tangents.dims();
                        assert_eq!(columns, self.input(), "columns of the directions");
                        assert!(all.is_multiple_of(rows), "{all} directions for {rows} rows");
                        taped.push_forward(inputs, all / rows, &to_vec(tangents.clone()))
                    }
                    Directions::Own => {
                        let whole = self.output().is_multiple_of(self.input());
                        assert!(whole, "as many outputs for each coordinate");
                        taped.own_derivatives(inputs)
                    }
                };
                let columns = self.output();
                (matrix(y, columns, &device), matrix(derivatives, columns, &device))
            }
        }
    }

    /// Whether [`Network::pulled_back`] answers: of a plain stack.
    pub fn pulls_back(&self) -> bool {
        matches!(&self.function, Function::Stack { shape, mask: None, .. } if !shape.residual)
    }

    /// `y` as [`Network::apply`] gives it, and the derivative by `x`, `[rows, input]`, of any function of it whose derivative by `y` is
    /// `slope(y)`; both can be differentiated again.
    ///
    /// # Panics
    /// If this is no plain stack ([`Network::pulls_back`]), or the columns do not fit.
    pub fn pulled_back(
        &self,
        x: Tensor<2>,
        context: Option<Tensor<2>>,
        slope: impl FnOnce(&Tensor<2>) -> Tensor<2>,
    ) -> (Tensor<2>, Tensor<2>) {
        self.assert_columns(&x, context.as_ref());
        match &self.function {
            Function::Stack { shape, mask: None, .. } => {
                shape.pulled_back(&self.weights.tensor(), x, context, slope)
            }
            _ => panic!("only plain stacks are differentiated backward by hand"),
        }
    }

    /// [`Network::apply`] composed of burn's own operations: the oracle of the fused pass.
    pub fn apply_composed(&self, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        let theta = self.weights.tensor();
        match &self.function {
            Function::Stack { shape, mask, .. } => {
                let theta = match mask {
                    Some(mask) => {
                        let device = self.weights.device();
                        theta * matrix(mask.to_vec(), mask.len(), &device).squeeze_dim::<1>(0)
                    }
                    None => theta,
                };
                shape.composed(&theta, x, context)
            }
            Function::Coordinates { network, .. } => network.composed(&theta, x, context),
        }
    }
}
