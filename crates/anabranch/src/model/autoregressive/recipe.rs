//! An autoregressive model as recipes name it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Autoregressive, SequenceNetwork};
use crate::error::{Problem, Result, within};
use crate::model::Segment;
use crate::model::jump::clock::Clock;
use crate::model::jump::denoiser::{Classifier, NetworkDenoiser};
use crate::model::jump::recipe::tokens;
use crate::model::jump::sampling::Sampling;
use crate::model::jump::unmasking::{Next, Unmasking};
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::network::recipe::{Asked, Need};
use crate::network::taped::Shape;
use crate::network::{Activation, CausalTransformer, MaskedNetwork, NetworkRecipe};
use crate::papers::{ANY_ORDER, MASKED_AUTOENCODER};
use crate::rng::{Noise, Purpose};

/// An autoregressive model of categories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AutoregressiveRecipe {
    /// In which order coordinates are drawn.
    pub order: OrderName,
    /// Of an order that is given: all coordinates from 0 on, the first to be drawn first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permutation: Vec<usize>,
    /// The seed of a shuffled order.
    #[serde(skip_serializing_if = "is_zero")]
    pub order_seed: u64,
    /// Steps of the chain. In a fixed order they are stretches, 8 unless given, and change no likelihood; in any order coordinates of one step
    /// are drawn independently, one at a time unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: Option<usize>,
    /// The network. In a fixed order a perceptron, whose weights are masked, or a causal transformer with a token for each coordinate; in any
    /// order one that sees all coordinates, of which some are masked.
    pub network: NetworkRecipe,
}

fn is_zero(seed: &u64) -> bool {
    *seed == 0
}

/// In which order coordinates are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderName {
    /// From the first to the last.
    LeftToRight,
    /// In one random order, by `order_seed`.
    Shuffled,
    /// In the order of `permutation`.
    Given,
    /// In any order, another one for every sample: order-agnostic, the backward half being the law of orders.
    Any,
}

impl Default for AutoregressiveRecipe {
    fn default() -> Self {
        Self {
            order: OrderName::LeftToRight,
            permutation: Vec::new(),
            order_seed: 0,
            steps: None,
            network: NetworkRecipe::Mlp {
                hidden: vec![256, 256],
                activation: Activation::Silu,
                residual: false,
            },
        }
    }
}

/// Stretches of a fixed order: enough to look at.
const STRETCHES: usize = 8;
/// The most values of a coordinate.
const MOST_VALUES: u32 = 1024;

impl AutoregressiveRecipe {
    fn any(&self) -> bool {
        self.order == OrderName::Any
    }

    fn steps(&self, columns: usize) -> usize {
        let unset = if self.any() { columns } else { STRETCHES };
        self.steps.unwrap_or(unset).clamp(1, columns.max(1))
    }

    fn turns(&self, columns: usize, place: &Place) -> Result<Vec<usize>> {
        match self.order {
            OrderName::LeftToRight | OrderName::Any => Ok((0..columns).collect()),
            OrderName::Shuffled => Ok(Noise::new(self.order_seed, Purpose::Choice).permutation(columns)),
            OrderName::Given => {
                let mut sorted = self.permutation.clone();
                sorted.sort_unstable();
                if sorted.into_iter().eq(0..columns) {
                    return Ok(self.permutation.clone());
                }
                let found =
                    format!("{} numbers that are not each of the coordinates once", self.permutation.len());
                let last = columns.saturating_sub(1);
                Err(place.problem("permutation", found).allowed(format!("0 to {last} in some order")).into())
            }
        }
    }

    fn shape(&self) -> Option<Shape> {
        match &self.network {
            NetworkRecipe::Transformer { layers, heads, width, inner, activation, .. } => Some(Shape {
                layers: *layers,
                heads: *heads,
                width: *width,
                inner: inner.unwrap_or(4 * width),
                activation: *activation,
            }),
            _ => None,
        }
    }
}

