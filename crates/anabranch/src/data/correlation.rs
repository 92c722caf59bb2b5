//! How columns go together: the correlations of rows, drawn towards 0 where there are few of them.
//!
//! ```text
//! C = (1 - s) R + s I        R the correlations of the rows, s in [0, 1]
//! s = argmin  sum_k  -log N(rows of fold k;  mean, C without fold k)
//! ```
//!
//! Few rows make `R` nearly singular, and a Gaussian of it says of rows that it has not seen that they cannot be. How far to draw it towards
//! independence is what rows that were left out say themselves, by cross-validation (as of the ridge in discriminant analysis, Friedman
//! 1989), and not a formula of their number: columns that truly nearly determine each other keep that.

use serde::{Deserialize, Serialize};

use crate::math::{cholesky, solve_lower};

/// The most columns of which correlations are found: their number is squared in a run directory.
pub const MOST_COLUMNS: usize = 256;

/// Folds, and the most rows, of the cross-validation.
const FOLDS: usize = 5;
const MOST_ROWS: usize = 2000;

/// The shares of independence among which it chooses. The first keeps columns that determine each other from making the matrix singular.
const SHARES: [f64; 10] = [1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0];

/// The correlations of a table's columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Correlation {
    /// The share of independence.
    pub share: f64,
    /// The correlations of the rows themselves below the diagonal, row by row.
    pub below: Vec<f64>,
}

impl Correlation {
    /// Of rows `[rows, columns]` with the given means and variances; a column that does not vary goes with none.
    ///
    /// `None` of more than [`MOST_COLUMNS`] columns.
    pub(super) fn of(rows: &[f32], mean: &[f64], variance: &[f64]) -> Option<Self> {
        let columns = mean.len();
        if columns > MOST_COLUMNS {
            return None;
        }
        let standardised = |row: &[f32]| -> Vec<f64> {
            let each = row.iter().zip(mean.iter().zip(variance));
            each.map(|(value, (mean, variance))| match *variance > 1e-12 * (mean * mean + variance) {
                true => (f64::from(*value) - mean) / variance.sqrt(),
                false => 0.0,
            })
            .collect()
        };
        let all: Vec<Vec<f64>> = rows.chunks_exact(columns).map(standardised).collect();
        let moments = second_moments(all.iter(), columns);
        let below = (0..columns).flat_map(|i| (0..i).map(move |j| (i, j)));
        let below = below.map(|(i, j)| moments[i * columns + j].clamp(-1.0, 1.0)).collect();
        Some(Self { share: share(&all[..all.len().min(MOST_ROWS)], columns), below })
    }

    /// The lower Cholesky factor of `C`, row-major, with every correlation times the factors of its two columns.
    ///
    /// `None` where the numbers are no correlations of so many columns, which those of rows always are.
    pub fn factor(&self, factors: &[f64]) -> Option<Vec<f64>> {
        let columns = factors.len();
        let mut matrix = vec![0.0; columns * columns];
        let mut below = self.below.iter();
        for i in 0..columns {
            for j in 0..i {
                matrix[i * columns + j] = (1.0 - self.share) * below.next()? * factors[i] * factors[j];
            }
            matrix[i * columns + i] = 1.0;
        }
        cholesky(&matrix, columns).ok().filter(|_| below.next().is_none())
    }
}

/// `mean of x x^T`, the lower triangle.
fn second_moments<'a>(rows: impl Iterator<Item = &'a Vec<f64>>, columns: usize) -> Vec<f64> {
    let (mut sums, mut count) = (vec![0.0; columns * columns], 0.0);
    for row in rows {
        for i in 0..columns {
            for j in 0..=i {
                sums[i * columns + j] += row[i] * row[j];
            }
        }
        count += 1.0;
    }
    sums.iter_mut().for_each(|sum| *sum /= f64::max(count, 1.0));
    sums
}

