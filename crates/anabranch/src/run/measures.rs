//! What is measured while a run trains: the task's own numbers, against steps and trajectories.
//!
//! ```text
//! data         nll (a bound or exact), bits/dim where there are levels
//! target       ELBO, importance-weighted log Z, ESS, of forward paths; EUBO where there are exact samples
//! flow network the same; tv to R / Z where few states can be listed; modes found
//! ```
//!
//! Paths are those of the validation score, fewer than the final evaluation's and drawn apart from them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::insert;
use crate::environment::Number;
use crate::estimate::Evidence;
use crate::math::Estimate;
use crate::metric::coverage::entropic_mode_coverage;
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
    // Modes with a number are even; one without is known by the object that it is, and gets an odd one.
    let (mut hits, mut unnumbered) = (Vec::new(), HashMap::new());
    for object in objects.chunks_exact(cells) {
        let before = hits.len();
        target.modes_of(object, &mut |mode| hits.push(2 * mode));
        if hits.len() == before && target.is_mode(object) == Some(true) {
            let words: Vec<u32> = object.iter().map(|cell| cell.to_word()).collect();
            let next = 2 * unnumbered.len() + 1;
            hits.push(*unnumbered.entry(words).or_insert(next));
        }
    }
    let found: HashSet<usize> = hits.iter().copied().collect();
    metrics.insert("modes_found".to_owned(), json!(found.len()));
    if let Some(modes) = target.modes() {
        metrics.insert("modes".to_owned(), json!(modes));
        if let Some(coverage) = entropic_mode_coverage(hits, modes) {
            metrics.insert("mode_coverage".to_owned(), json!(coverage));
        }
    }
}

/// Into which classes the target itself puts the objects, `[count, cells]`, where it knows classes.
pub(super) fn insert_classes<C>(metrics: &mut Map<String, Value>, target: &dyn Target<C>, objects: &[C]) {
    let Some(classified) = target.classify(objects) else { return };
    insert(metrics, "class_share", Estimate::mean(&classified.hits()));
    metrics.insert("class_shares".to_owned(), json!(classified.shares()));
}
