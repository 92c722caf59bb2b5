//! Measuring the posterior of a chain: `p(x) ~ prior(x) R(x)^beta`, with `Z = E_prior[R(x)^beta]`.
//!
//! ```text
//! the model's paths    ELBO, log Z and ESS by the relative path log-weights
//! the prior's paths    log Z and ESS by R^beta alone, and with it the EUBO of the model
//! ```

use serde_json::{Map, Value, json};

use super::measures::{PATHS, insert_bound, insert_evidence};
use super::{Observer, insert, insert_weights, watched};
use crate::error::{Error, Failure, Result};
use crate::estimate::evidence;
use crate::estimate::relative::{Relative, weighted_mean};
use crate::math::Estimate;
use crate::model::Model;
use crate::recipe::{ChainPlan, ChainPrior};
use crate::rng::Address;
use crate::target::Target;

/// Measures a model beside the prior that it is relative to.
pub(super) fn evaluate(
    plan: &ChainPlan,
    prior: &ChainPrior,
    model: &Model,
    target: &dyn Target,
    observer: &dyn Observer,
    metrics: &mut Map<String, Value>,
) -> Result<()> {
    let model = model.frozen();
    let relative = Relative { prior: &prior.model, model: &model, beta: prior.beta };
    let (paths, noise) = (plan.recipe.evaluation.paths, plan.evaluation_noise());
    let seen = watched(observer, "forward paths", paths);
    let found = relative.of_model(target, paths, &noise, &seen).map_err(Failure::into_error)?;
    let found = evidence(&found.ok_or(Error::Interrupted)?.log_weights());
    insert(metrics, "elbo", found.elbo);
    insert(metrics, "log_z", found.log_z);
    insert_weights(metrics, &found);
    let seen = watched(observer, "paths of the prior", paths);
    let drawn = relative.of_prior(target, paths, &noise.at(Address::EXACT_PATHS), &seen);
    let drawn = drawn.map_err(Failure::into_error)?.ok_or(Error::Interrupted)?;
    let by_prior = evidence(&drawn.log_likelihoods);
    insert(metrics, "log_z_prior", by_prior.log_z);
    metrics.insert("ess_prior".to_owned(), json!(by_prior.ess));
    insert(metrics, "eubo", weighted_mean(&drawn.log_likelihoods, &drawn.log_weights()));
    if let Some(classified) = target.classify(&drawn.ends) {
        let hits = classified.hits();
        insert(metrics, "class_share_prior", Estimate::mean(&hits));
        insert(metrics, "class_share_weighted", weighted_mean(&drawn.log_likelihoods, &hits));
    }
    Ok(())
}

/// What is measured while a posterior trains.
pub(super) fn measures(
    plan: &ChainPlan,
    prior: &ChainPrior,
    model: &Model,
    target: &dyn Target,
) -> Map<String, Value> {
    let mut found = Map::new();
    let relative = Relative { prior: &prior.model, model, beta: prior.beta };
    let noise = plan.validation_noise();
    // What the target does not answer now is no point of a curve; training meets what it will not answer at all.
    if let Ok(Some(paths)) = relative.of_model(target, PATHS, &noise, &|_| true) {
        insert_evidence(&mut found, evidence(&paths.log_weights()), None);
    }
    if let Ok(Some(paths)) = relative.of_prior(target, PATHS, &noise.at(Address::EXACT_PATHS), &|_| true) {
        insert_bound(&mut found, weighted_mean(&paths.log_likelihoods, &paths.log_weights()));
    }
    found
}
