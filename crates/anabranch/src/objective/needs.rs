//! What an objective asks of the engine that evaluates it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::{Paths, Slopes};
use crate::error::{Problem, Result};

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
    Prior {
        /// The power of the reward in its posterior.
        beta: f64,
    },
}

/// A target network in a recipe: a copy of the weights that follows them slowly and is not trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TargetNetwork {
    /// The share by which it moves towards the weights; 1 copies them.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    pub rate: f64,
    /// Steps between moves.
    #[schemars(range(min = 1))]
    pub every: u64,
}

impl Default for TargetNetwork {
    fn default() -> Self {
        Self { rate: 0.25, every: 1 }
    }
}

impl TargetNetwork {
    /// The reference that it is.
    pub(super) fn reference(network: Option<Self>) -> ReferenceKind {
        match network {
            None => ReferenceKind::None,
            Some(Self { rate, every }) => ReferenceKind::Target { rate, every },
        }
    }

    pub(super) fn check(network: Option<Self>, check: &Check<'_>) -> Result<()> {
        let Some(Self { rate, every }) = network else { return Ok(()) };
        check.positive("target.rate", rate, 1.0)?;
        if every == 0 {
            let place = format!("{}.target.every", check.0);
            return Err(Problem::new(place, "0").allowed("an integer of at least 1").into());
        }
        Ok(())
    }
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
    /// Whether it trains `P_B`: where it does not, a learned `P_B` needs [`super::BackwardObjective::TrajectoryLikelihood`].
    pub trains_backward: bool,
    /// The least number of trajectories that share a condition.
    pub per_condition: usize,
    /// Whether it is an expectation over all trajectories, so that none may be given up before its end.
    pub every_end: bool,
    /// From which end paths are drawn.
    pub drawn: Drawn,
    /// Whether it learns from samples of the target, too, where it learns from `log R`.
    pub samples: bool,
    /// Whether the loss is differentiated through the states of a path, and not only by the numbers at given states.
    pub through_states: bool,
    /// Whether `log P_F` along such a path is that of stopped weights, so that they learn through the states alone; `P_B` keeps
    /// its own.
    pub stopped: bool,
    /// Whether it reads the chance of stopping at every state: all must be objects, and what is known on the way their `log R`.
    pub stops: bool,
}

/// From which end paths are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// From the source, by the forward chain: learns from `log R`.
    Forward,
    /// From a datum, by the backward chain, so many paths from each; a simulation-free estimate may stand for the stretch next
    /// to the source where `local` says so.
    Backward {
        /// Paths from every datum.
        samples: usize,
        /// Whether an estimate without simulation will do.
        local: bool,
    },
}

impl Default for Needs {
    /// Those of an objective of `P_F`, `P_B` and `log R` alone.
    fn default() -> Self {
        Self {
            log_z: false,
            flow: false,
            partial: false,
            reference: ReferenceKind::None,
            epochs: 1,
            on_policy: false,
            trains_backward: true,
            per_condition: 1,
            every_end: false,
            drawn: Drawn::Forward,
            samples: false,
            through_states: false,
            stopped: false,
            stops: false,
        }
    }
}

/// A loss of paths with its slopes.
pub trait PathObjective: Send + Sync + std::fmt::Debug {
    /// What it reads.
    fn needs(&self) -> Needs;

    /// Refuses hyper-parameters out of range; `place` is the key below which they stand, such as `objective`.
    ///
    /// # Errors
    /// The first of them.
    fn check(&self, _place: &str) -> Result<()> {
        Ok(())
    }

    /// The objective that stands for this one at `step`, where it changes as training goes on.
    fn at_step(&self, _step: u64) -> Option<Box<dyn PathObjective>> {
        None
    }

    /// The objectives whose weighted sum this one is, each of paths of its own; none where it is of one piece.
    fn parts(&self) -> Vec<(f64, Box<dyn PathObjective>)> {
        Vec::new()
    }

    /// The loss, a mean over the batch; fills all `slopes`.
    ///
    /// # Panics
    /// If an array that it reads does not have one entry per row or trajectory.
    fn evaluate(&self, paths: &Paths, slopes: &mut Slopes) -> f64;
}
