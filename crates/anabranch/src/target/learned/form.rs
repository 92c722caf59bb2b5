//! The families of energies that a recipe can name.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Convolution, ConvolutionShape, Family, Independent, Pairs, Pairwise, Perceptron, Rbm};
use crate::error::{Problem, Result, within};
use crate::network::Activation;
use crate::network::recipe::widths;
use crate::papers;

/// An energy that learns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum EnergyForm {
    /// Spins with couplings of pairs and fields.
    Ising {
        /// Height and width of the torus whose neighbours have a coupling; all pairs unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        torus: Option<[usize; 2]>,
    },
    /// Values with couplings of pairs that are equal, and fields.
    Potts {
        /// Height and width of the torus whose neighbours have a coupling; all pairs unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        torus: Option<[usize; 2]>,
    },
    /// A restricted Boltzmann machine over bits.
    Rbm {
        /// How many hidden units.
        #[schemars(range(min = 1))]
        hidden: usize,
    },
    /// A perceptron over indicators of all values, beside the base.
    Mlp {
        /// Widths of its hidden layers.
        hidden: Vec<usize>,
        /// Its activation.
        #[serde(default = "elu")]
        activation: Activation,
    },
    /// Small convolutions over an image of indicators, beside the base.
    Convolution {
        /// Height and width of the image, whose rows are the data's.
        image: [usize; 2],
        /// Channels of its layers.
        channels: Vec<usize>,
        /// How far the places of each layer are apart in the one before; 1 unless given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        strides: Vec<usize>,
        /// Side of the square that a place sees of the layer before (odd).
        #[serde(default = "three")]
        #[schemars(range(min = 1, max = 31))]
        kernel: usize,
        /// Whether the other side of the image lies beyond its border, and not nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        periodic: bool,
        /// Whether all places of the last layer count alike, and not each by weights of its own.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pooled: bool,
        /// Its activation.
        #[serde(default = "elu")]
        activation: Activation,
    },
}

fn three() -> usize {
    3
}

fn elu() -> Activation {
    Activation::Elu
}

/// The most sites whose pairs all have a coupling.
const MOST_PAIRED: usize = 4096;

impl EnergyForm {
    /// Checks what needs no data to be checked; `key` is its own.
    ///
    /// # Errors
    /// The first problem found.
    pub fn check(&self, key: &str) -> Result<()> {
        match self {
            Self::Ising { torus } | Self::Potts { torus } => {
                for (index, side) in torus.iter().flatten().enumerate() {
                    within(&format!("{key}.torus.{index}"), *side as f64, 3.0, 1e5)?;
                }
                Ok(())
            }
            Self::Rbm { hidden } => within(&format!("{key}.hidden"), *hidden as f64, 1.0, 65_536.0),
            Self::Mlp { hidden, .. } => widths(&format!("{key}.hidden"), hidden, false),
            Self::Convolution { image, channels, strides, kernel, .. } => {
                for (index, side) in image.iter().enumerate() {
                    within(&format!("{key}.image.{index}"), *side as f64, 1.0, 4096.0)?;
                }
                widths(&format!("{key}.channels"), channels, false)?;
                for (index, stride) in strides.iter().enumerate() {
                    within(&format!("{key}.strides.{index}"), *stride as f64, 1.0, 64.0)?;
                }
                if !strides.is_empty() && strides.len() != channels.len() {
                    let found = format!("{} of {} layers", strides.len(), channels.len());
                    let problem = Problem::new(format!("{key}.strides"), found);
                    return Err(problem.allowed("one for each of channels, or none").into());
                }
                within(&format!("{key}.kernel"), *kernel as f64, 1.0, 31.0)?;
                if kernel.is_multiple_of(2) {
                    let problem = Problem::new(format!("{key}.kernel"), kernel.to_string());
                    return Err(problem.allowed("an odd side, which has a middle").into());
                }
                Ok(())
            }
        }
    }

