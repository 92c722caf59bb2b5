//! A diffusion as recipes name it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Diffusion, LastMean, NoiseSchedule, Observation, Weighting};
use crate::error::{Result, within};
use crate::kernel::law::centres;
use crate::model::Segment;
use crate::model::denoiser::{NetworkDenoiser, Prediction};
use crate::model::part::{Part, Place, Size, Surroundings};
use crate::model::schedule::{LearnedGamma, cosine, linear, log_linear};
use crate::network::recipe::{Asked, Need};
use crate::network::{Activation, NetworkRecipe};
use crate::papers::{DDPM, VDM};

/// A diffusion segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiffusionRecipe {
    /// Widths of the denoiser's hidden layers.
    #[schemars(length(min = 1, max = 100), inner(range(min = 1, max = 65_536)))]
    pub hidden: Vec<usize>,
    /// Residual blocks of two layers each instead of a plain stack; all widths must then agree.
    pub residual: bool,
    /// The denoiser's activation.
    pub activation: Activation,
    /// The denoiser's network, in place of `hidden`, `activation` and `residual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecipe>,
    /// Width of the time embedding (even).
    #[schemars(range(min = 2, max = 4096))]
    pub embedding: usize,
    /// What the denoiser predicts.
    #[schemars(extend("x-default" = {"measurements": "velocity"}))]
    pub prediction: PredictionName,
    /// The noise schedule.
    #[schemars(extend("x-default" = {"measurements": "log-linear"}))]
    pub schedule: ScheduleName,
    /// Noise levels of the chain.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub levels: usize,
    /// How the training loss weighs its levels.
    #[schemars(extend("x-default" = {"measurements": "bound"}))]
    pub weighting: WeightingName,
    /// `-log SNR` at the least noise: fixed for "log-linear", where learning starts for "learned".
    #[schemars(range(min = -30.0, max = 30.0))]
    pub gamma_first: f32,
    /// `-log SNR` at the most noise, likewise.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub gamma_last: f32,
}

/// What a denoiser predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PredictionName {
    /// The noise.
    Noise,
    /// The signal.
    Signal,
    /// `alpha noise - sigma signal`.
    Velocity,
    /// The score.
    Score,
    /// Logits over the levels of integer data, joined with the noisy value by Bayes' rule.
    Levels,
}

/// A diffusion's noise schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleName {
    /// DDPM's linear betas.
    Linear,
    /// The cosine schedule.
    Cosine,
    /// `-log SNR` evenly spaced from `gamma_first` to `gamma_last`.
    LogLinear,
    /// A learned monotone log-SNR, trained in continuous time (VDM).
    Learned,
}

/// How the denoising loss weighs its levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WeightingName {
    /// The evidence lower bound.
    Bound,
    /// Equal weight on the noise error.
    Simple,
    /// `min(SNR, 5) / SNR`.
    MinSnr,
}

impl Default for DiffusionRecipe {
    fn default() -> Self {
        Self {
            hidden: vec![256, 256, 256],
            residual: false,
            activation: Activation::Silu,
            network: None,
            embedding: 32,
            prediction: PredictionName::Noise,
            schedule: ScheduleName::Linear,
            levels: 1000,
            weighting: WeightingName::Simple,
            gamma_first: -8.0,
            gamma_last: 5.0,
        }
    }
}

impl DiffusionRecipe {
    /// The stack that the older keys tell of.
    fn stack(&self) -> NetworkRecipe {
        let Self { hidden, activation, residual, .. } = self.clone();
        NetworkRecipe::Mlp { hidden, activation, residual }
    }

    fn denoiser(&self) -> NetworkRecipe {
        self.network.clone().unwrap_or_else(|| self.stack())
    }

    fn schedule(&self, around: &Surroundings<'_>) -> NoiseSchedule {
        let (first, last) = (self.gamma_first, self.gamma_last);
        match self.schedule {
            ScheduleName::Linear => NoiseSchedule::Fixed(linear(self.levels)),
            ScheduleName::Cosine => NoiseSchedule::Fixed(cosine(self.levels)),
            ScheduleName::LogLinear => {
                NoiseSchedule::Fixed(log_linear(self.levels, f64::from(first), f64::from(last)))
            }
            ScheduleName::Learned => {
                let gamma = LearnedGamma::new(around.name("gamma"), first, last, 32, around.seed);
                NoiseSchedule::Learned { gamma, levels: self.levels }
            }
        }
    }
}

