//! Measuring a flow network: bounds on log Z by paths, and where all states can be listed the learned distribution of
//! objects itself beside the exact one.

pub(crate) mod candidates;
pub(crate) mod conditional;
pub(crate) mod exact;
mod points;
pub(crate) mod relative;
mod rooted;
mod scored;

pub use rooted::Questions;

use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::measures::{PATHS, insert_bound, insert_classes, insert_evidence, insert_modes};
use super::{Observer, insert, insert_weights, watched};
use crate::chain::Given;
use crate::data::{Format, Layout, write_samples};
use crate::environment::Cell;
use crate::error::{Failure, Problem, Result, quoted};
use crate::estimate::trajectories::{Found, backward_rollout, forward_rollout};
use crate::estimate::{evidence, forward_ess, upper_bound};
use crate::math::log_sum_exp;
use crate::metric::distribution::{Comparison, Learned};
use crate::metric::empirical::Recent;
use crate::policy::{Actions, Number, Policy};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::{FlowTask, Task};
use crate::rng::{Noise, Purpose};
use crate::target::{Conditions, Target, Unscored};
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
            candidates::evaluate(plan, task, trained, directory, observer, &mut metrics)?;
            metrics
        }
        Task::Discrete(task) => conditional::evaluate(plan, task, trained, directory, observer)?,
        Task::Continuous(task) if plan.recipe.conditions.is_empty() => {
            points::evaluate(plan, task, trained, observer)?
        }
        Task::Continuous(task) => conditional::points(plan, task, trained, directory, observer)?,
    };
    let figures = match &plan.task {
        Task::Discrete(task) => task.reward.figures(),
        Task::Continuous(task) => task.reward.figures(),
    };
    metrics.extend(figures.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
    let start = Instant::now();
    let count = plan.recipe.evaluation.samples;
    let noise = plan.sampling_noise();
    let found =
        plan.sample(trained, count, &Given::nothing(), &noise, &watched(observer, "samples", count))?;
    let seconds = start.elapsed().as_secs_f64();
    metrics.insert("seconds_per_sample".to_owned(), json!(seconds / count as f64));
    if let Task::Discrete(task) = &plan.task
        && let Some((calls, waited)) = task.objects().asked()
    {
        metrics.insert("environment_calls".to_owned(), json!(calls));
        metrics.insert("seconds_per_call".to_owned(), json!(waited.as_secs_f64() / calls as f64));
    }
    write_samples(&directory.join("samples.npy"), Format::Npy, &found, &Layout::of(plan.task.columns()))?;
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
    let summed = exact.as_ref().map(|exact| log_sum_exp(&exact.log_rewards));
    let log_z = task.reward.log_z(&[]).or(summed);
    let listed = exact.is_some();
    let draw = |count, noise: &Noise| Ok(exact.map(|exact| exact.draw(count, noise)));
    let found = paths(plan, task, trained, log_z, draw, observer, &mut metrics)?;
    if found.cut == 0 {
        empirical(task, &found, log_z, &mut metrics);
        if !listed {
            scored::correlations(plan, task, trained, &found, observer, &mut metrics)?;
        }
    }
    Ok(metrics)
}

/// The most states that are listed for every point of a curve.
const MOST_LISTED: usize = 20_000;

/// What is measured while a flow network trains; nothing under conditions and roots, whose measures are a table.
pub(super) fn measures(plan: &GFlowNetPlan, scored: &Trained) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    if !plan.recipe.conditions.is_empty() || plan.recipe.roots.is_some() || plan.recipe.policy.prior.is_some()
    {
        return Ok(found);
    }
    match &plan.task {
        Task::Discrete(task) => {
            let most = plan.recipe.evaluation.exact_states.min(MOST_LISTED);
            let exact = Exact::of(task, scored, most)?;
            if let Some(exact) = &exact {
                found.insert("tv".to_owned(), json!(exact.compared(None).comparison.tv));
            }
            let summed = exact.as_ref().map(|exact| log_sum_exp(&exact.log_rewards));
            let log_z = task.reward.log_z(&[]).or(summed);
            let draw = |count, noise: &Noise| exact.map(|exact| exact.draw(count, noise));
            measured(plan, task, scored, log_z, draw, &mut found)?;
        }
        Task::Continuous(task) => {
            let draw = |count: usize, noise: &Noise| {
                let objects = task.reward.draw(count, noise)?;
                let mut log_rewards = vec![0.0; count];
                task.reward.log_rewards(&objects, &[], &mut log_rewards).ok()?;
                Some((objects, log_rewards))
            };
            measured(plan, task, scored, task.reward.log_z(&[]), draw, &mut found)?;
        }
    }
    Ok(found)
}

