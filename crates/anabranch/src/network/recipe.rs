//! The networks a recipe can name, for any family: of policies over objects, and of denoisers, conditioners, encoders and
//! decoders over real coordinates.
//!
//! ```text
//! weights   sum over linear layers of (inputs + 1) outputs
//! numbers   what a row leaves on the tape: the widths of all layers, for each of its tokens
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::taped::{Body, CoordinateNetwork, Coordinates, Inputs, Mlp, Shape};
use super::{Activation, Architecture, Feedforward};
use crate::error::{Problem, Result, within};
use crate::papers::{ATTENTION, DEEP_SETS};

/// A network that answers for a state, or for coordinates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NetworkRecipe {
    /// A multilayer perceptron.
    Mlp {
        /// Widths of its hidden layers.
        #[serde(default = "hidden")]
        #[schemars(length(min = 1, max = 100), inner(range(min = 1, max = 65_536)))]
        hidden: Vec<usize>,
        /// Its activation.
        #[serde(default = "activation")]
        activation: Activation,
        /// Residual blocks of two layers each instead of a plain stack; all widths must then agree.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        residual: bool,
    },
    /// A function of the sum of a vector for each element: of a set or multiset of objects, or of the coordinates of a vector.
    DeepSets {
        /// Numbers of an element's vector.
        #[serde(default = "token")]
        #[schemars(range(min = 1, max = 65_536))]
        width: usize,
        /// Widths of the hidden layers behind the sum.
        #[serde(default = "hidden")]
        #[schemars(length(min = 1, max = 100), inner(range(min = 1, max = 65_536)))]
        hidden: Vec<usize>,
        /// Their activation.
        #[serde(default = "activation")]
        activation: Activation,
        /// Over coordinates: neighbours that are one element; 1 unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        patch: Option<usize>,
        /// Over coordinates: whether an element knows its place, so that they are not exchangeable; true unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        positions: Option<bool>,
    },
    /// Numbers of its own for every state: only where all states can be listed.
    Table {},
    /// A transformer over the letters of words, bits or spins, or over the coordinates of a vector. Where words grow at the end
    /// alone it is causal, and a letter costs one token; elsewhere every token sees all others.
    Transformer {
        /// Blocks of attention and perceptron.
        #[serde(default = "three")]
        #[schemars(range(min = 1, max = 100))]
        layers: usize,
        /// Heads of each attention; they divide the width.
        #[serde(default = "eight")]
        #[schemars(range(min = 1))]
        heads: usize,
        /// Numbers of a token.
        #[serde(default = "token")]
        #[schemars(range(min = 1, max = 65_536))]
        width: usize,
        /// Width of the hidden layer of each block; four times `width` unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1, max = 65_536))]
        inner: Option<usize>,
        /// Its activation.
        #[serde(default = "gelu")]
        activation: Activation,
        /// Over coordinates: neighbours that are one token; 1 unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1))]
        patch: Option<usize>,
        /// Over coordinates: whether a token knows its place, so that they are not exchangeable; true unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        positions: Option<bool>,
    },
}

fn hidden() -> Vec<usize> {
    vec![256, 256]
}

fn three() -> usize {
    3
}

fn eight() -> usize {
    8
}

fn token() -> usize {
    64
}

fn gelu() -> Activation {
    Activation::Gelu
}

fn activation() -> Activation {
    Activation::Relu
}

impl Default for NetworkRecipe {
    fn default() -> Self {
        Self::Mlp { hidden: hidden(), activation: activation(), residual: false }
    }
}

/// What a network over real coordinates is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// Coordinates that are read.
    pub input: usize,
    /// Columns of the context.
    pub context: usize,
    /// Coordinates that are answered for.
    pub output: usize,
    /// Numbers for each of them.
    pub each: usize,
    /// Whether those are the coordinates that are read.
    pub own: bool,
    /// Whether outputs are laid out `[each, output]` rather than `[output, each]`.
    pub planar: bool,
}

