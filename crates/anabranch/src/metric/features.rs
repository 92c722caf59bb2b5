//! The feature space in which [`manifold`](super::manifold) measures neighbourhoods: whitened principal
//! components of reference rows.
//!
//! ```text
//! C = sum_i (y_i - mean)(y_i - mean)^T / (m - 1) = sum_k v_k u_k u_k^T,   v_1 >= v_2 >= ...
//! feature_k(x) = <u_k, x - mean> / sqrt(v_k)
//! ```
//!
//! With fewer rows than dimensions the same pairs come from the smaller matrix of inner products of the rows,
//! `G_ij = <y_i - mean, y_j - mean> / (m - 1) = sum_k v_k w_k w_k^T`, as `u_k = sum_i w_ki (y_i - mean) / sqrt(v_k (m - 1))`.
//!
//! Kept are the fewest leading components that hold 95% of the variance, but all of them in up to 8 dimensions, and
//! 32 at most. There every direction of the reference counts alike, whatever the units of the data: in up to 8
//! dimensions precision, recall, density and coverage do not change under invertible affine maps. What leaves the
//! span of the kept components is invisible here; the discrepancies and the classifier see it.
//!
//! Fit to rows that are not measured afterwards. The rows fitted to are whiter in these features than other rows of
//! the same law, so that a perfect sample would look collapsed beside them, the more so the fewer the rows per
//! dimension. Source: Jolliffe, "Principal component analysis" (2nd ed., 2002), section 6.1.1 for the rule.

use rayon::prelude::*;

use super::wasserstein::project;
use super::{Points, at_least};
use crate::error::{Problem, Result};
use crate::math::eigen;

/// The fraction of the variance that the kept components hold.
const VARIANCE: f64 = 0.95;
/// Components that are kept whatever they hold.
const LEAST: usize = 8;
/// Components that are kept at most.
const MOST: usize = 32;
/// The smallest deviation divided by, as a fraction of the largest: below it lies the rounding of f32 data.
const FLOOR: f64 = 1e-6;
/// Features are cut off here, far outside of any neighbourhood, so that squared distances stay finite.
const LIMIT: f64 = 1e12;

/// A fitted map from points to features.
#[derive(Debug, Clone)]
pub struct Features {
    dimension: usize,
    axes: Vec<Axis>,
}

/// `feature = <direction, x> - offset`.
#[derive(Debug, Clone)]
struct Axis {
    direction: Vec<f64>,
    offset: f64,
}

impl Features {
    /// Fits the features to reference rows `[m, dimension]`.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if the reference has fewer than two rows.
    pub fn fit(reference: Points<'_>) -> Result<Self> {
        at_least("reference", reference.rows(), 2, "principal components")?;
        let dimension = reference.dimension();
        let (mean, centred) = centred(reference);
        let squares: f64 = centred.par_iter().map(|column| eigen::dot(column, column)).sum();
        let total = squares / (reference.rows() as f64 - 1.0);
        let components = if dimension <= reference.rows() {
            eigen::leading(&products(&centred), dimension, MOST)
        } else {
            by_rows(&centred, reference.rows())
        };
        let mut held = 0.0;
        let enough = components.iter().take_while(|(value, _)| {
            let before = held;
            held += value;
            before < VARIANCE * total
        });
        let kept = enough.count().max(LEAST.min(dimension));
        let largest = components[0].0.max(0.0).sqrt();
        let axes = components.into_iter().take(kept).map(|(value, direction)| {
            let deviation = value.max(0.0).sqrt().max(FLOOR * largest);
            let scale = if deviation > 0.0 { deviation.recip() } else { 1.0 };
            let direction: Vec<f64> = direction.iter().map(|entry| entry * scale).collect();
            let offset = direction.iter().zip(&mean).map(|(entry, mean)| entry * mean).sum();
            Axis { direction, offset }
        });
        Ok(Self { dimension, axes: axes.collect() })
    }

    /// The number of features, from 1 to 32.
    pub fn count(&self) -> usize {
        self.axes.len()
    }

    /// The features of every row, row-major `[rows, count]`.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if the dimension is not that of the reference.
    pub fn apply(&self, points: Points<'_>) -> Result<Vec<f32>> {
        if points.dimension() != self.dimension {
            return Err(Problem::new("points", format!("dimension {}", points.dimension()))
                .allowed(format!("the dimension of the reference, {}", self.dimension))
                .into());
        }
        let columns: Vec<Vec<f64>> =
            self.axes.par_iter().map(|axis| project(points, &axis.direction)).collect();
        let feature = |row: usize, column: usize| {
            (columns[column][row] - self.axes[column].offset).clamp(-LIMIT, LIMIT) as f32
        };
        Ok((0..points.rows() * self.count())
            .map(|at| feature(at / self.count(), at % self.count()))
            .collect())
    }
}

