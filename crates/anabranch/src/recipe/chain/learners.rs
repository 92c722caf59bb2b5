//! Who learns a chain: by its paths, by the particles in front of its maps, or from a buffer of annealed samples.

use super::{ChainPlan, TargetData};
use crate::error::{Failure, Problem, Result};
use crate::model::annealed::recipe::LadderName;
use crate::model::recipe::SegmentRecipe;
use crate::model::{Model, Watch};
use crate::objective::ObjectiveRecipe;
use crate::recipe::Recipe;
use crate::target::Target;
use crate::train::craft::CraftTask;
use crate::train::energy::EnergyTask;
use crate::train::fab::FabTask;
use crate::train::{Trainer, Training};

/// Refuses models, and what stands beside them, of which `fits` is not true for every segment.
fn only(recipe: &Recipe, found: &str, allowed: &str, fits: impl Fn(&SegmentRecipe) -> bool) -> Result<()> {
    let refused =
        |place: &str, found: &str, allowed: &str| Err(Problem::new(place, found).allowed(allowed).into());
    if !recipe.model.iter().all(fits) || recipe.policy.prior.is_some() {
        return refused("objective.kind", found, allowed);
    }
    if recipe.target.energy().is_none() {
        return refused(
            "objective.kind",
            "one that learns from an energy",
            "\"forward-kl\" where the target is data",
        );
    }
    if !recipe.conditions.is_empty() {
        let found = "one of a single energy, of a target under conditions";
        return refused("objective.kind", found, "\"reverse-kl\", \"forward-kl\" or \"trajectory-balance\"");
    }
    if recipe.state_flow.is_some() {
        return refused("state_flow", "state flows that the objective does not read", "none");
    }
    Ok(())
}

/// Refuses what does not alternate maps with Markov kernels, or would move the kernels.
pub(super) fn check_particles(recipe: &Recipe) -> Result<()> {
    let found = "\"craft\" of another chain than maps between Markov kernels whose levels stay";
    let allowed =
        "\"annealed-flow\", or \"flow\" and \"annealing\", with a ladder that is \"even\" or \"adaptive\"";
    only(recipe, found, allowed, |segment| match segment {
        SegmentRecipe::Flow(_) => true,
        SegmentRecipe::Annealing(part) => part.ladder != LadderName::Learned,
        SegmentRecipe::AnnealedFlow(part) => part.ladder != LadderName::Learned,
        _ => false,
    })
}

/// Refuses what has no density of its own.
pub(super) fn check_bootstrap(recipe: &Recipe) -> Result<()> {
    let found = "\"fab\" of a chain whose density is not known";
    only(recipe, found, "segments of kind \"flow\" alone", |segment| {
        matches!(segment, SegmentRecipe::Flow(_))
    })
}

impl ChainPlan {
    /// A run at its first step, by the learner that the objective asks for; kernels are tuned unless it is there to be `restored`, and
    /// `watch` is told how far.
    ///
    /// # Errors
    /// If a kernel fails, or `watch` asked to stop.
    pub fn training(&self, restored: bool, watch: &Watch<'_>) -> Result<Box<dyn Training + '_>> {
        let first = &self.model.segments()[0];
        let energy = match &self.data {
            TargetData::Energy(energy) => energy,
            TargetData::Rows(data) if first.as_energy().is_some() || first.as_flow_network().is_some() => {
                let task = EnergyTask {
                    model: self.model.clone(),
                    rows: data.train.iter().map(|value| *value as u8).collect(),
                    chances: data.chances.as_deref(),
                    score: Box::new(|model: &Model| self.validation_score(model)),
                    training: self.recipe.training.clone(),
                    optimizer: self.recipe.optimizer.clone(),
                    seed: self.recipe.seed,
                };
                return Ok(match first.as_energy() {
                    Some(_) => Box::new(Trainer::of_energy(task)),
                    None => Box::new(Trainer::of_energy_flow(task)?),
                });
            }
            TargetData::Rows(_) => return Ok(Box::new(self.trainer(restored, watch)?)),
        };
        let (recipe, target): (_, &dyn Target) = (&self.recipe, energy.as_ref());
        let (model, training, optimizer, seed) =
            (self.model.clone(), recipe.training.clone(), recipe.optimizer.clone(), recipe.seed);
        let score = Box::new(|model: &Model| self.validation_score(model));
        Ok(match recipe.objective {
            ObjectiveRecipe::Craft(objective) if super::learns(recipe) => {
                let task = CraftTask { model, target, objective, score, training, optimizer, seed, restored };
                Box::new(Trainer::of_maps(task, watch).map_err(Failure::into_error)?)
            }
            ObjectiveRecipe::Fab(objective) if super::learns(recipe) => {
                let task = FabTask { model, target, objective, score, training, optimizer, seed };
                Box::new(Trainer::of_flow(task))
            }
            _ => Box::new(self.trainer(restored, watch)?),
        })
    }
}
