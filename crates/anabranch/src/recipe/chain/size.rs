//! How large a recipe would be, reckoned before anything of it is built: a slip in a number must not fill the machine.
//!
//! ```text
//! weights   sum over linear layers of (inputs + 1) outputs
//! numbers   rows of a batch, times what one row leaves on the tape: the widths of all layers, at every step that is
//!           simulated
//! ```
//!
//! Training holds about ten copies of the weights (moments, averages, gradients) and two or three of a batch's numbers.

use super::{Found, surrounded};
use crate::error::{Problem, Result};
use crate::model::Model;
use crate::model::state_flow::EMBEDDING;
use crate::objective::Drawn;
use crate::recipe::{Recipe, memory};
use crate::rng::Counted;

/// Coordinates of the target's space.
const MOST_DIMENSIONS: usize = 100_000;
/// Numbers of a table that a baseline fits: a covariance matrix, or a histogram per column.
const MOST_FITTED: usize = 1 << 28;
/// Weights of a model.
const MOST_WEIGHTS: f64 = (1u64 << 28) as f64;
/// Numbers that one batch may need.
const MOST_NUMBERS: f64 = (1u64 << 30) as f64;

/// Checks that a recipe over `dimension` coordinates, with what the `run` has learned that it names, fits into a machine's memory.
///
/// # Errors
/// If a stated limit is passed.
pub(super) fn check(recipe: &Recipe, run: Option<&Model>, [dimension, condition]: [usize; 2]) -> Result<()> {
    if !(1..=MOST_DIMENSIONS).contains(&dimension) {
        return Err(Problem::new("target", format!("{dimension} dimensions"))
            .allowed(format!("from 1 to {MOST_DIMENSIONS} of them"))
            .into());
    }
    let levels = recipe.target.levels() as usize;
    if levels > 0 && dimension.max(levels) > MOST_FITTED / dimension {
        return Err(Problem::new("target.levels", format!("{levels} levels in {dimension} columns"))
            .allowed(format!("at most {MOST_FITTED} as their product and as the columns' square"))
            .into());
    }
    let training = &recipe.training;
    let (paths, simulated) = match recipe.objective.needs().drawn {
        Drawn::Backward { samples, local } => (samples as u64, !local),
        Drawn::Forward => (1, true),
    };
    training.addressed(Counted::Rows, 1, (training.batch as u64).saturating_mul(paths))?;
    let (mut weights, mut numbers, mut widest, mut kernels) = (0.0, 0.0, 0f64, 0.0);
    surrounded(recipe, Found { run, ..Found::default() }, [dimension, condition], |part, around| {
        let size = part.size(around);
        weights += size.weights;
        if weights > MOST_WEIGHTS {
            let found = format!("{weights} weights from here to the target");
            return Err(Problem::new(around.place.key(), found)
                .allowed(format!("at most {MOST_WEIGHTS} in a model"))
                .into());
        }
        // Next to the source a diffusion learns from one of its steps at a time.
        numbers += size.row * if around.place.index == 0 && !simulated { 1.0 } else { size.steps };
        widest = widest.max(size.row);
        kernels += size.steps;
        Ok(size.inner)
    })?;
    let needs = recipe.objective.needs();
    let of_conditions = (needs.log_z || needs.flow) && condition > 0;
    let flows = [(needs.flow, dimension + condition, kernels), (of_conditions, condition, 1.0)];
    for (_, inputs, times) in flows.into_iter().filter(|(needed, ..)| *needed) {
        // All states of a batch are asked about at once.
        let hidden = recipe.state_flow.clone().unwrap_or_default().hidden;
        let inner = hidden.iter().map(|width| *width as f64);
        let layers: Vec<f64> = [(inputs + EMBEDDING) as f64].into_iter().chain(inner).chain([1.0]).collect();
        weights += layers.windows(2).map(|pair| (pair[0] + 1.0) * pair[1]).sum::<f64>();
        numbers += times * layers.iter().sum::<f64>();
        if weights > MOST_WEIGHTS {
            return Err(Problem::new("state_flow.hidden", format!("{weights} weights with the model's"))
                .allowed(format!("at most {MOST_WEIGHTS} together"))
                .into());
        }
    }
    let most = |per_row: f64, key: &str, found: usize, rows: f64| -> Result<()> {
        if rows * per_row <= MOST_NUMBERS {
            return Ok(());
        }
        Err(Problem::new(key, found.to_string())
            .allowed(format!(
                "at most {} with a model that needs {per_row} numbers for each",
                (MOST_NUMBERS / per_row) as u64
            ))
            .into())
    };
    most(numbers * paths as f64, "training.batch", training.batch, training.batch as f64)?;
    memory::fits("model", weights * memory::PER_WEIGHT)?;
    let tape = numbers * paths as f64 * training.batch as f64 * memory::PER_NUMBER;
    memory::fits("training.batch", weights * memory::PER_WEIGHT + tape)?;
    let evaluation = &recipe.evaluation;
    if recipe.target.energy().is_some() {
        most(dimension as f64, "evaluation.paths", evaluation.paths, evaluation.paths as f64)?;
    }
    let importance = evaluation.importance_samples;
    most(widest * 128.0, "evaluation.importance_samples", importance, importance as f64)?;
    most(widest * 128.0, "evaluation.ode_probes", evaluation.ode_probes, evaluation.ode_probes as f64)?;
    most(dimension as f64, "evaluation.samples", evaluation.samples, evaluation.samples as f64)
}
