//! What a model must beat: simple densities fitted to the training split, scored on the test split.
//!
//! ```text
//! full Gaussian   N(mean, covariance + 1e-6 variances), of uniformly dequantised levels
//! histogram       per coordinate, (count_k + 1) / (n + K): Laplace's rule
//! independent     per coordinate a Gaussian, or the estimated shares of a column of few values
//! copula          the full Gaussian of latent numbers behind columns of few values, beside the real ones: a bound
//! ```

use crate::data::Discrete;
use crate::kernel::probit::Columns;
use crate::math::{cholesky, solve_lower};
use crate::rng::{Noise, Purpose};

/// Latent rows behind each row that is scored.
const DRAWS: u32 = 8;

/// The negative log-likelihood of each row of `test` under a full-covariance Gaussian fitted to `train`, nats.
///
/// Both are row-major with `dimension` columns. With `dequantise`, uniform noise on [0, 1) is added to both, so that
/// the result bounds the negative log-mass of integers.
///
/// # Panics
/// If a slice is not a whole number of rows, or `train` is empty.
pub fn gaussian_nlls(train: &[f32], test: &[f32], dimension: usize, dequantise: Option<u64>) -> Vec<f64> {
    let noisy = |values: &[f32], first: u64| -> Vec<f64> {
        let mut noise = vec![0.0; values.len()];
        if let Some(seed) = dequantise {
            Noise::new(seed, Purpose::Metric).from_trajectory(first).fill_uniform(&mut noise, dimension);
        }
        values.iter().zip(&noise).map(|(v, u)| f64::from(*v) + f64::from(*u)).collect()
    };
    let train = noisy(train, 0);
    let test = noisy(test, (train.len() / dimension) as u64);
    let n = train.len() / dimension;
    assert!(n > 0 && train.len().is_multiple_of(dimension), "rows of {dimension} columns");
    let mean: Vec<f64> =
        (0..dimension).map(|c| train.iter().skip(c).step_by(dimension).sum::<f64>() / n as f64).collect();
    let mut covariance = vec![0.0; dimension * dimension];
    for row in train.chunks_exact(dimension) {
        for i in 0..dimension {
            for j in 0..=i {
                covariance[i * dimension + j] += (row[i] - mean[i]) * (row[j] - mean[j]) / n as f64;
            }
        }
    }
    let trace = (0..dimension).map(|i| covariance[i * dimension + i]).sum::<f64>();
    // The jitter keeps constant columns and fewer rows than columns from making the matrix singular; each column has its own, whatever
    // its units are.
    let least = 1e-12 * (trace / dimension as f64).max(1e-12);
    for i in 0..dimension {
        let variance = covariance[i * dimension + i];
        covariance[i * dimension + i] += 1e-6 * variance.max(least);
    }
    let lower = cholesky(&covariance, dimension).expect("the jitter makes it positive definite");
    let log_det = 2.0 * (0..dimension).map(|i| lower[i * dimension + i].ln()).sum::<f64>();
    let nll = |row: &[f64]| {
        let mut solved: Vec<f64> = row.iter().zip(&mean).map(|(x, m)| x - m).collect();
        solve_lower(&lower, &mut solved);
        let quadratic: f64 = solved.iter().map(|v| v * v).sum();
        0.5 * (quadratic + log_det + dimension as f64 * std::f64::consts::TAU.ln())
    };
    test.chunks_exact(dimension).map(nll).collect()
}

/// The negative log-likelihood of each row of `test` given the numbers beside it, under a Gaussian of both together fitted to `train`: of
/// linear regression with one covariance, nats. All have rows of `[columns, given columns]`, row-major.
///
/// # Panics
/// As [`gaussian_nlls`].
pub fn regression_nlls(train: [&[f32]; 2], test: [&[f32]; 2], [columns, given]: [usize; 2]) -> Vec<f64> {
    let beside = |[rows, numbers]: [&[f32]; 2]| -> Vec<f32> {
        let pairs = rows.chunks_exact(columns).zip(numbers.chunks_exact(given));
        pairs.flat_map(|(row, numbers)| row.iter().chain(numbers).copied()).collect()
    };
    let both = gaussian_nlls(&beside(train), &beside(test), columns + given, None);
    let alone = gaussian_nlls(train[1], test[1], given, None);
    both.iter().zip(alone).map(|(both, alone)| both - alone).collect()
}

