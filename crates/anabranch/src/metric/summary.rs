//! All metrics of a sample against a reference, as one record.
//!
//! X and Y are cut to at most [`MetricOptions::most_rows`] rows each by a random choice that the seed decides; the
//! discrepancies, their tests and the four neighbourhood values then cost time and memory quadratic in that number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::c2st::c2st;
use super::energy::energy_distance;
use super::features::Features;
use super::manifold::{Manifold, manifold};
use super::mmd::{Kernel, KernelShape, mmd};
use super::pairs::Pairs;
use super::permutation::{energy_p_value, mmd_p_value, sliced_wasserstein_p_value};
use super::wasserstein::{Order, sliced_wasserstein};
use super::{Points, Stream, at_least, noise, same_dimension};
use crate::error::{Problem, Result};

/// How [`sample_metrics`] measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricOptions {
    /// The rows of either sample that take part; of more, a random choice does.
    pub most_rows: usize,
    /// The MMD's kernel; its bandwidth is the median distance of the pooled sample.
    pub kernel: KernelShape,
    /// The exponent of the sliced Wasserstein distance.
    pub order: Order,
    /// Directions of the sliced Wasserstein distance.
    pub projections: usize,
    /// Permutations of each test: no p-value is below 1 / (1 + permutations).
    pub permutations: usize,
    /// k of precision, recall, density and coverage.
    pub neighbours: usize,
    /// Decides every random choice.
    pub seed: u64,
}

impl Default for MetricOptions {
    fn default() -> Self {
        Self {
            most_rows: 2000,
            kernel: KernelShape::Gaussian,
            order: Order::Two,
            projections: 128,
            permutations: 499,
            neighbours: 5,
            seed: 0,
        }
    }
}

/// Sample quality of X against a reference Y. Every p-value is an exact one of the hypothesis that both have one law;
/// standard errors are the jackknife's over the rows, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SampleMetrics {
    /// Squared maximum mean discrepancy, unbiased; 0 on average if the laws agree. See [`mmd`](super::mmd).
    pub mmd: f64,
    /// Standard error of `mmd`.
    pub mmd_se: f64,
    /// Permutation p-value of `mmd`.
    pub mmd_p: f64,
    /// Energy distance, unbiased, in the units of the points. See [`energy`](super::energy).
    pub energy_distance: f64,
    /// Standard error of `energy_distance`.
    pub energy_distance_se: f64,
    /// Permutation p-value of `energy_distance`.
    pub energy_distance_p: f64,
    /// Sliced Wasserstein distance, in the units of the points. See [`wasserstein`](super::wasserstein).
    pub sliced_wasserstein: f64,
    /// Permutation p-value of `sliced_wasserstein`.
    pub sliced_wasserstein_p: f64,
    /// Accuracy of a classifier on held-out rows; 1/2 if the laws agree. See [`c2st`](super::c2st).
    pub c2st: f64,
    /// Standard error of `c2st` over the held-out rows.
    pub c2st_se: f64,
    /// Fisher's exact p-value of `c2st`.
    pub c2st_p: f64,
    /// Fraction of samples within the reference's neighbourhoods. See [`manifold`](super::manifold), and
    /// [`features`](super::features) for the space it is measured in.
    pub precision: f64,
    /// Fraction of the reference within the samples' neighbourhoods.
    pub recall: f64,
    /// Mean number of reference neighbourhoods around a sample, over k; about 1 if the laws agree.
    pub density: f64,
    /// Fraction of reference neighbourhoods that hold a sample.
    pub coverage: f64,
}

