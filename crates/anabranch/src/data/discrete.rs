//! Columns of few values, integers or words, beside columns of real numbers.
//!
//! How often each of `V` values comes is estimated from its counts `n_k` in `n` rows. Of words, which are in no order,
//!
//! ```text
//! f_k = (n_k + 1/2) / (n + V/2)
//! ```
//!
//! (Krichevsky and Trofimov 1981). Integers are in one: what was seen says something of its neighbours, by a kernel `K_h(k, j)`, a
//! normal of deviation `h` around `j` at the integers of the range, normalised there,
//!
//! ```text
//! f_k = ( sum_j n_j K_h(k, j) + 1/V ) / (n + 1),     h = argmax  sum_j n_j log f_j without one of the rows of j
//! ```
//!
//! where `h = 0` is the formula of words. Every value keeps a share that f32 tells from nothing.

use serde::{Deserialize, Serialize};

use super::Alphabet;
use crate::error::{Problem, Result};
use crate::math::Thresholds;

/// The most integers from the least to the largest of a column: more of them are as good as real numbers.
pub const MOST_INTEGERS: usize = 4096;

/// The least share of a value.
const LEAST: f64 = 2e-6;

/// The deviations of kernels that are tried.
const WIDTHS: [f64; 10] = [0.0, 0.3, 0.5, 0.8, 1.3, 2.0, 4.0, 8.0, 16.0, 32.0];

/// Deviations after which a kernel has ended.
const REACH: f64 = 5.0;

/// A column of few values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discrete {
    /// Which column of the rows it is.
    pub column: usize,
    /// The first value: the others follow one by one. 0 of words, of which the values are codes.
    pub first: i32,
    /// The word of each value; none of integers.
    pub words: Vec<String>,
    /// The estimated share of each value.
    pub shares: Vec<f64>,
}

impl Discrete {
    /// The column of words of an alphabet; `train` holds its codes in the rows to learn from.
    pub(super) fn of_words(alphabet: &Alphabet, train: impl Iterator<Item = f32>) -> Self {
        let counts = counts(train, 0, alphabet.words.len());
        let shares = no_less(krichevsky_trofimov(&counts));
        Self { column: alphabet.column, first: 0, words: alphabet.words.clone(), shares }
    }

    /// A column of integers, which messages call `label`; `all` holds every row's value, `train` those of the rows to learn from.
    ///
    /// # Errors
    /// If a value is no integer, or they lie too far apart.
    pub(super) fn of_integers(
        column: usize,
        label: &str,
        all: impl Iterator<Item = f32>,
        train: impl Iterator<Item = f32>,
    ) -> Result<Self> {
        let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
        for value in all {
            if value.fract() != 0.0 || value.abs() >= (1 << 23) as f32 {
                return Err(Problem::new("target.integers", format!("{value} in {label}"))
                    .allowed("columns of whole numbers below 2^23 in size")
                    .into());
            }
            (low, high) = (low.min(value), high.max(value));
        }
        let count = (high - low) as usize + 1;
        if count > MOST_INTEGERS {
            return Err(Problem::new("target.integers", format!("{label}, from {low} to {high}"))
                .allowed(format!("columns of at most {MOST_INTEGERS} integers from the least to the largest; it is as good as real"))
                .into());
        }
        let first = low as i32;
        let counts = counts(train, first, count);
        Ok(Self { column, first, words: Vec::new(), shares: no_less(smoothed(&counts)) })
    }

    /// The word of a value, of a column of words.
    ///
    /// # Panics
    /// If it has none.
    pub fn word(&self, value: f32) -> &str {
        &self.words[value as usize]
    }

    /// Thresholds of a standard normal whose cells have the values' shares: a column of it stands for this one.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds::new(&self.shares)
    }

    /// Which of the values it is; `None` of another number.
    pub fn index(&self, value: f32) -> Option<usize> {
        let index = value - self.first as f32;
        (index.fract() == 0.0 && (0.0..self.shares.len() as f32).contains(&index)).then_some(index as usize)
    }
}

fn counts(values: impl Iterator<Item = f32>, first: i32, count: usize) -> Vec<f64> {
    let mut counts = vec![0.0; count];
    values.for_each(|value| counts[(value as i32 - first) as usize] += 1.0);
    counts
}

fn krichevsky_trofimov(counts: &[f64]) -> Vec<f64> {
    let total = counts.iter().sum::<f64>() + 0.5 * counts.len() as f64;
    counts.iter().map(|count| (count + 0.5) / total).collect()
}

