//! Exact two-sample tests by permutation.
//!
//! ```text
//! p = (1 + #{ b : T(permutation b of the labels) >= T(labels as they are) }) / (1 + permutations)
//! ```
//!
//! for a statistic T that is large when the laws differ. If X and Y have one law, the labels are exchangeable and
//! P(p <= a) <= a for every a, whatever the law, the sizes and the number of permutations. That needs a T whose
//! other ingredients (the bandwidth, the directions) do not look at the labels: take [`Kernel::median`], which is the
//! pooled sample's. Sources: Phipson and Smyth, "Permutation p-values should never be zero" (Statistical
//! Applications in Genetics and Molecular Biology 2010); Lehmann and Romano, "Testing statistical hypotheses"
//! (2005), section 15.2.
//!
//! For T = U of [`pairs`](super::pairs) with labels z in {0, 1}, K the matrix of h with zero diagonal and r its row
//! sums, every sum follows from `z^T K z` and `z^T r`, and all permutations together are one matrix product:
//!
//! ```text
//! xx = z^T K z,   xy = z^T r - xx,   yy = sum(r) - 2 z^T r + xx
//! ```

use rayon::prelude::*;

use super::energy::negative_distance;
use super::mmd::Kernel;
use super::pairs::Pairs;
use super::wasserstein::{Order, directions, project, transport};
use super::{Points, Stream, at_least, noise, same_dimension};
use crate::array::matmul::multiply;
use crate::error::{Problem, Result};

/// Matrix rows of one parallel block.
const BLOCK: usize = 64;

/// p-value of the hypothesis of equal laws by the unbiased MMD^2 with this kernel.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if either sample has fewer than two rows, or `permutations` is 0.
pub fn mmd_p_value(pairs: &Pairs, kernel: &Kernel, permutations: usize, seed: u64) -> Result<f64> {
    discrepancy_p_value(pairs, |squared| kernel.value(f64::from(squared)), permutations, seed)
}

/// p-value of the hypothesis of equal laws by the unbiased energy distance.
///
/// # Errors
/// As [`mmd_p_value`].
pub fn energy_p_value(pairs: &Pairs, permutations: usize, seed: u64) -> Result<f64> {
    discrepancy_p_value(pairs, negative_distance, permutations, seed)
}

/// p-value of the hypothesis of equal laws by SW_p over the directions of
/// [`sliced_wasserstein`](super::wasserstein::sliced_wasserstein) with the same `seed`.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if the dimensions differ, or `projections` or `permutations` is 0.
pub fn sliced_wasserstein_p_value(
    samples: Points<'_>,
    reference: Points<'_>,
    order: Order,
    projections: usize,
    permutations: usize,
    seed: u64,
) -> Result<f64> {
    same_dimension(samples, reference)?;
    let labels = labels(samples.rows(), reference.rows(), permutations, seed)?;
    let pooled = samples.stack(reference);
    let pooled = Points::new(&pooled, samples.dimension())?;
    let directions = directions(samples.dimension(), projections, seed)?;
    let powers = sliced_powers(pooled, order, &directions, &labels);
    Ok(p_value(&powers, 1e-12 * powers[0]))
}

/// SW_p^p for each labelling of the pooled rows.
fn sliced_powers(pooled: Points<'_>, order: Order, directions: &[f64], labels: &[Vec<bool>]) -> Vec<f64> {
    let powers: Vec<Vec<f64>> = directions
        .par_chunks(pooled.dimension())
        .map(|direction| {
            let values = project(pooled, direction);
            let mut rank: Vec<usize> = (0..values.len()).collect();
            rank.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
            let samples = labels[0].iter().filter(|label| **label).count();
            let mut parts = [vec![0.0; samples], vec![0.0; rank.len() - samples]];
            let power = |labels: &Vec<bool>| {
                // One sort serves all permutations: both parts of a sorted list are sorted.
                let mut filled = [0, 0];
                for row in &rank {
                    let part = usize::from(!labels[*row]);
                    parts[part][filled[part]] = values[*row];
                    filled[part] += 1;
                }
                transport(&parts[0], &parts[1], order)
            };
            labels.iter().map(power).collect()
        })
        .collect();
    let mean = |b: usize| powers.iter().map(|power| power[b]).sum::<f64>() / powers.len() as f64;
    (0..labels.len()).map(mean).collect()
}

