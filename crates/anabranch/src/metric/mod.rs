//! Sample quality: how far the samples of a model are from a reference sample.
//!
//! Everything here compares two finite samples, the model's `samples` X `[n, dimension]` and the
//! `reference` Y `[m, dimension]`, which may have different sizes. [`sample_metrics`] computes the whole
//! summary; the parts stand in one module each:
//!
//! | module | value | 0 or ideal when both laws agree |
//! |---|---|---|
//! | [`mmd`] | squared maximum mean discrepancy, unbiased | 0 on average, may be negative |
//! | [`energy`] | energy distance, unbiased | 0 on average, may be negative |
//! | [`wasserstein`] | Wasserstein distances in one dimension and sliced | positive, of order n^(-1/2) |
//! | [`sinkhorn`] | cost of entropic optimal transport | above 0 |
//! | [`assignment`] | Wasserstein distance in several dimensions, exact | positive, of order n^(-1/d) |
//! | [`manifold`] | precision, recall, density, coverage | near 1 (density may exceed it) |
//! | [`c2st`] | accuracy of a [`classifier`] that tells X from Y, with its p-value | 1/2 |
//! | [`cross_validation`] | the same by cross-validation, as benchmarks of simulation-based inference have it | 1/2 |
//! | [`permutation`] | p-values of the first three | uniform on (0, 1] |
//!
//! Laws over finitely many objects, and points in several objectives, have their own:
//!
//! | module | value |
//! |---|---|
//! | [`distribution`] | TV, L1, JSD, KL and chi-square of a learned law from its target; the floor of a perfect sampler |
//! | [`coverage`] | entropy of the modes that samples hit |
//! | [`empirical`] | the empirical law of the last samples, the best objects, the modes found |
//! | [`histogram`] | Hellinger distance of the states of two sequences, share of outliers |
//! | [`pareto`] | dominance, hypervolume, IGD, R2, entropy of Pareto clusters |
//!
//! Precision, recall, density and coverage are measured in a feature space ([`features`]), all else in the points'
//! own coordinates. Results do not depend on the number of threads. Randomness (projections, splits, permutations,
//! initial weights) derives from [`Purpose::Metric`] alone.

pub mod assignment;
pub mod c2st;
pub mod classifier;
pub mod coverage;
pub mod cross_validation;
pub mod distribution;
pub mod empirical;
pub mod energy;
pub mod features;
pub mod histogram;
pub mod manifold;
pub mod mmd;
pub mod pairs;
pub mod pareto;
pub mod permutation;
mod points;
pub mod sinkhorn;
mod summary;
pub mod wasserstein;

pub use points::Points;
pub use summary::{MetricOptions, SampleMetrics, sample_metrics, sample_metrics_in};

use crate::error::{Problem, Result};
use crate::rng::{Noise, Purpose};

/// The steps of [`Purpose::Metric`], one per use, so that no two uses share a number.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Stream {
    Projections = 0,
    Permutations = 1,
    Subsample = 2,
    Split = 3,
    Classifier = 4,
    Folds = 6,
}

fn noise(seed: u64, stream: Stream) -> Noise {
    Noise::new(seed, Purpose::Metric).step(stream as u32)
}

/// Fails unless `place` has at least `least` rows, which `what` needs.
fn at_least(place: &str, rows: usize, least: usize, what: &str) -> Result<()> {
    if rows < least {
        let allowed = format!("at least {least} rows for {what}");
        return Err(Problem::new(place, format!("{rows} rows")).allowed(allowed).into());
    }
    Ok(())
}

/// Fails unless both samples live in the same dimension.
fn same_dimension(samples: Points<'_>, reference: Points<'_>) -> Result<()> {
    if samples.dimension() != reference.dimension() {
        return Err(Problem::new("samples", format!("dimension {}", samples.dimension()))
            .allowed(format!("the dimension of the reference, {}", reference.dimension()))
            .into());
    }
    Ok(())
}
