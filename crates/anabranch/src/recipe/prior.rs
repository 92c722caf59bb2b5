//! The prior of relative objectives: what another run has learned.
//!
//! ```text
//! p(x) ~ prior(x) R(x)^beta
//! ```

use std::path::{Path, PathBuf};

use super::{Plan, TargetRecipe, saved};
use crate::error::{Problem, Result, quoted};
use crate::train::Trained;

/// Priors of priors, each with one of its own, at most.
const DEEPEST: usize = 64;

/// A finished run that is another one's prior.
pub(super) struct Prior {
    /// Where it stands in messages.
    pub place: String,
    directory: PathBuf,
    /// Its plan.
    pub plan: Plan,
}

impl Prior {
    /// Opens the run in `directory`, which the recipe of another one names.
    ///
    /// # Errors
    /// If there is no such run, or its own prior leads back to it.
    pub fn open(directory: &str) -> Result<Self> {
        let place = format!("policy.prior, {directory}");
        if !Path::new(directory).join("recipe.toml").exists() {
            let found = format!("{}, where there is no run", quoted(directory));
            let allowed =
                format!("the directory of a finished run: `anabranch run RECIPE --out {directory}` makes it");
            return Err(Problem::new("policy.prior", found).allowed(allowed).into());
        }
        lead_to_an_end(&place, directory)?;
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

    /// A problem with it: what it is, and what it would have to be.
    pub fn refused<T>(&self, found: impl Into<String>, allowed: impl Into<String>) -> Result<T> {
        Err(Problem::new(&*self.place, found).allowed(allowed).into())
    }
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
