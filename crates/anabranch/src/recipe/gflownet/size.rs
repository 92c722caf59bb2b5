//! How large a flow network would be, reckoned before anything of it is built.
//!
//! ```text
//! weights   sum over layers of (inputs + 1) outputs
//! numbers   trajectories walked together, times their most states, times what a state leaves on the tape
//! ```

use crate::error::{Problem, Result};
use crate::network::NetworkRecipe;
use crate::network::recipe::stack;
use crate::policy::Policy;
use crate::recipe::{Recipe, memory};

/// Weights of a network.
const MOST_WEIGHTS: f64 = (1u64 << 28) as f64;
/// Numbers that the trajectories of a step may need.
const MOST_NUMBERS: f64 = (1u64 << 31) as f64;

/// Checks that a recipe with a policy fits into a machine's memory.
///
/// # Errors
/// If a stated limit is passed.
pub(super) fn check(recipe: &Recipe, policy: &impl Policy) -> Result<()> {
    let batch = recipe.training.batch as f64;
    let (outputs, inputs) = (policy.outputs() as f64, policy.inputs());
    let mut row = policy.cells() as f64 + 2.0 * outputs;
    if let NetworkRecipe::Transformer { layers, width, inner, .. } = &recipe.policy.network {
        let (layers, width) = (*layers as f64, *width as f64);
        let inner = inner.map_or(4.0 * width, |inner| inner as f64);
        few_weights(
            layers * width * (4.0 * width + 2.0 * inner) + (inputs.features as f64 + outputs) * width,
        )?;
        // No word has more tokens than places.
        row += (policy.longest() + 1) as f64 * layers * (8.0 * width + 3.0 * inner);
    }
    let stacked = match &recipe.policy.network {
        NetworkRecipe::Mlp { hidden, residual, .. } => Some((hidden, *residual)),
        NetworkRecipe::DeepSets { hidden, .. } => Some((hidden, false)),
        NetworkRecipe::Table {} | NetworkRecipe::Transformer { .. } => None,
    };
    if let Some((hidden, residual)) = stacked {
        let inputs = (inputs.features + inputs.dense) as f64;
        let need = stack(inputs, hidden, outputs, residual);
        few_weights(need.weights)?;
        row += 3.0 * (need.row - inputs);
    }
    let trajectory = row * (policy.longest() + 1) as f64;
    if batch * trajectory > MOST_NUMBERS {
        let found = format!("{batch} trajectories of up to {} moves", policy.longest());
        return Err(Problem::new("training.batch", found)
            .allowed(format!("at most {} on this target", (MOST_NUMBERS / trajectory) as u64))
            .into());
    }
    memory::fits("training.batch", batch * trajectory * memory::PER_NUMBER)?;
    let evaluation = &recipe.evaluation;
    let most = (1u64 << 30) as f64 / policy.cells() as f64;
    for (key, found) in [("evaluation.samples", evaluation.samples), ("evaluation.paths", evaluation.paths)] {
        if found as f64 > most {
            return Err(Problem::new(key, found.to_string())
                .allowed(format!("at most {} on this target", most as u64))
                .into());
        }
    }
    Ok(())
}

fn few_weights(weights: f64) -> Result<()> {
    if weights > MOST_WEIGHTS {
        return Err(Problem::new("policy.network", format!("{weights} weights on this target"))
            .allowed(format!("at most {MOST_WEIGHTS}"))
            .into());
    }
    memory::fits("policy.network", weights * memory::PER_WEIGHT)
}