/// The mean, and every column less its mean.
fn centred(points: Points<'_>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let (rows, dimension) = (points.rows(), points.dimension());
    let column = |i: usize| points.values().iter().skip(i).step_by(dimension).map(|value| f64::from(*value));
    let mean: Vec<f64> = (0..dimension).map(|i| column(i).sum::<f64>() / rows as f64).collect();
    let centred = (0..dimension).map(|i| column(i).map(|value| value - mean[i]).collect()).collect();
    (mean, centred)
}

/// The inner products of all vectors over one less than their length, row-major: of centred columns, their covariance.
fn products(vectors: &[Vec<f64>]) -> Vec<f64> {
    let count = vectors.len();
    let divisor = vectors[0].len() as f64 - 1.0;
    let mut products = vec![0.0; count * count];
    products.par_chunks_mut(count).enumerate().for_each(|(i, row)| {
        for (slot, other) in row.iter_mut().zip(vectors).take(i + 1) {
            *slot = eigen::dot(&vectors[i], other) / divisor;
        }
    });
    for i in 0..count {
        (0..i).for_each(|j| products[j * count + i] = products[i * count + j]);
    }
    products
}

/// The leading eigenpairs of the covariance of centred columns, by way of the inner products of the rows.
fn by_rows(centred: &[Vec<f64>], rows: usize) -> Vec<(f64, Vec<f64>)> {
    let vectors: Vec<Vec<f64>> =
        (0..rows).map(|row| centred.iter().map(|column| column[row]).collect()).collect();
    let scale = (centred.len() as f64 - 1.0) / (rows as f64 - 1.0);
    let gram: Vec<f64> = products(&vectors).into_iter().map(|product| product * scale).collect();
    let pairs = eigen::leading(&gram, rows, MOST);
    let largest = pairs[0].0;
    let lift = |(value, weights): (f64, Vec<f64>)| {
        // At least one direction is null: the centred rows add up to zero.
        let length = if value > FLOOR * FLOOR * largest {
            (value * (rows as f64 - 1.0)).sqrt()
        } else {
            f64::INFINITY
        };
        let entry = |column: &Vec<f64>| eigen::dot(column, &weights) / length;
        (value, centred.par_iter().map(entry).collect())
    };
    pairs.into_iter().map(lift).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Estimate;
    use crate::metric::manifold::manifold;
    use crate::metric::pairs::Pairs;
    use crate::rng::{Noise, Purpose};

    fn normal(seed: u64, rows: usize, dimension: usize) -> Vec<f32> {
        Noise::new(seed, Purpose::Target).normal(rows, dimension)
    }

    fn covariance_of(values: &[f32], dimension: usize) -> (Vec<f64>, Vec<f64>) {
        let (mean, centred) = centred(Points::new(values, dimension).unwrap());
        (mean, products(&centred))
    }

    #[test]
    fn moments_by_hand() {
        let (mean, covariance) = covariance_of(&[1.0, 2.0, 3.0, 2.0, 5.0, 8.0], 2);
        assert_eq!(mean, vec![3.0, 4.0]);
        assert_eq!(covariance, vec![4.0, 6.0, 6.0, 12.0]);
    }

    #[test]
    fn few_rows_have_the_same_components() {
        // Five rows in nine dimensions, of unequal deviations: four components, the same both ways.
        let mut values = normal(8, 5, 9);
        values.iter_mut().enumerate().for_each(|(at, v)| *v = 3.0 + *v * (1 + at % 9) as f32);
        let points = Points::new(&values, 9).unwrap();
        let columns = centred(points).1;
        let (small, large) = (by_rows(&columns, 5), eigen::leading(&products(&columns), 9, MOST));
        assert_eq!(small.len(), 5);
        for ((value, vector), (expected, direction)) in small.iter().zip(&large).take(4) {
            assert!((value / expected - 1.0).abs() < 1e-9, "{value} against {expected}");
            assert!((eigen::dot(vector, direction).abs() - 1.0).abs() < 1e-9);
        }
        assert!(small[4].1.iter().all(|entry| *entry == 0.0), "the fifth is null");
        let found = Features::fit(points).unwrap().apply(points).unwrap();
        let white = covariance_of(&found, found.len() / 5).1;
        assert!((white[0] - 1.0).abs() < 1e-5 && white[1].abs() < 1e-5, "{white:?}");
    }

    #[test]
    fn many_dimensions_need_no_matrix_of_their_square() {
        // The covariance alone would take 80 GB.
        let values = normal(9, 6, 100_000);
        let points = Points::new(&values, 100_000).unwrap();
        let features = Features::fit(points).unwrap();
        let found = features.apply(points).unwrap();
        assert!((1..=6).contains(&features.count()) && found.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn the_reference_becomes_white_far_from_the_origin_and_at_any_scale() {
        // Correlated, of unequal units, off centre: columns a, 1000 (a + b) + 50000, 0.01 c - 3.
        let raw = normal(1, 200, 3);
        let mixed: Vec<f32> = raw
            .chunks_exact(3)
            .flat_map(|z| [z[0], 1000.0 * (z[0] + z[1]) + 50_000.0, 0.01 * z[2] - 3.0])
            .collect();
        let points = Points::new(&mixed, 3).unwrap();
        let features = Features::fit(points).unwrap();
        assert_eq!(features.count(), 3);
        let (mean, covariance) = covariance_of(&features.apply(points).unwrap(), 3);
        assert!(mean.iter().all(|mean| mean.abs() < 1e-3), "{mean:?}");
        for (at, value) in covariance.iter().enumerate() {
            let expected = f64::from(u8::from(at / 3 == at % 3));
            assert!((value - expected).abs() < 1e-3, "{covariance:?}");
        }
        assert!(features.apply(Points::new(&mixed, 2).unwrap()).unwrap_err().is_input());
    }

    #[test]
    fn low_dimensional_values_ignore_invertible_maps() {
        let (x, y) = (normal(2, 60, 2), normal(3, 50, 2));
        let map = |values: &[f32]| -> Vec<f32> {
            values.chunks_exact(2).flat_map(|z| [40.0 * z[0] - 7.0, 0.3 * z[1] + 2.0 * z[0] + 1.0]).collect()
        };
        let value = |x: &[f32], y: &[f32]| {
            let (x, y) = (Points::new(x, 2).unwrap(), Points::new(y, 2).unwrap());
            let features = Features::fit(y).unwrap();
            let (x, y) = (features.apply(x).unwrap(), features.apply(y).unwrap());
            manifold(&Pairs::new(Points::new(&x, 2).unwrap(), Points::new(&y, 2).unwrap()).unwrap(), 3)
                .unwrap()
        };
        assert_eq!(value(&x, &y), value(&map(&x), &map(&y)));
    }

    #[test]
    fn equal_laws_are_equal_in_features_of_other_rows() {
        // Density 1 holds in every space that is chosen independently of both samples.
        let (rows, dimension, runs) = (50, 40, 40);
        let density = |seed: u64, independent: bool| {
            let [x, y, other] = [0, 1, 2].map(|part| normal(3 * seed + part, rows, dimension));
            let points = |values| Points::new(values, dimension).unwrap();
            let features = Features::fit(points(if independent { &other } else { &y })).unwrap();
            let (x, y) = (features.apply(points(&x)).unwrap(), features.apply(points(&y)).unwrap());
            let points = |values| Points::new(values, features.count()).unwrap();
            manifold(&Pairs::new(points(&x), points(&y)).unwrap(), 4).unwrap().density
        };
        let mean =
            |independent| Estimate::mean(&(0..runs).map(|s| density(s, independent)).collect::<Vec<_>>());
        let fair = mean(true);
        assert!((fair.value - 1.0).abs() < 4.0 * fair.error, "{fair:?}");
        // Fitted to the reference itself, the perfect samples lie too close to it.
        let unfair = mean(false);
        assert!(unfair.value - 1.0 > 4.0 * unfair.error, "{unfair:?}");
    }

    #[test]
    fn the_count_follows_the_variance() {
        // 50 columns: 12 of deviation 10, the rest of 0.1. Twelve hold 99.97%, eleven about 92%.
        let mut values = normal(4, 400, 50);
        values.iter_mut().enumerate().for_each(|(at, v)| *v *= if at % 50 < 12 { 10.0 } else { 0.1 });
        assert_eq!(Features::fit(Points::new(&values, 50).unwrap()).unwrap().count(), 12);
        // White data: 95% would need about 47 of 50 components.
        let values = normal(5, 400, 50);
        assert_eq!(Features::fit(Points::new(&values, 50).unwrap()).unwrap().count(), MOST);
        // In few dimensions thin directions stay.
        let mut values = normal(6, 400, 8);
        values.iter_mut().enumerate().for_each(|(at, v)| *v *= if at % 8 < 1 { 10.0 } else { 0.01 });
        assert_eq!(Features::fit(Points::new(&values, 8).unwrap()).unwrap().count(), 8);
    }

    #[test]
    fn constant_references_and_distant_points_stay_finite() {
        let constant = [3.0; 30];
        let features = Features::fit(Points::new(&constant, 10).unwrap()).unwrap();
        assert_eq!(
            features.apply(Points::new(&constant, 10).unwrap()).unwrap(),
            vec![0.0; 3 * features.count()]
        );
        let tiny: Vec<f32> = normal(7, 9, 1).iter().map(|value| 1e-20 * value).collect();
        let features = Features::fit(Points::new(&tiny, 1).unwrap()).unwrap();
        let far = features.apply(Points::new(&[1e16, -1e16], 1).unwrap()).unwrap();
        assert_eq!(far, [1e12, -1e12]);
        assert!(Points::new(&far, 1).is_ok());
        assert!(Features::fit(Points::new(&[1.0, 2.0], 2).unwrap()).unwrap_err().is_input());
    }
}
