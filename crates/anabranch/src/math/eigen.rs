//! Leading eigenpairs of a symmetric positive semidefinite matrix C.
//!
//! ```text
//! subspace iteration   Q <- orth(C Q), with 8 columns more than are wanted
//! Rayleigh-Ritz        Q^T C Q = W diag(values) W^T by Jacobi rotations;  vectors = Q W
//! ```
//!
//! The error of pair k of b columns falls as `(values_{b+1} / values_k)^(2 iterations)`; up to 40 columns Q is the
//! identity and the result exact to rounding. Source: Golub and Van Loan, "Matrix computations" (4th ed., 2013),
//! sections 8.2.4 and 8.5.

use rayon::prelude::*;

use crate::rng::{Noise, Purpose};

/// Columns of Q beyond those wanted.
const SPARE: usize = 8;
const ITERATIONS: usize = 40;
/// The step of the stream of the first basis.
const START: u32 = 5;
/// Jacobi converges quadratically: ten sweeps are plenty, the rest is a guard.
const SWEEPS: usize = 60;

/// The `count` largest eigenvalues, falling, with unit eigenvectors, of a row-major `[order, order]` matrix; all of
/// them where `count` exceeds `order`. A null direction beyond the matrix' rank may come as the zero vector.
pub fn leading(matrix: &[f64], order: usize, count: usize) -> Vec<(f64, Vec<f64>)> {
    let mut pairs = if count + SPARE >= order {
        jacobi(matrix.to_vec(), order)
    } else {
        let block = count + SPARE;
        let start = Noise::new(0, Purpose::Metric).step(START).normal(block, order);
        let mut basis: Vec<Vec<f64>> =
            start.chunks_exact(order).map(|column| column.iter().map(|v| f64::from(*v)).collect()).collect();
        orthonormalise(&mut basis);
        for _ in 0..ITERATIONS {
            basis = multiply(matrix, order, &basis);
            orthonormalise(&mut basis);
        }
        let image = multiply(matrix, order, &basis);
        let small = basis.iter().flat_map(|q| image.iter().map(|column| dot(q, column))).collect();
        let combine = |weights: Vec<f64>| -> Vec<f64> {
            let at = |row: usize| basis.iter().zip(&weights).map(|(q, w)| q[row] * w).sum();
            (0..order).map(at).collect()
        };
        jacobi(small, block).into_iter().map(|(value, weights)| (value, combine(weights))).collect()
    };
    pairs.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    pairs.truncate(count);
    pairs
}

/// The inner product of two vectors of one length, in eight interleaved sums.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        (0..8).for_each(|lane| sums[lane] += a[lane] * b[lane]);
    }
    sums.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

/// The matrix times every column.
fn multiply(matrix: &[f64], order: usize, columns: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let product = |column: &Vec<f64>| matrix.chunks_exact(order).map(|row| dot(row, column)).collect();
    columns.par_iter().map(product).collect()
}

/// Gram-Schmidt, each column twice; a column that depends on those before it becomes zero.
pub fn orthonormalise(columns: &mut [Vec<f64>]) {
    for index in 0..columns.len() {
        let (done, rest) = columns.split_at_mut(index);
        let column = &mut rest[0];
        let before = dot(column, column).sqrt();
        for _ in 0..2 {
            for other in &*done {
                let shadow = dot(other, column);
                column.iter_mut().zip(other).for_each(|(value, other)| *value -= shadow * other);
            }
        }
        let norm = dot(column, column).sqrt();
        let scale = if norm > 1e-10 * before { norm.recip() } else { 0.0 };
        column.iter_mut().for_each(|value| *value *= scale);
    }
}

