//! Laplace's approximation: the normal that agrees with a density at its mode to second order.
//!
//! ```text
//! m = argmax log pi,   H = -grad grad log pi(m),   N(m, H^{-1})
//! H_ij = -(s_i(m + h_j e_j) - s_i(m - h_j e_j)) / (2 h_j), symmetrised,   s = grad log pi
//! ```
//!
//! The differences stand for the derivatives of scores where a target has none, and behind maps.
//!
//! Its log-evidence is `log pi(m) + d/2 log 2 pi - 1/2 log det H`. It depends on the coordinates: constraints are undone first.
//!
//! Tierney and Kadane (1986).

use super::{Normal, Pulled};
use crate::error::Failure;
use crate::math::cholesky;
use crate::optim::lbfgs::Lbfgs;

/// The share of a coordinate's own size by which it is moved for a difference: points are f32.
const STEP: f64 = 1e-3;

/// `-grad grad log pi` at `point`, `[dimension, dimension]`, symmetric: of the target's own derivatives of scores, or by central
/// differences.
///
/// # Errors
/// As [`Pulled::scores`].
pub fn hessian(density: &Pulled<'_>, point: &[f64]) -> Result<Vec<f64>, Failure> {
    let d = point.len();
    // Points are rounded to f32: the distance is that of the points that are asked about.
    let moved = |j: usize, sign: f64| f64::from((point[j] + sign * STEP * point[j].abs().max(1.0)) as f32);
    let mut hessian = vec![0.0; d * d];
    if density.outer.is_empty() && density.target.has_curvature() {
        let points: Vec<f32> = point.iter().map(|x| *x as f32).collect();
        let unit: Vec<f64> = (0..d * d).map(|at| f64::from(u8::from(at / d == at % d))).collect();
        density.target.score_derivatives(&points.repeat(d), &[], &unit, &mut hessian)?;
        hessian.iter_mut().for_each(|entry| *entry = -*entry);
        return Ok(hessian);
    }
    for j in 0..d {
        let mut both = [point, point].concat();
        (both[j], both[d + j]) = (moved(j, 1.0), moved(j, -1.0));
        let distance = both[j] - both[d + j];
        let (_, scores) = density.scores(&both, d)?;
        for i in 0..d {
            let slope = -0.5 * (scores[i] - scores[d + i]) / distance;
            hessian[i * d + j] += slope;
            hessian[j * d + i] += slope;
        }
    }
    Ok(hessian)
}

/// The approximation at the mode that L-BFGS finds from `start`; none where the Hessian there is not positive definite.
///
/// # Errors
/// As [`Pulled::scores`].
pub fn laplace(density: &Pulled<'_>, start: Vec<f64>) -> Result<Option<Normal>, Failure> {
    let path = Lbfgs::default().minimise(start, |point| density.energy(point))?;
    let mode = path.last().expect("a way has a start").point.clone();
    let hessian = hessian(density, &mode)?;
    Ok(cholesky(&hessian, mode.len()).ok().and_then(|factor| Normal::of_precision(mode, &factor)))
}
