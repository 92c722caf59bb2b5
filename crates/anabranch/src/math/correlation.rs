//! Correlations of paired numbers.
//!
//! ```text
//! Pearson   sum (x - mean x)(y - mean y) / sqrt(sum (x - mean x)^2 sum (y - mean y)^2)      in [-1, 1]
//! Spearman  the same of ranks, equal numbers sharing the mean of theirs
//! ```
//!
//! Kendall and Gibbons, "Rank correlation methods" (5th ed., 1990), chapter 3 for ties.

/// Pearson's correlation; none for fewer than two pairs, where one side is constant, or if a number is not finite.
///
/// # Panics
/// If lengths differ.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "numbers in pairs");
    let n = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let sum = |a: &[f64], mean_a: f64, b: &[f64], mean_b: f64| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).sum()
    };
    let (xx, yy) = (sum(x, mean_x, x, mean_x), sum(y, mean_y, y, mean_y));
    let constant = |values: &[f64]| values.windows(2).all(|pair| pair[0] == pair[1]);
    let correlation = sum(x, mean_x, y, mean_y) / (xx.sqrt() * yy.sqrt());
    (!constant(x) && !constant(y) && correlation.is_finite()).then(|| correlation.clamp(-1.0, 1.0))
}

/// Spearman's rank correlation; none for fewer than two pairs, where one side is constant, or if there is a NaN. Infinite
/// numbers have ranks as others do.
///
/// # Panics
/// If lengths differ.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.iter().chain(y).any(|value| value.is_nan()) {
        return None;
    }
    pearson(&ranks(x), &ranks(y))
}

/// Ranks from 1; equal numbers share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for ties in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let mean = before as f64 + (ties.len() + 1) as f64 / 2.0;
        ties.iter().for_each(|i| ranks[*i] = mean);
        before += ties.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_by_hand() {
        // Deviations (-2, -1, 3) and (-1, 1, 0): -2 + ... = 1; norms sqrt(14), sqrt(2).
        let found = pearson(&[1.0, 2.0, 6.0], &[4.0, 6.0, 5.0]).unwrap();
        assert!((found - 1.0 / 28f64.sqrt()).abs() < 1e-15);
        assert_eq!(ranks(&[3.0, -1.0, 3.0, f64::NEG_INFINITY, 3.0]), [4.0, 2.0, 4.0, 1.0, 4.0]);
        // Ranks (1, 2.5, 2.5, 4) and (1, 2, 3, 4): 4.5 / sqrt(4.5 * 5).
        let found = spearman(&[0.1, 7.0, 7.0, 8.0], &[-3.0, 0.0, 1.0, 1e9]).unwrap();
        assert!((found - 0.9f64.sqrt()).abs() < 1e-15);
        // Zeros of either sign are the same number.
        assert_eq!(ranks(&[0.0, -0.0, 1.0]), [1.5, 1.5, 3.0]);
    }

    #[test]
    fn correlations_know_only_what_they_measure() {
        let x: Vec<f64> = (0..50).map(|i| f64::from(i * i % 37)).collect();
        let line: Vec<f64> = x.iter().map(|x| 1e6 - 0.25 * x).collect();
        assert!((pearson(&x, &line).unwrap() + 1.0).abs() < 1e-12);
        let bent: Vec<f64> = x.iter().map(|x| (x / 5.0).exp()).collect();
        assert!((spearman(&x, &bent).unwrap() - 1.0).abs() < 1e-14);
        assert!(pearson(&x, &bent).unwrap() < 0.8);
        for (x, y) in [(&[][..], &[][..]), (&[1.0], &[2.0]), (&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0])] {
            assert_eq!((pearson(x, y), spearman(x, y)), (None, None));
        }
        assert_eq!(pearson(&[1.0, 2.0, f64::NEG_INFINITY], &[1.0, 2.0, 3.0]), None);
        assert_eq!(spearman(&[1.0, 2.0, f64::NAN], &[1.0, 2.0, 3.0]), None);
    }
}
