//! Hollow stacks: what they answer for a block of inputs does not depend on that block.
//!
//! ```text
//! prefix units  of degree g see blocks before g          h = act(h (W m) + b), masks m of 0 and 1
//! suffix units  of degree g see blocks from g on
//! features      f_d = those of degree <= d of the first kind and > d of the second
//! y_d           = rho(f_d), one stack for all blocks
//! ```
//!
//! Both kinds stand in one masked stack, half of each layer's units each; what is before a block meets what is behind it in `rho`
//! alone. A context is seen by all. All answers come of one pass; the masks are MADE's (Germain et al. 2015), once in either direction.
//! The hollow transformer (Sun et al. 2023, section 5.2) has a causal stream in either direction, which meet in `rho`.

use burn::tensor::Tensor;

use super::causal::CausalTransformer;
use super::module::Network;
use super::taped::Shape;
use crate::array::shape::{Activation, Feedforward};
use crate::array::weights::Weights;

/// A network over blocks of inputs, as many outputs as inputs.
#[derive(Debug, Clone)]
pub struct HollowNetwork {
    features: Network,
    readout: Network,
    blocks: usize,
}

/// Features of a block.
const FEATURES: usize = 32;
/// Width of the hidden layer behind them.
const READOUT: usize = 64;

/// Which blocks a unit sees.
#[derive(Debug, Clone, Copy)]
enum Sees {
    /// This one.
    Block(usize),
    /// None: of the context.
    Nothing,
    /// Those before.
    Before(usize),
    /// That one and those behind.
    From(usize),
    /// All but this one.
    Without(usize),
}

impl Sees {
    /// Whether a unit that sees `self` may read one that sees `other`.
    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Nothing) => true,
            (Self::Before(g), Self::Block(block)) => block < g,
            (Self::From(g), Self::Block(block)) => block >= g,
            (Self::Before(g), Self::Before(other)) => other <= g,
            (Self::From(g), Self::From(other)) => other >= g,
            (Self::Without(d), Self::Before(g)) => g <= d,
            (Self::Without(d), Self::From(g)) => g > d,
            _ => false,
        }
    }
}

/// What the units of each layer see.
fn layers([blocks, width, context]: [usize; 3], hidden: &[usize]) -> Vec<Vec<Sees>> {
    let inputs = (0..blocks * width).map(|input| Sees::Block(input / width));
    let degrees = blocks.saturating_sub(1).max(1);
    let unit = |unit: usize| {
        let degree = 1 + unit / 2 % degrees;
        if unit.is_multiple_of(2) { Sees::Before(degree) } else { Sees::From(degree) }
    };
    let features = (0..blocks * FEATURES).map(|feature| Sees::Without(feature / FEATURES));
    let first = inputs.chain(std::iter::repeat_n(Sees::Nothing, context)).collect();
    let hidden = hidden.iter().map(|width| (0..*width).map(unit).collect());
    std::iter::once(first).chain(hidden).chain([features.collect()]).collect()
}

/// 0/1 masks laid out as the weights of a plain stack, whose biases are never masked.
fn masks(layers: &[Vec<Sees>]) -> Vec<f32> {
    let mut mask = Vec::new();
    for pair in layers.windows(2) {
        let (from, to) = (&pair[0], &pair[1]);
        mask.extend(from.iter().flat_map(|f| to.iter().map(|t| f32::from(u8::from(t.covers(*f))))));
        mask.resize(mask.len() + to.len(), 1.0);
    }
    mask
}

impl HollowNetwork {
    /// A network over `blocks` blocks of `width` inputs and a context, with hidden layers of these widths, from `seed` and the streams
    /// `stream` and `stream + 1`; it answers 0 at first.
    pub fn new(
        name: &str,
        [blocks, width, context]: [usize; 3],
        hidden: &[usize],
        activation: Activation,
        seed: u64,
        stream: u32,
    ) -> Self {
        let shape = Feedforward {
            input: blocks * width,
            context,
            hidden: hidden.to_vec(),
            output: blocks * FEATURES,
            activation,
            residual: false,
        };
        let mask = masks(&layers([blocks, width, context], hidden));
        let features = Network::new(name.to_owned(), shape, seed, stream, false).masked(mask);
        let shape = Feedforward {
            input: FEATURES,
            context: 0,
            hidden: vec![READOUT],
            output: width,
            activation,
            residual: false,
        };
        let readout = Network::new(format!("{name}.readout"), shape, seed, stream + 1, true);
        Self { features, readout, blocks }
    }

    /// Weights, and numbers that a row leaves on the tape, of [`HollowNetwork::new`], in f64.
    pub(crate) fn need([blocks, width, context]: [f64; 3], hidden: &[usize]) -> [f64; 2] {
        let features =
            super::recipe::stack(blocks * width + context, hidden, blocks * FEATURES as f64, false);
        let readout = super::recipe::stack(FEATURES as f64, &[READOUT], width, false);
        [features.weights + readout.weights, features.row + blocks * readout.row]
    }

    /// Columns of `x`.
    pub fn input(&self) -> usize {
        self.features.input()
    }

    /// Columns of the context.
    pub fn context(&self) -> usize {
        self.features.context()
    }

    /// `y`, `[rows, input]`, for inputs of that shape and a context `[rows, context]` or `[1, context]`.
    pub fn apply(&self, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        let [rows, columns] = x.dims();
        let features = self.features.apply(x, context).reshape([rows * self.blocks, FEATURES]);
        self.readout.apply(features, None).reshape([rows, columns])
    }