/// What a network needs, in f64, which does not overflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Need {
    /// Weights.
    pub weights: f64,
    /// Numbers that a row leaves on the tape.
    pub row: f64,
}

/// Weights and numbers per row of a stack of linear layers, of which residual blocks have one before them.
pub(crate) fn stack(input: f64, hidden: &[usize], output: f64, residual: bool) -> Need {
    let (mut weights, mut row, mut from) = (0.0, input, input);
    let widths: Vec<usize> = match residual {
        true => std::iter::repeat_n(hidden[0], 1 + 2 * hidden.len()).collect(),
        false => hidden.to_vec(),
    };
    for to in widths.into_iter().map(|width| width as f64).chain([output]) {
        weights += (from + 1.0) * to;
        row += to;
        from = to;
    }
    Need { weights, row }
}

/// Checks the widths of hidden layers, which agree where they are those of residual blocks.
pub(crate) fn widths(key: &str, widths: &[usize], residual: bool) -> Result<()> {
    if !(1..=100).contains(&widths.len()) {
        return Err(Problem::new(key, format!("{} widths", widths.len()))
            .allowed("from 1 to 100 of them")
            .into());
    }
    for (index, width) in widths.iter().enumerate() {
        within(&format!("{key}.{index}"), *width as f64, 1.0, 65_536.0)?;
    }
    if residual && widths.iter().any(|width| *width != widths[0]) {
        return Err(Problem::new(key, format!("{widths:?}"))
            .allowed("equal widths where residual = true")
            .into());
    }
    Ok(())
}

/// The stack over a walk's features and real inputs.
pub(crate) fn perceptron(
    inputs: Inputs,
    hidden: &[usize],
    outputs: usize,
    activation: Activation,
    residual: bool,
) -> Mlp {
    if residual {
        Mlp::residual(inputs, hidden.len(), hidden[0], outputs, activation)
    } else {
        Mlp::new(inputs, hidden, outputs, activation)
    }
}

