//! Measuring a flow network over points: bounds on log Z by paths both ways.

use serde_json::{Map, Value, json};

use crate::error::{Failure, Result};
use crate::policy::{ContinuousActions, Policy as _};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::FlowTask;
use crate::rng::Noise;
use crate::run::Observer;
use crate::target::checked;
use crate::train::Trained;

use super::{paths, relative};

/// Measures a plan over points with trained weights.
pub(super) fn evaluate(
    plan: &GFlowNetPlan,
    task: &FlowTask<ContinuousActions>,
    trained: &Trained,
    observer: &dyn Observer,
) -> Result<Map<String, Value>> {
    let mut metrics = Map::new();
    if let Some(prior) = &task.settings.prior {
        relative::paths(plan, task, trained, prior, observer, &mut metrics)?;
        return Ok(metrics);
    }
    if let Some(log_z) = trained.get("log_z") {
        metrics.insert("log_z_learned".to_owned(), json!(log_z[0]));
    }
    let (policy, reward) = (&task.model.policy, task.reward.as_ref());
    let draw = |count, noise: &Noise| {
        let Some(objects) = reward.draw(count, noise) else { return Ok(None) };
        let mut log_rewards = vec![0.0; count];
        let describe = |object: &[f32]| policy.describe(object);
        checked(reward, &objects, &[], &describe, &mut log_rewards).map_err(Failure::into_error)?;
        Ok(Some((objects, log_rewards)))
    };
    paths(plan, task, trained, reward.log_z(&[]), draw, observer, &mut metrics)?;
    Ok(metrics)
}
