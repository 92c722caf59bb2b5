//! The prior policy of a flow network.

use std::sync::Arc;

use crate::error::Result;
use crate::recipe::finished::Finished;
use crate::recipe::{Plan, Recipe};

/// The trained weights of the policy of the run that `recipe` names as its prior; `parameters` is how many its own policy
/// has.
///
/// # Errors
/// If there is no such run, its own prior leads back to it, none of its checkpoints is whole, or its policy is over other
/// objects or of another form.
pub(super) fn weights(recipe: &Recipe, parameters: usize) -> Result<Option<Arc<Vec<f32>>>> {
    let Some(directory) = &recipe.policy.prior else { return Ok(None) };
    let prior = Finished::open("policy.prior", directory)?;
    let Plan::GFlowNet(theirs) = &prior.plan else {
        return prior.refused("a run of a chain", "one of a flow network");
    };
    let theirs = &theirs.recipe;
    if theirs.objects().space() != recipe.objects().space() {
        return prior.refused(theirs.objects().space(), recipe.objects().space());
    }
    if (&theirs.policy.network, theirs.policy.components)
        != (&recipe.policy.network, recipe.policy.components)
    {
        return prior.refused("a policy with another network", "the same `policy.network`");
    }
    let mut weights = prior.trained()?.vectors;
    if weights.is_empty() || weights[0].len() != parameters {
        let found = format!("a policy of {} weights", weights.first().map_or(0, Vec::len));
        let allowed =
            format!("one of {parameters}: the same `policy.backward`, an objective with the same flows");
        return prior.refused(found, allowed);
    }
    Ok(Some(Arc::new(weights.swap_remove(0))))
}