/// The negative log-likelihood of each row of integer data under independent histograms of `levels` bins, nats.
///
/// # Panics
/// If a value is no integer in `0..levels`.
pub fn histogram_nlls(train: &[f32], test: &[f32], dimension: usize, levels: u32) -> Vec<f64> {
    let levels = levels as usize;
    let mut counts = vec![1.0; dimension * levels];
    for row in train.chunks_exact(dimension) {
        for (column, value) in row.iter().enumerate() {
            counts[column * levels + *value as usize] += 1.0;
        }
    }
    let total = (train.len() / dimension + levels) as f64;
    let nll = |row: &[f32]| {
        let terms = row.iter().enumerate().map(|(column, value)| counts[column * levels + *value as usize]);
        terms.map(|count| -(count / total).ln()).sum::<f64>()
    };
    test.chunks_exact(dimension).map(nll).collect()
}

/// A bound on the negative log-likelihood of each row of `test`, of which `discrete` columns have few values, under a Gaussian of all columns
/// with latent numbers behind these, nats; `of` scores latent rows by such a Gaussian that is fitted to the first ones.
///
/// # Panics
/// As [`gaussian_nlls`].
pub fn copula_nlls(
    train: &[f32],
    test: &[f32],
    [dimension, seed]: [u64; 2],
    discrete: &[Discrete],
    of: impl Fn(&[f32], &[f32]) -> Vec<f64>,
) -> Vec<f64> {
    let (columns, noise) = (Columns::new(dimension as usize, discrete), Noise::new(seed, Purpose::Metric));
    let latent = columns.latent(train, &noise.step(0));
    let mut sums = vec![0.0; test.len() / dimension as usize];
    for draw in 1..=DRAWS {
        let behind = columns.latent(test, &noise.step(draw));
        let log_q = columns.log_densities(test, &behind);
        let scores = of(&latent, &behind);
        let each = sums.iter_mut().zip(scores.iter().zip(&log_q));
        each.for_each(|(sum, (nll, log_q))| *sum += (nll + log_q) / f64::from(DRAWS));
    }
    sums
}

