//! A variational autoencoder as recipes name it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::annealed::EMBEDDING;
use super::{ObservationModel, Refinement, Vae};
use crate::error::{Result, within};
use crate::model::Segment;
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::network::recipe::{Asked, widths};
use crate::network::{Activation, Feedforward, Network, NetworkRecipe};
use crate::papers;

/// A variational autoencoder segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VaeRecipe {
    /// Dimensions of the latent levels, from the one next to the data; one entry is the ordinary VAE.
    pub latent: Vec<usize>,
    /// Widths of the hidden layers of every encoder and decoder.
    #[schemars(length(min = 1, max = 100), inner(range(min = 1, max = 65_536)))]
    pub hidden: Vec<usize>,
    /// The networks' activation.
    pub activation: Activation,
    /// The network of every encoder and decoder, in place of `hidden`, `activation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecipe>,
    /// The law of data given the first latent level [default: "gaussian" of continuous data, "bernoulli" of two levels,
    /// "discretised-logistic" of more].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observation: Option<ObservationName>,
    /// Langevin steps behind the encoder, which tighten the bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refinement: Option<RefinementRecipe>,
}

/// Langevin steps from an encoder's draw towards the posterior of the latent code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RefinementRecipe {
    /// How many.
    #[schemars(range(min = 1, max = 10_000))]
    pub steps: usize,
    /// Their size, to begin with.
    #[schemars(range(min = 1e-9, max = 1e3))]
    pub step: f32,
    /// Whether a network learns the score of what the steps have made of the encoder's law (Monte Carlo diffusion); else the steps
    /// run against themselves (annealed importance sampling).
    pub learned: bool,
    /// Widths of that network's hidden layers.
    pub hidden: Vec<usize>,
}

impl Default for RefinementRecipe {
    fn default() -> Self {
        Self { steps: 8, step: 0.01, learned: true, hidden: vec![128, 128] }
    }
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
            observation: None,
            refinement: None,
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
        if let Some(refinement) = &self.refinement {
            within(&place.of("refinement.steps"), refinement.steps as f64, 1.0, 1e4)?;
            within(&place.of("refinement.step"), f64::from(refinement.step), 1e-9, 1e3)?;
            widths(&place.of("refinement.hidden"), &refinement.hidden, false)?;
            if self.latent.len() > 1 {
                let problem =
                    place.problem("refinement", format!("it with {} latent levels", self.latent.len()));
                return Err(problem.allowed("it with one; or no refinement").into());
            }
            if !matches!(self.coder(), NetworkRecipe::Mlp { residual: false, .. }) {
                let problem = place.problem("refinement", "it with a decoder that is no plain stack");
                return Err(problem
                    .allowed("it with network.kind = \"mlp\" without residual blocks; or no refinement")
                    .into());
            }
        }
        let network = self.network.as_ref();
        NetworkRecipe::check_named(&place.key(), network, &self.stack(), &Self::default().stack())
    }

    fn formula(&self) -> &'static str {
        "log q(z | x) - log p(x | z), encoder against decoder"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        let refined = self.refinement.as_ref().map(|_| papers::MCD);
        std::iter::once(papers::VAE).chain(refined).collect()
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
        if let Some(refinement) = &self.refinement {
            let hidden: f64 = refinement.hidden.iter().map(|width| *width as f64).sum();
            let widest = refinement.hidden.iter().copied().max().unwrap_or(0) as f64;
            let entry = (2 * outer + around.dimension + EMBEDDING) as f64;
            weights += (entry + hidden) * (widest + 1.0) + 2.0 * refinement.steps as f64;
            row *= 2.0 + refinement.steps as f64;
            row += refinement.steps as f64 * (entry + hidden);
        }
        Size { weights, row, steps: 1.0, inner: outer }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let fitting = match around.integers() {
            None => ObservationName::Gaussian,
            Some(2) => ObservationName::Bernoulli,
            Some(_) => ObservationName::DiscretisedLogistic,
        };
        let observation = match (self.observation.unwrap_or(fitting), around.integers()) {
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
        let vae = Vae::new(observation, encoders, decoders);
        let Some(recipe) = &self.refinement else { return Ok(Box::new(vae)) };
        let latent = self.latent[0];
        let score = recipe.learned.then(|| {
            let shape = Feedforward {
                input: latent,
                context: around.dimension + EMBEDDING,
                hidden: recipe.hidden.clone(),
                output: latent,
                activation: self.activation,
                residual: false,
            };
            Network::new(around.name("score"), shape, around.seed, around.stream(2), true)
        });
        let refinement = Refinement::new(around.name("refinement"), recipe.steps, recipe.step, score);
        Ok(Box::new(vae.refined(refinement)))
    }
}
