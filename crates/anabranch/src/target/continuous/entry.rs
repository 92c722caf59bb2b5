//! What recipes know of a target over points: its keys, what they may be, and what becomes of them.
//!
//! A target's keys are a struct beside its mathematics that implements [`Entry`]; the list of all of them is
//! [`PointTargetRecipe`].

use std::sync::Arc;

use super::PointTargetRecipe;
use crate::environment::continuous::Domain;
use crate::error::Problem;
use crate::target::Target;

pub(super) type Result<T> = std::result::Result<T, Problem>;

/// A target that was built.
pub type Built = Result<Arc<dyn Target>>;

/// A target over points, as recipes name it.
pub trait Entry {
    /// Its name and formula in one line.
    fn formula(&self) -> String;

    /// The papers that it comes from, as BibTeX.
    fn papers(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// How many coordinates its points have, where it says so.
    fn dimension(&self) -> Option<usize>;

    /// Where every coordinate lives; nothing where they may live anywhere.
    fn domain(&self) -> Option<Domain> {
        Some(Domain::Line)
    }

    /// Refuses values that are wrong whatever the points are.
    ///
    /// # Errors
    /// The first problem found, its place the key.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Refuses points of another number of coordinates, or whose coordinates live elsewhere.
    ///
    /// # Errors
    /// If they do.
    fn over(&self, domains: &[Domain]) -> Result<()> {
        fits(self, domains)
    }

    /// The target over points whose coordinates have these domains, once they and all values are checked; `place` is where the recipe
    /// names it.
    ///
    /// # Errors
    /// If a value is not allowed; the key is named, from within `place`.
    fn build(&self, domains: &[Domain], place: &str) -> Built;

    /// The targets that it is made of, with their keys.
    fn parts(&self) -> Vec<(String, &PointTargetRecipe)> {
        Vec::new()
    }

    /// Whether it takes long to build, so that a recipe is checked without.
    fn is_costly(&self) -> bool {
        false
    }

    /// Refuses one whose data cannot be read.
    ///
    /// # Errors
    /// If they cannot be.
    fn readable(&self) -> Result<()> {
        Ok(())
    }
}

/// [`Entry::over`] by the entry's own dimension and domain.
pub(super) fn fits(entry: &(impl Entry + ?Sized), domains: &[Domain]) -> Result<()> {
    let (wanted, count) = (entry.domain(), entry.dimension());
    let fits = wanted.is_none_or(|wanted| domains.iter().all(|domain| *domain == wanted));
    if fits && count.is_none_or(|count| count == domains.len()) {
        return Ok(());
    }
    let place = match wanted {
        Some(Domain::Unit) => "a box",
        Some(Domain::Line) => "the line",
        Some(Domain::Circle) => "a torus",
        None => "points",
    };
    let of = count.map_or_else(String::new, |count| format!(" of {count} coordinates"));
    let key = if wanted.is_none() { "dimension" } else { "kind" };
    Err(Problem::new(key, format!("this reward for {} other coordinates", domains.len()))
        .allowed(format!("{place}{of}, or another reward")))
}

/// The largest dimension of an energy.
pub(super) const LARGEST: usize = 100_000;

/// A problem with the key `key` of the target.
pub(super) fn problem<T>(key: &str, found: impl Into<String>, allowed: &str) -> Result<T> {
    Err(Problem::new(key, found).allowed(allowed))
}

/// Refuses deviations whose squares or inverses would leave the range of f32.
pub(super) fn check_std(key: &str, values: impl IntoIterator<Item = f64>) -> Result<()> {
    match values.into_iter().find(|s| !(1e-12..=1e12).contains(s)) {
        Some(bad) => problem(key, bad.to_string(), "numbers from 1e-12 to 1e12"),
        None => Ok(()),
    }
}

pub(super) fn check_finite(key: &str, values: impl IntoIterator<Item = f64>) -> Result<()> {
    match values.into_iter().find(|v| !(-1e12..=1e12).contains(v)) {
        Some(bad) => problem(key, bad.to_string(), "numbers from -1e12 to 1e12"),
        None => Ok(()),
    }
}

pub(super) fn check_dimension(dimension: usize, least: usize) -> Result<()> {
    check_count("dimension", dimension, least, LARGEST)
}

pub(super) fn check_count(key: &str, count: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    problem(key, count.to_string(), &format!("an integer from {least} to {most}"))
}

pub(super) fn shared<T: Target + 'static>(target: T) -> Built {
    Ok(Arc::new(target))
}
