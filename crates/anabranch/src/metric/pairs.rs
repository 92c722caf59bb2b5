//! All pairwise distances of the pooled sample, computed once and shared by the metrics; and the
//! two-sample statistics that are means of a function of them.
//!
//! For a symmetric h with h(z, z) = h_0, samples X (n rows) and Y (m rows):
//!
//! ```text
//! U = sum_{i != j} h(x_i, x_j) / (n (n-1)) + sum_{i != j} h(y_i, y_j) / (m (m-1)) - 2 sum_{i,j} h(x_i, y_j) / (n m)
//! V = sum_{i, j}  h(x_i, x_j) / n^2        + sum_{i, j}  h(y_i, y_j) / m^2        - 2 sum_{i,j} h(x_i, y_j) / (n m)
//! ```
//!
//! U is unbiased (Gretton et al., "A kernel two-sample test", JMLR 2012, eq. 3), V is never negative for a
//! positive definite h (eq. 5). The standard error of U is the two-sample jackknife's (Arvesen, Annals of
//! Mathematical Statistics 1969): with U_(-i) the statistic without row i of X, V_(-j) without row j of Y,
//! `se^2 = (n-1)/n sum_i (U_(-i) - mean)^2 + (m-1)/m sum_j (V_(-j) - mean)^2`.

use rayon::prelude::*;

use super::{Points, at_least, same_dimension};
use crate::error::{Problem, Result};

/// Reference rows per panel, one vector lane each.
const LANES: usize = 16;
/// Rows that share a loaded panel.
const GROUP: usize = 4;
/// Rows of one parallel block.
const BLOCK: usize = 32;
/// Columns summed in f32 before the sum moves to f64.
const DEPTH: usize = 256;
/// The pooled rows whose matrix still fits into 4 GiB.
const MOST: usize = 32_768;

/// Squared Euclidean distances between all rows of the pooled sample (X, then Y).
#[derive(Debug, Clone)]
pub struct Pairs {
    squared: Vec<f32>,
    samples: usize,
    reference: usize,
}

/// A two-sample statistic of the form U or V above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discrepancy {
    /// The U-statistic: unbiased, may be negative.
    pub unbiased: f64,
    /// The V-statistic: the discrepancy of the two empirical laws, biased upward.
    pub biased: f64,
    /// Jackknife standard error of `unbiased`; `None` below three rows on either side. When both laws agree
    /// the statistic is degenerate, and this overstates its spread: use a permutation test there.
    pub standard_error: Option<f64>,
}

impl Pairs {
    /// Computes the distances between `samples` X `[n, dimension]` and `reference` Y `[m, dimension]`, within
    /// and across; memory is `4 (n + m)^2` bytes.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if the dimensions differ or `n + m` exceeds 32768.
    pub fn new(samples: Points<'_>, reference: Points<'_>) -> Result<Self> {
        same_dimension(samples, reference)?;
        let rows = samples.rows() + reference.rows();
        if rows > MOST {
            return Err(Problem::new("samples and reference", format!("{rows} rows together"))
                .allowed(format!("at most {MOST} rows for pairwise distances: take a subsample"))
                .into());
        }
        let pooled = samples.stack(reference);
        let pooled = Points::new(&pooled, samples.dimension())?;
        Ok(Self {
            squared: squared_distances(pooled, pooled),
            samples: samples.rows(),
            reference: reference.rows(),
        })
    }

    /// The number of rows of X.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The number of rows of Y.
    pub fn reference(&self) -> usize {
        self.reference
    }