/// All eigenpairs of a symmetric row-major `[n, n]` matrix, in no order, by cyclic Jacobi rotations.
fn jacobi(mut a: Vec<f64>, n: usize) -> Vec<(f64, Vec<f64>)> {
    // Row i becomes the eigenvector of the i-th diagonal entry.
    let mut vectors: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
    for _ in 0..SWEEPS {
        let squares = |on: bool| -> f64 {
            let entries = a.iter().enumerate().filter(|(at, _)| (at / n == at % n) == on);
            entries.map(|(_, value)| value * value).sum()
        };
        if squares(false) <= 1e-30 * squares(true) {
            break;
        }
        for (p, q) in (0..n).flat_map(|p| (p + 1..n).map(move |q| (p, q))) {
            let off = a[p * n + q];
            if off == 0.0 {
                continue;
            }
            let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
            // The smaller root of t^2 + 2 theta t = 1: the smaller angle, on which convergence rests.
            let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
            let cosine = tangent.hypot(1.0).recip();
            let sine = tangent * cosine;
            let rotate = |values: &mut [f64], i: usize, j: usize| {
                (values[i], values[j]) =
                    (cosine * values[i] - sine * values[j], sine * values[i] + cosine * values[j]);
            };
            (0..n).for_each(|k| rotate(&mut a, k * n + p, k * n + q));
            (0..n).for_each(|k| rotate(&mut a, p * n + k, q * n + k));
            (0..n).for_each(|k| rotate(&mut vectors, p * n + k, q * n + k));
        }
    }
    vectors.chunks_exact(n).enumerate().map(|(i, vector)| (a[i * n + i], vector.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sum_k values_k u_k u_k^T` for random orthonormal u, and those u.
    fn with_spectrum(values: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let n = values.len();
        let normals = Noise::new(3, Purpose::Target).normal(n, n);
        let mut axes: Vec<Vec<f64>> =
            normals.chunks_exact(n).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect();
        orthonormalise(&mut axes);
        let entry = |i: usize, j: usize| axes.iter().zip(values).map(|(u, v)| v * u[i] * u[j]).sum();
        ((0..n * n).map(|at| entry(at / n, at % n)).collect(), axes)
    }

    #[test]
    fn two_by_two_by_hand() {
        // [[2, 1], [1, 2]]: 3 along (1, 1), 1 along (1, -1).
        let found = leading(&[2.0, 1.0, 1.0, 2.0], 2, 9);
        assert!((found[0].0 - 3.0).abs() < 1e-14 && (found[1].0 - 1.0).abs() < 1e-14);
        assert!(
            (found[0].1[0] - found[0].1[1]).abs() < 1e-14 && (found[1].1[0] + found[1].1[1]).abs() < 1e-14
        );
        assert_eq!(leading(&[7.0], 1, 1), vec![(7.0, vec![1.0])]);
        assert_eq!(leading(&[0.0; 9], 3, 3).iter().map(|(value, _)| *value).sum::<f64>(), 0.0);
    }

    #[test]
    fn the_spectrum_of_any_size_is_found() {
        // Jacobi alone, and subspace iteration with a spectrum that halves every four pairs.
        for (order, count) in [(13, 13), (30, 22), (120, 32)] {
            let values: Vec<f64> = (0..order).map(|k| 5.0 * 0.5f64.powf(k as f64 / 4.0)).collect();
            let (matrix, axes) = with_spectrum(&values);
            let found = leading(&matrix, order, count);
            assert_eq!(found.len(), count);
            for (k, (value, vector)) in found.iter().enumerate() {
                assert!((value / values[k] - 1.0).abs() < 1e-9, "{order}: {value} against {}", values[k]);
                assert!((dot(vector, &axes[k]).abs() - 1.0).abs() < 1e-9, "{order}: vector {k}");
            }
        }
    }

    #[test]
    fn a_lower_rank_leaves_zeros() {
        let mut values = vec![0.0; 60];
        values[..3].copy_from_slice(&[4.0, 2.0, 1.0]);
        let found = leading(&with_spectrum(&values).0, 60, 5);
        let expected = [4.0, 2.0, 1.0, 0.0, 0.0];
        assert!(found.iter().zip(expected).all(|((value, _), expected)| (value - expected).abs() < 1e-12));
        assert!(found.iter().all(|(_, vector)| vector.iter().all(|value| value.is_finite())));
    }
}
