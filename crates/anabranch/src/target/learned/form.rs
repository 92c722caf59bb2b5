//! The families of energies that a recipe can name.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Family, Independent, Pairs, Pairwise, Perceptron, Rbm};
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
                .allowed("\"potts\" or \"mlp\"; or data of 2 levels")
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
        }
    }

    /// `log R` as a formula.
    pub fn formula(&self) -> &'static str {
        match self {
            Self::Ising { .. } => "log R(s) = sum_ij K_ij s_i s_j + sum_i h_i s_i",
            Self::Potts { .. } => "log R(x) = sum_ij K_ij [x_i = x_j] + sum_i h_i(x_i)",
            Self::Rbm { .. } => "log R(x) = a^T x + sum_j softplus(c_j + x^T W_j)",
            Self::Mlp { .. } => "log R(x) = log q(x) + f(x)",
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
