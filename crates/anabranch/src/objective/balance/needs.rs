//! What an objective asks of the engine that evaluates it.

use super::{Paths, Slopes};

/// The weights that a [`super::Reference`] comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReferenceKind {
    /// None.
    None,
    /// A slowly following copy: every `every` steps it moves by the share `rate` towards the weights.
    Target {
        /// 1 copies.
        rate: f64,
        /// Steps between moves.
        every: u64,
    },
    /// The policy that drew the trajectories.
    Acting,
    /// A policy that is given.
    Prior,
}

/// What an objective asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Needs {
    /// `log Z` as a weight of its own, or the flow at the source where there are conditions.
    pub log_z: bool,
    /// `log F` of every state.
    pub flow: bool,
    /// What is known of `log R` on the way.
    pub partial: bool,
    /// Other weights.
    pub reference: ReferenceKind,
    /// How often the same trajectories are used.
    pub epochs: usize,
    /// Trajectories of the policy itself only.
    pub on_policy: bool,
}

/// A loss of paths with its slopes.
pub trait PathObjective: Send + Sync + std::fmt::Debug {
    /// What it reads.
    fn needs(&self) -> Needs;

    /// The loss, averaged over trajectories; fills all `slopes`.
    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64;
}