/// What paths in both directions say of scored weights.
fn measured<P: Policy>(
    plan: &GFlowNetPlan,
    task: &FlowTask<P>,
    scored: &Trained,
    log_z: Option<f64>,
    draw: impl FnOnce(usize, &Noise) -> Draws<P::Cell>,
    found: &mut Map<String, Value>,
) -> Result<()> {
    let noise = Noise::of_validation(plan.recipe.seed, Purpose::Choice);
    let forward = walked(task, scored, PATHS, &noise, &|_| true)?;
    insert_evidence(found, evidence(&forward.log_weights), log_z);
    if let Some((objects, log_rewards)) = draw(PATHS, &noise.purpose(Purpose::Target)) {
        let evaluator = task.model.network.with(&scored.vectors[0]);
        let noise = noise.purpose(Purpose::Backward);
        let policy = &task.model.policy;
        let weights =
            backward_rollout(policy, evaluator.as_ref(), &objects, &[], &log_rewards, &noise, &|_| true)?;
        if weights.iter().all(|log_weight| log_weight.is_finite()) {
            insert_bound(found, upper_bound(&weights));
        }
    }
    insert_modes(found, task.reward.as_ref(), &forward.objects, task.model.policy.cells());
    Ok(())
}

fn numbers<C: Number>(objects: &[C]) -> Vec<f32> {
    objects.iter().map(|cell| cell.number() as f32).collect()
}

impl GFlowNetPlan {
    /// The condition that a user names for all objects: its numbers with commas between them.
    ///
    /// # Errors
    /// If there are no conditions, or it is none.
    pub fn given(&self, place: &str, text: &str) -> Result<Given> {
        let law = self.law(place, text)?;
        Ok(Given::rows(law.width(), law.parse(place, text)?))
    }

    /// The conditions that a file lists, a row for each.
    ///
    /// # Errors
    /// If there are no conditions, or the file cannot be read or holds something else.
    pub fn read_given(&self, place: &str, path: &Path) -> Result<Given> {
        let law = self.law(place, &path.display().to_string())?;
        Ok(Given::rows(law.width(), law.read(path)?))
    }

    /// The law of conditions, if there is one; else what was found at `place` is refused.
    fn law(&self, place: &str, found: &str) -> Result<Conditions> {
        if self.recipe.conditions.is_empty() {
            let problem = Problem::new(place, quoted(found));
            return Err(problem.allowed("none: the model has no conditions").into());
        }
        let width = match &self.task {
            Task::Discrete(task) => task.reward.condition_width(),
            Task::Continuous(task) => task.reward.condition_width(),
        };
        Ok(Conditions::new(self.recipe.conditions.clone(), width)?)
    }

