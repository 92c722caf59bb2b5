//! Measuring a flow network: bounds on log Z by paths, and where all states can be listed the learned distribution of
//! objects itself beside the exact one.

pub(crate) mod conditional;
pub(crate) mod exact;
mod points;
pub(crate) mod relative;
mod rooted;
mod scored;

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::{Observer, insert, watched};
use crate::data::{Format, write_samples};
use crate::environment::Cell;
use crate::error::{Error, Result};
use crate::estimate::trajectories::{Found, homeward, outward};
use crate::estimate::{evidence, forward_ess, upper_bound};
use crate::math::log_sum_exp;
use crate::metric::distribution::{Comparison, Learned};
use crate::policy::{Actions, Number, Policy};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::{FlowTask, Task};
use crate::reward::Failure;
use crate::rng::{Noise, Purpose};
use crate::train::Trained;
use exact::Exact;

/// Measures a plan with trained weights; writes `samples.npy`.
pub(super) fn evaluate(
    plan: &GFlowNetPlan,
    trained: &Trained,
    directory: &Path,
    observer: &dyn Observer,
) -> Result<Map<String, Value>> {
    let mut metrics = match &plan.task {
        Task::Discrete(task) if plan.recipe.conditions.is_empty() => {
            let mut metrics = objects(plan, task, trained, observer)?;
            rooted::evaluate(plan, task, trained, directory, observer, &mut metrics)?;
            metrics
        }
        Task::Discrete(task) => conditional::evaluate(plan, task, trained, directory, observer)?,
        Task::Continuous(task) => points::evaluate(plan, task, trained, observer)?,
    };
    let figures = match &plan.task {
        Task::Discrete(task) => task.reward.figures(),
        Task::Continuous(task) => task.reward.figures(),
    };
    metrics.extend(figures.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
    let start = Instant::now();
    let count = plan.recipe.evaluation.samples;
    let noise = plan.sampling_noise();
    let found = plan.sample(trained, count, &noise, &watched(observer, "samples", count))?;
    let seconds = start.elapsed().as_secs_f64();
    metrics.insert("seconds_per_sample".to_owned(), json!(seconds / count as f64));
    write_samples(&directory.join("samples.npy"), Format::Npy, &found, plan.task.columns(), None, 0)?;
    Ok(metrics)
}

/// Measures a flow network over integers.
fn objects(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    observer: &dyn Observer,
) -> Result<Map<String, Value>> {
    let mut metrics = Map::new();
    if let Some(prior) = &task.settings.prior {
        relative::paths(plan, task, trained, prior, observer, &mut metrics)?;
        relative::distances(plan, task, trained, prior, &mut metrics)?;
        return Ok(metrics);
    }
    let listed = plan.recipe.evaluation.exact_states;
    // Their number is not known beforehand.
    observer.begin("listing all states", 0, 0);
    let exact = Exact::of(task, trained, listed)?;
    let log_z_learned = trained.get("log_z").map(|log_z| f64::from(log_z[0]));
    if let Some(exact) = &exact {
        let Learned {
            comparison: Comparison { tv, l1, jsd, reverse_kl, forward_kl, .. },
            pearson,
            spearman,
            ..
        } = exact.compared(log_z_learned);
        let distances =
            [("tv", tv), ("l1", l1), ("jsd", jsd), ("reverse_kl", reverse_kl), ("forward_kl", forward_kl)];
        metrics.extend(distances.map(|(name, value)| (name.to_owned(), json!(value))));
        let correlations = [("pearson", pearson), ("spearman", spearman)];
        let known =
            correlations.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?))));
        metrics.extend(known);
    }
    if let Some(log_z) = log_z_learned {
        metrics.insert("log_z_learned".to_owned(), json!(log_z));
    }
    paths(plan, task, trained, exact.as_ref(), observer, &mut metrics)?;
    Ok(metrics)
}

fn numbers<C: Number>(objects: &[C]) -> Vec<f32> {
    objects.iter().map(|cell| cell.number() as f32).collect()
}

