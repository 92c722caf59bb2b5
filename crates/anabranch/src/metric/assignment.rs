//! The exact Wasserstein distance between two samples of equal size in any dimension.
//!
//! ```text
//! W_1 = min over permutations p of  (1 / n) sum_i |x_i - y_p(i)|
//! ```
//!
//! Shortest augmenting paths with potentials (Jonker and Volgenant 1987), `O(n^3)`.

use super::{Points, same_dimension};
use crate::error::{Problem, Result};

/// Exact `W_1` of the Euclidean distance, in the units of the points.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if dimensions or sizes differ.
pub fn wasserstein_assignment(samples: Points<'_>, reference: Points<'_>) -> Result<f64> {
    same_dimension(samples, reference)?;
    let (d, n) = (samples.dimension(), samples.rows());
    if reference.rows() != n {
        let found = format!("{n} samples and {}", reference.rows());
        return Err(Problem::new("reference", found).allowed("as many").into());
    }
    let distance = |i: usize, j: usize| {
        let (x, y) = (&samples.values()[i * d..][..d], &reference.values()[j * d..][..d]);
        x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>().sqrt()
    };
    let costs: Vec<f64> = (0..n * n).map(|place| distance(place / n, place % n)).collect();
    let row_of = assignment(&costs, n);
    Ok(row_of.iter().enumerate().map(|(j, i)| costs[i * n + j]).sum::<f64>() / n as f64)
}

/// The row of each column in the cheapest assignment of a square matrix, row-major.
fn assignment(costs: &[f64], n: usize) -> Vec<usize> {
    // Column n stands for the row that is being placed.
    let (mut of_rows, mut of_columns) = (vec![0.0; n], vec![0.0; n + 1]);
    let mut row_of: Vec<Option<usize>> = vec![None; n + 1];
    let mut before = vec![n; n];
    for row in 0..n {
        row_of[n] = Some(row);
        let (mut shortest, mut seen) = (vec![f64::INFINITY; n], vec![false; n + 1]);
        let mut column = n;
        while let Some(here) = row_of[column] {
            seen[column] = true;
            let (mut least, mut next) = (f64::INFINITY, n);
            for j in (0..n).filter(|j| !seen[*j]) {
                let reduced = costs[here * n + j] - of_rows[here] - of_columns[j];
                if reduced < shortest[j] {
                    (shortest[j], before[j]) = (reduced, column);
                }
                if shortest[j] < least {
                    (least, next) = (shortest[j], j);
                }
            }
            for j in 0..=n {
                match (seen[j], row_of[j]) {
                    (true, Some(placed)) => {
                        of_rows[placed] += least;
                        of_columns[j] -= least;
                    }
                    (false, _) if j < n => shortest[j] -= least,
                    _ => {}
                }
            }
            column = next;
        }
        while column < n {
            row_of[column] = row_of[before[column]];
            column = before[column];
        }
    }
    row_of.into_iter().take(n).map(|row| row.expect("every column has a row")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::wasserstein::{Order, wasserstein};
    use crate::rng::{Noise, Purpose};

    fn normals(rows: usize, columns: usize, seed: u64) -> Vec<f32> {
        Noise::new(seed, Purpose::Metric).normal(rows, columns)
    }

    /// In one dimension it is what sorting finds; among few points what all permutations find; a shift costs its length.
    #[test]
    fn it_is_the_least_over_all_assignments() {
        let (a, b) = (normals(60, 1, 1), normals(60, 1, 2));
        let (x, y) = (Points::new(&a, 1).unwrap(), Points::new(&b, 1).unwrap());
        let sorted = wasserstein(x, y, Order::One).unwrap();
        assert!((wasserstein_assignment(x, y).unwrap() - sorted).abs() < 1e-9);
        let (a, b) = (normals(5, 3, 3), normals(5, 3, 4));
        let (x, y) = (Points::new(&a, 3).unwrap(), Points::new(&b, 3).unwrap());
        let distance = |i: usize, j: usize| {
            (0..3).map(|c| f64::from(a[3 * i + c] - b[3 * j + c]).powi(2)).sum::<f64>().sqrt()
        };
        fn least(left: &[usize], i: usize, distance: &dyn Fn(usize, usize) -> f64) -> f64 {
            if left.is_empty() {
                return 0.0;
            }
            let each = |place: usize| {
                let mut rest = left.to_vec();
                let j = rest.remove(place);
                distance(i, j) + least(&rest, i + 1, distance)
            };
            (0..left.len()).map(each).fold(f64::INFINITY, f64::min)
        }
        let exact = least(&[0, 1, 2, 3, 4], 0, &distance) / 5.0;
        assert!((wasserstein_assignment(x, y).unwrap() - exact).abs() < 1e-6);
        let moved: Vec<f32> = a.chunks(3).flat_map(|row| [row[0] + 3.0, row[1], row[2] - 4.0]).collect();
        let found = wasserstein_assignment(x, Points::new(&moved, 3).unwrap()).unwrap();
        assert!((found - 5.0).abs() < 1e-5, "{found}");
        assert!(wasserstein_assignment(x, Points::new(&moved[..12], 3).unwrap()).is_err());
    }
}
