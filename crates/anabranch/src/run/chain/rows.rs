//! How likely rows are to a trained chain, row by row, and beside what it is to beat.
//!
//! ```text
//! gain = mean over rows of  -log b(x) + log p(x)        b the best of the baselines; both on the same rows
//! ```

use std::path::Path;

use serde_json::{Map, Value};

use crate::chain::Given;
use crate::data::Dataset;
use crate::data::atomic::atomic_write;
use crate::error::{Error, Failure, Problem, Result};
use crate::estimate::baseline::{
    copula_nlls, gaussian_nlls, histogram_nlls, independent_nlls, regression_nlls,
};
use crate::estimate::likelihood::{Bound, bits_per_dim, row_nlls_observed, values};
use crate::math::Estimate;
use crate::model::Model;
use crate::recipe::{ChainPlan, Condition, TargetData};
use crate::run::{Observer, insert, watched};
use crate::sampler::Sampler;
use crate::train::Trained;

/// How likely each row is, one way, under the name of the metric that is its mean.
#[derive(Debug, Clone)]
pub struct Scores {
    /// The metric.
    pub name: &'static str,
    /// A number of each row, in nats where the metric is in nats, with the standard error of its own draws where it is drawn more than
    /// once.
    pub rows: Vec<Estimate>,
}

/// How likely rows are, in all and each.
#[derive(Debug, Clone)]
pub struct Scored {
    /// What is said of all of them.
    pub metrics: Map<String, Value>,
    /// What is said of each.
    pub rows: Vec<Scores>,
}

/// Writes what is known of each row as CSV, a line each: its number from 1, and each estimate with its standard error where it has one.
///
/// # Errors
/// If the file cannot be written.
pub fn write_scores(path: &Path, scores: &[Scores]) -> Result<()> {
    let drawn = |scores: &Scores| scores.rows.iter().any(|row| row.error.is_finite());
    let drawn: Vec<bool> = scores.iter().map(drawn).collect();
    let mut text = String::from("row");
    for (score, drawn) in scores.iter().zip(&drawn) {
        text += &format!(",{}", score.name);
        if *drawn {
            text += &format!(",{}_se", score.name);
        }
    }
    for row in 0..scores.first().map_or(0, |score| score.rows.len()) {
        text += &format!("\n{}", row + 1);
        for (score, drawn) in scores.iter().zip(&drawn) {
            let Estimate { value, error } = score.rows[row];
            text += &format!(",{value}");
            match (drawn, error.is_finite()) {
                (true, true) => text += &format!(",{error}"),
                (true, false) => text.push(','),
                (false, _) => {}
            }
        }
    }
    text.push('\n');
    atomic_write(path, |out| out.write_all(text.as_bytes()))
}

/// Rows to score, with their conditions.
pub(super) type Rows<'a> = (&'a [f32], &'a Given);

/// The most rows to learn from of which it is said how likely they are.
const TRAINED: usize = 1000;

/// How likely rows are, each way that there is, in nats and, of integers, in bits per dimension.
fn likelihoods(
    plan: &ChainPlan,
    model: &Model,
    (rows, given): Rows<'_>,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<Vec<Scores>> {
    let evaluation = &plan.recipe.evaluation;
    let importance = (evaluation.importance_samples > 0).then_some(evaluation.importance_samples);
    let count = rows.len() / plan.dimension();
    let ways = [
        ("nll", "bits_per_dim", Some(plan.bound(model, count)), "likelihood"),
        (
            "nll_continuous",
            "bits_per_dim_continuous",
            plan.continuous_bound(model, count),
            "likelihood in continuous time",
        ),
        ("nll_ode", "bits_per_dim_ode", evaluation.ode(), "ODE likelihood"),
        ("nll_importance", "bits_per_dim_importance", importance.map(Bound::Importance), "importance"),
    ];
    let mut found = Vec::new();
    for (name, bits, bound, task) in ways {
        let Some(bound) = bound else { continue };
        let scores = scores(plan, model, (rows, given), bound, observer, task)?;
        let mean = Estimate::mean(&values(&scores));
        insert(metrics, name, mean);
        if plan.recipe.target.levels() > 0 {
            insert(metrics, bits, bits_per_dim(mean, plan.dimension()));
        }
        found.push(Scores { name, rows: scores });
    }
    if let sampler @ Sampler::Discrete(_) = plan.recipe.sampler {
        // Of the chain that draws, where that is another one on the same weights.
        let model = sampler.model(model);
        let bound = plan.bound(&model, count);
        let rows = scores(plan, &model, (rows, given), bound, observer, "likelihood of the sampler")?;
        insert(metrics, "nll_sampler", Estimate::mean(&values(&rows)));
        found.push(Scores { name: "nll_sampler", rows });
    }
    if let Some(each) = plan.recipe.target.rows().and_then(|target| target.characters(rows)) {
        let bits = 1.0 / (each * std::f64::consts::LN_2);
        insert(metrics, "bits_per_char", Estimate::mean(&values(&found[0].rows)).scaled(bits));
    }
    Ok(found)
}

