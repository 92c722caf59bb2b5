//! Controlled diffusions as recipes name them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Controlled, Guide, Reference};
use crate::error::{Result, within};
use crate::model::Segment;
use crate::model::annealed::Drift;
use crate::model::annealed::langevin::recipe::check_embedding;
use crate::model::part::{Asks, Part, Place, Size, Surroundings};
use crate::network::recipe::{Asked, Need, stack};
use crate::network::{Activation, Feedforward, Network, NetworkRecipe};
use crate::papers::{DDS, PIS};

/// A diffusion that a learned control leads from a simple process to an energy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ControlledRecipe {
    /// The process without control.
    pub reference: ReferenceName,
    /// Steps.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: usize,
    /// The standard deviation of its ends, which should be that of the target.
    #[schemars(range(min = 1e-9, max = 1e9))]
    pub std: f32,
    /// How long the Ornstein-Uhlenbeck process runs: `exp(-horizon)` of a state is left in the end. 3 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub horizon: Option<f64>,
    /// Whether the control has a share in the score of the energy.
    pub langevin_parametrisation: bool,
    /// Widths of the hidden layers of the control.
    pub hidden: Vec<usize>,
    /// Its activation.
    pub activation: Activation,
    /// The control's network, in place of `hidden` and `activation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecipe>,
    /// Width of the time embedding (even).
    #[schemars(range(min = 2, max = 4096))]
    pub embedding: usize,
}

/// A process that can be controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceName {
    /// Brownian motion from 0: the path integral sampler.
    Brownian,
    /// An Ornstein-Uhlenbeck process in equilibrium: the denoising diffusion sampler.
    #[default]
    OrnsteinUhlenbeck,
}

/// The width of the hidden layer of the network of time by which the score is multiplied.
const GATE: usize = 64;

impl Default for ControlledRecipe {
    fn default() -> Self {
        Self {
            reference: ReferenceName::OrnsteinUhlenbeck,
            steps: 64,
            std: 1.0,
            horizon: None,
            langevin_parametrisation: true,
            hidden: vec![64, 64],
            activation: Activation::Silu,
            network: None,
            embedding: 32,
        }
    }
}

impl ControlledRecipe {
    fn stack(&self) -> NetworkRecipe {
        NetworkRecipe::Mlp { hidden: self.hidden.clone(), activation: self.activation, residual: false }
    }

    fn named(&self) -> NetworkRecipe {
        self.network.clone().unwrap_or_else(|| self.stack())
    }
}

impl Part for ControlledRecipe {
    fn kind(&self) -> &'static str {
        "controlled"
    }

    fn check(&self, place: &Place) -> Result<()> {
        within(&place.of("steps"), self.steps as f64, 1.0, 1e5)?;
        within(&place.of("std"), f64::from(self.std), 1e-9, 1e9)?;
        match (self.reference, self.horizon) {
            (ReferenceName::Brownian, Some(horizon)) => {
                return Err(place
                    .problem("horizon", format!("{horizon} of Brownian motion, which forgets nothing"))
                    .allowed("none; or it with reference = \"ornstein-uhlenbeck\"")
                    .into());
            }
            (_, Some(horizon)) => within(&place.of("horizon"), horizon, 1e-3, 100.0)?,
            _ => {}
        }
        check_embedding(place, self.embedding)?;
        let unset = Self::default().stack();
        NetworkRecipe::check_named(&place.key(), self.network.as_ref(), &self.stack(), &unset)
    }

    fn formula(&self) -> &'static str {
        match self.reference {
            ReferenceName::Brownian => {
                "log N(x; c x', c v) - log N(x'; x + v u(x, t), v), v = std^2 / K, c = (k - 1) / k"
            }
            ReferenceName::OrnsteinUhlenbeck => {
                "log N(x; a x', v) - log N(x'; a x + v u(x, t), v), v = (1 - a^2) std^2"
            }
        }
    }

    fn papers(&self, _: &Place) -> Vec<&'static str> {
        match self.reference {
            ReferenceName::Brownian => vec![PIS],
            ReferenceName::OrnsteinUhlenbeck => vec![DDS],
        }
    }

    fn asks(&self) -> Asks {
        if self.langevin_parametrisation { Asks::Scores } else { Asks::Nothing }
    }

    fn network(&self) -> Option<NetworkRecipe> {
        Some(self.named())
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let d = around.dimension as f64;
        let context = (self.embedding + around.condition) as f64;
        let Need { weights, row } = self.named().need([d, context, d, 1.0], true);
        let gate = match self.langevin_parametrisation {
            true => stack(self.embedding as f64, &[GATE], d, false).weights,
            false => 0.0,
        };
        let (steps, inner) = (1.0 + self.steps as f64, around.dimension);
        Size { weights: weights + gate, row: row + 6.0 * d, steps, inner }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let asked = Asked {
            input: around.dimension,
            context: self.embedding + around.condition,
            output: around.dimension,
            each: 1,
            own: true,
            planar: false,
        };
        let network = around.network("control", 0, &self.named(), asked, true)?;
        let guide = || -> Result<Guide> {
            let shape = Feedforward {
                input: self.embedding,
                context: 0,
                hidden: vec![GATE],
                output: around.dimension,
                activation: self.activation,
                residual: false,
            };
            let gate = Network::new(around.name("gate"), shape, around.seed, around.stream(1), true);
            Ok(Guide { target: around.asked(self)?, gate })
        };
        Ok(Box::new(Controlled {
            dimension: around.dimension,
            reference: match self.reference {
                ReferenceName::Brownian => Reference::Brownian,
                ReferenceName::OrnsteinUhlenbeck => Reference::OrnsteinUhlenbeck(self.horizon.unwrap_or(3.0)),
            },
            steps: self.steps,
            std: self.std,
            drift: Drift::new(network, around.condition, 0.0, self.std),
            guide: self.langevin_parametrisation.then(guide).transpose()?,
        }))
    }
}
