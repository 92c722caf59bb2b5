//! Measuring a chain: likelihood of held-out data or bounds on log Z, and how far its samples are from the target.

use std::borrow::Cow;
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::measures::{PATHS, insert_bound, insert_evidence, insert_modes};
use super::{Observer, insert, watched};
use crate::data::{Format, write_samples};
use crate::error::{Error, Result};
use crate::estimate::baseline::{gaussian_nll, histogram_nll};
use crate::estimate::likelihood::{Bound, bits_per_dim, nll_observed};
use crate::estimate::paths::{backward_weights, forward_weights};
use crate::estimate::{evidence, forward_ess, upper_bound};
use crate::metric::features::Features;
use crate::metric::{MetricOptions, Points, sample_metrics_in};
use crate::model::Model;
use crate::recipe::{ChainPlan, TargetData, TargetRecipe};
use crate::rng::{Address, Noise, Purpose};
use crate::train::Trained;

/// Measures a trained model of a plan; writes `samples.npy`.
pub(super) fn evaluate(
    plan: &ChainPlan,
    model: &Model,
    directory: &Path,
    observer: &dyn Observer,
) -> Result<Map<String, Value>> {
    let recipe = &plan.recipe;
    let noise = plan.evaluation_noise();
    let mut metrics = Map::new();
    let dimension = plan.dimension();
    match &plan.data {
        TargetData::Rows(data) => {
            if data.test.is_empty() {
                observer.note("no test split: the training split is measured");
            }
            let test = if data.test.is_empty() { &data.train } else { &data.test };
            let bound = plan.bound(model);
            let likelihood = |bound, task| {
                let seen = watched(observer, task, test.len() / dimension);
                nll_observed(model, test, bound, &noise, &seen).ok_or(Error::Interrupted)
            };
            let score = likelihood(bound, "likelihood")?;
            insert(&mut metrics, "nll", score);
            if let TargetRecipe::Toy(toy) = &recipe.target {
                insert(&mut metrics, "nll_exact", toy.exact_nll(test));
            }
            if recipe.target.levels() > 0 {
                insert(&mut metrics, "bits_per_dim", bits_per_dim(score, dimension));
                let levels = recipe.target.levels();
                let gaussian = gaussian_nll(&data.train, test, dimension, Some(recipe.seed));
                insert(&mut metrics, "bits_per_dim_gaussian", bits_per_dim(gaussian, dimension));
                let histogram = histogram_nll(&data.train, test, dimension, levels);
                insert(&mut metrics, "bits_per_dim_histogram", bits_per_dim(histogram, dimension));
            }
            if recipe.evaluation.importance_samples > 0 {
                let bound = Bound::Importance(recipe.evaluation.importance_samples);
                insert(&mut metrics, "nll_importance", likelihood(bound, "importance")?);
            }
            if let Some(bound) = recipe.evaluation.ode() {
                let score = likelihood(bound, "ODE likelihood")?;
                insert(&mut metrics, "nll_ode", score);
                if recipe.target.levels() > 0 {
                    insert(&mut metrics, "bits_per_dim_ode", bits_per_dim(score, dimension));
                }
            }
        }
        TargetData::Energy(energy) => {
            let frozen = model.frozen();
            let paths = recipe.evaluation.paths;
            let seen = watched(observer, "forward paths", paths);
            let weights = forward_weights(&frozen, energy.as_ref(), paths, &noise, &seen)
                .map_err(super::gflownet::fatal)?;
            let found = evidence(&weights.ok_or(Error::Interrupted)?);
            insert(&mut metrics, "elbo", found.elbo);
            insert(&mut metrics, "log_z", found.log_z);
            metrics.insert("ess".to_owned(), json!(found.ess));
            if let Some(exact) = energy.log_z(&[]) {
                metrics.insert("log_z_exact".to_owned(), json!(exact));
            }
            let address = Noise::new(recipe.seed, Purpose::Target).at(Address::EXACT_PATHS);
            if let Some(rows) = energy.draw(paths, &address) {
                let seen = watched(observer, "backward paths", paths);
                let backward = backward_weights(&frozen, energy.as_ref(), &rows, &noise, &seen);
                let backward = backward.map_err(super::gflownet::fatal)?.ok_or(Error::Interrupted)?;
                insert(&mut metrics, "eubo", upper_bound(&backward));
                metrics.insert("forward_ess".to_owned(), json!(forward_ess(&backward)));
            }
        }
    }
    let address = plan.sampling_noise();
    let start = Instant::now();
    let seen = watched(observer, "samples", recipe.evaluation.samples);
    let samples = recipe.sampler.sample_observed(model, recipe.evaluation.samples, &address, &seen);
    let samples = samples.ok_or(Error::Interrupted)?;
    let seconds = start.elapsed().as_secs_f64();
    metrics.insert("seconds_per_sample".to_owned(), json!(seconds / recipe.evaluation.samples as f64));
    if let TargetData::Energy(energy) = &plan.data {
        insert_modes(&mut metrics, energy.as_ref(), &samples, dimension);
    }
    let path = directory.join("samples.npy");
    write_samples(&path, Format::Npy, &samples, dimension, recipe.target.image(), recipe.target.levels())?;
    if recipe.evaluation.sample_metrics {
        // Their length is not known beforehand.
        observer.begin("sample metrics", 0, 0);
        match sample_metrics(plan, &samples) {
            Ok(Some(found)) => metrics.extend(found),
            Ok(None) => {}
            Err(error) => observer.note(&format!("sample metrics left out: {error}")),
        }
    }
    Ok(metrics)
}

