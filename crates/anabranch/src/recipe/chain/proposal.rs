//! The run before the segments of a recipe: its draws are what comes to them.

use crate::error::Result;
use crate::model::Model;
use crate::recipe::finished::Finished;
use crate::recipe::{Recipe, SegmentRecipe};

/// Opens the run that the first segment of a checked recipe names, if it names one: its chain, with what it has learned.
///
/// # Errors
/// If there is no such run, what it is built on leads back to it, none of its checkpoints is whole, it is a flow network, has
/// conditions, or draws integers.
pub(super) fn open(recipe: &Recipe) -> Result<Option<Model>> {
    let Some(SegmentRecipe::Run(part)) = recipe.model.first() else { return Ok(None) };
    let run = Finished::open("model.0.run", &part.run)?;
    let model = run.chain()?;
    if run.plan.recipe().target.levels() > 0 {
        return run.refused("a run whose draws are integers", "one of continuous data, or of an energy");
    }
    Ok(Some(model))
}
