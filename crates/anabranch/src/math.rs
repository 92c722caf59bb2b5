//! Sums in log space, estimates with their standard errors, triangular systems, eigenpairs, quadrature, interpolation, dual numbers,
//! the normal law and its thresholds, correlations.

pub mod correlation;
pub mod eigen;
mod normal;
mod real;
mod risk;
pub mod special;
mod thresholds;

pub use normal::{log_improvement, normal_cdf, normal_quantile};
pub use real::{Dual, Real, product_or_zero};
pub use risk::Risk;
pub use thresholds::Thresholds;

use burn::tensor::Tensor;

/// `log sum exp(x)`, `-inf` for no terms. Stable for any finite or `-inf` terms.
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

/// `ln n!`, exact to rounding: a sum below 256, Stirling's series above.
pub fn ln_factorial(n: u64) -> f64 {
    static SMALL: std::sync::LazyLock<Vec<f64>> = std::sync::LazyLock::new(|| {
        let sums = (1..256).scan(0.0, |sum, k| {
            *sum += f64::from(k).ln();
            Some(*sum)
        });
        std::iter::once(0.0).chain(sums).collect()
    });
    if let Some(value) = SMALL.get(n as usize) {
        return *value;
    }
    let x = n as f64;
    let series = (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * x * x)) / (x * x)) / x;
    x * x.ln() - x + 0.5 * (std::f64::consts::TAU * x).ln() + series
}

/// `log mean exp(x)` over each row of `[rows, samples]`, differentiable.
pub fn log_mean_exp_rows(values: Tensor<2>) -> Tensor<1> {
    let samples = values.dims()[1] as f64;
    let largest = values.clone().max_dim(1).detach();
    let sum = (values - largest.clone()).exp().sum_dim(1).log() + largest;
    (sum - samples.ln()).squeeze_dim(1)
}

/// The lower Cholesky factor of a symmetric matrix (row-major, lower triangle read).
///
/// # Errors
/// If it is not positive definite: the size of the first leading block that is not.
pub fn cholesky(matrix: &[f64], d: usize) -> Result<Vec<f64>, usize> {
    let mut lower = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| lower[i * d + k] * lower[j * d + k]).sum();
            let rest = matrix[i * d + j] - dot;
            if i != j {
                lower[i * d + j] = rest / lower[j * d + j];
            } else if rest > 0.0 {
                lower[i * d + i] = rest.sqrt();
            } else {
                return Err(i + 1);
            }
        }
    }
    Ok(lower)
}

/// Replaces `b` by `L^{-1} b`: forward substitution.
pub fn solve_lower<T: Real>(lower: &[f64], b: &mut [T]) {
    let d = b.len();
    for i in 0..d {
        let dot: T = (0..i).map(|k| b[k] * lower[i * d + k]).sum();
        b[i] = (b[i] - dot) / lower[i * d + i];
    }
}

/// Replaces `b` by `L^{-T} b`: back substitution.
pub fn solve_lower_transposed<T: Real>(lower: &[f64], b: &mut [T]) {
    for i in (0..b.len()).rev() {
        let row = &lower[i * b.len()..=i * b.len() + i];
        let solved = b[i] / row[i];
        b[i] = solved;
        b[..i].iter_mut().zip(row).for_each(|(b, l)| *b -= solved * *l);
    }
}