/// The share under which rows that were left out are likeliest, of standardised rows.
fn share(rows: &[Vec<f64>], columns: usize) -> f64 {
    let mut scores = [0.0; SHARES.len()];
    for fold in 0..FOLDS {
        let inside = |index: usize| index % FOLDS == fold;
        let kept = rows.iter().enumerate().filter(|(index, _)| !inside(*index)).map(|(_, row)| row);
        let moments = second_moments(kept, columns);
        let deviation = |i: usize| moments[i * (columns + 1)].sqrt().max(f64::MIN_POSITIVE);
        for (score, share) in scores.iter_mut().zip(SHARES) {
            let mut matrix = vec![0.0; columns * columns];
            for i in 0..columns {
                for j in 0..i {
                    let found = moments[i * columns + j] / (deviation(i) * deviation(j));
                    matrix[i * columns + j] = (1.0 - share) * found.clamp(-1.0, 1.0);
                }
                matrix[i * columns + i] = 1.0;
            }
            let Ok(lower) = cholesky(&matrix, columns) else {
                *score = f64::INFINITY;
                continue;
            };
            let log_det: f64 = (0..columns).map(|i| lower[i * columns + i].ln()).sum();
            for (_, row) in rows.iter().enumerate().filter(|(index, _)| inside(*index)) {
                let mut solved = row.clone();
                solve_lower(&lower, &mut solved);
                *score += log_det + 0.5 * solved.iter().map(|value| value * value).sum::<f64>();
            }
        }
    }
    let best = scores.iter().zip(SHARES).min_by(|a, b| a.0.total_cmp(b.0));
    best.map_or(1.0, |(_, share)| share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};

    fn of(rows: &[f32], columns: usize) -> Correlation {
        let n = (rows.len() / columns) as f64;
        let column = |c: usize| rows.iter().skip(c).step_by(columns).map(|value| f64::from(*value));
        let mean: Vec<f64> = (0..columns).map(|c| column(c).sum::<f64>() / n).collect();
        let variance: Vec<f64> =
            (0..columns).map(|c| column(c).map(|v| (v - mean[c]).powi(2)).sum::<f64>() / n).collect();
        Correlation::of(rows, &mean, &variance).expect("few columns")
    }

    /// Many rows of a known law: its correlation, hardly drawn to 0, and its factor.
    #[test]
    fn many_rows_say_how_columns_go_together() {
        let eps = Noise::new(3, Purpose::Target).normal(20_000, 2);
        let rows: Vec<f32> =
            eps.chunks_exact(2).flat_map(|e| [1.0 + 2.0 * e[0], 0.8 * e[0] + 0.6 * e[1]]).collect();
        let found = of(&rows, 2);
        assert!((found.below[0] - 0.8).abs() < 4.0 * 0.36 / 100.0, "{found:?}");
        assert!(found.share < 0.02, "{found:?}");
        let lower = found.factor(&[1.0, 1.0]).expect("correlations");
        let r = (1.0 - found.share) * found.below[0];
        assert!(
            lower[1] == 0.0
                && (lower[2] - r).abs() < 1e-12
                && (lower[3] - (1.0 - r * r).sqrt()).abs() < 1e-12
        );
        // Noise of its own in a column takes from its correlations.
        assert!((found.factor(&[1.0, 0.5]).expect("correlations")[2] - 0.5 * r).abs() < 1e-12);
    }

    /// Fewer rows than columns, of independent ones: their correlations are chance, and are drawn far.
    #[test]
    fn few_rows_are_not_believed() {
        let rows = Noise::new(4, Purpose::Target).normal(30 * 40, 40);
        let found = of(&rows, 40);
        assert!(found.share >= 0.3, "{}", found.share);
        // Columns that determine each other are believed where there are rows enough, and columns that do not vary stand apart.
        let copies: Vec<f32> = rows.iter().take(300).flat_map(|value| [*value, -3.0 * value, 7.0]).collect();
        let found = of(&copies, 3);
        assert!(
            found.share <= 1e-5 && found.below[0] < -0.999_999 && found.below[1..] == [0.0, 0.0],
            "{found:?}"
        );
        assert!(found.factor(&[1.0; 3]).is_some());
        let wrong = |below: &[f64]| Correlation { share: 0.0, below: below.to_vec() }.factor(&[1.0; 2]);
        assert_eq!([wrong(&[2.0]), wrong(&[]), wrong(&[0.5, 0.5])], [None, None, None]);
    }
}
