//! The Markov kernels that a recipe can name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::mcmc::{Hamiltonian, Independent, Mala, Proposal, RandomWalk};
use crate::papers;

/// A Markov kernel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum KernelRecipe {
    /// Gaussian jumps, accepted or not.
    RandomWalk {},
    /// Draws of a Gaussian fitted at warm-up, wherever the chain is.
    Independent {},
    /// A step of Langevin dynamics, accepted or not.
    Mala {},
    /// Hamiltonian Monte Carlo.
    Hmc {
        /// Leapfrog steps of a proposal.
        #[serde(default = "five")]
        #[schemars(range(min = 1))]
        leapfrogs: usize,
        /// What of a momentum goes into that of the next move at the same density: 0 draws all of it anew.
        #[serde(default, skip_serializing_if = "is_zero")]
        #[schemars(range(min = 0, max = 0.999))]
        keep: f32,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
fn is_zero(keep: &f32) -> bool {
    *keep == 0.0
}

fn five() -> usize {
    5
}

impl Default for KernelRecipe {
    fn default() -> Self {
        Self::Hmc { leapfrogs: five(), keep: 0.0 }
    }
}

impl KernelRecipe {
    /// Its proposals; those of [`Independent`] are around `centre`.
    pub fn proposal(self, centre: &[f32]) -> Box<dyn Proposal> {
        match self {
            Self::RandomWalk {} => Box::new(RandomWalk),
            Self::Independent {} => Box::new(Independent(centre.to_vec())),
            Self::Mala {} => Box::new(Mala),
            Self::Hmc { leapfrogs, keep } => Box::new(Hamiltonian { leapfrogs, kept: keep }),
        }
    }

    /// Its papers.
    pub fn papers(self) -> Vec<&'static str> {
        match self {
            Self::RandomWalk {} | Self::Independent {} => vec![papers::HASTINGS],
            Self::Mala {} => vec![papers::MALA],
            Self::Hmc { keep, .. } if keep > 0.0 => vec![papers::HMC, papers::PARTIAL_REFRESHMENT],
            Self::Hmc { .. } => vec![papers::HMC],
        }
    }
}
