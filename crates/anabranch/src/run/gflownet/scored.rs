//! How likely given objects are to a flow network.
//!
//! ```text
//! log P_T(x) >= E log mean_k [P_F(tau_k) / P_B(tau_k | x)]          tau_k ~ P_B(. | x), exact as k grows
//! ```
//!
//! Beside it how well the learned probabilities follow the rewards.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::environment::Cell;
use crate::error::{Failure, Problem, Result};
use crate::estimate::trajectories::{Found, log_likelihoods};
use crate::math::Estimate;
use crate::math::correlation::{pearson, spearman};
use crate::policy::{Actions, Policy};
use crate::recipe::GFlowNetPlan;
use crate::recipe::gflownet::{FlowTask, Task, objects};
use crate::rng::Purpose;
use crate::run::{Observer, Scored, Scores, insert, watched};
use crate::target::checked;
use crate::train::Trained;

/// What stands beside `nll` of each object: of all together it is no estimate of anything.
const LOG_REWARD: &str = "log_reward";

/// Ways back from each object.
const WAYS: usize = 128;

/// Different objects at most whose probabilities are compared with their rewards, and ways back from each.
const COMPARED: usize = 200;
const FEW_WAYS: usize = 16;

/// How well learned probabilities follow rewards, over the first different objects that were drawn.
pub(super) fn correlations(
    plan: &GFlowNetPlan,
    task: &FlowTask<Actions>,
    trained: &Trained,
    found: &Found<Cell>,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let policy = &task.model.policy;
    let mut known = HashSet::new();
    let drawn = found.objects.chunks_exact(policy.cells()).zip(&found.log_rewards);
    let drawn = drawn.filter(|(object, _)| known.insert(*object)).take(COMPARED);
    let (objects, log_rewards): (Vec<&[Cell]>, Vec<f64>) = drawn.map(|(x, log_r)| (x, *log_r)).unzip();
    let evaluator = task.model.network.with(&trained.vectors[0]);
    let noise = plan.evaluation_noise().purpose(Purpose::Backward);
    let seen = watched(observer, "ways back", objects.len() * FEW_WAYS);
    let log_p = log_likelihoods(policy, evaluator.as_ref(), &objects.concat(), FEW_WAYS, &noise, &seen)?;
    insert_correlations(&log_p, &log_rewards, metrics);
    Ok(())
}

fn insert_correlations(log_p: &[f64], log_rewards: &[f64], metrics: &mut Map<String, Value>) {
    for (name, value) in
        [("pearson", pearson(log_p, log_rewards)), ("spearman", spearman(log_p, log_rewards))]
    {
        if let Some(value) = value {
            metrics.insert(name.to_owned(), json!(value));
        }
    }
}

impl GFlowNetPlan {
    /// Scores the objects of a text file, one a line: each, the mean of `-log P_T(x)`, and correlations of `log P_T` with `log R`.
    ///
    /// # Errors
    /// If the file cannot be read, a line is no object, the flow network is one over points, or it depends on conditions.
    pub fn score(&self, trained: &Trained, path: &Path, observer: &dyn Observer) -> Result<Scored> {
        let refused = |found: &str| Problem::new("--data", found).allowed("objects of one law over integers");
        let Task::Discrete(task) = &self.task else {
            return Err(refused("a file for a flow network over points").into());
        };
        if task.reward.condition_width() > 0 || task.inner.is_some() {
            return Err(refused("a file for a flow network with conditions or roots").into());
        }
        let policy = &task.model.policy;
        let given = objects("--data", path, policy.environment().as_ref())?;
        let count = given.len() / policy.cells();
        let mut log_rewards = vec![0.0; count];
        checked(task.reward.as_ref(), &given, &[], &|object| policy.describe(object), &mut log_rewards)
            .map_err(Failure::into_error)?;
        let evaluator = task.model.network.with(&trained.vectors[0]);
        let noise = self.evaluation_noise().purpose(Purpose::Backward);
        let seen = watched(observer, "ways back", count * WAYS);
        let log_p = log_likelihoods(policy, evaluator.as_ref(), &given, WAYS, &noise, &seen)?;
        let mut metrics = Map::new();
        let negative: Vec<f64> = log_p.iter().map(|log_p| -log_p).collect();
        insert(&mut metrics, "nll", Estimate::mean(&negative));
        metrics.insert("objects".to_owned(), json!(count));
        insert_correlations(&log_p, &log_rewards, &mut metrics);
        let rows = |name, values: Vec<f64>| {
            let alone = |value| Estimate { value, error: f64::NAN };
            Scores { name, rows: values.into_iter().map(alone).collect() }
        };
        Ok(Scored { metrics, rows: vec![rows("nll", negative), rows(LOG_REWARD, log_rewards)] })
    }
}