fn divisors(number: usize) -> String {
    let all = (1..=number).filter(|d| number.is_multiple_of(*d)).map(|d| d.to_string());
    all.collect::<Vec<_>>().join(", ")
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

impl NetworkRecipe {
    /// Checks the values; `key` is the network's own.
    pub(crate) fn check(&self, key: &str) -> Result<()> {
        match self {
            Self::Mlp { hidden, residual, .. } => widths(&format!("{key}.hidden"), hidden, *residual),
            Self::DeepSets { width, hidden, .. } => {
                within(&format!("{key}.width"), *width as f64, 1.0, 65_536.0)?;
                widths(&format!("{key}.hidden"), hidden, false)
            }
            Self::Table {} => Ok(()),
            Self::Transformer { layers, heads, width, inner, .. } => {
                within(&format!("{key}.layers"), *layers as f64, 1.0, 100.0)?;
                within(&format!("{key}.width"), *width as f64, 1.0, 65_536.0)?;
                within(&format!("{key}.inner"), inner.unwrap_or(1) as f64, 1.0, 65_536.0)?;
                if *heads == 0 || !width.is_multiple_of(*heads) {
                    return Err(Problem::new(format!("{key}.heads"), heads.to_string())
                        .allowed(format!("a divisor of the width {width}: {}", divisors(*width)))
                        .into());
                }
                Ok(())
            }
        }
    }

    /// Checks the network of a part that may also be told of by older keys: it is `named`, or the stack of the `older` ones, which
    /// are then not as they are where nobody sets them.
    pub(crate) fn check_named(key: &str, named: Option<&Self>, older: &Self, unset: &Self) -> Result<()> {
        let Some(named) = named else { return older.check(key) };
        let place = format!("{key}.network");
        if older != unset {
            return Err(Problem::new(place, "a network beside hidden, activation or residual")
                .allowed("one or the other: network has these keys of its own")
                .into());
        }
        named.check(&place)
    }

    /// The paper behind it.
    pub(crate) fn paper(&self) -> Option<&'static str> {
        match self {
            Self::DeepSets { .. } => Some(DEEP_SETS),
            Self::Transformer { .. } => Some(ATTENTION),
            Self::Mlp { .. } | Self::Table {} => None,
        }
    }

    /// Its kind, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Mlp { .. } => "a perceptron",
            Self::DeepSets { .. } => "deep sets",
            Self::Table {} => "a table",
            Self::Transformer { .. } => "a transformer",
        }
    }

    /// How it cuts coordinates, if it does: neighbours in a token and whether it knows its place, as they are given.
    fn cut(&self) -> [(&'static str, Option<String>); 2] {
        match self {
            Self::DeepSets { patch, positions, .. } | Self::Transformer { patch, positions, .. } => [
                ("patch", patch.map(|patch| patch.to_string())),
                ("positions", positions.map(|positions| positions.to_string())),
            ],
            Self::Mlp { .. } | Self::Table {} => [("patch", None), ("positions", None)],
        }
    }

    /// Checks that it says nothing of coordinates, where objects have none.
    pub(crate) fn without_coordinates(&self, key: &str) -> Result<()> {
        match self.cut().into_iter().find_map(|(name, value)| Some((name, value?))) {
            Some((name, value)) => {
                Err(Problem::new(format!("{key}.{name}"), format!("{value}, over objects"))
                    .allowed("none: only vectors of real numbers are cut into tokens")
                    .into())
            }
            None => Ok(()),
        }
    }

    /// The network in words.
    pub(crate) fn describe(&self) -> String {
        let lower = |activation: &Activation| format!("{activation:?}").to_lowercase();
        let words = match self {
            Self::Mlp { hidden, activation, residual: false } => {
                format!("a perceptron with hidden layers {hidden:?}, {}", lower(activation))
            }
            Self::Mlp { hidden, activation, residual: true } => {
                format!("{} residual blocks of width {}, {}", hidden.len(), hidden[0], lower(activation))
            }
            Self::DeepSets { width, hidden, activation, .. } => format!(
                "deep sets: {width} numbers an element, behind their sum hidden layers {hidden:?}, {}",
                lower(activation)
            ),
            Self::Table {} => "a table with a row for every state".to_owned(),
            Self::Transformer { layers, heads, width, .. } => {
                format!("a transformer of {layers} layers with {heads} heads and {width} numbers a token")
            }
        };
        match self {
            Self::DeepSets { patch, positions, .. } | Self::Transformer { patch, positions, .. } => {
                let patch = patch.map_or(String::new(), |patch| format!(", {patch} coordinates each"));
                let places = if *positions == Some(false) { ", exchangeable" } else { "" };
                format!("{words}{patch}{places}")
            }
            _ => words,
        }
    }

    /// The network over real coordinates.
    ///
    /// # Errors
    /// If it is a table, or its patches do not cut the coordinates.
    pub(crate) fn over_coordinates(&self, key: &str, asked: Asked) -> Result<Architecture> {
        let Asked { input, context, output, each, own, planar } = asked;
        let (body, patch, positions) = match self {
            Self::Mlp { hidden, activation, residual } => {
                let (hidden, activation) = (hidden.clone(), *activation);
                let output = output * each;
                let shape = Feedforward { input, context, hidden, output, activation, residual: *residual };
                return Ok(shape.into());
            }
            Self::Table {} => {
                return Err(Problem::new(format!("{key}.kind"), "a table of real vectors")
                    .allowed("mlp, transformer or deep-sets")
                    .into());
            }
            Self::DeepSets { width, hidden, activation, patch, positions } => {
                let activation = *activation;
                (Body::Sets { width: *width, hidden: hidden.clone(), activation }, patch, positions)
            }
            Self::Transformer { layers, heads, width, inner, activation, patch, positions } => {
                let (inner, activation) = (inner.unwrap_or(4 * width), *activation);
                let shape = Shape { layers: *layers, heads: *heads, width: *width, inner, activation };
                (Body::Transformer(shape), patch, positions)
            }
        };
        let patch = patch.unwrap_or(1);
        if patch == 0 || !input.is_multiple_of(patch) || !output.is_multiple_of(patch) {
            let coordinates = if own {
                format!("{input} coordinates")
            } else {
                format!("{input} and {output} coordinates")
            };
            let divisors = divisors(common_divisor(input, output));
            return Err(Problem::new(format!("{key}.patch"), format!("{patch}, of {coordinates}"))
                .allowed(format!("what divides them: {divisors}"))
                .into());
        }
        let positions = positions.unwrap_or(true);
        let coordinates = Coordinates { input, context, output, each, own, planar, patch, positions };
        Ok(CoordinateNetwork::new(coordinates, body).into())
    }

    /// What it needs over real coordinates, numbers of which may be fractions.
    pub(crate) fn need(&self, [input, context, output, each]: [f64; 4], own: bool) -> Need {
        let of_token = |patch: &Option<usize>| patch.unwrap_or(1).max(1) as f64;
        match self {
            Self::Mlp { hidden, residual, .. } => stack(input + context, hidden, output * each, *residual),
            Self::Table {} => Need { weights: 0.0, row: 0.0 },
            Self::DeepSets { width, hidden, patch, .. } => {
                let (patch, width) = (of_token(patch), *width as f64);
                let answering = output / patch;
                let tokens = answering + if own { 0.0 } else { input / patch };
                let rho = stack(2.0 * width, hidden, patch * each, false);
                let weights = rho.weights + (patch + tokens + context) * width;
                Need { weights, row: 3.0 * tokens * width + 2.0 * answering * rho.row }
            }
            Self::Transformer { layers, width, inner, patch, .. } => {
                let (patch, layers, width) = (of_token(patch), *layers as f64, *width as f64);
                let inner = inner.map_or(4.0 * width, |inner| inner as f64);
                let tokens = (output + if own { 0.0 } else { input }) / patch;
                let blocks = layers * width * (4.0 * width + 2.0 * inner);
                let weights = blocks + (patch + tokens + context + patch * each) * width;
                Need { weights, row: tokens * layers * (8.0 * width + 3.0 * inner) + output * each }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;

    /// What is reckoned beforehand is what is built: exactly for stacks, and but for biases elsewhere.
    #[test]
    fn reckoned_weights_are_those_that_are_built() {
        let conditioner = Asked { input: 12, context: 0, output: 6, each: 23, own: false, planar: false };
        let denoiser = Asked { input: 8, context: 32, output: 8, each: 1, own: true, planar: false };
        for (network, share) in [
            ("kind = 'mlp'\nhidden = [40, 30]", 0.0),
            ("kind = 'mlp'\nhidden = [40, 40, 40]\nresidual = true", 0.0),
            ("kind = 'transformer'\npatch = 2", 0.03),
            ("kind = 'transformer'\nlayers = 1\nwidth = 96\ninner = 32", 0.03),
            ("kind = 'deep-sets'\nwidth = 48\nhidden = [40, 30]\npatch = 2", 0.03),
        ] {
            let recipe: NetworkRecipe = toml::from_str(network).unwrap();
            for asked in [conditioner, denoiser] {
                let Asked { input, context, output, each, own, .. } = asked;
                let architecture = recipe.over_coordinates("network", asked).unwrap();
                let built = Network::new("n", architecture, 1, 0, false).weights().len() as f64;
                let need = recipe.need([input, context, output, each].map(|n| n as f64), own).weights;
                assert!((need - built).abs() <= share * built, "{network}, {asked:?}: {need}, {built}");
            }
        }
    }
}
