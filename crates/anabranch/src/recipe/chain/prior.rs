//! The prior of a chain: another run of the same chain, of whose samples the target's R is the likelihood.
//!
//! The posterior is learned from the prior's weights on, so that what the recipe does not say of chain and space is the prior's.

use crate::error::{Problem, Result};
use crate::model::Model;
use crate::objective::ReferenceKind;
use crate::recipe::finished::Finished;
use crate::recipe::{Plan, Recipe, TargetRecipe};

/// The trained chain that a posterior is relative to.
pub struct ChainPrior {
    /// The model with its trained weights.
    pub model: Model,
    /// The power of the likelihood.
    pub beta: f64,
}

/// Opens the prior that a checked recipe names, and fills in what the recipe leaves to it: the model, the levels of its data and
/// their shape.
///
/// # Errors
/// If there is no such run, its own prior leads back to it, none of its checkpoints is whole, it is a flow network or has conditions,
/// or the recipe says otherwise than it of chain or space.
pub(super) fn open(recipe: &mut Recipe) -> Result<Option<ChainPrior>> {
    let Some(directory) = &recipe.policy.prior else { return Ok(None) };
    let prior = Finished::open("policy.prior", directory)?;
    let Plan::Chain(theirs) = &prior.plan else {
        return prior.refused("a run of a flow network", "one of a chain");
    };
    let model = prior.chain()?;
    let ReferenceKind::Prior { beta } = recipe.objective.needs().reference else {
        unreachable!("the recipe was checked");
    };
    if recipe.model.is_empty() {
        recipe.model.clone_from(&theirs.recipe.model);
    } else if recipe.model != theirs.recipe.model {
        return prior.refused("a run with another [[model]]", "the same segments; or none in this recipe");
    }
    if let TargetRecipe::Energy(energy) = &mut recipe.target {
        let (levels, image) = (theirs.recipe.target.levels(), theirs.recipe.target.image());
        if energy.levels != 0 && energy.levels != levels {
            let found = format!("{}, where the prior has {levels}", energy.levels);
            return Err(Problem::new("target.levels", found).allowed("the prior's; or none").into());
        }
        energy.levels = levels;
        energy.image = energy.image.or(image);
    }
    Ok(Some(ChainPrior { model, beta }))
}