/// Measures samples X `[n, dimension]` against a reference Y `[m, dimension]`. A random half of Y, before it is cut,
/// fits the [`Features`], the other half is what precision, recall, density and coverage compare with; all else takes
/// the whole of Y. Where other rows of Y's law are at hand, [`sample_metrics_in`] need not halve it.
///
/// ```
/// use anabranch::metric::{MetricOptions, Points, sample_metrics};
/// use anabranch::rng::{Noise, Purpose};
/// let draw = |seed, rows| Noise::new(seed, Purpose::Target).normal(rows, 2);
/// let (samples, reference) = (draw(1, 80), draw(2, 120));
/// let options = MetricOptions { permutations: 99, ..MetricOptions::default() };
/// let found = sample_metrics(Points::new(&samples, 2)?, Points::new(&reference, 2)?, &options)?;
/// assert!(found.mmd_p > 0.01 && found.coverage > 0.8);
/// # Ok::<(), anabranch::error::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if the dimensions differ; if X has fewer than three rows or Y fewer than
/// four; if X or half of Y, cut to `most_rows`, has not more rows than `neighbours`; if both together, cut, have more
/// than 32768; or if a count in the options is 0.
pub fn sample_metrics(
    samples: Points<'_>,
    reference: Points<'_>,
    options: &MetricOptions,
) -> Result<SampleMetrics> {
    at_least("reference", reference.rows(), 4, "features and what is measured in them")?;
    let order = noise(options.seed, Stream::Split).from_trajectory(2).permutation(reference.rows());
    let (fitted, measured) = order.split_at(reference.rows() / 2);
    let (fitted, measured) = (reference.gather(fitted), reference.gather(measured));
    let features = Features::fit(Points::new(&fitted, reference.dimension())?)?;
    measure(&features, samples, reference, Points::new(&measured, reference.dimension())?, options)
}

/// [`sample_metrics`] with features fitted elsewhere: to rows of the reference's law, such as the training split,
/// that are not among the reference's. The same features make several models comparable.
///
/// # Errors
/// As [`sample_metrics`], with all of Y in place of half of it; and if the features have another dimension.
pub fn sample_metrics_in(
    features: &Features,
    samples: Points<'_>,
    reference: Points<'_>,
    options: &MetricOptions,
) -> Result<SampleMetrics> {
    measure(features, samples, reference, reference, options)
}

/// All metrics; those of neighbourhoods between X and `near`, rows of Y that the features do not know.
fn measure(
    features: &Features,
    samples: Points<'_>,
    reference: Points<'_>,
    near: Points<'_>,
    options: &MetricOptions,
) -> Result<SampleMetrics> {
    same_dimension(samples, reference)?;
    let MetricOptions { most_rows, kernel, order, projections, permutations, neighbours, seed } = *options;
    if most_rows < 3 {
        return Err(Problem::new("most_rows", most_rows.to_string()).allowed("at least 3").into());
    }
    at_least("samples", samples.rows(), 3, "standard errors")?;
    at_least("reference", reference.rows(), 3, "standard errors")?;
    let dimension = samples.dimension();
    let cut = |points, side| subsample(points, most_rows, seed, side);
    let (x, y, near) = (cut(samples, 0), cut(reference, 1), cut(near, 1));
    let (x, y, near) =
        (Points::new(&x, dimension)?, Points::new(&y, dimension)?, Points::new(&near, dimension)?);
    let near = neighbourhoods(features, x, near, neighbours)?;
    let pairs = Pairs::new(x, y)?;
    let kernel = Kernel::median(kernel, &pairs);
    let (mmd, energy) = (mmd(&pairs, &kernel)?, energy_distance(&pairs)?);
    let classified = c2st(x, y, seed)?;
    let with_error = "three rows or more have a standard error";
    Ok(SampleMetrics {
        mmd: mmd.unbiased,
        mmd_se: mmd.standard_error.expect(with_error),
        mmd_p: mmd_p_value(&pairs, &kernel, permutations, seed)?,
        energy_distance: energy.unbiased,
        energy_distance_se: energy.standard_error.expect(with_error),
        energy_distance_p: energy_p_value(&pairs, permutations, seed)?,
        sliced_wasserstein: sliced_wasserstein(x, y, order, projections, seed)?.value,
        sliced_wasserstein_p: sliced_wasserstein_p_value(x, y, order, projections, permutations, seed)?,
        c2st: classified.accuracy,
        c2st_se: classified.standard_error,
        c2st_p: classified.p_value,
        precision: near.precision,
        recall: near.recall,
        density: near.density,
        coverage: near.coverage,
    })
}

/// Precision, recall, density and coverage in feature space.
fn neighbourhoods(features: &Features, x: Points<'_>, y: Points<'_>, neighbours: usize) -> Result<Manifold> {
    let (x, y) = (features.apply(x)?, features.apply(y)?);
    let (x, y) = (Points::new(&x, features.count())?, Points::new(&y, features.count())?);
    manifold(&Pairs::new(x, y)?, neighbours)
}

