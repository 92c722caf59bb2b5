//! Finished runs that another recipe names: the prior of a relative objective, the law of what comes to its segments, its target.
//!
//! ```text
//! policy.prior     p(x) ~ prior(x) R(x)^beta
//! model.0.run      s_0 -> [the run's chain] -> x -> [segments]
//! target.run       R(x) is what the run has learned
//! ```

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::{Plan, Recipe, TargetRecipe, saved};
use crate::error::{Problem, Result, quoted};
use crate::model::Model;
use crate::train::Trained;

/// Runs of runs, each of which names the next, at most.
const DEEPEST: usize = 64;

/// A finished run that another one is built on.
pub(super) struct Finished {
    /// Where it stands in messages.
    pub place: String,
    directory: PathBuf,
    /// Its plan.
    pub plan: Plan,
}

impl Finished {
    /// Opens the run in `directory`, which the recipe of another one names at `key`.
    ///
    /// # Errors
    /// If there is no such run, or what it is built on leads back to it.
    pub fn open(key: &str, directory: &str) -> Result<Self> {
        let place = format!("{key}, {directory}");
        if !Path::new(directory).join("recipe.toml").exists() {
            let found = format!("{}, where there is no run", quoted(directory));
            let made = if directory.is_empty() { "DIR" } else { directory };
            let allowed =
                format!("the directory of a finished run: `anabranch run RECIPE --out {made}` makes it");
            return Err(Problem::new(key, found).allowed(allowed).into());
        }
        lead_to_an_end(&place, directory, &mut Vec::new(), &mut HashSet::new())?;
        let directory = PathBuf::from(directory);
        if matches!(saved::recipe(&directory)?.target, TargetRecipe::Process(_)) {
            let found = "a run whose environment is another program";
            return Err(Problem::new(place, found).allowed("one whose environment is built in").into());
        }
        let plan = saved::remembered(&directory)?;
        Ok(Self { place, directory, plan })
    }

    /// What it has learned.
    ///
    /// # Errors
    /// If none of its checkpoints is whole.
    pub fn trained(&self) -> Result<Trained> {
        let newest = saved::newest(&self.plan, &self.directory, &|_| {})?;
        Ok(Trained::of(newest.as_ref()))
    }

    /// The chain that it has learned, which depends on no condition.
    ///
    /// # Errors
    /// If none of its checkpoints is whole, it is a flow network, or has conditions.
    pub fn chain(&self) -> Result<Model> {
        let Plan::Chain(plan) = &self.plan else {
            return self.refused("a run of a flow network", "one of a chain");
        };
        if plan.condition.width() > 0 {
            return self.refused("a run with conditions", "one without");
        }
        Ok(plan.model.with_weights(&self.trained()?.vectors))
    }

    /// A problem with it: what it is, and what it would have to be.
    pub fn refused<T>(&self, found: impl Into<String>, allowed: impl Into<String>) -> Result<T> {
        Err(Problem::new(&*self.place, found).allowed(allowed).into())
    }
}

/// The recipes of the runs that a recipe names, of those that these name and so on, each once; without those that are not there.
pub(super) fn named(recipe: &Recipe) -> Vec<Recipe> {
    let (mut waiting, mut known, mut found) = (recipe.runs(), HashSet::new(), Vec::new());
    while let Some(directory) = waiting.pop() {
        let here = std::fs::canonicalize(&directory).unwrap_or_else(|_| PathBuf::from(directory));
        if known.insert(here.clone())
            && let Ok(recipe) = saved::recipe(&here)
        {
            waiting.extend(recipe.runs());
            found.push(recipe);
        }
    }
    found
}

/// Whether the runs that the run names, those that these name and so on end with some that name none: to build a run is to build all of
/// them. `way` leads to the run, and those in `known` are known to end.
fn lead_to_an_end(
    place: &str,
    directory: &str,
    way: &mut Vec<(String, PathBuf)>,
    known: &mut HashSet<PathBuf>,
) -> Result<()> {
    let here: PathBuf = std::fs::canonicalize(directory).unwrap_or_else(|_| PathBuf::from(directory));
    if known.contains(&here) {
        return Ok(());
    }
    let met = way.iter().position(|(_, before)| *before == here);
    if met.is_some() || way.len() == DEEPEST {
        let found = match met {
            Some(first) => {
                let names = way[first..].iter().map(|(name, _)| name.as_str()).chain([directory]);
                format!("a prior that leads back to itself: {}", names.collect::<Vec<_>>().join(" -> "))
            }
            None => format!("more than {DEEPEST} priors of priors"),
        };
        return Err(Problem::new(place, found)
            .allowed("a run whose own priors end with one that has none")
            .into());
    }
    way.push((directory.to_owned(), here.clone()));
    for next in saved::recipe(&here)?.runs() {
        lead_to_an_end(place, &next, way, known)?;
    }
    way.pop();
    known.insert(here);
    Ok(())
}
