//! Entropic optimal transport with squared cost, by Sinkhorn's iterations in log space.
//!
//! ```text
//! P = argmin  sum_ij P_ij |x_i - y_j|^2 + e sum_ij P_ij (ln P_ij - 1)     rows of P sum to 1 / n, columns to 1 / m
//! f_i = -e ln (1 / m) sum_j e^((g_j - |x_i - y_j|^2) / e)                 and g with the roles exchanged
//! value = sum_ij P_ij |x_i - y_j|^2
//! ```
//!
//! As `e` goes to 0 the value nears the squared Wasserstein distance `W_2^2` of the two empirical laws; it is not 0 where both laws
//! agree. The regulariser starts at the largest cost and is halved down to `e`, a few rounds at each; at `e` rounds go on until rows
//! of the plan are off by a thousandth of their mass in sum. Sources: Cuturi, "Sinkhorn distances" (NeurIPS 2013); Peyré and Cuturi,
//! "Computational optimal transport" (2019), section 4.4; `e = 10^-3` and the value without its entropy as in Blessing et al.,
//! "Beyond ELBOs" (ICML 2024), appendix C.

use rayon::prelude::*;

use super::{Points, same_dimension};
use crate::error::{Problem, Result};

/// Rounds at each regulariser before the last.
const WARM: usize = 4;
/// Rounds at the last one, at most.
const MOST: usize = 500;
/// By how much of their mass the rows of the plan may be off in sum.
const TOLERANCE: f64 = 1e-3;
/// Pairs of rows at most.
const MOST_PAIRS: usize = 1 << 26;

/// The transport cost of the entropic plan between samples `[n, dimension]` and a reference `[m, dimension]`, in squared units of the
/// points; `epsilon` is in the same units.
///
/// # Errors
/// [`Error::Input`](crate::error::Error::Input) if the dimensions differ, there are more than 2^26 pairs, or `epsilon` is not positive.
pub fn sinkhorn(samples: Points<'_>, reference: Points<'_>, epsilon: f64) -> Result<f64> {
    same_dimension(samples, reference)?;
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(Problem::new("epsilon", epsilon.to_string()).allowed("a positive finite number").into());
    }
    let (n, m) = (samples.rows(), reference.rows());
    if n.saturating_mul(m) > MOST_PAIRS {
        return Err(Problem::new("samples and reference", format!("{n} x {m} pairs of rows"))
            .allowed(format!("at most {MOST_PAIRS}: take a subsample"))
            .into());
    }
    let costs = Costs::between(samples, reference);
    let back = Costs::between(reference, samples);
    let largest = costs.values.iter().copied().fold(0.0, f64::max);
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
    let mut scale = largest.max(epsilon);
    while scale > epsilon {
        for _ in 0..WARM {
            f = costs.potentials(&g, scale);
            g = back.potentials(&f, scale);
        }
        scale *= 0.5;
    }
    for _ in 0..MOST {
        f = costs.potentials(&g, epsilon);
        g = back.potentials(&f, epsilon);
        // Columns are right after g; rows are off by how much f would still move.
        let next = costs.potentials(&g, epsilon);
        let off: f64 = f.iter().zip(&next).map(|(f, next)| ((f - next) / epsilon).exp_m1().abs()).sum();
        f = next;
        if off / (n as f64) < TOLERANCE {
            break;
        }
    }
    Ok(costs.transported(&f, &g, epsilon))
}

/// Squared distances, `[rows, columns]`.
struct Costs {
    values: Vec<f64>,
    columns: usize,
}

impl Costs {
    fn between(rows: Points<'_>, columns: Points<'_>) -> Self {
        let square = |x: &[f32], y: &[f32]| -> f64 {
            x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
        };
        let row = |row: usize| {
            (0..columns.rows()).map(|other| square(rows.row(row), columns.row(other))).collect::<Vec<f64>>()
        };
        let values: Vec<Vec<f64>> = (0..rows.rows()).into_par_iter().map(row).collect();
        Self { values: values.concat(), columns: columns.rows() }
    }