    /// Squared distances of pooled row `row` to all of X and to all of Y.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> (&[f32], &[f32]) {
        let rows = self.samples + self.reference;
        self.squared[row * rows..(row + 1) * rows].split_at(self.samples)
    }

    /// The median distance over all unordered pairs of pooled rows (the lower one of an even number). Where
    /// more than half of the pairs coincide, the median of the positive distances; 1 if there is none.
    pub fn median_distance(&self) -> f64 {
        let rows = self.samples + self.reference;
        // Non-negative floats are ordered as their bits.
        let mut bits: Vec<u32> = (0..rows)
            .flat_map(|row| &self.squared[row * rows + row + 1..(row + 1) * rows])
            .map(|value| value.to_bits())
            .collect();
        let median = |bits: &mut Vec<u32>| match bits.len() {
            0 => None,
            count => Some(*bits.select_nth_unstable((count - 1) / 2).1),
        };
        let middle = match median(&mut bits) {
            Some(0) => {
                bits.retain(|bits| *bits > 0);
                median(&mut bits)
            }
            middle => middle,
        };
        middle.map_or(1.0, |bits| f64::from(f32::from_bits(bits)).sqrt())
    }

    /// U, V and the standard error of U for `h`, a function of the squared distance.
    ///
    /// # Errors
    /// [`Error::Input`](crate::error::Error::Input) if X or Y has fewer than two rows.
    pub fn discrepancy(&self, h: impl Fn(f32) -> f64 + Sync) -> Result<Discrepancy> {
        at_least("samples", self.samples, 2, "an unbiased two-sample statistic")?;
        at_least("reference", self.reference, 2, "an unbiased two-sample statistic")?;
        let (n, m, diagonal) = (self.samples as f64, self.reference as f64, h(0.0));
        let sums: Vec<(f64, f64)> = (0..self.samples + self.reference)
            .into_par_iter()
            .with_min_len(BLOCK)
            .map(|row| {
                let (x, y) = self.row(row);
                let sum = |values: &[f32]| values.iter().map(|value| h(*value)).sum::<f64>();
                let (x, y) = (sum(x), sum(y));
                if row < self.samples { (x - diagonal, y) } else { (x, y - diagonal) }
            })
            .collect();
        let (rows_x, rows_y) = sums.split_at(self.samples);
        let xx: f64 = rows_x.iter().map(|(within, _)| within).sum();
        let xy: f64 = rows_x.iter().map(|(_, across)| across).sum();
        let yy: f64 = rows_y.iter().map(|(_, within)| within).sum();
        let (mean_xx, mean_yy) = (xx / (n * (n - 1.0)), yy / (m * (m - 1.0)));
        let unbiased = mean_xx + mean_yy - 2.0 * xy / (n * m);
        let biased = (xx + n * diagonal) / (n * n) + (yy + m * diagonal) / (m * m) - 2.0 * xy / (n * m);
        let standard_error = (n.min(m) >= 3.0).then(|| {
            let without = |n: f64, m: f64, own: f64, other: f64, within: f64, across: f64| {
                (own - 2.0 * within) / ((n - 1.0) * (n - 2.0)) + other - 2.0 * (xy - across) / ((n - 1.0) * m)
            };
            let x: Vec<f64> = rows_x.iter().map(|(w, a)| without(n, m, xx, mean_yy, *w, *a)).collect();
            let y: Vec<f64> = rows_y.iter().map(|(a, w)| without(m, n, yy, mean_xx, *w, *a)).collect();
            (jackknife_variance(&x) + jackknife_variance(&y)).sqrt()
        });
        Ok(Discrepancy { unbiased, biased, standard_error })
    }

    /// `h` of every entry, row-major over the pooled rows.
    pub(super) fn map(&self, h: impl Fn(f32) -> f64 + Sync) -> Vec<f32> {
        self.squared.par_iter().with_min_len(1 << 14).map(|squared| h(*squared) as f32).collect()
    }
}

fn jackknife_variance(leave_one_out: &[f64]) -> f64 {
    let count = leave_one_out.len() as f64;
    let mean = leave_one_out.iter().sum::<f64>() / count;
    (count - 1.0) / count * leave_one_out.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
}

/// Squared distances of every row of `x` `[n, d]` to every row of `y` `[m, d]`: `[n, m]`.
///
/// Direct differences, not the Gram trick, which loses all digits of small distances far from the origin.
pub(super) fn squared_distances(x: Points<'_>, y: Points<'_>) -> Vec<f32> {
    let (columns, dimension) = (y.rows(), y.dimension());
    let mut panels = vec![[0.0f32; LANES]; columns.div_ceil(LANES) * dimension];
    for column in 0..columns {
        for (depth, value) in y.row(column).iter().enumerate() {
            panels[column / LANES * dimension + depth][column % LANES] = *value;
        }
    }
    let mut out = vec![0.0; x.rows() * columns];
    out.par_chunks_mut(BLOCK * columns).enumerate().for_each(|(block, out)| {
        pulp::Arch::new().dispatch(|| distance_block(x, block * BLOCK, &panels, columns, out));
    });
    out
}

