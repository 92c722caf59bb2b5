//! A variational autoencoder as recipes name it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ObservationModel, Vae};
use crate::error::Result;
use crate::model::Segment;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::network::recipe::{Asked, widths};
use crate::network::{Activation, Network, NetworkRecipe};
use crate::papers;

/// A variational autoencoder segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VaeRecipe {
    /// Dimensions of the latent levels, from the one next to the data; one entry is the ordinary VAE.
    pub latent: Vec<usize>,
    /// Widths of the hidden layers of every encoder and decoder.
    pub hidden: Vec<usize>,
    /// The networks' activation.
    pub activation: Activation,
    /// The network of every encoder and decoder, in place of `hidden`, `activation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecipe>,
    /// The law of data given the first latent level.
    pub observation: ObservationName,
}

/// The law of data given a VAE's first latent level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObservationName {
    /// Coins, for binary data.
    Bernoulli,
    /// A logistic cut into the data's levels.
    DiscretisedLogistic,
    /// A Gaussian, for continuous data.
    Gaussian,
}

impl ObservationName {
    /// The name in recipes.
    fn name(self) -> &'static str {
        match self {
            Self::Bernoulli => "bernoulli",
            Self::DiscretisedLogistic => "discretised-logistic",
            Self::Gaussian => "gaussian",
        }
    }
}

impl Default for VaeRecipe {
    fn default() -> Self {
        Self {
            latent: vec![16],
            hidden: vec![256, 256],
            activation: Activation::Silu,
            network: None,
            observation: ObservationName::DiscretisedLogistic,
        }
    }
}

impl VaeRecipe {
    /// The stack that the older keys tell of.
    fn stack(&self) -> NetworkRecipe {
        let Self { hidden, activation, .. } = self.clone();
        NetworkRecipe::Mlp { hidden, activation, residual: false }
    }

    /// Every encoder and decoder.
    fn coder(&self) -> NetworkRecipe {
        self.network.clone().unwrap_or_else(|| self.stack())
    }
}

impl Part for VaeRecipe {
    fn kind(&self) -> &'static str {
        "vae"
    }

    fn check(&self, place: &Place) -> Result<()> {
        widths(&place.of("latent"), &self.latent, false)?;
        let network = self.network.as_ref();
        NetworkRecipe::check_named(&place.key(), network, &self.stack(), &Self::default().stack())
    }

    fn formula(&self) -> &'static str {
        "log q(z | x) - log p(x | z), encoder against decoder"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        vec![papers::VAE]
    }

    fn network(&self) -> Option<NetworkRecipe> {
        Some(self.coder())
    }

    fn learns_backward(&self) -> bool {
        true
    }

    fn takes_integers(&self) -> bool {
        true
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let (mut weights, mut row, mut outer) = (0.0, 0.0, around.dimension);
        for latent in &self.latent {
            for [from, to] in [[outer, *latent], [*latent, outer]] {
                let shape = [from as f64, around.condition as f64, to as f64, 2.0];
                let need = self.coder().need(shape, false);
                weights += need.weights;
                row += need.row;
            }
            outer = *latent;
        }
        Size { weights, row, steps: 1.0, inner: outer }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let observation = match (self.observation, around.integers()) {
            (ObservationName::DiscretisedLogistic, Some(levels)) => {
                ObservationModel::DiscretisedLogistic(levels)
            }
            (ObservationName::Bernoulli, Some(2)) => ObservationModel::Bernoulli,
            (ObservationName::Gaussian, None) => ObservationModel::Gaussian,
            (name, levels) => {
                let data = levels
                    .map_or("continuous data".to_owned(), |levels| format!("data with {levels} levels"));
                let problem = around.place.problem("observation", format!("\"{}\" on {data}", name.name()));
                return Err(problem
                    .allowed("\"gaussian\" on continuous data, \"bernoulli\" on two levels, \"discretised-logistic\" on levels")
                    .into());
            }
        };
        let network =
            |part: &str, stream: usize, input: usize, output: usize, each: usize| -> Result<Network> {
                // Means stand before scales.
                let asked =
                    Asked { input, context: around.condition, output, each, own: false, planar: true };
                around.network(part, stream, &self.coder(), asked, false)
            };
        let dimensions: Vec<usize> =
            [around.dimension].into_iter().chain(self.latent.iter().copied()).collect();
        let (mut encoders, mut decoders) = (Vec::new(), Vec::new());
        for (level, pair) in dimensions.windows(2).enumerate() {
            let each = if level == 0 { observation.outputs() } else { 2 };
            encoders.push(network(&format!("encoder.{level}"), 2 * level, pair[0], pair[1], 2)?);
            decoders.push(network(&format!("decoder.{level}"), 2 * level + 1, pair[1], pair[0], each)?);
        }
        Ok(Box::new(Vae::new(observation, encoders, decoders)))
    }
}
