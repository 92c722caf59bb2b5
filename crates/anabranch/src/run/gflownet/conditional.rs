//! Measuring a conditional flow network: each quantity at some conditions of their law, and its mean over them.
//!
//! ```text
//! log Z(c)     by the flow at the start, by importance weights, exactly where it is known
//! front        of the rewards r_k(x) that a preference weighs: of samples, beside the exact one where objects can be listed
//! ```

use std::path::Path;

use serde_json::{Map, Value, json};

use super::exact::{Exact, listed};
use super::{walked, walked_under};
use crate::environment::Cell;
use crate::error::{Failure, Result};
use crate::estimate::evidence;
use crate::math::log_sum_exp;
use crate::metric::distribution::Learned;
use crate::metric::pareto::Front;
use crate::model::gflownet::{Batch, ForwardRollout};
use crate::policy::{Actions, Behaviour, ContinuousActions, Policy};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::FlowTask;
use crate::rng::{Address, Noise, Purpose};
use crate::run::conditions::{self, CONDITIONS, Measured};
use crate::run::{Observer, watched};
use crate::train::Trained;

/// The conditions that are measured, `[16, width]`.
pub(crate) fn measured<P: Policy>(plan: &GFlowNetPlan, task: &FlowTask<P>) -> Vec<f32> {
    let Some(law) = &task.settings.conditions else { return Vec::new() };
    law.draw(CONDITIONS, &plan.evaluation_noise().purpose(Purpose::Source))
}

/// Measures a conditional plan with trained weights; writes `conditions.csv`, a row per condition.
pub(super) fn evaluate(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    directory: &Path,
    observer: &dyn Observer,
) -> Result<Map<String, Value>> {
    observer.begin("listing all states", 0, 0);
    let states = listed(task, plan.recipe.evaluation.exact_states);
    let exact = |condition: &[f32], learned| {
        let exact = states.clone().map(|states| Exact::of_states(task, trained, states, condition));
        let exact = exact.transpose()?;
        Ok(exact.map(|exact| (log_sum_exp(&exact.log_rewards), exact.compared(learned))))
    };
    let says_flow = task.model.policy.flow_place().is_some();
    let mut metrics = measure((plan, task, trained), says_flow, directory, observer, &exact)?;
    let objects = states.as_deref().map(|states| {
        let ends = states.objects().iter();
        ends.flat_map(|i| states.state(*i as usize).iter().copied()).collect::<Vec<Cell>>()
    });
    front(plan, task, trained, objects.as_deref(), observer, &mut metrics)?;
    Ok(metrics)
}

/// [`evaluate`] over points, which cannot be listed.
pub(super) fn points(
    plan: &GFlowNetPlan,
    task: &FlowTask<ContinuousActions>,
    trained: &Trained,
    directory: &Path,
    observer: &dyn Observer,
) -> Result<Map<String, Value>> {
    let says_flow = task.model.policy.flow_place().is_some();
    let mut metrics = measure((plan, task, trained), says_flow, directory, observer, &|_, _| Ok(None))?;
    front(plan, task, trained, None, observer, &mut metrics)?;
    Ok(metrics)
}

/// The enumerated `log Z` at a condition, and the distances of the learned law, where objects can be listed; told what training
/// holds `log Z` to be.
type Enumerated<'a> = dyn Fn(&[f32], Option<f64>) -> Result<Option<(f64, Learned)>> + 'a;

/// At each of the conditions; the network says the flow at the start if `says_flow`.
fn measure<P: Policy>(
    (plan, task, trained): (&GFlowNetPlan, &FlowTask<P>, &Trained),
    says_flow: bool,
    directory: &Path,
    observer: &dyn Observer,
    exact: &Enumerated<'_>,
) -> Result<Map<String, Value>> {
    let noise = plan.evaluation_noise();
    let Some(law) = &task.settings.conditions else { unreachable!("a plan with conditions") };
    let (width, conditions) = (law.width(), measured(plan, task));
    let each = plan.recipe.evaluation.paths.div_ceil(CONDITIONS);
    let seen = watched(observer, "forward paths", each * CONDITIONS);
    let mut all = Vec::new();
    for (k, condition) in conditions.chunks_exact(width).enumerate() {
        let noise = noise.from_row(k * each);
        let found = walked_under(task, trained, &condition.repeat(each), each, &noise, &seen)?;
        let from_paths = evidence(&found.log_weights);
        let learned = says_flow.then(|| learned_log_z(task, trained, condition)).transpose()?;
        let (enumerated, distances) = exact(condition, learned)?.unzip();
        all.push(Measured {
            log_z: from_paths.log_z,
            elbo: from_paths.elbo.value,
            ess: from_paths.ess,
            pareto_k: from_paths.pareto_k,
            paths: from_paths.paths,
            learned,
            exact: task.reward.log_z(condition).or(enumerated),
            wasserstein: None,
            distances,
        });
    }
    conditions::write(directory, &conditions, width, &all)?;
    Ok(conditions::summary(&all))
}

