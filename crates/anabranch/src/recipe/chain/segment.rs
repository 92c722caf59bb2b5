//! The segments a recipe can name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::within;
use crate::error::{Problem, Result};
use crate::network::Activation;
use crate::recipe::NetworkRecipe;
use crate::recipe::network::widths;

/// One stretch of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SegmentRecipe {
    /// Gaussian kernels against fixed noise.
    Diffusion(DiffusionRecipe),
    /// Learned bijections.
    Flow(FlowRecipe),
    /// Learned Gaussian kernels both ways.
    Vae(VaeRecipe),
    /// Integers as rounded continuous states; the last segment before data with levels.
    Dequantise {},
    /// Undoes the standardisation fitted to the training split.
    Standardise {},
    /// The sigmoid from the line onto the data's levels, slightly widened.
    Logit(LogitRecipe),
}

/// A network's activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationName {
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

impl From<ActivationName> for Activation {
    fn from(name: ActivationName) -> Self {
        match name {
            ActivationName::Relu => Self::Relu,
            ActivationName::Silu => Self::Silu,
            ActivationName::Gelu => Self::Gelu,
            ActivationName::Tanh => Self::Tanh,
            ActivationName::Elu => Self::Elu,
        }
    }
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

/// A diffusion segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DiffusionRecipe {
    /// Widths of the denoiser's hidden layers.
    pub hidden: Vec<usize>,
    /// Residual blocks of two layers each instead of a plain stack; all widths must then agree.
    pub residual: bool,
    /// The denoiser's activation.
    pub activation: ActivationName,
    /// The denoiser's network, in place of `hidden`, `activation` and `residual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecipe>,
    /// Width of the time embedding (even).
    pub embedding: usize,
    /// What the denoiser predicts.
    pub prediction: PredictionName,
    /// The noise schedule.
    pub schedule: ScheduleName,
    /// Noise levels of the chain.
    #[schemars(range(min = 2))]
    pub levels: usize,
    /// How the training loss weighs its levels.
    pub weighting: WeightingName,
    /// `-log SNR` at the least noise: fixed for "log-linear", where learning starts for "learned".
    pub gamma_first: f32,
    /// `-log SNR` at the most noise, likewise.
    pub gamma_last: f32,
}

impl Default for DiffusionRecipe {
    fn default() -> Self {
        Self {
            hidden: vec![256, 256, 256],
            residual: false,
            activation: ActivationName::Silu,
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

/// How a flow's layers couple coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CouplingKind {
    /// One half steers the other.
    Coupling,
    /// Masked autoregressive: fast likelihood.
    Autoregressive,
    /// Inverse autoregressive: fast sampling.
    InverseAutoregressive,
}

/// A flow's element-wise map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransformerName {
    /// `y = e^s x + b`.
    Affine,
    /// The monotone rational-quadratic spline.
    Spline,
}

/// What mixes coordinates between a flow's layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mixing {
    /// A learned LU-factored matrix.
    Lu,
    /// A fixed random permutation.
    Permutation,
    /// A reversal.
    Reversal,
    /// Nothing; couplings alternate their halves in any case.
    None,
}

/// A flow segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowRecipe {
    /// How many layers.
    #[schemars(range(min = 1))]
    pub layers: usize,
    /// How a layer couples coordinates.
    pub coupling: CouplingKind,
    /// The element-wise map.
    pub transformer: TransformerName,
    /// Bins of a spline.
    pub bins: usize,
    /// A spline is the identity outside `+-bound`.
    pub bound: f32,
    /// Widths of the conditioner's hidden layers.
    pub hidden: Vec<usize>,
    /// Residual blocks in the conditioner of a coupling; all widths must then agree.
    pub residual: bool,
    /// Whether a coupling sends its passing coordinates through a map of their own, which depends on nothing.
    pub pass_spline: bool,
    /// The conditioner's activation.
    pub activation: ActivationName,
    /// The conditioner's network, in place of `hidden`, `activation` and `residual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecipe>,
    /// What mixes coordinates between layers.
    pub mixing: Mixing,
    /// Activation normalisation after each layer, started from data.
    pub actnorm: bool,
}