#[inline(always)]
fn distance_block(x: Points<'_>, first: usize, panels: &[[f32; LANES]], columns: usize, out: &mut [f32]) {
    let rows = out.len() / columns;
    for (index, panel) in panels.chunks_exact(x.dimension()).enumerate() {
        let width = LANES.min(columns - index * LANES);
        for group in (0..rows).step_by(GROUP) {
            // The last group repeats its last row; only real rows are written.
            let row = |r: usize| x.row(first + (group + r).min(rows - 1));
            let group_rows: [&[f32]; GROUP] = [row(0), row(1), row(2), row(3)];
            let mut total = [[0.0f64; LANES]; GROUP];
            for (chunk, panel) in panel.chunks(DEPTH).enumerate() {
                let start = chunk * DEPTH;
                let slices = group_rows.map(|row| &row[start..start + panel.len()]);
                let mut sum = [[0.0f32; LANES]; GROUP];
                for (depth, lanes) in panel.iter().enumerate() {
                    for r in 0..GROUP {
                        let value = slices[r][depth];
                        for lane in 0..LANES {
                            let difference = value - lanes[lane];
                            sum[r][lane] += difference * difference;
                        }
                    }
                }
                for r in 0..GROUP {
                    (0..LANES).for_each(|lane| total[r][lane] += f64::from(sum[r][lane]));
                }
            }
            for (r, total) in total.iter().enumerate().take(rows - group) {
                let at = (group + r) * columns + index * LANES;
                for (slot, value) in out[at..at + width].iter_mut().zip(total) {
                    *slot = *value as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};

    #[test]
    fn distances_agree_with_the_definition() {
        for (n, m, dimension) in [(1, 1, 1), (3, 17, 2), (37, 5, 64), (9, 33, 700)] {
            let x = Noise::new(1, Purpose::Target).normal(n, dimension);
            let y = Noise::new(2, Purpose::Target).normal(m, dimension);
            let (x, y) = (Points::new(&x, dimension).unwrap(), Points::new(&y, dimension).unwrap());
            let found = squared_distances(x, y);
            for (i, j) in (0..n).flat_map(|i| (0..m).map(move |j| (i, j))) {
                let pairs = x.row(i).iter().zip(y.row(j));
                let exact: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
                assert!((f64::from(found[i * m + j]) - exact).abs() <= 2e-6 * exact, "{n} {m} {dimension}");
            }
        }
    }

    #[test]
    fn three_points_by_hand() {
        // X = {0, 1}, Y = {3, 5, 6}; pooled distances sorted: 1 1 2 2 3 3 4 5 5 6, lower median 3.
        let (x, y) = ([0.0, 1.0], [3.0, 5.0, 6.0]);
        let pairs = Pairs::new(Points::new(&x, 1).unwrap(), Points::new(&y, 1).unwrap()).unwrap();
        assert_eq!(pairs.row(1), (&[1.0, 0.0][..], &[4.0, 16.0, 25.0][..]));
        assert!((pairs.median_distance() - 3.0).abs() < 1e-12);
        // h = distance: sums xx 2, yy 2 (2 + 3 + 1) = 12, xy 3+5+6+2+4+5 = 25.
        let found = pairs.discrepancy(|squared| f64::from(squared).sqrt()).unwrap();
        assert!((found.unbiased - (1.0 + 2.0 - 25.0 / 3.0)).abs() < 1e-12);
        assert!((found.biased - (0.5 + 12.0 / 9.0 - 25.0 / 3.0)).abs() < 1e-12);
        assert_eq!(found.standard_error, None);
    }

    #[test]
    fn jackknife_agrees_with_leaving_rows_out() {
        let (x, y) = ([0.0, 1.0, 4.0, 9.0], [2.0, 2.5, 7.0]);
        let value = |x: &[f32], y: &[f32]| {
            let pairs = Pairs::new(Points::new(x, 1).unwrap(), Points::new(y, 1).unwrap()).unwrap();
            pairs.discrepancy(|squared| (-f64::from(squared) / 8.0).exp()).unwrap()
        };
        let leave = |values: &[f32], out: usize| {
            values.iter().enumerate().filter(|(i, _)| *i != out).map(|(_, v)| *v).collect::<Vec<_>>()
        };
        let without_x: Vec<f64> = (0..4).map(|out| value(&leave(&x, out), &y).unbiased).collect();
        let without_y: Vec<f64> = (0..3).map(|out| value(&x, &leave(&y, out)).unbiased).collect();
        let expected = (jackknife_variance(&without_x) + jackknife_variance(&without_y)).sqrt();
        assert!((value(&x, &y).standard_error.unwrap() - expected).abs() < 1e-12);
    }

    #[test]
    fn duplicates_leave_a_positive_median() {
        let (x, y) = ([0.0; 6], [0.0, 0.0, 2.0]);
        let pairs = Pairs::new(Points::new(&x, 1).unwrap(), Points::new(&y, 1).unwrap()).unwrap();
        assert_eq!(pairs.median_distance(), 2.0);
        let pairs = Pairs::new(Points::new(&x, 2).unwrap(), Points::new(&x, 2).unwrap()).unwrap();
        assert_eq!(pairs.median_distance(), 1.0);
    }

    #[test]
    fn wrong_sizes_are_named() {
        let values = [0.0; 6];
        let points = |dimension| Points::new(&values, dimension).unwrap();
        let message = Pairs::new(points(2), points(3)).unwrap_err().to_string();
        assert!(message.contains("dimension 2") && message.contains('3'), "{message}");
        let single = Pairs::new(points(6), points(6)).unwrap();
        assert!(single.discrepancy(f64::from).unwrap_err().to_string().contains("1 rows"));
        let many = vec![0.0; MOST];
        assert!(Pairs::new(Points::new(&many, 1).unwrap(), Points::new(&values, 1).unwrap()).is_err());
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let x = Noise::new(4, Purpose::Target).normal(130, 7);
        let y = Noise::new(5, Purpose::Target).normal(90, 7);
        let run = |threads| {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let pairs = Pairs::new(Points::new(&x, 7).unwrap(), Points::new(&y, 7).unwrap()).unwrap();
                let found = pairs.discrepancy(|squared| (-f64::from(squared)).exp()).unwrap();
                (pairs.squared, found)
            })
        };
        assert_eq!(run(1), run(3));
    }
}
