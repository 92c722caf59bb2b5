//! Classifier two-sample test.
//!
//! As many rows of Y as of X are split at random into halves; a [`Classifier`] is trained on one half and predicts
//! the sample that each row of the other half came from.
//!
//! ```text
//! accuracy = (t_X / h + t_Y / h) / 2        t of h test rows of X, and of Y, predicted right
//! se^2     = (a_X (1 - a_X) + a_Y (1 - a_Y)) / (4 h),   a = t / h
//! p        = P(T >= t_X),  T ~ Hypergeometric(2 h rows, h of them X, drawn: all that are predicted X)
//! ```
//!
//! If both laws agree, every balanced labelling of the test rows is as likely as any other, whatever the classifier
//! predicts: p is Fisher's exact one-sided one, P(p <= a) <= a, where the binomial with 2 h trials and the
//! normal with variance 1 / (8 h) would be approximations. Sources: Lopez-Paz and Oquab, "Revisiting classifier
//! two-sample tests" (ICLR 2017), section 3; Fisher, "The design of experiments" (1935), section 2.

use super::classifier::Classifier;
use super::{Points, Stream, at_least, noise, same_dimension};
use crate::error::Result;

/// What the classifier found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct C2st {
    /// The fraction of test rows predicted right: 1/2 on average if both laws agree, 1 if they are told apart.
    pub accuracy: f64,
    /// Standard error of the accuracy over the test rows, for this classifier.
    pub standard_error: f64,
    /// Exact p-value of the hypothesis of equal laws.
    pub p_value: f64,
}

/// Trains on half of the samples `[n, dimension]` and the reference `[m, dimension]`, tests on the other half; of the
/// larger sample only as many rows as the smaller has take part, drawn at random.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if the dimensions differ or either sample has fewer than two rows.
pub fn c2st(samples: Points<'_>, reference: Points<'_>, seed: u64) -> Result<C2st> {
    same_dimension(samples, reference)?;
    at_least("samples", samples.rows(), 2, "a classifier two-sample test")?;
    at_least("reference", reference.rows(), 2, "a classifier two-sample test")?;
    let rows = samples.rows().min(reference.rows());
    let dimension = samples.dimension();
    let noise = noise(seed, Stream::Split);
    let halves = |points: Points<'_>, side: u64| {
        let order = noise.from_trajectory(side).permutation(points.rows());
        let (train, test) = order[..rows].split_at(rows / 2);
        (points.gather(train), points.gather(test))
    };
    let ((train_x, test_x), (train_y, test_y)) = (halves(samples, 0), halves(reference, 1));
    let classifier =
        Classifier::train(Points::new(&train_x, dimension)?, Points::new(&train_y, dimension)?, seed)?;
    let predicted = |values: &[f32]| -> Result<usize> {
        let logits = classifier.logits(Points::new(values, dimension)?);
        Ok(logits.iter().filter(|logit| **logit > 0.0).count())
    };
    Ok(summary(predicted(&test_x)?, predicted(&test_y)?, rows - rows / 2))
}

/// The result where of `tested` rows each, `x` of the samples and `y` of the reference are predicted samples.
fn summary(x: usize, y: usize, tested: usize) -> C2st {
    let h = tested as f64;
    let (right_x, right_y) = (x as f64 / h, (tested - y) as f64 / h);
    let variance = right_x * (1.0 - right_x) + right_y * (1.0 - right_y);
    C2st {
        accuracy: (right_x + right_y) / 2.0,
        standard_error: (variance / (4.0 * h)).sqrt(),
        p_value: hypergeometric_tail(tested, x + y, x),
    }
}

