//! The prior policy of relative objectives: what another run has learned.

use std::path::Path;
use std::sync::Arc;

use super::GFlowNetRecipe;
use crate::error::{Problem, Result};
use crate::recipe::{Plan, saved};
use crate::train::Trained;

/// The trained weights of the policy of the run that `recipe` names as its prior; `parameters` is how many its own policy
/// has.
///
/// # Errors
/// If there is no such run, none of its checkpoints is whole, or its policy is over other objects or of another form.
pub(super) fn weights(recipe: &GFlowNetRecipe, parameters: usize) -> Result<Option<Arc<Vec<f32>>>> {
    let Some(directory) = &recipe.policy.prior else { return Ok(None) };
    let place = format!("policy.prior, {directory}");
    let refused = |found: String, allowed: String| Err(Problem::new(&*place, found).allowed(allowed).into());
    let plan = saved::open(Path::new(directory))?;
    let Plan::GFlowNet(theirs) = &plan else {
        return refused("a run of a chain".to_owned(), "one of a flow network".to_owned());
    };
    let theirs = &theirs.recipe;
    if theirs.target.space() != recipe.target.space() {
        return refused(theirs.target.space(), recipe.target.space());
    }
    if (&theirs.policy.network, theirs.policy.components)
        != (&recipe.policy.network, recipe.policy.components)
    {
        return refused("a policy with another network".to_owned(), "the same `policy.network`".to_owned());
    }
    let newest = saved::newest(&plan, Path::new(directory), &|_| {})?;
    let mut weights = Trained::of(newest.as_ref()).vectors;
    if weights.is_empty() || weights[0].len() != parameters {
        let found = format!("a policy of {} weights", weights.first().map_or(0, Vec::len));
        let allowed =
            format!("one of {parameters}: the same `policy.backward`, an objective with the same flows");
        return refused(found, allowed);
    }
    Ok(Some(Arc::new(weights.swap_remove(0))))
}
