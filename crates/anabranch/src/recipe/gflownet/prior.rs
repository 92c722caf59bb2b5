//! The prior policy of relative objectives: what another run has learned.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Problem, Result};
use crate::recipe::Recipe;
use crate::recipe::{Plan, saved};
use crate::train::Trained;

/// Priors of priors, each with one of its own, at most.
const DEEPEST: usize = 64;

/// The trained weights of the policy of the run that `recipe` names as its prior; `parameters` is how many its own policy
/// has.
///
/// # Errors
/// If there is no such run, its own prior leads back to it, none of its checkpoints is whole, or its policy is over other
/// objects or of another form.
pub(super) fn weights(recipe: &Recipe, parameters: usize) -> Result<Option<Arc<Vec<f32>>>> {
    let Some(directory) = &recipe.policy.prior else { return Ok(None) };
    let place = format!("policy.prior, {directory}");
    let refused = |found: String, allowed: String| Err(Problem::new(&*place, found).allowed(allowed).into());
    lead_to_an_end(&place, directory)?;
    let plan = saved::open(Path::new(directory))?;
    let Plan::GFlowNet(theirs) = &plan else {
        return refused("a run of a chain".to_owned(), "one of a flow network".to_owned());
    };
    let theirs = &theirs.recipe;
    if theirs.objects().space() != recipe.objects().space() {
        return refused(theirs.objects().space(), recipe.objects().space());
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

/// Whether the run's prior, the prior's prior and so on come to a run that has none: to build a run is to build its prior.
fn lead_to_an_end(place: &str, directory: &str) -> Result<()> {
    let (mut names, mut known) = (Vec::new(), Vec::new());
    let mut next = Some(directory.to_owned());
    while let Some(name) = next {
        let here: PathBuf = std::fs::canonicalize(&name).unwrap_or_else(|_| PathBuf::from(&name));
        let met = known.iter().position(|known| *known == here);
        names.push(name);
        if met.is_some() || known.len() == DEEPEST {
            let found = match met {
                Some(first) => format!("a prior that leads back to itself: {}", names[first..].join(" -> ")),
                None => format!("more than {DEEPEST} priors of priors"),
            };
            return Err(Problem::new(place, found)
                .allowed("a run whose own priors end with one that has none")
                .into());
        }
        next = saved::recipe(&here)?.policy.prior;
        known.push(here);
    }
    Ok(())
}
