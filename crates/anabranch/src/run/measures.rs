//! What is measured while a run trains: the task's own numbers, against steps and trajectories.
//!
//! ```text
//! data         nll (a bound or exact), bits/dim where there are levels
//! target       ELBO, importance-weighted log Z, ESS, of forward paths; EUBO where there are exact samples
//! flow network the same; tv to R / Z where few states can be listed; modes found
//! ```
//!
//! Paths are those of the validation score, fewer than the final evaluation's and drawn apart from them.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::insert;
use crate::environment::Number;
use crate::estimate::Evidence;
use crate::math::Estimate;
use crate::target::Target;

/// Paths of a measure.
pub(super) const PATHS: usize = 1000;

/// What forward paths say, with the error of log Z where that is known.
pub(super) fn insert_evidence(found: &mut Map<String, Value>, evidence: Evidence, log_z: Option<f64>) {
    found.insert("elbo".to_owned(), json!(evidence.elbo.value));
    found.insert("log_z".to_owned(), json!(evidence.log_z.value));
    found.insert("ess".to_owned(), json!(evidence.ess));
    if let Some(exact) = log_z {
        found.insert("log_z_error".to_owned(), json!((evidence.log_z.value - exact).abs()));
    }
}

/// What backward paths say.
pub(super) fn insert_bound(found: &mut Map<String, Value>, bound: Estimate) {
    found.insert("eubo".to_owned(), json!(bound.value));
}

/// How many modes of a target the objects, `[count, cells]`, hit, where it has such.
pub(super) fn insert_modes<C: Number>(
    metrics: &mut Map<String, Value>,
    target: &dyn Target<C>,
    objects: &[C],
    cells: usize,
) {
    let knows = objects.chunks_exact(cells).next().is_some_and(|first| target.is_mode(first).is_some());
    if !knows && target.modes().is_none() {
        return;
    }
    let (mut numbers, mut unnumbered) = (HashSet::new(), HashSet::new());
    for object in objects.chunks_exact(cells) {
        let mut numbered = false;
        target.modes_of(object, &mut |mode| {
            numbered = true;
            numbers.insert(mode);
        });
        if !numbered && target.is_mode(object) == Some(true) {
            unnumbered.insert(object.iter().map(|cell| cell.to_word()).collect::<Vec<u32>>());
        }
    }
    metrics.insert("modes_found".to_owned(), json!(numbers.len() + unnumbered.len()));
    if let Some(modes) = target.modes() {
        metrics.insert("modes".to_owned(), json!(modes));
    }
}

/// Into which classes the target itself puts the objects, `[count, cells]`, where it knows classes.
pub(super) fn insert_classes<C>(metrics: &mut Map<String, Value>, target: &dyn Target<C>, objects: &[C]) {
    let Some(classified) = target.classify(objects) else { return };
    insert(metrics, "class_share", Estimate::mean(&classified.hits()));
    metrics.insert("class_shares".to_owned(), json!(classified.shares()));
}
