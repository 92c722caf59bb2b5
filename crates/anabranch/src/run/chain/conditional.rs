//! Measuring a conditional chain.
//!
//! ```text
//! energies  log Z(c), ELBO, ESS at some conditions of their law, exact W_1 where there are exact samples, and means over them
//! classes   p(y | x) ~ p(y) p(x | y): how often the class of the largest is the row's own
//! ```

use std::path::Path;

use serde_json::{Map, Value};

use crate::array::weights::{matrix, to_vec, to_vec_f64};
use crate::chain::Given;
use crate::error::{Error, Failure, Result};
use crate::estimate::evidence;
use crate::estimate::likelihood::{row_nlls_observed, values};
use crate::estimate::paths::forward_weights;
use crate::math::Estimate;
use crate::metric::Points;
use crate::metric::assignment::wasserstein_assignment;
use crate::model::Model;
use crate::recipe::{ChainPlan, Condition};
use crate::rng::{Noise, Purpose};
use crate::run::conditions::{self, CONDITIONS, Measured};
use crate::run::{Observer, insert, watched};
use crate::target::{Conditions, Target};
use crate::train::Trained;

/// The most rows whose class is told by Bayes' rule, and the most of them times classes.
const MOST_ROWS: usize = 1000;
const MOST_SCORED: usize = 20_000;
/// Samples under a condition that are compared with as many exact ones.
const EXACT: usize = 500;

/// Measures an energy at conditions of `law`; writes `conditions.csv`.
pub(super) fn at_conditions(
    plan: &ChainPlan,
    (model, trained): (&Model, &Trained),
    (energy, law): (&dyn Target, &Conditions),
    directory: &Path,
    observer: &dyn Observer,
) -> Result<Map<String, Value>> {
    let (noise, model, width) = (plan.evaluation_noise(), model.frozen(), law.width());
    let all = law.draw(CONDITIONS, &noise.purpose(Purpose::Condition));
    let learned = learned_log_z(plan, trained, &all);
    let each = plan.recipe.evaluation.paths.div_ceil(CONDITIONS);
    let seen = watched(observer, "forward paths", each * CONDITIONS);
    let mut found = Vec::new();
    for (k, condition) in all.chunks_exact(width).enumerate() {
        let given = Given::rows(width, condition.to_vec());
        let weights = forward_weights(&model, energy, each, &given, &noise.from_row(k * each), &seen);
        let from_paths = evidence(&weights.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?);
        found.push(Measured {
            log_z: from_paths.log_z,
            elbo: from_paths.elbo.value,
            ess: from_paths.ess,
            pareto_k: from_paths.pareto_k,
            paths: from_paths.paths,
            learned: learned.as_ref().map(|learned| learned[k]),
            exact: energy.log_z(condition),
            wasserstein: wasserstein(&model, energy, condition, &noise.from_row(k * EXACT))?,
            distances: None,
        });
    }
    conditions::write(directory, &all, width, &found)?;
    Ok(conditions::summary(&found))
}

/// How far samples of the model under a condition are from exact ones, and exact ones from others, where the target has a sampler.
fn wasserstein(
    model: &Model,
    energy: &dyn Target,
    condition: &[f32],
    noise: &Noise,
) -> Result<Option<[f64; 2]>> {
    let exact = |purpose: Purpose| energy.draw_given(&condition.repeat(EXACT), &noise.purpose(purpose));
    let (Some(one), Some(other)) = (exact(Purpose::Target), exact(Purpose::Metric)) else { return Ok(None) };
    let given = Given::rows(condition.len(), condition.to_vec());
    let drawn = model.chain().sample(EXACT, &given, &noise.purpose(Purpose::Source));
    let drawn = to_vec(drawn.map_err(Failure::into_error)?);
    let [drawn, one, other] = [&drawn, &one, &other].map(|rows| Points::new(rows, model.dimension()));
    let (drawn, one, other) = (drawn?, one?, other?);
    Ok(Some([wasserstein_assignment(drawn, one)?, wasserstein_assignment(other, one)?]))
}

/// `log Z` of conditions, where the objective learned it.
fn learned_log_z(plan: &ChainPlan, trained: &Trained, conditions: &[f32]) -> Option<Vec<f64>> {
    let mut flow = plan.log_z.clone()?;
    let place = plan.model.weights().len() + usize::from(plan.flow.is_some());
    flow.weights_mut().set(trained.vectors[place].clone());
    let conditions = matrix(conditions.to_vec(), plan.condition.width(), &plan.model.device());
    flow.log_flows(&[conditions], &Given::nothing()).pop().map(to_vec_f64)
}

/// `class_accuracy`, of the first rows of the test split, where rows have classes.
pub(super) fn class_accuracy(
    plan: &ChainPlan,
    model: &Model,
    rows: &[f32],
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let Condition::Class { classes, .. } = &plan.condition else { return Ok(()) };
    let own = if classes.test.is_empty() { &classes.train } else { &classes.test };
    let count = own.len().min(MOST_ROWS).min(MOST_SCORED / classes.count);
    let rows = &rows[..count * plan.dimension()];
    let (bound, noise) = (plan.bound(model, count), plan.evaluation_noise());
    let seen = watched(observer, "classes", count * classes.count);
    let mut best = vec![(f64::NEG_INFINITY, 0); count];
    for (class, share) in classes.shares.iter().copied().enumerate() {
        let given = Given::rows(classes.count, classes.one_hot(&[class]));
        let nlls = row_nlls_observed(model, rows, &given, bound, &noise, &seen);
        let nlls = nlls.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
        for (best, nll) in best.iter_mut().zip(values(&nlls)) {
            let log_joint = share.ln() - nll;
            if log_joint > best.0 {
                *best = (log_joint, class);
            }
        }
    }
    let right = best.iter().zip(own).map(|((_, found), own)| f64::from(u8::from(found == own)));
    insert(metrics, "class_accuracy", Estimate::mean(&right.collect::<Vec<f64>>()));
    Ok(())
}