    /// The weights.
    pub fn weights(&self) -> Vec<&Weights> {
        vec![self.features.weights(), self.readout.weights()]
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![self.features.weights_mut(), self.readout.weights_mut()]
    }
}

/// A hollow transformer over categories: what stands before a coordinate and what stands behind it in two causal streams.
#[derive(Debug, Clone)]
pub struct HollowTransformer {
    /// From the first coordinate on, and from the last.
    streams: [CausalTransformer; 2],
    readout: Network,
    columns: usize,
}

impl HollowTransformer {
    /// A network over `columns` coordinates of `states` states and a context, from `seed` and the streams `stream` to `stream + 2`; it answers
    /// 0 at first.
    pub fn new(
        name: &str,
        [columns, states, context]: [usize; 3],
        shape: Shape,
        seed: u64,
        stream: u32,
    ) -> Self {
        let of = |which: u32, side: &str| {
            let sizes = [columns, states, context, shape.width];
            CausalTransformer::new(format!("{name}.{side}"), sizes, shape, (seed, stream + which, false))
        };
        let readout = Feedforward {
            input: 2 * shape.width,
            context: 0,
            hidden: vec![2 * shape.width],
            output: states,
            activation: shape.activation,
            residual: false,
        };
        let readout = Network::new(format!("{name}.readout"), readout, seed, stream + 2, true);
        Self { streams: [of(0, "before"), of(1, "behind")], readout, columns }
    }

    /// Columns of `x`.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Columns of the context.
    pub fn context(&self) -> usize {
        self.streams[0].context()
    }

    /// `y`, `[rows, columns * states]`, for categories as floats, `[rows, columns]`, and a context `[rows, context]` or `[1, context]`, which no
    /// gradient reaches.
    pub fn apply(&self, x: Tensor<2>, context: Option<Tensor<2>>) -> Tensor<2> {
        let [rows, columns] = x.dims();
        let width = self.readout.input() / 2;
        let [before, behind] = &self.streams;
        let before = before.apply(x.clone(), context.clone()).reshape([rows * columns, width]);
        let turned = behind.apply(x.flip([1]), context).reshape([rows, columns, width]);
        let behind = turned.flip([1]).reshape([rows * columns, width]);
        let y = self.readout.apply(Tensor::cat(vec![before, behind], 1), None);
        y.reshape([rows, columns * self.readout.output()])
    }

    /// The weights.
    pub fn weights(&self) -> Vec<&Weights> {
        let [before, behind] = &self.streams;
        vec![before.weights(), behind.weights(), self.readout.weights()]
    }

    /// The weights, to update.
    pub fn weights_mut(&mut self) -> Vec<&mut Weights> {
        let [before, behind] = &mut self.streams;
        vec![before.weights_mut(), behind.weights_mut(), self.readout.weights_mut()]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::array::weights::{matrix, to_vec};

    /// A block's answers are the same bit for bit whatever it is, and depend on every other block.
    #[test]
    fn no_answer_depends_on_its_own_block() {
        for blocks in [1, 2, 5] {
            let mut network = HollowNetwork::new("h", [blocks, 3, 2], &[64, 64], Activation::Silu, 3, 0);
            for weights in network.weights_mut() {
                let values = weights.values();
                weights.set(
                    (0..values.len())
                        .map(|i| values[i] + 0.3 * ((i * 37 % 97) as f32 / 97.0 - 0.5))
                        .collect(),
                );
            }
            let context = || Some(matrix(vec![0.4, -0.7], 2, &Device::flex()));
            let input: Vec<f32> = (0..blocks * 3).map(|i| (i as f32 * 0.7).sin()).collect();
            let answer = |input: Vec<f32>| {
                to_vec(network.apply(matrix(input, blocks * 3, &Device::flex()), context()))
            };
            let before = answer(input.clone());
            for moved in 0..blocks {
                let mut other = input.clone();
                other[moved * 3 + 1] += 1.5;
                for (block, pair) in before.chunks(3).zip(answer(other).chunks(3)).enumerate() {
                    assert_eq!(pair.0 == pair.1, block == moved, "{blocks} blocks, {moved} moved: {block}");
                }
            }
        }
    }

    /// The same of the transformer, over categories.
    #[test]
    fn no_answer_of_the_transformer_depends_on_its_own_coordinate() {
        let shape = Shape { layers: 1, heads: 2, width: 8, inner: 8, activation: Activation::Gelu };
        for columns in [1, 2, 5] {
            let mut network = HollowTransformer::new("h", [columns, 3, 2], shape, 3, 0);
            for weights in network.weights_mut() {
                let values = weights.values();
                let stirred = |(i, w): (usize, &f32)| w + 0.3 * ((i * 37 % 97) as f32 / 97.0 - 0.5);
                weights.set(values.iter().enumerate().map(stirred).collect());
            }
            let context = || Some(matrix(vec![0.4, -0.7], 2, &Device::flex()));
            let input: Vec<f32> = (0..columns).map(|i| (i * 2 % 3) as f32).collect();
            let answer =
                |input: Vec<f32>| to_vec(network.apply(matrix(input, columns, &Device::flex()), context()));
            let before = answer(input.clone());
            for moved in 0..columns {
                let mut other = input.clone();
                other[moved] = (other[moved] + 1.0) % 3.0;
                for (column, pair) in before.chunks(3).zip(answer(other).chunks(3)).enumerate() {
                    let same = pair.0.iter().zip(pair.1).all(|(a, b)| (a - b).abs() < 1e-6);
                    assert_eq!(same, column == moved, "{columns} columns, {moved} moved: {column}");
                }
            }
        }
    }
}