/// P(T >= `least`) where T counts the marked among `drawn` of `2 half` objects, `half` of which are marked.
fn hypergeometric_tail(half: usize, drawn: usize, least: usize) -> f64 {
    let mut log_factorials = vec![0.0];
    (1..=2 * half).for_each(|k| log_factorials.push(log_factorials[k - 1] + (k as f64).ln()));
    let log_choose = |n: usize, k: usize| log_factorials[n] - log_factorials[k] - log_factorials[n - k];
    let probability = |marked: usize| {
        (log_choose(half, marked) + log_choose(half, drawn - marked) - log_choose(2 * half, drawn)).exp()
    };
    // All that is drawn beyond the unmarked is marked.
    let first = drawn.saturating_sub(half);
    if least <= first {
        return 1.0;
    }
    (least..=half.min(drawn)).map(probability).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Noise, Purpose};
    use rayon::prelude::*;

    fn normal(seed: u64, rows: usize, dimension: usize) -> Vec<f32> {
        Noise::new(seed, Purpose::Target).normal(rows, dimension)
    }

    fn of(x: &[f32], y: &[f32], dimension: usize, seed: u64) -> C2st {
        c2st(Points::new(x, dimension).unwrap(), Points::new(y, dimension).unwrap(), seed).unwrap()
    }

    #[test]
    fn the_lady_tasting_tea() {
        // Fisher's example: 3 of 4 right is 17/70, 4 of 4 is 1/70.
        assert!((hypergeometric_tail(4, 4, 3) - 17.0 / 70.0).abs() < 1e-14);
        assert!((hypergeometric_tail(4, 4, 4) - 1.0 / 70.0).abs() < 1e-14);
        assert_eq!((hypergeometric_tail(4, 4, 0), hypergeometric_tail(4, 8, 4)), (1.0, 1.0));
        let found = summary(3, 1, 4);
        assert!((found.accuracy - 0.75).abs() < 1e-15 && (found.p_value - 17.0 / 70.0).abs() < 1e-14);
        assert!((found.standard_error - (2.0f64 * 0.1875 / 16.0).sqrt()).abs() < 1e-15);
        // A constant prediction says nothing.
        assert_eq!(summary(5, 5, 5), C2st { accuracy: 0.5, standard_error: 0.0, p_value: 1.0 });
    }

    #[test]
    fn tails_agree_with_enumeration() {
        let half = 4u32;
        let labellings: Vec<u32> =
            (0u32..1 << (2 * half)).filter(|labels| labels.count_ones() == half).collect();
        for drawn in 0..=2 * half {
            let predicted = (1u32 << drawn) - 1;
            for least in 0..=half.min(drawn) {
                let reached =
                    labellings.iter().filter(|labels| (*labels & predicted).count_ones() >= least).count();
                let expected = reached as f64 / labellings.len() as f64;
                let found = hypergeometric_tail(half as usize, drawn as usize, least as usize);
                assert!((found - expected).abs() < 1e-13, "{drawn} {least}: {found} against {expected}");
            }
        }
        // Large numbers neither overflow nor lose the tail: half of 5000 right on either side, and one more.
        assert!((hypergeometric_tail(5000, 5000, 2500) - 0.508).abs() < 1e-3);
        assert!(hypergeometric_tail(5000, 5000, 5000) < 1e-300);
    }

    #[test]
    fn p_values_are_not_too_small_under_the_null() {
        let runs = 120;
        let found: Vec<C2st> = (0..runs)
            .into_par_iter()
            .map(|seed| {
                let pooled = normal(seed, 67, 3);
                of(&pooled[..90], &pooled[90..], 3, seed)
            })
            .collect();
        for level in [0.05, 0.2, 0.5] {
            let most = level + 4.0 * (level * (1.0 - level) / runs as f64).sqrt();
            let rate = found.iter().filter(|found| found.p_value <= level).count() as f64 / runs as f64;
            assert!(rate < most, "{rate} at {level}");
        }
        let mean = found.iter().map(|found| found.accuracy).sum::<f64>() / runs as f64;
        // 15 test rows a side: the accuracy's variance is at most 1 / (4 (30 - 1)).
        assert!((mean - 0.5).abs() < 4.0 * (1.0 / (116.0 * runs as f64)).sqrt(), "{mean}");
    }

    #[test]
    fn the_accuracy_of_a_shift_nears_its_optimum() {
        // N(1, 1) against N(-1, 1): Bayes accuracy is Phi(1) = 0.8413.
        let shift = |values: Vec<f32>, by: f32| values.iter().map(|value| value + by).collect::<Vec<f32>>();
        let found = of(&shift(normal(1, 2000, 1), 1.0), &shift(normal(2, 1600, 1), -1.0), 1, 3);
        assert!((found.accuracy - 0.8413).abs() < 0.01 + 4.0 * found.standard_error, "{found:?}");
        // No classifier beats Bayes but by luck.
        assert!(found.accuracy < 0.8413 + 4.0 * found.standard_error && found.p_value < 1e-20, "{found:?}");
    }

    #[test]
    fn what_no_marginal_shows_is_found() {
        // In 8 dimensions: correlated pairs against independent coordinates, same marginals.
        let x: Vec<f32> =
            normal(1, 600, 8).chunks_exact(2).flat_map(|z| [z[0], 0.8 * z[0] + 0.6 * z[1]]).collect();
        let found = of(&x, &normal(2, 600, 8), 8, 1);
        assert!(found.accuracy > 0.7 && found.p_value < 1e-6, "{found:?}");
    }

    #[test]
    fn tiny_samples_are_taken_and_smaller_ones_named() {
        let found = of(&[0.0, 1.0], &[5.0, 6.0, 7.0], 1, 1);
        assert!(found.p_value >= 0.5 && (0.0..=1.0).contains(&found.accuracy));
        let (x, y) = (Points::new(&[0.0], 1).unwrap(), Points::new(&[0.0, 1.0], 1).unwrap());
        assert!(c2st(x, y, 1).unwrap_err().to_string().contains("samples: found 1 rows"));
        assert!(c2st(y, x, 1).unwrap_err().to_string().contains("reference: found 1 rows"));
    }
}
