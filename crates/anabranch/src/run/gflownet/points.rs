//! Measuring a flow network over points: bounds on log Z by paths both ways.

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::estimate::trajectories::homeward;
use crate::estimate::{evidence, forward_ess, upper_bound};
use crate::policy::{Densities, Policy as _};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::FlowTask;
use crate::reward::checked;
use crate::rng::Purpose;
use crate::run::{Observer, insert, watched};
use crate::train::Trained;

use super::{fatal, relative, walked};

/// Measures a plan over points with trained weights.
pub(super) fn evaluate(
    plan: &GFlowNetPlan,
    task: &FlowTask<Densities>,
    trained: &Trained,
    observer: &dyn Observer,
) -> Result<Map<String, Value>> {
    let mut metrics = Map::new();
    if let Some(prior) = &task.settings.prior {
        relative::paths(plan, task, trained, prior, observer, &mut metrics)?;
        return Ok(metrics);
    }
    let count = plan.recipe.evaluation.paths;
    let noise = plan.evaluation_noise();
    let found = walked(task, trained, count, &noise, &watched(observer, "forward paths", count))?;
    let from_paths = evidence(&found.log_weights);
    insert(&mut metrics, "elbo", from_paths.elbo);
    insert(&mut metrics, "log_z", from_paths.log_z);
    metrics.insert("ess".to_owned(), json!(from_paths.ess));
    if let Some(log_z) = task.reward.log_z(&[]) {
        metrics.insert("log_z_exact".to_owned(), json!(log_z));
    }
    if let Some(log_z) = trained.get("log_z") {
        metrics.insert("log_z_learned".to_owned(), json!(log_z[0]));
    }
    if let Some(objects) = task.reward.draw(count, &noise.purpose(Purpose::Target)) {
        let policy = &task.model.policy;
        let mut log_rewards = vec![0.0; count];
        let describe = |object: &[f32]| policy.describe(object);
        checked(task.reward.as_ref(), &objects, &[], &describe, &mut log_rewards).map_err(fatal)?;
        let evaluator = task.model.network.with(&trained.vectors[0]);
        let seen = watched(observer, "backward paths", count);
        let noise = noise.purpose(Purpose::Backward);
        let backward = homeward(policy, evaluator.as_ref(), &objects, &[], &log_rewards, &noise, &seen)?;
        insert(&mut metrics, "eubo", upper_bound(&backward));
        metrics.insert("forward_ess".to_owned(), json!(forward_ess(&backward)));
    }
    metrics.insert("mean_length".to_owned(), json!(found.moves as f64 / count as f64));
    let cells = task.model.policy.cells();
    if let Some(modes) = task.reward.modes() {
        let mut seen = std::collections::HashSet::new();
        for object in found.objects.chunks_exact(cells) {
            task.reward.modes_of(object, &mut |mode| {
                seen.insert(mode);
            });
        }
        metrics.insert("modes_found".to_owned(), json!(seen.len()));
        metrics.insert("modes".to_owned(), json!(modes));
    }
    Ok(metrics)
}
