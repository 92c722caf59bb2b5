//! Measuring an energy that learns: `log Z` between annealed paths of both directions, and the likelihood of rows by it.

use serde_json::{Map, Value, json};

use super::super::{Observer, insert, insert_weights, watched};
use super::Scores;
use crate::error::{Error, Failure, Result};
use crate::estimate::likelihood::bits_per_dim;
use crate::estimate::{annealed, evidence, forward_ess, upper_bound};
use crate::math::Estimate;
use crate::model::Model;
use crate::model::energy::Annealed;
use crate::recipe::ChainPlan;
use crate::rng::{Address, Noise, Purpose};

/// What is known of `log Z` and of the likelihood of `rows`, `[rows, sites]`; how far couplings are from those of the data's law.
pub(super) fn evaluate(
    plan: &ChainPlan,
    model: &Model,
    energy_model: &Annealed,
    rows: &[f32],
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<Vec<Scores>> {
    let energy = energy_model.energy();
    let (paths, noise) = (energy_model.paths, plan.evaluation_noise());
    let seen = watched(observer, "forward paths", paths);
    let weights = annealed::forward(model, paths, &noise, &seen).map_err(Failure::into_error)?;
    let found = evidence(&weights.ok_or(Error::Interrupted)?);
    insert(metrics, "elbo", found.elbo);
    insert(metrics, "log_z", found.log_z);
    insert_weights(metrics, &found);
    let states: Vec<u8> = rows.iter().map(|value| *value as u8).collect();
    let mut log_r = vec![0.0; states.len() / energy.sites()];
    energy.log_density(&states, &mut log_r);
    let against = |log_z: f64| -> Vec<f64> { log_r.iter().map(|log_r| log_z - log_r).collect() };
    let alone = |name, rows: Vec<f64>| {
        let estimate = |value| Estimate { value, error: f64::NAN };
        Scores { name, rows: rows.into_iter().map(estimate).collect() }
    };
    let mut scores = Vec::new();
    let dimension = plan.dimension();
    if let Some(exact) = energy.exact() {
        metrics.insert("log_z_exact".to_owned(), json!(exact.log_z()));
        let address = Noise::new(plan.recipe.seed, Purpose::Target).at(Address::EXACT_PATHS);
        let seen = watched(observer, "backward paths", paths);
        let backward = annealed::backward(model, &exact.draw(paths, &address), &noise, &seen);
        let backward = backward.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
        insert(metrics, "eubo", upper_bound(&backward));
        metrics.insert("forward_ess".to_owned(), json!(forward_ess(&backward)));
        let rows = against(exact.log_z());
        let nll = Estimate::mean(&rows);
        insert(metrics, "nll", nll);
        scores.push(alone("nll", rows));
        insert(metrics, "bits_per_dim", bits_per_dim(nll, dimension));
    } else {
        let rows = against(found.elbo.value);
        let lower = Estimate::mean(&rows);
        scores.push(alone("nll_lower", rows));
        let error = lower.error.hypot(found.elbo.error);
        insert(metrics, "nll_lower", Estimate { value: lower.value, error });
        let seen = watched(observer, "paths back from rows", log_r.len());
        let backward = annealed::backward(model, &states, &noise, &seen).map_err(Failure::into_error)?;
        let backward = backward.ok_or(Error::Interrupted)?;
        let upper: Vec<f64> = backward.iter().zip(&log_r).map(|(log_w, log_r)| log_w - log_r).collect();
        insert(metrics, "nll_upper", Estimate::mean(&upper));
        scores.push(alone("nll_upper", upper));
    }
    couplings(plan, energy_model, metrics);
    Ok(scores)
}

/// How far learned couplings are from those of the data's law, where both are known.
pub(super) fn couplings(plan: &ChainPlan, energy_model: &Annealed, metrics: &mut Map<String, Value>) {
    let known = plan.recipe.target.rows().and_then(|rows| rows.couplings());
    let learned = energy_model.family().couplings(&energy_model.weights.values());
    if let (Some(known), Some(learned)) = (known, learned) {
        let squares = known.iter().zip(&learned).map(|(known, learned)| (known - learned).powi(2));
        let rmse = (squares.sum::<f64>() / known.len() as f64).sqrt();
        metrics.insert("neg_log_rmse".to_owned(), json!(-rmse.ln()));
    }
}