/// The flow at the start under a condition, where the network says flows.
fn learned_log_z<P: Policy>(task: &FlowTask<P>, trained: &Trained, condition: &[f32]) -> Result<f64> {
    let policy = &task.model.policy;
    let mut source = vec![P::Cell::default(); policy.cells()];
    policy.source(&mut source);
    let evaluator = task.model.network.with(&trained.vectors[0]);
    let mut batch = Batch::default();
    let noise = Noise::new(0, Purpose::Choice);
    let walk = ForwardRollout {
        sources: &source,
        conditions: condition,
        behaviour: Behaviour::default(),
        noise: &noise,
    };
    batch.forward_rollout(policy, evaluator.as_ref(), walk)?;
    batch.describe(policy);
    Ok(batch.paths.flow[0])
}

/// How far the front of samples is from the exact one, of all objects.
fn front<P: Policy>(
    plan: &GFlowNetPlan,
    task: &FlowTask<P>,
    trained: &Trained,
    objects: Option<&[P::Cell]>,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let count = plan.recipe.evaluation.samples;
    let mut values = Vec::new();
    if task.reward.parts(&[], 0, &mut values).map_err(Failure::into_error)? == 0 {
        return Ok(());
    }
    let noise = plan.evaluation_noise().purpose(Purpose::Choice).at(Address::FRONT);
    let found = walked(task, trained, count, &noise, &watched(observer, "samples for the front", count))?;
    let parts = task.reward.parts(&found.objects, count, &mut values).map_err(Failure::into_error)?;
    let found = Front::new(values, parts)?.pareto();
    metrics.insert("front_size".to_owned(), json!(found.len()));
    metrics.insert("hypervolume".to_owned(), json!(found.hypervolume(&vec![0.0; parts])?));
    let mut best = found.clone();
    if let Some(objects) = objects {
        let mut values = Vec::new();
        let count = objects.len() / task.model.policy.cells();
        task.reward.parts(objects, count, &mut values).map_err(Failure::into_error)?;
        best = Front::new(values, parts)?.pareto();
        metrics.insert("front_size_exact".to_owned(), json!(best.len()));
        metrics.insert("hypervolume_exact".to_owned(), json!(best.hypervolume(&vec![0.0; parts])?));
        metrics.insert("igd".to_owned(), json!(found.igd(&best)?));
        metrics.insert("igd_plus".to_owned(), json!(found.igd_plus(&best)?));
    }
    let ideal: Vec<f64> =
        (0..parts).map(|k| best.points().map(|point| point[k]).fold(f64::NEG_INFINITY, f64::max)).collect();
    let weights = Front::new(simplex(parts), parts)?;
    metrics.insert("r2".to_owned(), json!(found.r2(&weights, &ideal)?));
    Ok(())
}

/// Weights on a lattice of the simplex: all that are multiples of `1 / n` with the largest `n` up to 100 that gives at most
/// 1000 of them; at least the corners.
fn simplex(parts: usize) -> Vec<f64> {
    let rows = |n: usize| (1..parts).map(|k| (n + k) as f64 / k as f64).product::<f64>();
    let n = (1..=100).rev().find(|n| rows(*n) <= 1000.0).unwrap_or(1);
    let mut lattice = Vec::new();
    let mut row = vec![0; parts];
    fill(&mut row, 0, n, &mut |row| lattice.extend(row.iter().map(|share| *share as f64 / n as f64)));
    lattice
}

/// Tells `each` every way to share `left` over the parts from `at` on.
fn fill(row: &mut [usize], at: usize, left: usize, each: &mut dyn FnMut(&[usize])) {
    if at + 1 == row.len() {
        row[at] = left;
        return each(row);
    }
    for share in 0..=left {
        row[at] = share;
        fill(row, at + 1, left - share, each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_on_the_simplex() {
        assert_eq!(simplex(1), vec![1.0]);
        let two = simplex(2);
        assert_eq!((two.len(), &two[..4]), (202, &[0.0, 1.0, 0.01, 0.99][..]));
        for parts in [3, 5, 9] {
            let lattice = simplex(parts);
            assert!(lattice.len() >= parts * parts && lattice.len() <= 1000 * parts);
            assert!(lattice.chunks(parts).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12));
        }
    }
}