impl Default for FlowRecipe {
    fn default() -> Self {
        Self {
            layers: 5,
            coupling: CouplingKind::Coupling,
            transformer: TransformerName::Spline,
            bins: 8,
            bound: 5.0,
            hidden: vec![128, 128],
            residual: false,
            pass_spline: false,
            activation: ActivationName::Silu,
            network: None,
            mixing: Mixing::Lu,
            actnorm: false,
        }
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
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bernoulli => "bernoulli",
            Self::DiscretisedLogistic => "discretised-logistic",
            Self::Gaussian => "gaussian",
        }
    }
}

/// A variational autoencoder segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VaeRecipe {
    /// Dimensions of the latent levels, from the one next to the data; one entry is the ordinary VAE.
    pub latent: Vec<usize>,
    /// Widths of the hidden layers of every encoder and decoder.
    pub hidden: Vec<usize>,
    /// The networks' activation.
    pub activation: ActivationName,
    /// The network of every encoder and decoder, in place of `hidden`, `activation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkRecipe>,
    /// The law of data given the first latent level.
    pub observation: ObservationName,
}

impl Default for VaeRecipe {
    fn default() -> Self {
        Self {
            latent: vec![16],
            hidden: vec![256, 256],
            activation: ActivationName::Silu,
            network: None,
            observation: ObservationName::DiscretisedLogistic,
        }
    }
}

/// A logit segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogitRecipe {
    /// How far the interval is widened at both ends.
    pub margin: f32,
}

impl Default for LogitRecipe {
    fn default() -> Self {
        Self { margin: 0.05 }
    }
}

impl DiffusionRecipe {
    /// The stack that the older keys tell of.
    fn stack(&self) -> NetworkRecipe {
        let Self { hidden, activation, residual, .. } = self.clone();
        NetworkRecipe::Mlp { hidden, activation, residual }
    }

    /// The denoiser.
    pub(super) fn network(&self) -> NetworkRecipe {
        self.network.clone().unwrap_or_else(|| self.stack())
    }
}

impl FlowRecipe {
    /// The stack that the older keys tell of.
    fn stack(&self) -> NetworkRecipe {
        let Self { hidden, activation, residual, .. } = self.clone();
        NetworkRecipe::Mlp { hidden, activation, residual }
    }

    /// The conditioner of a layer.
    pub(super) fn network(&self) -> NetworkRecipe {
        self.network.clone().unwrap_or_else(|| self.stack())
    }
}

impl VaeRecipe {
    /// The stack that the older keys tell of.
    fn stack(&self) -> NetworkRecipe {
        let Self { hidden, activation, .. } = self.clone();
        NetworkRecipe::Mlp { hidden, activation, residual: false }
    }

    /// Every encoder and decoder.
    pub(super) fn network(&self) -> NetworkRecipe {
        self.network.clone().unwrap_or_else(|| self.stack())
    }
}

/// Checks a segment's network: the one it names, or that of its older keys, which are then not as they are by themselves.
fn check_network(
    key: &str,
    named: &Option<NetworkRecipe>,
    older: &NetworkRecipe,
    unset: &NetworkRecipe,
) -> Result<()> {
    let Some(named) = named else { return older.check(key) };
    if older != unset {
        return Err(Problem::new(
            format!("{key}.network"),
            "a network beside hidden, activation or residual",
        )
        .allowed("one or the other: network has these keys of its own")
        .into());
    }
    named.check(&format!("{key}.network"))
}