/// What is measured while a chain trains, of weights that were scored with `score`.
pub(super) fn measures(plan: &ChainPlan, scored: &Trained, score: f64) -> Map<String, Value> {
    let mut found = Map::new();
    match &plan.data {
        TargetData::Rows(data) => {
            found.insert("nll".to_owned(), json!(score));
            if plan.recipe.target.levels() > 0 {
                let bits = score / (data.columns as f64 * std::f64::consts::LN_2);
                found.insert("bits_per_dim".to_owned(), json!(bits));
            }
        }
        TargetData::Energy(energy) => {
            let model = plan.model.with_weights(&scored.vectors[..plan.model.weights().len()]);
            let noise = plan.evaluation_noise();
            // What the target does not answer now is no point of a curve; training meets what it will not answer at all.
            if let Ok(Some(weights)) = forward_weights(&model, energy.as_ref(), PATHS, &noise, &|_| true) {
                insert_evidence(&mut found, evidence(&weights), energy.log_z(&[]));
            }
            let address = Noise::of_evaluation(plan.recipe.seed, Purpose::Target);
            if let Some(rows) = energy.draw(PATHS, &address)
                && let Ok(Some(weights)) = backward_weights(&model, energy.as_ref(), &rows, &noise, &|_| true)
            {
                insert_bound(&mut found, upper_bound(&weights));
            }
        }
    }
    found
}

/// How far samples are from the test split (or, on an energy, from exact samples), in features fitted to the
/// training split (or to other exact samples); `None` on an energy without an exact sampler. Where there is no test
/// split, one half of the training split stands for it, and the other for the features' rows.
fn sample_metrics(plan: &ChainPlan, samples: &[f32]) -> Result<Option<Map<String, Value>>> {
    let dimension = plan.dimension();
    let (fitted, reference) = match &plan.data {
        TargetData::Rows(data) if data.test.is_empty() => {
            let (fitted, reference) = data.train.split_at(data.train.len() / dimension / 2 * dimension);
            (Cow::from(fitted), Cow::from(reference))
        }
        TargetData::Rows(data) => (Cow::from(&data.train), Cow::from(&data.test)),
        TargetData::Energy(energy) => {
            let rows = samples.len() / dimension;
            let noise = Noise::new(plan.recipe.seed, Purpose::Target);
            let draw = |address| energy.draw(rows, &noise.at(address));
            let (Some(fitted), Some(reference)) = (draw(Address::FITTED), draw(Address::COMPARED)) else {
                return Ok(None);
            };
            (Cow::from(fitted), Cow::from(reference))
        }
    };
    let most = MetricOptions::default().most_rows * dimension;
    let features = Features::fit(Points::new(&fitted[..fitted.len().min(most)], dimension)?)?;
    let (samples, reference) = (Points::new(samples, dimension)?, Points::new(&reference, dimension)?);
    let found = sample_metrics_in(&features, samples, reference, &MetricOptions::default())?;
    match serde_json::to_value(found).expect("plain numbers") {
        Value::Object(found) => Ok(Some(found)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Estimate;
    use crate::recipe::{Override, Plan, named};
    use crate::run::{Ending, Run, Silent};
    use crate::target::toy;

    /// A model of a toy density is scored beside the density itself, on the same rows.
    #[test]
    fn toy_runs_report_the_exact_likelihood() {
        let sets = ["target.rows=200", "training.steps=2", "evaluation.samples=10", "model.0.layers=1"];
        let overrides: Vec<Override> = sets.iter().map(|set| Override::parse(set).unwrap()).collect();
        let directory = std::env::temp_dir().join(format!("anabranch-exact-{}", std::process::id()));
        let run = Run::create(&directory, named("moons-flow", &overrides).unwrap()).unwrap();
        assert_eq!(run.train(&mut Silent).unwrap(), Ending::Finished);
        let metrics = run.evaluate(&Silent).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        let Plan::Chain(plan) = &run.plan else { panic!("a flow is a chain") };
        let TargetData::Rows(data) = &plan.data else { panic!("moons are data") };
        let exact: Vec<f64> = toy::log_density("moons", &data.test).iter().map(|value| -value).collect();
        assert_eq!(metrics["nll_exact"], json!(Estimate::mean(&exact).value));
        assert_eq!(metrics["nll_exact_se"], json!(Estimate::mean(&exact).error));
        assert!(metrics["nll"].as_f64().unwrap() > metrics["nll_exact"].as_f64().unwrap() + 0.1);
    }
}
