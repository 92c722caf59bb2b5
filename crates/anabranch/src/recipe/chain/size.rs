//! How large a recipe would be, reckoned before anything of it is built: a slip in a number must not fill the machine.
//!
//! ```text
//! weights   sum over linear layers of (inputs + 1) outputs
//! numbers   rows of a batch, times what one row leaves on the tape: the widths of all layers, at every step that is
//!           simulated
//! ```
//!
//! Training holds about ten copies of the weights (moments, averages, gradients) and two or three of a batch's numbers.

use super::{ChainRecipe, CouplingKind, PredictionName, SegmentRecipe, TransformerName};
use crate::error::{Problem, Result};
use crate::model::state_flow::EMBEDDING;
use crate::objective::Drawn;
use crate::recipe::network;
use crate::rng::Counted;

/// Coordinates of the target's space.
const MOST_DIMENSIONS: usize = 100_000;
/// Numbers of a table that a baseline fits: a covariance matrix, or a histogram per column.
const MOST_FITTED: usize = 1 << 28;
/// Weights of a model.
const MOST_WEIGHTS: f64 = (1u64 << 28) as f64;
/// Numbers that one batch may need.
const MOST_NUMBERS: f64 = (1u64 << 30) as f64;

/// What a segment over some coordinates needs, in f64, which does not overflow.
struct Need {
    weights: f64,
    /// Numbers per row and step.
    row: f64,
    /// Steps of its chain.
    steps: f64,
    /// Coordinates on its source's side.
    inner: f64,
}

/// `levels` counts the data's integer levels where the segment stands next to them, 0 elsewhere.
fn need(segment: &SegmentRecipe, d: f64, levels: f64, backward: bool) -> Need {
    match segment {
        SegmentRecipe::Diffusion(diffusion) => {
            let each = if diffusion.prediction == PredictionName::Levels { levels.max(1.0) } else { 1.0 };
            let network::Need { weights, row } =
                diffusion.network().need([d, diffusion.embedding as f64, d, each], true);
            Need { weights, row, steps: diffusion.levels as f64, inner: d }
        }
        SegmentRecipe::Flow(flow) => {
            let raw = match flow.transformer {
                TransformerName::Affine => 2.0,
                TransformerName::Spline => 3.0 * flow.bins as f64 - 1.0,
            };
            let parallel = match flow.coupling {
                CouplingKind::Coupling => None,
                CouplingKind::Autoregressive => Some(backward),
                CouplingKind::InverseAutoregressive => Some(!backward),
            };
            let half = (d / 2.0).ceil();
            let network::Need { weights, mut row } = match parallel {
                None => flow.network().need([half, 0.0, half, raw], false),
                // The masks are as large as the weights.
                Some(_) => {
                    let need = flow.network().need([d, 0.0, d, raw], false);
                    network::Need { weights: 2.0 * need.weights, row: need.row }
                }
            };
            if parallel == Some(false) {
                row *= d;
            }
            let mixing = if flow.mixing == super::Mixing::Lu { 2.0 * d * d } else { 0.0 };
            let layers = flow.layers as f64;
            Need { weights: layers * (weights + mixing), row: layers * row, steps: 1.0, inner: d }
        }
        SegmentRecipe::Vae(vae) => {
            let (mut weights, mut row, mut outer) = (0.0, 0.0, d);
            for latent in &vae.latent {
                let latent = *latent as f64;
                for [from, to] in [[outer, latent], [latent, outer]] {
                    let need = vae.network().need([from, 0.0, to, 2.0], false);
                    weights += need.weights;
                    row += need.row;
                }
                outer = latent;
            }
            Need { weights, row, steps: 1.0, inner: outer }
        }
        SegmentRecipe::Dequantise {} | SegmentRecipe::Standardise {} | SegmentRecipe::Logit(_) => {
            Need { weights: 0.0, row: 2.0 * d, steps: 1.0, inner: d }
        }
    }
}

/// Checks that a recipe over `dimension` coordinates fits into a machine's memory.
///
/// # Errors
/// If a stated limit is passed.
pub(super) fn check(recipe: &ChainRecipe, dimension: usize) -> Result<()> {
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
    let backward = !recipe.objective.needs_target();
    let (mut weights, mut numbers, mut widest, mut outer) = (0.0, 0.0, 0f64, dimension as f64);
    let mut kernels = 0.0;
    for (index, segment) in recipe.model.iter().enumerate().rev() {
        let need = need(segment, outer, levels as f64, backward);
        weights += need.weights;
        if weights > MOST_WEIGHTS {
            return Err(Problem::new(
                format!("model.{index}"),
                format!("{weights} weights from here to the target"),
            )
            .allowed(format!("at most {MOST_WEIGHTS} in a model"))
            .into());
        }
        // Next to the source a diffusion learns from one of its steps at a time.
        numbers += need.row * if index == 0 && !simulated { 1.0 } else { need.steps };
        widest = widest.max(need.row);
        kernels += need.steps;
        outer = need.inner;
    }
    if recipe.objective.needs().flow {
        // All states of a batch are asked about at once.
        let hidden = recipe.state_flow.clone().unwrap_or_default().hidden;
        let inner = hidden.iter().map(|width| *width as f64);
        let layers: Vec<f64> =
            [(dimension + EMBEDDING) as f64].into_iter().chain(inner).chain([1.0]).collect();
        weights += layers.windows(2).map(|pair| (pair[0] + 1.0) * pair[1]).sum::<f64>();
        numbers += kernels * layers.iter().sum::<f64>();
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
    let evaluation = &recipe.evaluation;
    if recipe.target.is_energy() {
        most(dimension as f64, "evaluation.paths", evaluation.paths, evaluation.paths as f64)?;
    }
    let importance = evaluation.importance_samples;
    most(widest * 128.0, "evaluation.importance_samples", importance, importance as f64)?;
    most(widest * 128.0, "evaluation.ode_probes", evaluation.ode_probes, evaluation.ode_probes as f64)?;
    most(dimension as f64, "evaluation.samples", evaluation.samples, evaluation.samples as f64)
}