    /// Checks that it is one over such states.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_over(&self, key: &str, sites: usize, values: usize) -> Result<()> {
        let bits = matches!(self, Self::Ising { .. } | Self::Rbm { .. });
        if bits && values != 2 {
            return Err(Problem::new(format!("{key}.kind"), format!("one of bits, of {values} values"))
                .allowed("\"potts\", \"mlp\" or \"convolution\"; or data of 2 levels")
                .into());
        }
        if let Self::Convolution { image: [height, width], .. } = self
            && height.checked_mul(*width) != Some(sites)
        {
            let found = format!("{height} x {width} for {sites} columns");
            return Err(Problem::new(format!("{key}.image"), found)
                .allowed(format!("a height and a width whose product is {sites}"))
                .into());
        }
        let (Self::Ising { torus } | Self::Potts { torus }) = self else { return Ok(()) };
        match torus {
            Some([height, width]) if height.checked_mul(*width) != Some(sites) => {
                Err(Problem::new(format!("{key}.torus"), format!("{height} x {width} for {sites} columns"))
                    .allowed(format!("a height and a width whose product is {sites}"))
                    .into())
            }
            None if sites > MOST_PAIRED => {
                Err(Problem::new(format!("{key}.kind"), format!("all pairs of {sites} sites"))
                    .allowed(format!("at most {MOST_PAIRED} sites; or a torus"))
                    .into())
            }
            _ => Ok(()),
        }
    }

    /// Energies of this form over a base.
    pub fn family(&self, base: Independent) -> Arc<dyn Family> {
        let pairs = |torus: &Option<[usize; 2]>| {
            torus.map_or(Pairs::All, |[height, width]| Pairs::Torus(height, width))
        };
        match self {
            Self::Ising { torus } => Arc::new(Pairwise::ising(base, pairs(torus))),
            Self::Potts { torus } => Arc::new(Pairwise::potts(base, pairs(torus))),
            Self::Rbm { hidden } => Arc::new(Rbm::new(base, *hidden)),
            Self::Mlp { hidden, activation } => Arc::new(Perceptron::new(base, hidden, *activation)),
            Self::Convolution { image, channels, strides, kernel, periodic, pooled, activation } => {
                let mut strides = strides.clone();
                strides.resize(channels.len(), 1);
                Arc::new(Convolution::new(
                    base,
                    ConvolutionShape {
                        image: *image,
                        channels: channels.clone(),
                        strides,
                        kernel: *kernel,
                        periodic: *periodic,
                        pooled: *pooled,
                        activation: *activation,
                    },
                ))
            }
        }
    }

    /// How many weights it has over such states, in f64, which does not overflow.
    pub fn weights(&self, sites: f64, values: f64) -> f64 {
        match self {
            Self::Ising { torus } | Self::Potts { torus } => {
                let pairs = if torus.is_some() { 2.0 * sites } else { 0.5 * sites * sites };
                pairs + sites * values
            }
            Self::Rbm { hidden } => (sites + 1.0) * (*hidden as f64 + 1.0),
            Self::Mlp { hidden, .. } => {
                crate::network::recipe::stack(sites * values, hidden, 1.0, false).weights
            }
            Self::Convolution { channels, kernel, pooled, .. } => {
                let (taps, mut before, mut sum) = ((kernel * kernel) as f64, values, 0.0);
                for after in channels.iter().map(|channels| *channels as f64) {
                    sum += (taps * before + 1.0) * after;
                    before = after;
                }
                // At most as many places as sites.
                sum + before * if *pooled { 1.0 } else { sites }
            }
        }
    }

    /// `log R` as a formula.
    pub fn formula(&self) -> &'static str {
        match self {
            Self::Ising { .. } => "log R(s) = sum_ij K_ij s_i s_j + sum_i h_i s_i",
            Self::Potts { .. } => "log R(x) = sum_ij K_ij [x_i = x_j] + sum_i h_i(x_i)",
            Self::Rbm { .. } => "log R(x) = a^T x + sum_j softplus(c_j + x^T W_j)",
            Self::Mlp { .. } | Self::Convolution { .. } => "log R(x) = log q(x) + f(x)",
        }
    }

    /// The papers behind it, as BibTeX.
    pub fn papers(&self) -> Vec<&'static str> {
        match self {
            Self::Rbm { .. } => vec![papers::CONTRASTIVE_DIVERGENCE],
            _ => Vec::new(),
        }
    }
}