impl GFlowNetPlan {
    /// Objects drawn by trained weights, `[count, columns]`; object `i` from row `i` of `noise`. `seen` is told how many
    /// are done and answers whether to go on.
    ///
    /// # Errors
    /// If the reward fails, or with [`Error::Interrupted`] where `seen` said so.
    pub fn sample(
        &self,
        trained: &Trained,
        count: usize,
        noise: &Noise,
        seen: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<f32>> {
        match &self.task {
            Task::Discrete(task) => Ok(numbers(&walked(task, trained, count, noise, seen)?.objects)),
            Task::Continuous(task) => Ok(numbers(&walked(task, trained, count, noise, seen)?.objects)),
        }
    }
}

/// What paths in both directions say.
fn paths(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    exact: Option<&Exact>,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let count = plan.recipe.evaluation.paths;
    let noise = plan.evaluation_noise();
    let found = walked(task, trained, count, &noise, &watched(observer, "forward paths", count))?;
    let from_paths = evidence(&found.log_weights);
    insert(metrics, "elbo", from_paths.elbo);
    insert(metrics, "log_z", from_paths.log_z);
    let listed = exact.map(|exact| log_sum_exp(&exact.log_rewards));
    if let Some(log_z) = task.reward.log_z(&[]).or(listed) {
        metrics.insert("log_z_exact".to_owned(), json!(log_z));
    }
    metrics.insert("ess".to_owned(), json!(from_paths.ess));
    if let Some(exact) = exact {
        let (objects, log_rewards) = exact.draw(count, &noise.purpose(Purpose::Target));
        let evaluator = task.model.network.with(&trained.vectors[0]);
        let seen = watched(observer, "backward paths", count);
        let noise = noise.purpose(Purpose::Backward);
        let backward =
            homeward(&task.model.policy, evaluator.as_ref(), &objects, &[], &log_rewards, &noise, &seen)?;
        // A way back that was cut short says only that the bound is above some number.
        if backward.iter().all(|log_weight| log_weight.is_finite()) {
            insert(metrics, "eubo", upper_bound(&backward));
        }
        metrics.insert("forward_ess".to_owned(), json!(forward_ess(&backward)));
    }
    metrics.insert("mean_length".to_owned(), json!(found.moves as f64 / count as f64));
    if task.model.policy.cyclic() {
        metrics.insert("cut_share".to_owned(), json!(found.cut as f64 / count as f64));
    }
    let cells = task.model.policy.cells();
    let is_mode = |object: &&[Cell]| task.reward.is_mode(object);
    if found.objects.chunks_exact(cells).next().is_some_and(|object| is_mode(&object).is_some()) {
        let (mut numbers, mut unnumbered) = (HashSet::new(), HashSet::new());
        for object in found.objects.chunks_exact(cells).filter(|object| is_mode(object) == Some(true)) {
            let mut numbered = false;
            task.reward.modes_of(object, &mut |mode| {
                numbered = true;
                numbers.insert(mode);
            });
            if !numbered {
                unnumbered.insert(object);
            }
        }
        metrics.insert("modes_found".to_owned(), json!(numbers.len() + unnumbered.len()));
        if let Some(modes) = task.reward.modes() {
            metrics.insert("modes".to_owned(), json!(modes));
        }
    }
    Ok(())
}

/// Walks from the source on-policy, under conditions of their law if there are any; a reward that is not to be had is an error.
fn walked<P: Policy>(
    task: &FlowTask<P>,
    trained: &Trained,
    count: usize,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Found<P::Cell>> {
    let conditions = match &task.settings.conditions {
        Some(conditions) => conditions.draw(count, &noise.purpose(Purpose::Source)),
        None => Vec::new(),
    };
    walked_under(task, trained, &conditions, count, noise, seen)
}

/// Walks from the source on-policy under conditions, `[count, width]`.
fn walked_under<P: Policy>(
    task: &FlowTask<P>,
    trained: &Trained,
    conditions: &[f32],
    count: usize,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Found<P::Cell>> {
    let evaluator = task.model.network.with(&trained.vectors[0]);
    let reward = task.reward.as_ref();
    outward(&task.model.policy, evaluator.as_ref(), reward, conditions, count, noise, seen).map_err(fatal)
}

/// A failure of the reward where none can be passed over.
pub(crate) fn fatal(failure: Failure) -> Error {
    match failure {
        Failure::Stop(error) => error,
        Failure::Skip(detail) => Error::Numeric { step: 0, term: "the reward".to_owned(), detail },
    }
}
