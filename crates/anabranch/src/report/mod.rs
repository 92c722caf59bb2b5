//! Reports: what came of a run, or of several side by side, as one HTML file each.
//!
//! A page holds its own style and its pictures; it needs no network and no script, and follows the reader's light or
//! dark mode. [`gather`] collects what a page shows into a [`Summary`], and [`run_page`] and [`comparison_page`] are
//! pure functions from there to text.

mod candidates;
mod columns;
mod comparison;
mod curves;
mod flow;
mod gather;
mod metric;
mod page;
mod particles;
mod pictures;
mod published;
mod registry;
mod repeats;
mod rolls;
mod rounds;
mod single;
mod trust;
mod verdict;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

pub use candidates::{Proposal, Proposals};
pub use comparison::comparison_page;
pub use flow::{Flow, Form, Graph, LawShown, Object, Walk};
pub use gather::gather;
pub use metric::with_error;
pub use published::published;
pub use registry::{Better, Description, describe, known_metrics};
pub use repeats::{Repeat, Variant, difference, differences, repeats_csv, repeats_json, spread};
pub use rounds::{RoundsSummary, rounds_page};
pub use single::run_page;
pub use trust::warnings;
pub use verdict::verdict;

use crate::data::atomic::atomic_write;
use crate::error::Result;
pub use particles::Stages;

use crate::run::{Rounds, Run};
use crate::train::tensorboard::write_evaluation;

/// All that a report shows of one run.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The recipe's name.
    pub name: String,
    /// The recipe's title.
    pub title: String,
    /// The seed of every random stream.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// How long training took, seconds.
    pub seconds: f64,
    /// How many trainable numbers there are.
    pub parameters: u64,
    /// What the recipe means, one `label value` a line as `anabranch explain` prints it.
    pub facts: String,
    /// What is modelled; runs that share it are compared with each other.
    pub target: String,
    /// `NAME` and, where there is one, `NAME_se`, its standard error.
    pub metrics: Map<String, Value>,
    /// What a clock decides: rates, and seconds for each sample.
    pub timings: Map<String, Value>,
    /// The lines of `metrics.jsonl`.
    pub log: Vec<Logged>,
    /// What the validation score is, with its unit.
    pub validation: String,
    /// Whether the training loss is the same quantity, of the rows or paths of a step.
    pub same_loss: bool,
    /// What the columns of states are called; empty where they have no names.
    pub columns: Vec<String>,
    /// The words that the values of a column stand for, by its index.
    pub words: BTreeMap<usize, Vec<String>>,
    /// The dimension of the target's space.
    pub dimension: usize,
    /// How states are images, where they are.
    pub image: Option<ImageShape>,
    /// The model's samples, row-major.
    pub samples: Vec<f32>,
    /// The class that each sample was drawn for, where there are classes.
    pub classes: Vec<usize>,
    /// What the samples are to resemble.
    pub reference: Option<Reference>,
    /// The target's density over the plane, where it has two dimensions and is known.
    pub density: Option<Density>,
    /// The same paths at several places of the chain, from the source to the target.
    pub trajectory: Vec<Frame>,
    /// How particles went through the chain, where they were resampled on their way.
    pub stages: Stages,
    /// What is known of a flow network's objects, where the model is one.
    pub flow: Option<Flow>,
    /// What is proposed to be measured next, where the reward is a regressor.
    pub proposals: Option<Proposals>,
    /// The resolved recipe, TOML.
    pub recipe: String,
    /// The papers behind the recipe, BibTeX.
    pub citations: Vec<String>,
}

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Steps done.
    pub step: u64,
    /// What was logged.
    pub fields: Map<String, Value>,
}

/// How a state is a grey image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImageShape {
    /// Pixels from top to bottom.
    pub height: usize,
    /// Pixels from left to right.
    pub width: usize,
    /// The value of black.
    pub low: f32,
    /// The value of white.
    pub high: f32,
    /// Whether states on the way are on this scale, too, and not each on one of their own.
    pub fixed: bool,
}

/// Rows of the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// What they are.
    pub name: String,
    /// The values, row-major.
    pub rows: Vec<f32>,
}

/// A density on an even grid over a square.
#[derive(Debug, Clone, PartialEq)]
pub struct Density {
    /// The lower corner.
    pub low: [f64; 2],
    /// The upper corner.
    pub high: [f64; 2],
    /// How many columns, and rows, the grid has.
    pub cells: usize,
    /// The density in the middle of each cell over its largest value, row-major, the first row at the lower end.
    pub values: Vec<f64>,
}

/// The states of several paths at one place of the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Where in the chain, from 0 (the source) to 1 (the target).
    pub place: f64,
    /// The states' dimension.
    pub dimension: usize,
    /// The states, row-major.
    pub values: Vec<f32>,
}

/// Writes `report.html` into the directory of a run that was evaluated, with `result` as [`Run::result`] answers it,
/// and the same numbers and sample grid as TensorBoard events. Answers what the report shows.
///
/// # Errors
/// If a file of the run is missing, or the report cannot be written.
pub fn write_report(run: &Run, result: &Value) -> Result<Summary> {
    let summary = gather(run, result)?;
    let grid = pictures::sample_grid(&summary);
    let step = summary.log.last().map_or(summary.steps, |line| line.step);
    let recipe = serde_json::to_value(run.plan.recipe()).unwrap_or_default();
    write_evaluation(&run.directory, step, &recipe, &summary.metrics, grid.as_ref())?;
    let page = run_page(&summary);
    atomic_write(&run.directory.join("report.html"), |out| out.write_all(page.as_bytes()))?;
    Ok(summary)
}

/// Writes `report.html` into a directory of rounds, with `result` as [`Rounds::result`] answers it.
///
/// # Errors
/// If a table cannot be read, or the report cannot be written.
pub fn write_rounds(rounds: &Rounds, result: &Value) -> Result<()> {
    let page = rounds_page(&rounds.summary(result)?);
    atomic_write(&rounds.directory().join("report.html"), |out| out.write_all(page.as_bytes()))
}

/// Writes `report.html` into `directory`: several runs side by side, as [`write_report`] answered them, and what is known of each over
/// several seeds.
///
/// # Errors
/// If the report cannot be written.
pub fn write_comparison(runs: &[Summary], variants: &[Variant], directory: &Path) -> Result<()> {
    let page = comparison_page(runs, variants);
    atomic_write(&directory.join("report.html"), |out| out.write_all(page.as_bytes()))
}

#[cfg(test)]
mod tests;