fn discrepancy_p_value(
    pairs: &Pairs,
    h: impl Fn(f32) -> f64 + Sync,
    permutations: usize,
    seed: u64,
) -> Result<f64> {
    at_least("samples", pairs.samples(), 2, "an unbiased two-sample statistic")?;
    at_least("reference", pairs.reference(), 2, "an unbiased two-sample statistic")?;
    let labels = labels(pairs.samples(), pairs.reference(), permutations, seed)?;
    let (statistics, scale) = discrepancies(pairs, h, &labels);
    Ok(p_value(&statistics, 1e-6 * scale))
}

/// U for each labelling, and the mean magnitude of the centred h, against which rounding is measured.
fn discrepancies(pairs: &Pairs, h: impl Fn(f32) -> f64 + Sync, labels: &[Vec<bool>]) -> (Vec<f64>, f64) {
    let (n, m) = (pairs.samples() as f64, pairs.reference() as f64);
    let (rows, count) = (labels[0].len(), labels.len());
    let mut matrix = pairs.map(h);
    let off_diagonal = |matrix: &[f32], f: fn(f64) -> f64| -> Vec<f64> {
        let row = |(i, row): (usize, &[f32])| {
            row.iter().enumerate().filter(|(j, _)| i != *j).map(|(_, value)| f(f64::from(*value))).sum()
        };
        matrix.par_chunks(rows).enumerate().map(row).collect()
    };
    let mean = |sums: &[f64]| sums.iter().sum::<f64>() / (rows * (rows - 1)) as f64;
    // U does not see a constant added to h: a centred one keeps the sums small and their rounding in f32 negligible.
    let centre = mean(&off_diagonal(&matrix, |value| value)) as f32;
    matrix.par_chunks_mut(rows).enumerate().for_each(|(i, row)| {
        row.iter_mut().for_each(|value| *value -= centre);
        row[i] = 0.0;
    });
    let sums = off_diagonal(&matrix, |value| value);
    let scale = mean(&off_diagonal(&matrix, f64::abs));
    let indicators: Vec<f32> =
        (0..rows).flat_map(|row| labels.iter().map(move |labels| f32::from(u8::from(labels[row])))).collect();
    let mut product = vec![0.0; rows * count];
    multiply(&matrix, &indicators, [rows, rows, count], &mut product);
    let blocks: Vec<Vec<f64>> = product
        .par_chunks(BLOCK * count)
        .zip(indicators.par_chunks(BLOCK * count))
        .map(|(product, own)| {
            let mut within = vec![0.0; count];
            for (product, own) in product.chunks_exact(count).zip(own.chunks_exact(count)) {
                for ((within, product), own) in within.iter_mut().zip(product).zip(own) {
                    *within += f64::from(product * own);
                }
            }
            within
        })
        .collect();
    let total: f64 = sums.iter().sum();
    let statistic = |(b, labels): (usize, &Vec<bool>)| {
        let xx: f64 = blocks.iter().map(|within| within[b]).sum();
        let x: f64 = sums.iter().zip(labels).filter(|(_, label)| **label).map(|(sum, _)| sum).sum();
        xx / (n * (n - 1.0)) + (total - 2.0 * x + xx) / (m * (m - 1.0)) - 2.0 * (x - xx) / (n * m)
    };
    (labels.iter().enumerate().map(statistic).collect(), scale)
}

/// Whether each pooled row is labelled X: as they are, then `permutations` times at random.
fn labels(samples: usize, reference: usize, permutations: usize, seed: u64) -> Result<Vec<Vec<bool>>> {
    if permutations == 0 {
        return Err(Problem::new("permutations", "0").allowed("at least 1").into());
    }
    let noise = noise(seed, Stream::Permutations);
    let labelling = |index: usize| {
        let rows = samples + reference;
        match index {
            0 => (0..rows).map(|row| row < samples).collect(),
            _ => {
                noise.from_trajectory(index as u64).permutation(rows).iter().map(|to| *to < samples).collect()
            }
        }
    };
    Ok((0..=permutations).into_par_iter().map(labelling).collect())
}