/// Shares of integers by the width under which each row is likeliest to the others.
fn smoothed(counts: &[f64]) -> Vec<f64> {
    let (n, levels) = (counts.iter().sum::<f64>(), counts.len() as f64);
    let mut best = (f64::NEG_INFINITY, Vec::new());
    for width in WIDTHS.into_iter().filter(|width| *width < levels) {
        let (shares, left_out): (Vec<f64>, Vec<f64>) = if width == 0.0 {
            let rest = (n - 1.0 + 0.5 * levels).max(f64::MIN_POSITIVE);
            (krichevsky_trofimov(counts), counts.iter().map(|count| (count - 0.5) / rest).collect())
        } else {
            let (sums, own) = spread(counts, width);
            let share =
                |(sum, own): (&f64, &f64)| [(sum + 1.0 / levels) / (n + 1.0), (sum - own + 1.0 / levels) / n];
            sums.iter().zip(&own).map(share).map(|[share, left_out]| (share, left_out)).unzip()
        };
        let met = counts.iter().zip(&left_out).filter(|(count, _)| **count > 0.0);
        let score: f64 = met.map(|(count, share)| count * share.ln()).sum();
        if score > best.0 {
            best = (score, shares);
        }
    }
    best.1
}

/// `sum_j n_j K_h(k, j)` of each `k`, and `K_h(k, k)`.
fn spread(counts: &[f64], width: f64) -> (Vec<f64>, Vec<f64>) {
    let reach = (REACH * width).ceil() as usize;
    let kernel: Vec<f64> = (0..=reach).map(|offset| (-0.5 * (offset as f64 / width).powi(2)).exp()).collect();
    let (mut sums, mut own) = (vec![0.0; counts.len()], vec![0.0; counts.len()]);
    for (j, count) in counts.iter().enumerate() {
        let range = j.saturating_sub(reach)..(j + reach + 1).min(counts.len());
        let total: f64 = range.clone().map(|k| kernel[k.abs_diff(j)]).sum();
        own[j] = 1.0 / total;
        if *count > 0.0 {
            range.for_each(|k| sums[k] += count * kernel[k.abs_diff(j)] / total);
        }
    }
    (sums, own)
}

/// Shares that sum to one, of which none is nearly nothing.
fn no_less(shares: Vec<f64>) -> Vec<f64> {
    let floor = LEAST * shares.len() as f64;
    let total: f64 = shares.iter().sum();
    shares.into_iter().map(|share| (1.0 - floor) * share / total + LEAST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integers(values: &[f32]) -> Discrete {
        Discrete::of_integers(1, "column 2", values.iter().copied(), values.iter().copied()).unwrap()
    }

    #[test]
    fn shares_sum_to_one_and_none_is_nothing() {
        for values in [vec![5.0; 30], vec![-3.0, 900.0], (0..4096).map(|k| k as f32).collect()] {
            let found = integers(&values);
            assert!((found.shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(found.shares.iter().all(|share| *share >= LEAST));
        }
        let found = integers(&[-3.0, 900.0]);
        assert_eq!((found.first, found.shares.len(), found.index(900.0)), (-3, 904, Some(903)));
        assert_eq!((found.index(901.0), found.index(0.5), found.index(-4.0)), (None, None, None));
    }

    /// A smooth law of many values is smoothed, one with gaps is not.
    #[test]
    fn rows_that_are_left_out_choose_the_width() {
        let bell: Vec<f32> =
            (0..200).map(|k| (50.0 + 12.0 * ((k as f32 + 0.5) / 200.0 - 0.5) * 3.0).round()).collect();
        let smooth = integers(&bell).shares;
        let jumps = smooth.windows(2).map(|pair| (pair[0] / pair[1]).ln().abs()).fold(0.0, f64::max);
        assert!(jumps < 1.0, "{jumps}");
        let gaps: Vec<f32> = (0..200).map(|k| (k % 3 * 10) as f32).collect();
        let shares = integers(&gaps).shares;
        assert!(shares[10] > 0.25 && shares[11] < 0.01, "{shares:?}");
    }

    #[test]
    fn words_are_counted() {
        let alphabet = Alphabet { column: 0, words: ["a", "b", "c"].map(str::to_owned).to_vec() };
        let found = Discrete::of_words(&alphabet, [0.0, 2.0, 2.0].into_iter());
        let expected = [1.5, 0.5, 2.5].map(|count| count / 4.5);
        assert!(found.shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
        assert_eq!((found.word(2.0), found.index(3.0)), ("c", None));
    }

    #[test]
    fn what_is_no_column_of_integers() {
        let message = |values: &[f32]| {
            let found =
                Discrete::of_integers(0, "column \"age\"", values.iter().copied(), values.iter().copied());
            found.unwrap_err().to_string()
        };
        assert!(
            message(&[1.0, 2.5])
                .starts_with("target.integers: found 2.5 in column \"age\"; allowed: columns of whole")
        );
        assert!(message(&[0.0, 4096.0]).starts_with("target.integers: found column \"age\", from 0 to 4096"));
    }
}