impl Part for AutoregressiveRecipe {
    fn kind(&self) -> &'static str {
        "autoregressive"
    }

    fn check(&self, place: &Place) -> Result<()> {
        self.network.check(&place.of("network"))?;
        within(&place.of("steps"), self.steps.unwrap_or(1) as f64, 1.0, 1e5)?;
        if place.index > 0 || !place.is_last() {
            return Err(place
                .problem("kind", "\"autoregressive\" beside other segments")
                .allowed("it alone: its states are categories from the source to the data")
                .into());
        }
        if self.permutation.is_empty() == (self.order == OrderName::Given) {
            let found =
                if self.permutation.is_empty() { "none of a given order" } else { "it of another order" };
            return Err(place.problem("permutation", found).allowed("it with order = \"given\"").into());
        }
        match &self.network {
            NetworkRecipe::Mlp { residual, .. } if !residual || self.any() => Ok(()),
            NetworkRecipe::Transformer { patch: None, positions: None, .. } => Ok(()),
            NetworkRecipe::Transformer { .. } | NetworkRecipe::DeepSets { .. } if self.any() => Ok(()),
            other => {
                let found = format!("{}, in a fixed order", other.describe());
                let allowed = "a plain perceptron, or a transformer without patch and positions, in which a coordinate is a token";
                Err(place.problem("network", found).allowed(allowed).into())
            }
        }
    }

    fn source(&self) -> Option<&'static str> {
        Some("every coordinate masked")
    }

    fn formula(&self) -> &'static str {
        "-log p(x_d given what is known), summed over the coordinates that a step draws; P_B = 1, or the law of orders"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        match (&self.network, self.any()) {
            (_, true) => vec![ANY_ORDER],
            (NetworkRecipe::Mlp { .. }, false) => vec![MASKED_AUTOENCODER],
            _ => Vec::new(),
        }
    }

    fn network(&self) -> Option<NetworkRecipe> {
        Some(self.network.clone())
    }

    fn draws_in_turn(&self) -> bool {
        true
    }

    fn learns_choices(&self) -> bool {
        true
    }

    fn takes_integers(&self) -> bool {
        true
    }

    fn reads_prefix(&self) -> bool {
        self.any()
    }

    fn check_sampling(&self, sampling: &Sampling) -> Result<()> {
        if sampling.corrector > 0 {
            let found = format!("{} of an autoregressive model", sampling.corrector);
            return Sampling::refused(
                "corrector",
                &found,
                "0, or it of a \"jump\", whose law at a time it keeps",
            );
        }
        if sampling.eta.is_some() {
            let allowed = "none, or it of a \"jump\", whose mixture of data and noise its rates follow";
            return Sampling::refused("eta", "it of an autoregressive model", allowed);
        }
        match (self.any(), sampling.order, sampling.steps) {
            (false, Some(_), _) => {
                let allowed = "none, which is the order that it was trained in; or a model of any order";
                Sampling::refused("order", "another than the network's own", allowed)
            }
            (false, None, Some(_)) => {
                let allowed = "none: its steps draw one coordinate after the other, however many there are";
                Sampling::refused("steps", "some of a fixed order", allowed)
            }
            _ => Ok(()),
        }
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let states = f64::from(around.levels) + f64::from(u8::from(self.any()));
        let d = (around.prefix + around.dimension) as f64;
        let context = (around.condition - around.prefix) as f64;
        let Need { weights, row } =
            tokens(&self.network, states as usize).need([d * states, context, d * states, 1.0], true);
        Size { weights, row, steps: self.steps(around.dimension) as f64, inner: around.dimension }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let Some(values) = around.integers() else {
            return Err(around
                .place
                .problem("kind", "\"autoregressive\" next to continuous states")
                .allowed("it next to integer data (target.levels)")
                .into());
        };
        if values > MOST_VALUES {
            return Err(Problem::new("target.levels", format!("{values} with an autoregressive model"))
                .allowed(format!("at most {MOST_VALUES}"))
                .into());
        }
        let (columns, values, condition) = (around.dimension, values as usize, around.condition);
        let steps = self.steps(columns);
        let order: Arc<[usize]> = self.turns(columns, &around.place)?.into();
        if self.any() {
            let (states, all) = (values + 1, (around.prefix + columns) * (values + 1));
            let context = condition - around.prefix;
            let asked = Asked { input: all, context, output: all, each: 1, own: true, planar: false };
            let network = around.network("denoiser", 0, &tokens(&self.network, states), asked, true)?;
            let network = Classifier::Open(network);
            let denoiser = NetworkDenoiser { network, states, embedding: 0 }.behind(around.prefix);
            return Ok(Box::new(Unmasking {
                denoiser,
                values,
                next: Next::Any,
                steps,
                clock: Clock::Linear,
            }));
        }
        let (name, seed, stream) = (around.name("conditionals"), around.seed, around.stream(0));
        let network = match (&self.network, self.shape()) {
            (_, Some(shape)) => {
                let sizes = [columns, values, condition, values];
                SequenceNetwork::Transformer(CausalTransformer::new(name, sizes, shape, (seed, stream, true)))
            }
            (NetworkRecipe::Mlp { hidden, activation, .. }, None) => {
                let sizes = [columns, values, condition];
                let masked = MaskedNetwork::new(name, sizes, hidden, values, *activation, seed, stream);
                SequenceNetwork::Masked(masked)
            }
            _ => unreachable!("networks are checked"),
        };
        Ok(Box::new(Autoregressive { network, order, steps, temperature: 1.0 }))
    }
}