/// The negative log-likelihood of each row of `test` where columns know nothing of each other, nats: Gaussians fitted to `train`, and the
/// shares of `discrete` columns.
///
/// # Panics
/// As [`gaussian_nlls`], or if a column has a value that it does not know.
pub fn independent_nlls(train: &[f32], test: &[f32], dimension: usize, discrete: &[Discrete]) -> Vec<f64> {
    let column = |rows: &[f32], index: usize| -> Vec<f32> {
        rows.iter().skip(index).step_by(dimension).copied().collect()
    };
    let mut sums = vec![0.0; test.len() / dimension];
    for index in 0..dimension {
        let values = column(test, index);
        let scores = match discrete.iter().find(|found| found.column == index) {
            Some(found) => {
                let share = |value: &f32| found.shares[found.index(*value).expect("a value of the column")];
                values.iter().map(|value| -share(value).ln()).collect()
            }
            None => gaussian_nlls(&column(train, index), &values, 1, None),
        };
        sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Estimate;

    /// Data with a known covariance: the fitted Gaussian's cross-entropy is its entropy, within the error.
    #[test]
    fn a_gaussian_scores_its_entropy() {
        let n = 20_000;
        let eps = Noise::new(2, Purpose::Target).normal(2 * n, 2);
        let rows: Vec<f32> =
            eps.chunks_exact(2).flat_map(|e| [1.0 + 2.0 * e[0], -3.0 + 0.5 * e[0] + 0.1 * e[1]]).collect();
        let nll = Estimate::mean(&gaussian_nlls(&rows[..2 * n], &rows[2 * n..], 2, None));
        let entropy = std::f64::consts::TAU.ln() + 1.0 + (2.0f64 * 0.1).ln();
        assert!((nll.value - entropy).abs() < 5.0 * nll.error + 1e-3, "{nll:?} against {entropy}");
    }

    /// Where columns know nothing of each other, the Gaussian of latent numbers is as good as their own laws; where one tells the other, it
    /// is better by some of their mutual information, 0.356 nats here: one draw of what lies behind a value costs the rest.
    #[test]
    fn latent_numbers_stand_for_values() {
        let eps = Noise::new(6, Purpose::Target).normal(8000, 2);
        let rows = |rho: f32| -> Vec<f32> {
            let row =
                |e: &[f32]| [e[0], f32::from(u8::from(rho * e[0] + (1.0 - rho * rho).sqrt() * e[1] > 0.4))];
            eps.chunks_exact(2).flat_map(row).collect()
        };
        let gain = |rho: f32| {
            let all = rows(rho);
            let (train, test) = all.split_at(8000);
            let labels = vec!["column 1".to_owned(), "column 2".to_owned()];
            let data = crate::data::Dataset::new(labels, [train.to_vec(), Vec::new(), test.to_vec()]);
            let discrete = data.with_discrete(&[], &["column 2".to_owned()]).unwrap().summary.discrete;
            let copula = copula_nlls(train, test, [2, 3], &discrete, |a, b| gaussian_nlls(a, b, 2, None));
            let alone = independent_nlls(train, test, 2, &discrete);
            Estimate::mean(&alone.iter().zip(copula).map(|(a, b)| a - b).collect::<Vec<_>>())
        };
        let none = gain(0.0);
        assert!(none.value.abs() < 5.0 * none.error + 2e-3, "{none:?}");
        let much = gain(0.9);
        assert!(much.value > 0.12 && much.value < 0.356, "{much:?}");
    }

    /// The units of one column move the score by their logarithm, and by nothing else.
    #[test]
    fn a_gaussian_is_the_same_in_any_units() {
        let eps = Noise::new(4, Purpose::Target).normal(4000, 2);
        let rows: Vec<f32> = eps.chunks_exact(2).flat_map(|e| [e[0], 0.6 * e[0] + 0.8 * e[1]]).collect();
        let wide: Vec<f32> =
            rows.iter().enumerate().map(|(at, v)| if at % 2 == 0 { 1e5 * v } else { *v }).collect();
        let score =
            |rows: &[f32]| Estimate::mean(&gaussian_nlls(&rows[..4000], &rows[4000..], 2, None)).value;
        assert!((score(&wide) - score(&rows) - 1e5f64.ln()).abs() < 1e-4);
    }

    /// Of `y = 3 g + noise` what is left to tell of `y` is the noise, whatever `g` is.
    #[test]
    fn a_regression_scores_what_is_left() {
        let n = 10_000;
        let eps = Noise::new(3, Purpose::Target).normal(2 * n, 2);
        let given: Vec<f32> = eps.chunks_exact(2).map(|e| 5.0 + 2.0 * e[0]).collect();
        let rows: Vec<f32> = eps.chunks_exact(2).map(|e| 1.0 + 6.0 * e[0] + 0.5 * e[1]).collect();
        let [train, test] = [[&rows[..n], &given[..n]], [&rows[n..], &given[n..]]];
        let nll = Estimate::mean(&regression_nlls(train, test, [1, 1]));
        let entropy = 0.5 * (std::f64::consts::TAU * std::f64::consts::E * 0.25).ln();
        assert!((nll.value - entropy).abs() < 5.0 * nll.error + 1e-3, "{nll:?} against {entropy}");
    }

    #[test]
    fn a_histogram_follows_laplaces_rule() {
        let nlls = histogram_nlls(&[0.0, 0.0, 2.0], &[0.0, 1.0], 1, 3);
        let expected = [-(3.0f64 / 6.0).ln(), -(1.0f64 / 6.0).ln()];
        assert!(
            nlls.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12),
            "{nlls:?}"
        );
    }
}
