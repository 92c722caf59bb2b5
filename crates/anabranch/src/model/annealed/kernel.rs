//! The Markov kernels that a recipe can name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Level;
use crate::chain::{Given, Transition};
use crate::error::Failure;
use crate::kernel::mcmc::{Gibbs, Hamiltonian, Independent, Mala, Metropolis, Proposal, RandomWalk, Stride};
use crate::papers;
use crate::rng::Noise;
use crate::target::Target;

/// A Markov kernel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum KernelRecipe {
    /// Gaussian jumps, accepted or not.
    RandomWalk {},
    /// Draws of a Gaussian fitted at warm-up, wherever the chain is.
    Independent {},
    /// A step of Langevin dynamics, accepted or not.
    Mala {
        /// How much step sizes differ from proposal to proposal: uniform in (1 - jitter) h to (1 + jitter) h.
        #[serde(default, skip_serializing_if = "is_zero")]
        #[schemars(range(min = 0, max = 0.999))]
        jitter: f32,
    },
    /// Draws of coordinates from their conditional laws, where these are Gaussian; jumps of all others, accepted or not.
    Gibbs {},
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
        /// How much step sizes differ from proposal to proposal: uniform in (1 - jitter) h to (1 + jitter) h. Trajectories of one length
        /// may come round to where they began.
        #[serde(default = "half")]
        #[schemars(range(min = 0, max = 0.999))]
        jitter: f32,
    },
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
fn is_zero(keep: &f32) -> bool {
    *keep == 0.0
}

fn five() -> usize {
    5
}

fn half() -> f32 {
    0.5
}

impl Default for KernelRecipe {
    fn default() -> Self {
        Self::Hmc { leapfrogs: five(), keep: 0.0, jitter: half() }
    }
}

impl KernelRecipe {
    /// Its proposals, where it makes some; those of [`Independent`] are around `centre`.
    pub fn proposal(self, centre: &[f32]) -> Option<Box<dyn Proposal>> {
        Some(match self {
            Self::RandomWalk {} => Box::new(RandomWalk),
            Self::Independent {} => Box::new(Independent(centre.to_vec())),
            Self::Mala { .. } => Box::new(Mala),
            Self::Gibbs {} => return None,
            Self::Hmc { leapfrogs, keep, .. } => Box::new(Hamiltonian { leapfrogs, kept: keep }),
        })
    }

    /// How much the step sizes of its proposals differ, in [0, 1).
    pub fn jitter(self) -> f32 {
        match self {
            Self::Mala { jitter } | Self::Hmc { jitter, .. } => jitter,
            Self::RandomWalk {} | Self::Independent {} | Self::Gibbs {} => 0.0,
        }
    }

    /// Whether it asks for scores.
    pub fn uses_scores(self) -> bool {
        matches!(self, Self::Mala { .. } | Self::Gibbs {} | Self::Hmc { .. })
    }

    /// The kernel that leaves a level of a path towards `target` invariant, with a stride and its centre.
    pub fn at<'a>(
        self,
        level: Level<'a>,
        target: &dyn Target,
        (stride, centre): (Stride, Vec<f32>),
        moves: usize,
    ) -> Kernel<'a> {
        match self.proposal(&centre) {
            Some(proposal) => {
                let jitter = self.jitter();
                Kernel::Metropolis(Metropolis { density: level, proposal, stride, jitter, moves })
            }
            None => {
                let blocks = target.conditional_blocks();
                Kernel::Gibbs(Gibbs { density: level, blocks, stride, moves })
            }
        }
    }

    /// Its papers.
    pub fn papers(self) -> Vec<&'static str> {
        match self {
            Self::RandomWalk {} | Self::Independent {} => vec![papers::HASTINGS],
            Self::Mala { .. } => vec![papers::MALA],
            Self::Gibbs {} => vec![papers::GIBBS],
            Self::Hmc { keep, .. } if keep > 0.0 => vec![papers::HMC, papers::PARTIAL_REFRESHMENT],
            Self::Hmc { .. } => vec![papers::HMC],
        }
    }
}

/// A kernel of a level.
pub enum Kernel<'a> {
    /// Proposals, accepted or not.
    Metropolis(Metropolis<Level<'a>>),
    /// Draws of conditional laws.
    Gibbs(Gibbs<Level<'a>>),
}

impl<'a> Kernel<'a> {
    /// It as a step of a chain.
    pub fn boxed(self) -> Box<dyn Transition + 'a> {
        match self {
            Self::Metropolis(kernel) => Box::new(kernel),
            Self::Gibbs(kernel) => Box::new(kernel),
        }
    }

    /// Moves points, `[rows, dimension]`; answers where they are then and the sum of their chances of acceptance.
    ///
    /// # Errors
    /// If the density does not answer.
    pub(super) fn walk(
        &self,
        points: Vec<f32>,
        rows: usize,
        given: &Given,
        noise: &Noise,
    ) -> Result<(Vec<f32>, f32), Failure> {
        let (end, acceptance) = match self {
            Self::Metropolis(kernel) => {
                let walk = kernel.walk(points, rows, given, noise)?;
                (walk.end, walk.acceptance)
            }
            Self::Gibbs(kernel) => {
                let swept = kernel.sweep(points, rows, given, noise, false)?;
                (swept.end, swept.acceptance)
            }
        };
        Ok((end.points, acceptance.iter().sum::<f32>()))
    }

    /// The acceptance at which it moves fastest: 1 where step sizes do not matter.
    pub(super) fn best_acceptance(&self) -> f64 {
        match self {
            Self::Metropolis(kernel) => kernel.proposal.best_acceptance(),
            // Of a jump in one dimension (Roberts and Rosenthal 2001).
            Self::Gibbs(kernel) => {
                if kernel.others().is_empty() {
                    1.0
                } else {
                    0.44
                }
            }
        }
    }
}