impl SegmentRecipe {
    /// The kind's name in recipes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Diffusion(_) => "diffusion",
            Self::Flow(_) => "flow",
            Self::Vae(_) => "vae",
            Self::Dequantise {} => "dequantise",
            Self::Standardise {} => "standardise",
            Self::Logit(_) => "logit",
        }
    }

    /// Its networks, if it has weights.
    pub(super) fn network(&self) -> Option<NetworkRecipe> {
        match self {
            Self::Diffusion(diffusion) => Some(diffusion.network()),
            Self::Flow(flow) => Some(flow.network()),
            Self::Vae(vae) => Some(vae.network()),
            Self::Dequantise {} | Self::Standardise {} | Self::Logit(_) => None,
        }
    }

    /// Whether it has weights.
    pub(super) fn learns(&self) -> bool {
        self.network().is_some()
    }

    /// Checks the values; `first` and the kinds of the segments `after` it tell where in the chain the segment stands.
    pub(super) fn check(&self, key: &str, first: bool, after: &[&str]) -> Result<()> {
        let last = after.is_empty();
        match self {
            Self::Diffusion(diffusion) => {
                let unset = DiffusionRecipe::default().stack();
                check_network(key, &diffusion.network, &diffusion.stack(), &unset)?;
                within(&format!("{key}.levels"), diffusion.levels as f64, 2.0, 1e6)?;
                within(&format!("{key}.embedding"), diffusion.embedding as f64, 2.0, 4096.0)?;
                if diffusion.embedding % 2 == 1 {
                    let problem = Problem::new(format!("{key}.embedding"), diffusion.embedding.to_string());
                    return Err(problem.allowed("an even width").into());
                }
                if diffusion.gamma_first.is_nan() || diffusion.gamma_last <= diffusion.gamma_first {
                    let problem = Problem::new(format!("{key}.gamma_last"), diffusion.gamma_last.to_string());
                    return Err(problem.allowed("a number above gamma_first").into());
                }
                within(&format!("{key}.gamma_first"), f64::from(diffusion.gamma_first), -30.0, 30.0)?;
                within(&format!("{key}.gamma_last"), f64::from(diffusion.gamma_last), -30.0, 30.0)?;
                if !first && diffusion.weighting != WeightingName::Bound {
                    let problem =
                        Problem::new(format!("{key}.weighting"), "a weighting other than \"bound\"");
                    return Err(problem
                        .allowed("\"bound\" where other segments stand before the diffusion")
                        .into());
                }
                if !last && diffusion.weighting != WeightingName::Bound {
                    let problem =
                        Problem::new(format!("{key}.weighting"), "a weighting other than \"bound\"");
                    return Err(problem.allowed("\"bound\" where learned segments follow the diffusion: the bound is what they share").into());
                }
                Ok(())
            }
            Self::Flow(flow) => {
                within(&format!("{key}.layers"), flow.layers as f64, 1.0, 1000.0)?;
                within(&format!("{key}.bins"), flow.bins as f64, 2.0, 32.0)?;
                within(&format!("{key}.bound"), f64::from(flow.bound), 1e-2, 1e6)?;
                if flow.residual && flow.coupling != CouplingKind::Coupling {
                    let problem = Problem::new(format!("{key}.residual"), "true");
                    return Err(problem.allowed("false where coupling is autoregressive").into());
                }
                if flow.pass_spline
                    && (flow.coupling != CouplingKind::Coupling
                        || flow.transformer != TransformerName::Spline)
                {
                    let problem = Problem::new(format!("{key}.pass_spline"), "true");
                    return Err(problem.allowed("false unless the layers are couplings of splines").into());
                }
                check_network(key, &flow.network, &flow.stack(), &FlowRecipe::default().stack())?;
                if flow.coupling != CouplingKind::Coupling
                    && !matches!(flow.network(), NetworkRecipe::Mlp { residual: false, .. })
                {
                    let found = format!("{} in an autoregressive flow", flow.network().describe());
                    return Err(Problem::new(format!("{key}.network"), found)
                        .allowed("a plain mlp, which masks make causal; or coupling = \"coupling\"")
                        .into());
                }
                Ok(())
            }
            Self::Vae(vae) => {
                widths(&format!("{key}.latent"), &vae.latent, false)?;
                check_network(key, &vae.network, &vae.stack(), &VaeRecipe::default().stack())
            }
            Self::Dequantise {} if !last => {
                Err(Problem::new(format!("{key}.kind"), format!("\"dequantise\" before \"{}\"", after[0]))
                    .allowed("it as the last segment, next to the data")
                    .into())
            }
            Self::Dequantise {} => Ok(()),
            // What they undo was done to the data, and not to what other segments make of them.
            Self::Standardise {} | Self::Logit(_) if after.iter().any(|kind| *kind != "dequantise") => Err(
                Problem::new(format!("{key}.kind"), format!("\"{}\" before \"{}\"", self.kind(), after[0]))
                    .allowed("it next to the data, or with \"dequantise\" alone between")
                    .into(),
            ),
            Self::Standardise {} => Ok(()),
            Self::Logit(logit) => within(&format!("{key}.margin"), f64::from(logit.margin), 1e-6, 0.499),
        }
    }
}
