//! Measuring the posterior of a prior policy: `P(x) ~ P_prior(x) r(x)^beta`.
//!
//! ```text
//! log w = beta log r(x) + sum_t [log P_prior - log P_F],     Z = E_prior[r(x)^beta]
//! ```

use serde_json::{Map, Value, json};

use super::exact::{Exact, listed};
use crate::error::{Failure, Result};
use crate::estimate::evidence;
use crate::estimate::trajectories::{Relative, forward_relative};
use crate::math::log_sum_exp;
use crate::metric::distribution::Learned;
use crate::objective::ReferenceKind;
use crate::policy::{Actions, Policy};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::FlowTask;
use crate::run::{Observer, insert, insert_weights, watched};
use crate::train::Trained;

/// The power of the reward in the posterior that a plan with a prior learns.
fn beta(plan: &GFlowNetPlan) -> f64 {
    match plan.recipe.objective.needs().reference {
        ReferenceKind::Prior { beta } => beta,
        _ => unreachable!("an objective that does not read the prior was refused"),
    }
}

/// What forward paths of the posterior say.
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
    let network = &task.model.network;
    let (evaluator, prior) = (network.with(&trained.vectors[0]), network.with(prior));
    let relative = Relative { prior: prior.as_ref(), beta: beta(plan) };
    let (policy, reward) = (&task.model.policy, task.reward.as_ref());
    let found = forward_relative(policy, evaluator.as_ref(), relative, reward, count, &noise, &seen)
        .map_err(Failure::into_error)?;
    let from_paths = evidence(&found.log_weights);
    insert(metrics, "elbo", from_paths.elbo);
    insert(metrics, "log_z", from_paths.log_z);
    insert_weights(metrics, &from_paths);
    metrics.insert("mean_length".to_owned(), json!(found.moves as f64 / count as f64));
    if policy.cyclic() {
        metrics.insert("cut_share".to_owned(), json!(found.cut as f64 / count as f64));
    }
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
    let beta = beta(plan);
    let priors = before.terminating.log_probs.iter().zip(&before.log_rewards);
    let log_rewards = priors.map(|(log_p, log_r)| log_p + beta * log_r).collect();
    Ok(Some(Exact { log_rewards, ..after }))
}
