//! What is measured at each of some conditions, and means over them.
//!
//! ```text
//! log Z(c)     by importance weights, as it was learned, exactly where it is known
//! ```

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::insert;
use crate::data::atomic::atomic_write;
use crate::error::Result;
use crate::estimate::pareto;
use crate::math::Estimate;
use crate::metric::distribution::Learned;

/// How many conditions are measured each for itself.
pub(super) const CONDITIONS: usize = 16;

/// What was found at a condition. Nats.
pub(super) struct Measured {
    /// By importance weights.
    pub log_z: Estimate,
    /// `E_forward[log w]`.
    pub elbo: f64,
    /// Of the forward paths.
    pub ess: f64,
    /// The shape of the tail of their weights, where it has one.
    pub pareto_k: Option<f64>,
    /// How many of them there are.
    pub paths: usize,
    /// What training holds `log Z` to be, where it learns it.
    pub learned: Option<f64>,
    /// Where it is known.
    pub exact: Option<f64>,
    /// The exact Wasserstein distance of some samples from exact ones, and of exact ones from others, where there is a sampler.
    pub wasserstein: Option<[f64; 2]>,
    /// Of the learned law from the exact one, where objects can be listed.
    pub distances: Option<Learned>,
}

fn mean(values: impl Iterator<Item = f64>) -> Estimate {
    Estimate::mean(&values.collect::<Vec<f64>>())
}

/// Means over conditions: their errors say how much conditions differ.
pub(super) fn summary(all: &[Measured]) -> Map<String, Value> {
    let mut metrics = Map::new();
    insert(&mut metrics, "elbo", mean(all.iter().map(|at| at.elbo)));
    insert(&mut metrics, "log_z", mean(all.iter().map(|at| at.log_z.value)));
    metrics.insert("ess".to_owned(), json!(mean(all.iter().map(|at| at.ess)).value));
    // The heaviest tail is what a reader is to know.
    let heaviest =
        all.iter().filter_map(|at| Some((at.pareto_k?, at.paths))).max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((k, paths)) = heaviest {
        metrics.insert("pareto_k".to_owned(), json!(k));
        metrics.insert("pareto_k_threshold".to_owned(), json!(pareto::threshold(paths)));
    }
    let exact: Option<Vec<f64>> = all.iter().map(|at| at.exact).collect();
    let learned: Option<Vec<f64>> = all.iter().map(|at| at.learned).collect();
    if let Some(learned) = &learned {
        metrics.insert("log_z_learned".to_owned(), json!(mean(learned.iter().copied()).value));
    }
    let rms = |found: &mut dyn Iterator<Item = f64>, exact: &[f64]| {
        let squares = found.zip(exact).map(|(found, exact)| (found - exact).powi(2)).sum::<f64>();
        (squares / exact.len() as f64).sqrt()
    };
    if let Some(exact) = &exact {
        metrics.insert("log_z_exact".to_owned(), json!(mean(exact.iter().copied()).value));
        let paths = rms(&mut all.iter().map(|at| at.log_z.value), exact);
        metrics.insert("log_z_rmse".to_owned(), json!(paths));
        if let Some(learned) = &learned {
            let error = rms(&mut learned.iter().copied(), exact);
            metrics.insert("log_z_learned_rmse".to_owned(), json!(error));
        }
    }
    let wasserstein: Option<Vec<[f64; 2]>> = all.iter().map(|at| at.wasserstein).collect();
    if let Some(wasserstein) = wasserstein {
        insert(&mut metrics, "wasserstein", mean(wasserstein.iter().map(|[found, _]| *found)));
        insert(&mut metrics, "wasserstein_floor", mean(wasserstein.iter().map(|[_, floor]| *floor)));
    }
    let distances: Option<Vec<&Learned>> = all.iter().map(|at| at.distances.as_ref()).collect();
    if let Some(distances) = distances {
        let of = |value: fn(&Learned) -> f64| mean(distances.iter().map(|at| value(at))).value;
        for (name, value) in [
            ("tv", of(|at| at.comparison.tv)),
            ("l1", of(|at| at.comparison.l1)),
            ("jsd", of(|at| at.comparison.jsd)),
        ] {
            metrics.insert(name.to_owned(), json!(value));
        }
    }
    metrics
}

/// Writes `conditions.csv`, a row per condition.
pub(super) fn write(directory: &Path, conditions: &[f32], width: usize, all: &[Measured]) -> Result<()> {
    let mut text: String = (0..width).map(|k| format!("c{k},")).collect();
    text.push_str("log_z,log_z_se,log_z_exact,log_z_learned,elbo,ess,wasserstein,tv,pareto_k\n");
    let or_empty = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for (condition, at) in conditions.chunks_exact(width).zip(all) {
        condition.iter().for_each(|c| text.push_str(&format!("{c},")));
        let tv = or_empty(at.distances.as_ref().map(|at| at.comparison.tv));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{tv},{}",
            at.log_z.value,
            at.log_z.error,
            or_empty(at.exact),
            or_empty(at.learned),
            at.elbo,
            at.ess,
            or_empty(at.wasserstein.map(|[found, _]| found)),
            or_empty(at.pareto_k),
        );
    }
    atomic_write(&directory.join("conditions.csv"), |out| out.write_all(text.as_bytes()))
}