    /// The potential of each row from those of the columns.
    fn potentials(&self, others: &[f64], epsilon: f64) -> Vec<f64> {
        let log_count = (self.columns as f64).ln();
        let row = |costs: &[f64]| {
            let exponents = || costs.iter().zip(others).map(|(cost, other)| (other - cost) / epsilon);
            let largest = exponents().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = exponents().map(|exponent| (exponent - largest).exp()).sum();
            -epsilon * (largest + sum.ln() - log_count)
        };
        self.values.par_chunks(self.columns).map(row).collect()
    }

    fn transported(&self, f: &[f64], g: &[f64], epsilon: f64) -> f64 {
        let row = |(costs, f): (&[f64], &f64)| {
            let moved = |(cost, g): (&f64, &f64)| cost * ((f + g - cost) / epsilon).exp();
            costs.iter().zip(g).map(moved).sum::<f64>()
        };
        let rows: Vec<f64> = self.values.par_chunks(self.columns).zip(f).map(row).collect();
        rows.iter().sum::<f64>() / self.values.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::wasserstein::{Order, wasserstein};
    use crate::rng::{Noise, Purpose};

    fn of(x: &[f32], y: &[f32], dimension: usize, epsilon: f64) -> f64 {
        sinkhorn(Points::new(x, dimension).unwrap(), Points::new(y, dimension).unwrap(), epsilon).unwrap()
    }

    /// Two points to two: the plan is `[a, 1/2 - a; 1/2 - a, a]` with `a / (1/2 - a) = e^((c_12 + c_21 - c_11 - c_22) / (2 e))`.
    #[test]
    fn two_points_in_closed_form() {
        for epsilon in [0.1, 1.0, 10.0] {
            // Costs 0.25 and 0.25 on the diagonal, 2.25 and 0.25 across.
            let odds = (f64::exp((2.25 + 0.25 - 0.5) / (2.0 * epsilon)), 1.0);
            let a = 0.5 * odds.0 / (odds.0 + odds.1);
            let expected = 2.0 * a * 0.25 + (0.5 - a) * 2.5;
            let found = of(&[0.0, 1.0], &[0.5, 1.5], 1, epsilon);
            assert!((found - expected).abs() < 2e-3 * expected, "{epsilon}: {found} against {expected}");
        }
    }

    /// With little entropy the cost is the Wasserstein distance's, which sorting gives on the line.
    #[test]
    fn little_entropy_is_the_wasserstein_distance() {
        let x = Noise::new(1, Purpose::Target).normal(200, 1);
        let y: Vec<f32> =
            Noise::new(2, Purpose::Target).normal(150, 1).iter().map(|z| 2.0 * z + 3.0).collect();
        let exact =
            wasserstein(Points::new(&x, 1).unwrap(), Points::new(&y, 1).unwrap(), Order::Two).unwrap();
        let found = of(&x, &y, 1, 1e-3);
        assert!((found / (exact * exact) - 1.0).abs() < 5e-3, "{found} against {}", exact * exact);
    }

    /// With much entropy all is moved to all: the mean of all costs.
    #[test]
    fn much_entropy_moves_all_to_all() {
        let (x, y) =
            (Noise::new(3, Purpose::Target).normal(40, 3), Noise::new(4, Purpose::Target).normal(60, 3));
        let mut mean = 0.0;
        for x in x.chunks_exact(3) {
            for y in y.chunks_exact(3) {
                mean += x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>() / 2400.0;
            }
        }
        assert!((of(&x, &y, 3, 1e6) / mean - 1.0).abs() < 1e-4);
    }

    #[test]
    fn far_and_equal_points_stay_finite() {
        assert!(of(&[1.0; 6], &[1.0; 4], 2, 1e-3).abs() < 1e-12);
        let far = of(&[0.0, 1e4], &[1e4, 0.0], 1, 1e-3);
        assert!(far.abs() < 1e-6, "{far}");
        let (x, y) = (Points::new(&[0.0], 1).unwrap(), Points::new(&[0.0, 1.0], 2).unwrap());
        assert!(sinkhorn(x, y, 1e-3).unwrap_err().is_input());
        assert!(sinkhorn(x, x, 0.0).unwrap_err().is_input());
    }
}