    /// Objects drawn by trained weights, `[count, columns]`, under the condition that is given, or each under one of the law's where
    /// none is; object `i` from row `i` of `noise`. `seen` is told how many are done and answers whether to go on.
    ///
    /// # Errors
    /// If the reward fails, or with [`Error::Interrupted`](crate::error::Error::Interrupted) where `seen` said so.
    pub fn sample(
        &self,
        trained: &Trained,
        count: usize,
        given: &Given,
        noise: &Noise,
        seen: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<f32>> {
        match &self.task {
            Task::Discrete(task) => {
                let objects = drawn(task, trained, count, given, noise, seen)?.objects;
                let Some((environment, _)) = &task.inner else { return Ok(numbers(&objects)) };
                // Behind the root.
                let states = objects.chunks_exact(2 * environment.cells());
                Ok(states.flat_map(|state| numbers(&state[environment.cells()..])).collect())
            }
            Task::Continuous(task) => Ok(numbers(&drawn(task, trained, count, given, noise, seen)?.objects)),
        }
    }
}

/// Exact draws from a target with their log-rewards, or none where there is no way to them.
type Draws<C> = Option<(Vec<C>, Vec<f64>)>;

/// What paths in both directions say, with log Z where it is known and exact draws, as many as asked for, where there are such.
fn paths<P: Policy>(
    plan: &GFlowNetPlan,
    task: &FlowTask<P>,
    trained: &Trained,
    log_z: Option<f64>,
    draw: impl FnOnce(usize, &Noise) -> Result<Draws<P::Cell>>,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<Found<P::Cell>> {
    let count = plan.recipe.evaluation.paths;
    let noise = plan.evaluation_noise();
    let found = walked(task, trained, count, &noise, &watched(observer, "forward paths", count))?;
    let from_paths = evidence(&found.log_weights);
    insert(metrics, "elbo", from_paths.elbo);
    insert(metrics, "log_z", from_paths.log_z);
    if let Some(log_z) = log_z {
        metrics.insert("log_z_exact".to_owned(), json!(log_z));
    }
    insert_weights(metrics, &from_paths);
    if let Some((objects, log_rewards)) = draw(count, &noise.purpose(Purpose::Target))? {
        let evaluator = task.model.network.with(&trained.vectors[0]);
        let seen = watched(observer, "backward paths", count);
        let noise = noise.purpose(Purpose::Backward);
        let backward = backward_rollout(
            &task.model.policy,
            evaluator.as_ref(),
            &objects,
            &[],
            &log_rewards,
            &noise,
            &seen,
        )?;
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
    insert_modes(metrics, task.reward.as_ref(), &found.objects, task.model.policy.cells());
    insert_classes(metrics, task.reward.as_ref(), &found.objects);
    Ok(found)
}

/// How far the empirical law of objects is from `R / Z`, where log Z is known: no state has to be listed for that, but a perfect
/// sampler has a distance, too.
fn empirical(
    task: &FlowTask<Actions>,
    found: &Found<Cell>,
    log_z: Option<f64>,
    metrics: &mut Map<String, Value>,
) {
    let cells = task.model.policy.cells();
    let mut recent = Recent::new(cells, found.log_rewards.len().max(1));
    for (object, log_reward) in found.objects.chunks_exact(cells).zip(&found.log_rewards) {
        recent.push(object, *log_reward);
    }
    if let Some(Comparison { tv, .. }) = log_z.and_then(|log_z| recent.compare(log_z)) {
        metrics.insert("tv_samples".to_owned(), json!(tv));
    }
    metrics.insert("distinct_samples".to_owned(), json!(recent.objects().count()));
}

/// Walks from the source on-policy, under conditions of their law if there are any; a reward that is not to be had is an error.
fn walked<P: Policy>(
    task: &FlowTask<P>,
    trained: &Trained,
    count: usize,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Found<P::Cell>> {
    let conditions = conditions(task, count, noise);
    walked_under(task, trained, &conditions, count, noise, seen)
}

/// Walks from the source on-policy without a word to the reward, under the condition that is given, if one is, else under conditions of
/// their law.
fn drawn<P: Policy>(
    task: &FlowTask<P>,
    trained: &Trained,
    count: usize,
    given: &Given,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Found<P::Cell>> {
    let conditions = match given.width() {
        0 => conditions(task, count, noise),
        _ => given.values().repeat(count),
    };
    rollout(task, trained, &Unscored, &conditions, count, noise, seen)
}

/// Conditions of their law, if there are any, `[count, width]`.
fn conditions<P: Policy>(task: &FlowTask<P>, count: usize, noise: &Noise) -> Vec<f32> {
    let law = task.settings.conditions.as_ref();
    law.map_or_else(Vec::new, |law| law.draw(count, &noise.purpose(Purpose::Source)))
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
    rollout(task, trained, task.reward.as_ref(), conditions, count, noise, seen)
}

/// The same, scored by any reward.
fn rollout<P: Policy>(
    task: &FlowTask<P>,
    trained: &Trained,
    reward: &dyn Target<P::Cell>,
    conditions: &[f32],
    count: usize,
    noise: &Noise,
    seen: &dyn Fn(usize) -> bool,
) -> Result<Found<P::Cell>> {
    let evaluator = task.model.network.with(&trained.vectors[0]);
    forward_rollout(&task.model.policy, evaluator.as_ref(), reward, conditions, count, noise, seen)
        .map_err(Failure::into_error)
}