/// p of the first statistic among all; what lies below it by less than the rounding counts as a tie.
fn p_value(statistics: &[f64], rounding: f64) -> f64 {
    let reached = statistics[1..].iter().filter(|value| **value >= statistics[0] - rounding).count();
    (1 + reached) as f64 / statistics.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::energy::energy_distance;
    use crate::metric::mmd::{KernelShape, mmd};
    use crate::metric::wasserstein::sliced_wasserstein;
    use crate::rng::{Noise, Purpose};

    fn normal(seed: u64, rows: usize, dimension: usize) -> Vec<f32> {
        Noise::new(seed, Purpose::Target).normal(rows, dimension)
    }

    /// The p-values of all three tests.
    fn all(x: &[f32], y: &[f32], dimension: usize, permutations: usize, seed: u64) -> [f64; 3] {
        let (x, y) = (Points::new(x, dimension).unwrap(), Points::new(y, dimension).unwrap());
        let pairs = Pairs::new(x, y).unwrap();
        [
            mmd_p_value(&pairs, &Kernel::median(KernelShape::Gaussian, &pairs), permutations, seed).unwrap(),
            energy_p_value(&pairs, permutations, seed).unwrap(),
            sliced_wasserstein_p_value(x, y, Order::Two, 8, permutations, seed).unwrap(),
        ]
    }

    #[test]
    fn every_labelling_has_the_statistic_of_its_samples() {
        let (n, m, dimension) = (70, 45, 3);
        let pooled = normal(1, n + m, dimension);
        let points = Points::new(&pooled, dimension).unwrap();
        let rows = |labels: &[bool], of: bool| -> Vec<f32> {
            points.gather(&(0..n + m).filter(|row| labels[*row] == of).collect::<Vec<_>>())
        };
        let (x, y) = pooled.split_at(n * dimension);
        let (x, y) = (Points::new(x, dimension).unwrap(), Points::new(y, dimension).unwrap());
        let pairs = Pairs::new(x, y).unwrap();
        let kernel = Kernel::median(KernelShape::Multiscale, &pairs);
        let labels = labels(n, m, 20, 5).unwrap();
        let (by_mmd, _) = discrepancies(&pairs, |squared| kernel.value(f64::from(squared)), &labels);
        let (by_energy, _) = discrepancies(&pairs, negative_distance, &labels);
        let directions = directions(dimension, 7, 5).unwrap();
        let by_order =
            [Order::One, Order::Two].map(|order| (order, sliced_powers(points, order, &directions, &labels)));
        for (b, labels) in labels.iter().enumerate() {
            assert_eq!(labels.iter().filter(|label| **label).count(), n);
            let (x, y) = (rows(labels, true), rows(labels, false));
            let pairs =
                Pairs::new(Points::new(&x, dimension).unwrap(), Points::new(&y, dimension).unwrap()).unwrap();
            assert!((mmd(&pairs, &kernel).unwrap().unbiased - by_mmd[b]).abs() < 1e-6);
            assert!((energy_distance(&pairs).unwrap().unbiased - by_energy[b]).abs() < 1e-6);
            let (x, y) = (Points::new(&x, dimension).unwrap(), Points::new(&y, dimension).unwrap());
            for (order, by_order) in &by_order {
                let power = by_order[b];
                let sliced = sliced_wasserstein(x, y, *order, 7, 5).unwrap().value;
                assert!((sliced - order.root(power)).abs() < 1e-12, "{sliced}");
            }
        }
    }

    #[test]
    fn two_against_two_by_hand() {
        // {0, 1} against {10, 11}: of the six labellings, only this one and its mirror image reach T.
        let permutations = 5999;
        let deviation = (2.0f64 / 9.0 / 6000.0).sqrt();
        for p in all(&[0.0, 1.0], &[10.0, 11.0], 1, permutations, 3) {
            assert!((p - 1.0 / 3.0).abs() < 4.0 * deviation, "{p}");
        }
        // {0, 10} against {1, 11}: 2 (1 + 11 + 9 + 1) / 4 - 10 - 10 = -9; {0, 11} against {1, 10}: 11 - 11 - 9 = -9;
        // {0, 1} against {10, 11}: 20 - 1 - 1 = 18. All six labellings reach -9.
        let pairs =
            Pairs::new(Points::new(&[0.0, 10.0], 1).unwrap(), Points::new(&[1.0, 11.0], 1).unwrap()).unwrap();
        assert_eq!(energy_p_value(&pairs, 99, 3).unwrap(), 1.0);
    }

    #[test]
    fn p_values_are_uniform_under_the_null() {
        // Skewed data of unequal sizes; 19 permutations make p uniform on {1/20, ..., 1} where nothing ties.
        let runs = 1500;
        let found: Vec<[f64; 3]> = (0..runs)
            .into_par_iter()
            .map(|seed| {
                let pooled: Vec<f32> = normal(seed, 21, 2).iter().map(|value| (1.5 * value).exp()).collect();
                all(&pooled[..24], &pooled[24..], 2, 19, seed)
            })
            .collect();
        for level in [0.05, 0.1, 0.25, 0.5, 0.9] {
            let bound = 4.0 * (level * (1.0 - level) / runs as f64).sqrt();
            for test in 0..3 {
                let rate = found.iter().filter(|p| p[test] <= level + 1e-9).count() as f64 / runs as f64;
                assert!((rate - level).abs() < bound, "test {test}: {rate} at {level}");
            }
        }
    }

    #[test]
    fn ties_never_make_p_values_small() {
        let runs = 600;
        let found: Vec<[f64; 3]> = (0..runs)
            .into_par_iter()
            .map(|seed| {
                let pooled: Vec<f32> =
                    normal(seed, 12, 1).iter().map(|value| (0.7 * value).round()).collect();
                all(&pooled[..5], &pooled[5..], 1, 39, seed)
            })
            .collect();
        for level in [0.05, 0.25, 0.5] {
            let most = level + 4.0 * (level * (1.0 - level) / f64::from(runs as u32)).sqrt();
            for test in 0..3 {
                let rate = found.iter().filter(|p| p[test] <= level + 1e-9).count() as f64 / runs as f64;
                assert!(rate < most, "test {test}: {rate} at {level}");
            }
        }
        assert_eq!(all(&[0.3; 14], &[0.3; 22], 2, 30, 1), [1.0; 3]);
    }

    #[test]
    fn differences_are_found() {
        // A shift of one deviation, and a wider law with the same mean.
        let y = normal(1, 60, 3);
        let shifted: Vec<f32> = normal(2, 80, 3).iter().map(|value| value + 1.0).collect();
        let wide: Vec<f32> = normal(3, 80, 3).iter().map(|value| 2.0 * value).collect();
        assert_eq!(all(&shifted, &y, 3, 199, 1), [1.0 / 200.0; 3]);
        assert!(all(&wide, &y, 3, 199, 1).iter().all(|p| *p < 0.02));
        assert!(all(&normal(4, 80, 3), &y, 3, 199, 1).iter().all(|p| *p > 0.01));
    }

    #[test]
    fn wrong_counts_are_named() {
        let points = Points::new(&[0.0, 1.0, 2.0], 1).unwrap();
        let single = Points::new(&[0.0], 1).unwrap();
        let pairs = Pairs::new(points, points).unwrap();
        assert!(energy_p_value(&pairs, 0, 1).unwrap_err().to_string().contains("permutations"));
        let pairs = Pairs::new(points, single).unwrap();
        assert!(energy_p_value(&pairs, 9, 1).unwrap_err().to_string().contains("reference: found 1 rows"));
        // The sliced distance has no diagonal to leave out, and takes single rows.
        assert!(sliced_wasserstein_p_value(single, points, Order::Two, 3, 9, 1).is_ok());
        let plane = Points::new(&[0.0, 1.0], 2).unwrap();
        assert!(sliced_wasserstein_p_value(plane, points, Order::Two, 3, 9, 1).unwrap_err().is_input());
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let (x, y) = (normal(1, 150, 5), normal(2, 90, 5));
        let (x, y) = (Points::new(&x, 5).unwrap(), Points::new(&y, 5).unwrap());
        let run = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let labels = labels(150, 90, 99, 4).unwrap();
                let pairs = Pairs::new(x, y).unwrap();
                let p = sliced_wasserstein_p_value(x, y, Order::Two, 12, 99, 4).unwrap();
                (discrepancies(&pairs, negative_distance, &labels), p)
            })
        };
        assert_eq!(run(1), run(3));
    }
}