/// At most `most` rows, chosen at random where there are more.
fn subsample(points: Points<'_>, most: usize, seed: u64, side: u64) -> Vec<f32> {
    if points.rows() <= most {
        return points.values().to_vec();
    }
    let order = noise(seed, Stream::Subsample).from_trajectory(side).permutation(points.rows());
    points.gather(&order[..most])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Estimate;
    use crate::rng::{Noise, Purpose};
    use rayon::prelude::*;

    fn normal(seed: u64, rows: usize, dimension: usize) -> Vec<f32> {
        Noise::new(seed, Purpose::Target).normal(rows, dimension)
    }

    fn of(x: &[f32], y: &[f32], dimension: usize, options: &MetricOptions) -> SampleMetrics {
        sample_metrics(Points::new(x, dimension).unwrap(), Points::new(y, dimension).unwrap(), options)
            .unwrap()
    }

    #[test]
    fn equal_laws_are_not_told_apart_too_often() {
        let runs = 80;
        let options = MetricOptions { permutations: 19, projections: 16, ..MetricOptions::default() };
        let found: Vec<SampleMetrics> = (0..runs)
            .into_par_iter()
            .map(|seed| of(&normal(2 * seed, 40, 20), &normal(2 * seed + 1, 90, 20), 20, &options))
            .collect();
        let p_values: [fn(&SampleMetrics) -> f64; 4] =
            [|f| f.mmd_p, |f| f.energy_distance_p, |f| f.sliced_wasserstein_p, |f| f.c2st_p];
        for (test, p) in p_values.iter().enumerate() {
            for level in [0.05, 0.25, 0.5] {
                let rate = found.iter().filter(|found| p(found) <= level + 1e-9).count() as f64 / runs as f64;
                let most = level + 4.0 * (level * (1.0 - level) / runs as f64).sqrt();
                assert!(rate < most, "test {test}: {rate} at {level}");
            }
        }
        let within = |value: fn(&SampleMetrics) -> f64, expected: f64| {
            let mean = Estimate::mean(&found.iter().map(value).collect::<Vec<_>>());
            assert!((mean.value - expected).abs() < 4.0 * mean.error, "{mean:?} against {expected}");
        };
        within(|found| found.mmd, 0.0);
        within(|found| found.energy_distance, 0.0);
        within(|found| found.c2st, 0.5);
        within(|found| found.density, 1.0);
        // Coverage of 45 balls with k = 5 by 40 samples: see the manifold's own test.
        let misses: f64 = (0..5).map(|i| f64::from(44 - i) / f64::from(84 - i)).product();
        within(|found| found.coverage, 1.0 - misses);
    }

    #[test]
    fn given_features_spare_the_reference() {
        let (x, y, other) = (normal(1, 30, 3), normal(2, 25, 3), normal(3, 60, 3));
        let points = |values| Points::new(values, 3).unwrap();
        let options = MetricOptions { permutations: 9, neighbours: 3, ..MetricOptions::default() };
        let features = Features::fit(points(&other)).unwrap();
        let found = sample_metrics_in(&features, points(&x), points(&y), &options).unwrap();
        let near = neighbourhoods(&features, points(&x), points(&y), 3).unwrap();
        assert_eq!((found.precision, found.recall), (near.precision, near.recall));
        assert_eq!((found.density, found.coverage), (near.density, near.coverage));
        let halved = sample_metrics(points(&x), points(&y), &options).unwrap();
        assert_eq!((found.mmd, found.c2st_p), (halved.mmd, halved.c2st_p));
        let plane = Points::new(&x, 2).unwrap();
        assert!(sample_metrics_in(&features, plane, plane, &options).unwrap_err().is_input());
    }

    #[test]
    fn different_laws_are_told_apart_by_every_test() {
        // Collapsed: the right mean, half the deviation.
        let x: Vec<f32> = normal(1, 300, 4).iter().map(|value| 0.5 * value).collect();
        let options = MetricOptions { permutations: 199, ..MetricOptions::default() };
        let y = normal(2, 250, 4);
        let (found, fair) = (of(&x, &y, 4, &options), of(&normal(3, 300, 4), &y, 4, &options));
        assert_eq!([found.mmd_p, found.energy_distance_p, found.sliced_wasserstein_p], [0.005; 3]);
        assert!(found.c2st_p < 1e-6 && found.c2st > 0.65, "{found:?}");
        // Four binomial errors of the 125 measured rows, at most 0.045 each, below an equal law's recall.
        assert!(found.precision >= fair.precision && found.recall < fair.recall - 0.18, "{found:?} {fair:?}");
        // SW2 between N(0, I / 4) and N(0, I) is 1/2.
        assert!((found.sliced_wasserstein - 0.5).abs() < 0.1, "{found:?}");
    }

    #[test]
    fn large_samples_are_cut_at_random() {
        // Sorted, so that the first rows are no fair choice.
        let sorted = |seed, rows| {
            let mut values = normal(seed, rows, 1);
            values.sort_unstable_by(f32::total_cmp);
            values
        };
        let (x, y) = (sorted(1, 3000), sorted(2, 2000));
        let options = MetricOptions { most_rows: 200, permutations: 99, ..MetricOptions::default() };
        let found = of(&x, &y, 1, &options);
        assert!(found.mmd_p > 0.01 && found.energy_distance_p > 0.01 && found.c2st_p > 0.01, "{found:?}");
        assert_eq!(found, of(&x, &y, 1, &options));
        assert_ne!(found, of(&x, &y, 1, &MetricOptions { seed: 1, ..options }));
        let cut = subsample(Points::new(&x, 1).unwrap(), 200, 0, 0);
        assert!(cut.len() == 200 && cut.iter().all(|value| x.contains(value)));
    }

    #[test]
    fn the_record_has_stable_names() {
        let options = MetricOptions { permutations: 9, projections: 4, ..MetricOptions::default() };
        let found = of(&normal(1, 20, 2), &normal(2, 15, 2), 2, &options);
        let json = serde_json::to_value(found).unwrap();
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "mmd mmd_se mmd_p energy_distance energy_distance_se energy_distance_p sliced_wasserstein \
                        sliced_wasserstein_p c2st c2st_se c2st_p precision recall density coverage";
        assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
        assert_eq!(serde_json::from_value::<SampleMetrics>(json).unwrap(), found);
        let options: MetricOptions =
            serde_json::from_str(r#"{"kernel": "multiscale", "order": "one"}"#).unwrap();
        assert_eq!(
            (options.kernel, options.order, options.neighbours),
            (KernelShape::Multiscale, Order::One, 5)
        );
    }

    #[test]
    fn what_cannot_be_measured_is_named() {
        let (x, y) = (normal(1, 12, 2), normal(2, 16, 2));
        let message = |x: &[f32], dimension, options: MetricOptions| {
            let (x, y) = (Points::new(x, dimension).unwrap(), Points::new(&y, 2).unwrap());
            let error = sample_metrics(x, y, &options).unwrap_err();
            assert!(error.is_input());
            error.to_string()
        };
        let default = MetricOptions::default();
        assert!(message(&x, 3, default).contains("dimension 3"));
        assert!(message(&x[..4], 2, default).contains("samples: found 2 rows"));
        assert!(message(&x, 2, MetricOptions { neighbours: 8, ..default }).contains("neighbours: found 8"));
        assert!(message(&x, 2, MetricOptions { neighbours: 0, ..default }).contains("neighbours: found 0"));
        let few = sample_metrics(Points::new(&x, 2).unwrap(), Points::new(&y[..6], 2).unwrap(), &default);
        assert!(few.unwrap_err().to_string().contains("reference: found 3 rows"));
        assert!(message(&x, 2, MetricOptions { most_rows: 2, ..default }).contains("most_rows: found 2"));
        assert!(message(&x, 2, MetricOptions { permutations: 0, ..default }).contains("permutations"));
        assert!(message(&x, 2, MetricOptions { projections: 0, ..default }).contains("projections"));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (x, y) = (normal(1, 140, 12), normal(2, 75, 12));
        let options = MetricOptions { permutations: 49, projections: 16, ..MetricOptions::default() };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| of(&x, &y, 12, &options))
        };
        assert_eq!(run(1), run(3));
    }
}