fn scores(
    plan: &ChainPlan,
    model: &Model,
    (rows, given): Rows<'_>,
    bound: Bound,
    observer: &dyn Observer,
    task: &str,
) -> Result<Vec<Estimate>> {
    let seen = watched(observer, task, rows.len() / plan.dimension());
    let found = row_nlls_observed(model, rows, given, bound, &plan.evaluation_noise(), &seen);
    found.map_err(Failure::into_error)?.ok_or(Error::Interrupted)
}

/// How likely rows are to a model of any kind: by the law of an energy where the model is one, else by its paths.
pub(super) fn scored(
    plan: &ChainPlan,
    model: &Model,
    rows: Rows<'_>,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<Vec<Scores>> {
    match model.segments()[0].as_energy() {
        Some(annealed) => super::energy::evaluate(plan, model, annealed, rows.0, observer, metrics),
        None => likelihoods(plan, model, rows, observer, metrics),
    }
}

/// What the model, whose `scores` on held-out `rows` are known, is to beat on them, and how likely it finds rows that it learned from.
pub(super) fn baselines(
    plan: &ChainPlan,
    model: &Model,
    data: &Dataset,
    (rows, given): Rows<'_>,
    scores: &[Scores],
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let (dimension, levels) = (plan.dimension(), plan.recipe.target.levels());
    let (discrete, seed) = (plan.discrete(), plan.recipe.seed);
    let of = |train: &[f32], rows: &[f32]| {
        let regressed = match &plan.condition {
            Condition::Numbers { numbers, .. } if numbers.levels == 0 => numbers.columns(),
            // Whoever is of none of the others is of the last class.
            Condition::Class { classes, .. } if levels == 0 => classes.count - 1,
            _ => 0,
        };
        if regressed == 0 {
            return gaussian_nlls(train, rows, dimension, (levels > 0).then_some(seed));
        }
        let trained = plan.condition.of_training();
        let first = |given: &Given| -> Vec<f32> {
            given.values().chunks_exact(given.width()).flat_map(|row| &row[..regressed]).copied().collect()
        };
        regression_nlls([train, &first(trained)], [rows, &first(given)], [dimension, regressed])
    };
    let gaussian = match discrete.is_empty() {
        true => of(&data.train, rows),
        false => copula_nlls(&data.train, rows, [dimension as u64, seed], discrete, of),
    };
    let mut best = Estimate::mean(&gaussian);
    let mut baseline = gaussian;
    if levels == 0 {
        insert(metrics, "nll_gaussian", best);
        if !discrete.is_empty() {
            let independent = independent_nlls(&data.train, rows, dimension, discrete);
            let mean = Estimate::mean(&independent);
            insert(metrics, "nll_independent", mean);
            if mean.value < best.value {
                (best, baseline) = (mean, independent);
            }
        }
    } else {
        insert(metrics, "bits_per_dim_gaussian", bits_per_dim(best, dimension));
        let histogram = histogram_nlls(&data.train, rows, dimension, levels);
        let mean = Estimate::mean(&histogram);
        insert(metrics, "bits_per_dim_histogram", bits_per_dim(mean, dimension));
        if mean.value < best.value {
            (best, baseline) = (mean, histogram);
        }
    }
    // Of a bracket the upper end, by which the model is not better than it is.
    let own = scores.iter().find(|scores| matches!(scores.name, "nll" | "nll_upper"));
    if let Some(own) = own.filter(|_| best.value.is_finite()) {
        let gains: Vec<f64> = baseline.iter().zip(&own.rows).map(|(other, own)| other - own.value).collect();
        insert(metrics, "nll_gain", Estimate::mean(&gains));
    }
    if !data.test.is_empty() && model.segments()[0].as_energy().is_none() {
        let count = (data.train.len() / dimension).min(rows.len() / dimension).min(TRAINED);
        let (trained, given) =
            (&data.train[..count * dimension], plan.condition.of_training().range(0, count));
        let found = self::scores(
            plan,
            model,
            (trained, &given),
            plan.bound(model, count),
            observer,
            "training rows",
        )?;
        insert(metrics, "nll_train", Estimate::mean(&values(&found)));
    }
    Ok(())
}

impl ChainPlan {
    /// How likely the rows of a file are to a trained model, or, without one, those of the split that is reported on: `nll`, and what else
    /// a run measures of the kind.
    ///
    /// # Errors
    /// If the file cannot be read or does not fit the model, there is none and the target is no data, or the observer asked to stop.
    pub fn score(&self, trained: &Trained, path: Option<&Path>, observer: &dyn Observer) -> Result<Scored> {
        let model = self.model.with_weights(&trained.vectors);
        let mut metrics = Map::new();
        let rows = match (path, &self.data) {
            (Some(path), _) => {
                let (table, given) = self.read(path)?;
                scored(self, &model, (&table.values, &given), observer, &mut metrics)?
            }
            (None, TargetData::Rows(data)) => {
                let test = if data.test.is_empty() { &data.train } else { &data.test };
                scored(self, &model, (test, self.condition.of_test()), observer, &mut metrics)?
            }
            (None, TargetData::Energy(_)) => {
                return Err(Problem::new("--rows", "a file for rows of a target that has none")
                    .allowed("it with --data FILE, whose rows it is of")
                    .into());
            }
        };
        Ok(Scored { metrics, rows })
    }
}