impl Part for DiffusionRecipe {
    fn kind(&self) -> &'static str {
        "diffusion"
    }

    fn check(&self, place: &Place) -> Result<()> {
        let network = self.network.as_ref();
        NetworkRecipe::check_named(&place.key(), network, &self.stack(), &Self::default().stack())?;
        within(&place.of("levels"), self.levels as f64, 2.0, 1e6)?;
        within(&place.of("embedding"), self.embedding as f64, 2.0, 4096.0)?;
        if self.embedding % 2 == 1 {
            return Err(place
                .problem("embedding", self.embedding.to_string())
                .allowed("an even width")
                .into());
        }
        if self.gamma_first.is_nan() || self.gamma_last <= self.gamma_first {
            let problem = place.problem("gamma_last", self.gamma_last.to_string());
            return Err(problem.allowed("a number above gamma_first").into());
        }
        within(&place.of("gamma_first"), f64::from(self.gamma_first), -30.0, 30.0)?;
        within(&place.of("gamma_last"), f64::from(self.gamma_last), -30.0, 30.0)?;
        let weighting = |allowed: &str| {
            let problem = place.problem("weighting", "a weighting other than \"bound\"");
            Err(problem.allowed(format!("\"bound\" where {allowed}")).into())
        };
        match self.weighting {
            WeightingName::Bound => Ok(()),
            _ if place.index > 0 => weighting("other segments stand before the diffusion"),
            _ if place.learned_after => {
                weighting("learned segments follow the diffusion: the bound is what they share")
            }
            _ => Ok(()),
        }
    }

    fn formula(&self) -> &'static str {
        "log q(z_t | z_s) - log p(z_s | z_t), two Gaussians a step"
    }

    fn papers(&self, _place: &Place) -> Vec<&'static str> {
        vec![if self.schedule == ScheduleName::Learned { VDM } else { DDPM }]
    }

    fn network(&self) -> Option<NetworkRecipe> {
        Some(self.denoiser())
    }

    fn has_ode(&self) -> bool {
        true
    }

    fn takes_integers(&self) -> bool {
        true
    }

    fn size(&self, around: &Surroundings<'_>) -> Size {
        let d = around.dimension as f64;
        let each = match self.prediction {
            PredictionName::Levels => f64::from(around.levels.max(1)),
            _ => 1.0,
        };
        let context = (self.embedding + around.condition) as f64;
        let Need { weights, row } = self.denoiser().need([d, context, d, each], true);
        Size { weights, row, steps: self.levels as f64, inner: around.dimension }
    }

    fn build(&self, around: &Surroundings<'_>) -> Result<Box<dyn Segment>> {
        let levels = around.integers();
        let prediction = match (self.prediction, levels) {
            (PredictionName::Noise, _) => Prediction::Noise,
            (PredictionName::Signal, _) => Prediction::Signal,
            (PredictionName::Velocity, _) => Prediction::Velocity,
            (PredictionName::Score, _) => Prediction::Score,
            (PredictionName::Levels, Some(levels)) => Prediction::Levels(centres(levels)),
            (PredictionName::Levels, None) => {
                let problem = around.place.problem("prediction", "\"levels\" on continuous states");
                return Err(problem
                    .allowed("it only next to integer data; \"noise\", \"signal\", \"velocity\" or \"score\"")
                    .into());
            }
        };
        let asked = Asked {
            input: around.dimension,
            context: self.embedding + around.condition,
            output: around.dimension,
            each: prediction.outputs(),
            own: true,
            planar: false,
        };
        let network = around.network("denoiser", 0, &self.denoiser(), asked, true)?;
        Ok(Box::new(Diffusion {
            denoiser: Box::new(NetworkDenoiser::new(network, around.condition)),
            prediction,
            schedule: self.schedule(around),
            observation: levels.map_or(Observation::Continuous, Observation::Levels),
            last_mean: match self.schedule {
                ScheduleName::Learned => LastMean::Rescaled,
                _ => LastMean::Denoised,
            },
            weighting: match self.weighting {
                WeightingName::Bound => Weighting::Bound,
                WeightingName::Simple => Weighting::Simple,
                WeightingName::MinSnr => Weighting::MinSnr(5.0),
            },
        }))
    }
}
