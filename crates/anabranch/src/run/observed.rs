//! Posteriors of a simulator's ten observations, learned and exact.
//!
//! ```text
//! posterior_c2st    mean over observations of how often a classifier tells draws of the two apart, by cross-validation
//! posterior_nll     mean over observations of -log p(theta | x) of the parameters that made them, nats, or of its bound
//! posterior_inside  share of draws within the prior's support; the others are drawn again
//! ```

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Observer, insert, watched};
use crate::chain::Given;
use crate::data::atomic::atomic_write;
use crate::error::{Error, Failure, Result};
use crate::estimate::likelihood::{row_nlls_observed, values};
use crate::math::Estimate;
use crate::metric::Points;
use crate::metric::cross_validation::cross_validated;
use crate::model::Model;
use crate::recipe::{ChainPlan, Condition, SimulatorRecipe};
use crate::rng::{Noise, Purpose};
use crate::target::simulator::{observations, posterior};

/// How often as many draws are made as are wanted, before those within the prior's support are given up.
const ROUNDS: usize = 50;

/// Measures the learned posteriors; writes `observations.csv`, a row for each.
pub(super) fn evaluate(
    plan: &ChainPlan,
    simulated: &SimulatorRecipe,
    model: &Model,
    directory: &Path,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let Condition::Numbers { numbers, .. } = &plan.condition else { return Ok(()) };
    let known = observations(&simulated.name);
    let given = Given::rows(numbers.columns(), numbers.standardised(&known.observations));
    let count = known.observations.len() / numbers.columns();
    let seen = |_: usize| !observer.stop();
    let nlls = row_nlls_observed(
        model,
        &known.parameters,
        &given,
        plan.bound(model, count),
        &plan.evaluation_noise().purpose(Purpose::Target),
        &seen,
    );
    let nlls = values(&nlls.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?);
    let done = watched(observer, "observations", count);
    let (mut c2st, mut inside) = (Vec::new(), Vec::new());
    for (k, observation) in known.observations.chunks_exact(numbers.columns()).enumerate() {
        let condition = given.range(k, 1);
        let noise = plan.evaluation_noise().purpose(Purpose::Source).long_step(k as u64);
        let (draws, share) = within_prior(plan, simulated, model, &condition, &noise, observer)?;
        let rows = simulated.posterior_draws;
        let exact = Noise::new(plan.recipe.seed, Purpose::Target).long_step(1 + k as u64);
        let exact = posterior(simulated.built(), observation, rows, &exact);
        let exact = exact.expect("the embedded observations are likely ones");
        // As the benchmark has it, what is standardised by is the exact draws.
        let accuracy = match draws.len() / plan.dimension() {
            0..10 => f64::NAN,
            _ => {
                let dimension = plan.dimension();
                let (exact, draws) = (Points::new(&exact, dimension)?, Points::new(&draws, dimension)?);
                cross_validated(exact, draws, 1)?.value
            }
        };
        c2st.push(accuracy);
        inside.push(share);
        if !done(1) {
            return Err(Error::Interrupted);
        }
    }
    insert(metrics, "posterior_c2st", Estimate::mean(&c2st));
    insert(metrics, "posterior_nll", Estimate::mean(&nlls));
    metrics.insert("posterior_inside".to_owned(), json!(Estimate::mean(&inside).value));
    let mut text = "observation,c2st,nll,inside\n".to_owned();
    for k in 0..count {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{},{},{},{}", k + 1, c2st[k], nlls[k], inside[k]);
    }
    atomic_write(&directory.join("observations.csv"), |out| out.write_all(text.as_bytes()))
}

/// As many draws as are wanted within the prior's support, `[rows, parameters]`, and the share of draws that lie there.
fn within_prior(
    plan: &ChainPlan,
    simulated: &SimulatorRecipe,
    model: &Model,
    condition: &Given,
    noise: &Noise,
    observer: &dyn Observer,
) -> Result<(Vec<f32>, f64)> {
    let (dimension, wanted) = (plan.dimension(), simulated.posterior_draws);
    let seen = |_: usize| !observer.stop();
    let (mut kept, mut drawn) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let noise = noise.from_row(round * wanted);
        let draws = plan.recipe.sampler.sample_observed(model, wanted, condition, &noise, &seen);
        let draws = draws.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
        drawn += wanted;
        for draw in draws.chunks_exact(dimension) {
            let parameters: Vec<f64> = draw.iter().map(|value| f64::from(*value)).collect();
            if simulated.built().log_prior(&parameters) > f64::NEG_INFINITY {
                kept.extend_from_slice(draw);
            }
        }
        if kept.len() >= wanted * dimension {
            break;
        }
    }
    let share = (kept.len() / dimension) as f64 / drawn as f64;
    kept.truncate(wanted * dimension);
    Ok((kept, share))
}