/// The nodes and weights of Gauss-Legendre quadrature on [0, 1], exact for polynomials of degree `2 n - 1`.
pub fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let node = |i: usize| {
        // Newton's method from Tricomi's estimate of the root.
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..10 {
            let (mut before, mut value) = (1.0, x);
            for k in 2..=n {
                let k = k as f64;
                (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
            }
            slope = n as f64 * (x * value - before) / (x * x - 1.0);
            let change = value / slope;
            x -= change;
            if change.abs() < 1e-15 {
                break;
            }
        }
        (0.5 * (1.0 - x), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(node).collect()
}

/// The monotone piecewise cubic with one derivative through the points `(x_i, y_i)`, `x` increasing, at `at` (Fritsch and
/// Butland 1984); outside of them it is constant.
///
/// # Panics
/// If there is no point, or `x` and `y` differ in length.
pub fn monotone_cubic(x: &[f64], y: &[f64], at: f64) -> f64 {
    assert_eq!(x.len(), y.len(), "a value for each place");
    let last = x.len() - 1;
    if at >= x[last] {
        return y[last];
    }
    if at <= x[0] {
        return y[0];
    }
    let width = |i: usize| x[i + 1] - x[i];
    let secant = |i: usize| (y[i + 1] - y[i]) / width(i);
    let slope = |i: usize| {
        if i == 0 || i == last {
            return secant(i.min(last - 1));
        }
        let (before, after) = (secant(i - 1), secant(i));
        if before * after <= 0.0 {
            return 0.0;
        }
        let (a, b) = (2.0 * width(i) + width(i - 1), width(i) + 2.0 * width(i - 1));
        (a + b) / (a / before + b / after)
    };
    let i = x.partition_point(|x| *x <= at) - 1;
    let (h, t) = (width(i), (at - x[i]) / width(i));
    let blend = t * t * (3.0 - 2.0 * t);
    let bend = h * t * (1.0 - t) * ((1.0 - t) * slope(i) - t * slope(i + 1));
    y[i] * (1.0 - blend) + y[i + 1] * blend + bend
}

/// A number with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error: 0 of a number known exactly, NaN where there is none, as of a single draw.
    pub error: f64,
}

impl Estimate {
    /// A number known exactly.
    pub fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// The mean of independent values and its standard error `s / sqrt(n)`: NaN of one value, which says nothing of its
    /// spread.
    ///
    /// # Panics
    /// If there are no values.
    pub fn mean(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "a mean needs values");
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Self { value: mean, error: (variance / n).sqrt() }
    }

    /// The same estimate in another unit.
    pub fn scaled(self, factor: f64) -> Self {
        Self { value: self.value * factor, error: self.error * factor.abs() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_sums_survive_extremes() {
        assert_eq!(log_sum_exp(&[]), f64::NEG_INFINITY);
        assert_eq!(log_sum_exp(&[f64::NEG_INFINITY, 3.0]), 3.0);
        assert!((log_sum_exp(&[1000.0, 1000.0]) - 1000.0 - 2f64.ln()).abs() < 1e-12);
        assert!((log_sum_exp(&[-1000.0, -1001.0]) + 1000.0 - (1.0 + (-1f64).exp()).ln()).abs() < 1e-12);
    }

    #[test]
    fn factorials_meet_where_the_series_begins() {
        assert_eq!(ln_factorial(0), 0.0);
        assert!((ln_factorial(10) - 3_628_800f64.ln()).abs() < 1e-12);
        assert!((ln_factorial(256) - ln_factorial(255) - 256f64.ln()).abs() < 1e-11);
        assert!((ln_factorial(5000) - 37_591.143_508_876_77).abs() < 1e-8);
    }

    #[test]
    fn triangular_systems_are_solved() {
        // A covariance of determinant 4 whose factor is whole.
        let matrix = [4.0, 2.0, -2.0, 2.0, 2.0, 1.0, -2.0, 1.0, 6.0];
        let lower = cholesky(&matrix, 3).unwrap();
        assert_eq!(lower, [2.0, 0.0, 0.0, 1.0, 1.0, 0.0, -1.0, 2.0, 1.0]);
        let mut x = [1.0, -2.0, 0.5];
        let b: Vec<f64> = (0..3).map(|i| (0..3).map(|j| matrix[3 * i + j] * x[j]).sum()).collect();
        let expected = x;
        x.copy_from_slice(&b);
        solve_lower(&lower, &mut x);
        solve_lower_transposed(&lower, &mut x);
        assert!(x.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{x:?}");
        assert_eq!(cholesky(&[1.0, 2.0, 2.0, 1.0], 2), Err(2));
        assert_eq!(cholesky(&[f64::NAN], 1), Err(1));
    }

    #[test]
    fn quadrature_is_exact_for_polynomials() {
        for n in [1, 2, 3, 8, 33, 768] {
            let rule = gauss_legendre(n);
            for degree in [0, 1, n, 2 * n - 1] {
                let sum: f64 = rule.iter().map(|(x, w)| w * x.powi(degree as i32)).sum();
                assert!((sum * (degree + 1) as f64 - 1.0).abs() < 1e-11, "{n} nodes, degree {degree}: {sum}");
            }
        }
    }

    #[test]
    fn interpolation_is_monotone_and_meets_its_points() {
        assert_eq!(monotone_cubic(&[2.0], &[7.0], 3.0), 7.0);
        // A line stays a line.
        let x = [-1.0, 0.5, 1.0, 4.0];
        let line = x.map(|x| 3.0 - 2.0 * x);
        assert!((monotone_cubic(&x, &line, 0.7) - 1.6).abs() < 1e-12);
        let y = [0.0, 0.1, 5.0, 5.1];
        x.iter().zip(&y).for_each(|(x_i, y_i)| assert!((monotone_cubic(&x, &y, *x_i) - y_i).abs() < 1e-12));
        let fine: Vec<f64> =
            (0..=600).map(|i| monotone_cubic(&x, &y, -1.0 + 5.0 * i as f64 / 600.0)).collect();
        assert!(fine.windows(2).all(|pair| pair[0] <= pair[1]));
        // The derivative has no jump: difference quotients from both sides agree at the inner points.
        for knot in [0.5, 1.0] {
            let step = 1e-6;
            let at = |x_0: f64| monotone_cubic(&x, &y, x_0);
            let (left, right) = ((at(knot) - at(knot - step)) / step, (at(knot + step) - at(knot)) / step);
            assert!((left - right).abs() < 1e-3 * left.abs().max(1.0), "{left} and {right} at {knot}");
        }
    }

    #[test]
    fn means_carry_their_standard_error() {
        let estimate = Estimate::mean(&[1.0, 2.0, 4.0, 5.0]);
        assert_eq!(estimate.value, 3.0);
        assert!((estimate.error - (10.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
        let one = Estimate::mean(&[2.0]);
        assert!(one.value == 2.0 && one.error.is_nan(), "one value has no standard error: {one:?}");
        assert_eq!(serde_json::to_value(one).unwrap(), serde_json::json!({ "value": 2.0, "error": null }));
    }
}
