//! Measuring the posterior of a prior policy: `P(x) ~ P_prior(x) r(x)^beta`.
//!
//! ```text
//! log w = beta log r(x) + sum_t [log P_prior - log P_F],     Z = E_prior[r(x)^beta]
//! ```

use serde_json::{Map, Value, json};

use super::exact::{Exact, listed};
use super::fatal;
use crate::error::{Error, Result};
use crate::estimate::evidence;
use crate::math::log_sum_exp;
use crate::metric::distribution::Learned;
use crate::model::gflownet::{Batch, Outward};
use crate::objective::balance::ObjectiveRecipe;
use crate::policy::{Actions, Behaviour, Policy};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::FlowTask;
use crate::run::{Observer, insert, watched};
use crate::target::checked;
use crate::train::Trained;

/// Trajectories walked together.
const BLOCK: usize = 512;

/// The power of the reward in a relative objective.
fn beta(objective: &ObjectiveRecipe) -> f64 {
    match objective {
        ObjectiveRecipe::RelativeTrajectoryBalance(objective) => objective.beta,
        ObjectiveRecipe::RelativeLogVariance(objective) => objective.beta,
        ObjectiveRecipe::TrustPcl(objective) => 1.0 / objective.alpha,
        _ => 1.0,
    }
}

/// What outward paths of the posterior say.
pub(super) fn paths<P: Policy>(
    plan: &GFlowNetPlan,
    task: &FlowTask<P>,
    trained: &Trained,
    prior: &[f32],
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let (count, noise) = (plan.recipe.evaluation.paths, plan.evaluation_noise());
    let seen = watched(observer, "forward paths", count);
    let (policy, network) = (&task.model.policy, &task.model.network);
    let (evaluator, prior) = (network.with(&trained.vectors[0]), network.with(prior));
    let (cells, beta) = (policy.cells(), beta(&plan.recipe.objective));
    let mut sources = vec![P::Cell::default(); count.min(BLOCK) * cells];
    sources.chunks_exact_mut(cells).for_each(|source| policy.source(source));
    let (mut batch, mut objects, mut log_weights) = (Batch::default(), Vec::new(), Vec::new());
    let mut moves = 0;
    for first in (0..count).step_by(BLOCK) {
        let size = BLOCK.min(count - first);
        let noise = noise.from_row(first);
        let sources = &sources[..size * cells];
        batch.clear();
        batch.outward(
            policy,
            evaluator.as_ref(),
            Outward { sources, conditions: &[], behaviour: Behaviour::default(), noise: &noise },
        )?;
        batch.describe(policy);
        batch.ask_reference(policy, prior.as_ref());
        batch.objects(policy, &mut objects);
        let mut log_rewards = vec![0.0; size];
        let describe = |object: &[P::Cell]| policy.describe(object);
        checked(task.reward.as_ref(), &objects, &[], &describe, &mut log_rewards).map_err(fatal)?;
        let Some(reference) = &batch.paths.reference else { unreachable!("the prior was asked") };
        for (log_reward, rows) in log_rewards.iter().zip(batch.paths.starts.windows(2)) {
            let rows = rows[0]..rows[1];
            let ratio = reference.forward[rows.clone()].iter().zip(&batch.paths.forward[rows]);
            log_weights.push(beta * log_reward + ratio.map(|(prior, own)| prior - own).sum::<f64>());
        }
        moves += batch.paths.rows() - size;
        if !seen(size) {
            return Err(Error::Interrupted);
        }
    }
    let from_paths = evidence(&log_weights);
    insert(metrics, "elbo", from_paths.elbo);
    insert(metrics, "log_z", from_paths.log_z);
    metrics.insert("ess".to_owned(), json!(from_paths.ess));
    metrics.insert("mean_length".to_owned(), json!(moves as f64 / count as f64));
    if let Some(log_z) = trained.get("log_z") {
        metrics.insert("log_z_learned".to_owned(), json!(log_z[0]));
    }
    Ok(())
}

/// The learned posterior beside the exact one, where all states can be listed.
pub(super) fn distances(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    prior: &[f32],
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let Some(exact) = posterior(plan, task, trained, prior)? else { return Ok(()) };
    let Learned { comparison, .. } = exact.compared(None);
    let named = [("tv", comparison.tv), ("l1", comparison.l1), ("jsd", comparison.jsd)];
    metrics.extend(named.map(|(name, value)| (name.to_owned(), json!(value))));
    metrics.insert("log_z_exact".to_owned(), json!(log_sum_exp(&exact.log_rewards)));
    Ok(())
}

/// All states with what was learned of them, and `log P_prior(x) + beta log r(x)` in the place of rewards; none where they
/// cannot be listed.
pub(crate) fn posterior(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    prior: &[f32],
) -> Result<Option<Exact>> {
    let Some(states) = listed(task, plan.recipe.evaluation.exact_states) else { return Ok(None) };
    let before = Trained { names: vec!["policy".to_owned()], vectors: vec![prior.to_vec()] };
    let before = Exact::of_states(task, &before, states.clone(), &[])?;
    let after = Exact::of_states(task, trained, states, &[])?;
    let beta = beta(&plan.recipe.objective);
    let priors = before.terminating.log_probs.iter().zip(&before.log_rewards);
    let log_rewards = priors.map(|(log_p, log_r)| log_p + beta * log_r).collect();
    Ok(Some(Exact { log_rewards, ..after }))
}
