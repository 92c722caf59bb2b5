//! Pathfinder: the best of the normals that an optimiser's way to a mode suggests.
//!
//! ```text
//! x_0, x_1, ..., x_L       iterates of L-BFGS on -log pi, x_0 away from the mode
//! Sigma_l                  the inverse Hessian at x_l of the last pairs (s, y), on a diagonal alpha_l fitted to all of them
//! N_l = N(x_l + Sigma_l grad log pi(x_l), Sigma_l)
//! chosen                   the l of the best ELBO  E_{N_l}[log pi - log N_l],  by some draws
//! ```
//!
//! The mode of a posterior is outside of most of its mass; normals on the way there may be inside. Several ways from different
//! starts ([`multi_path`]) are joined by importance resampling, with the weights' tail smoothed.
//!
//! Zhang, Carpenter, Gelman, Vehtari, "Pathfinder: parallel quasi-Newton variational inference" (JMLR 2022), algorithms 1 to 5;
//! Byrd, Nocedal, Schnabel (1994), eq. 2.6, for the compact form of Sigma.

use std::collections::VecDeque;

use super::{Normal, Pulled};
use crate::error::Failure;
use crate::math::cholesky;
use crate::math::eigen::{dot, orthonormalise};
use crate::optim::lbfgs::{Iterate, Lbfgs, Pair};
use crate::rng::Noise;

/// Draws of each normal for its ELBO: 25 in the paper, of which its authors say that few more are worth their cost.
const DRAWS: usize = 25;

/// The best normal of the way from `start`, with its ELBO; none where the way suggests none of which the density is finite. Draw
/// `i` for the normal of iterate `l` is from row `i` of step `l` of `noise`.
///
/// # Errors
/// As [`Pulled::scores`].
pub fn pathfinder(
    density: &Pulled<'_>,
    start: Vec<f64>,
    noise: &Noise,
) -> Result<Option<(Normal, f64)>, Failure> {
    let optimiser = Lbfgs { tolerance: 1e-6, ..Lbfgs::default() };
    let path = optimiser.minimise(start, |point| density.energy(point))?;
    let mut best: Option<(Normal, f64)> = None;
    for (step, normal) in normals(&path, optimiser.history).into_iter().enumerate() {
        let Some(normal) = normal else { continue };
        let elbo = elbo(density, &normal, &noise.step(step as u32))?;
        if elbo.is_finite() && best.as_ref().is_none_or(|(_, found)| elbo > *found) {
            best = Some((normal, elbo));
        }
    }
    Ok(best)
}

/// `E_N[log pi - log N]` by draws.
fn elbo(density: &Pulled<'_>, normal: &Normal, noise: &Noise) -> Result<f64, Failure> {
    let (points, log_densities) = normal.draw(DRAWS, noise);
    let (values, _) = density.scores(&points, normal.mean.len())?;
    let log_weights = values.iter().zip(&log_densities).map(|(value, log_density)| value - log_density);
    Ok(log_weights.sum::<f64>() / DRAWS as f64)
}

/// The normals at the iterates behind the first.
fn normals(path: &[Iterate], history: usize) -> Vec<Option<Normal>> {
    let mut alpha = vec![1.0; path[0].point.len()];
    let mut pairs: VecDeque<Pair> = VecDeque::new();
    let of = |ends: &[Iterate]| {
        if let Some(pair) = Pair::between(&ends[0], &ends[1]) {
            fit_diagonal(&mut alpha, &pair);
            pairs.push_back(pair);
            if pairs.len() > history {
                pairs.pop_front();
            }
        }
        inverse_hessian(&alpha, &pairs).map(|normal| {
            let step = normal.times_covariance(&ends[1].gradient);
            let mean = ends[1].point.iter().zip(step).map(|(x, step)| x - step).collect();
            Normal { mean, ..normal }
        })
    };
    path.windows(2).map(of).collect()
}

/// The diagonal that is nearest to the last one and has the curvature of a pair (Gilbert and Lemarechal 1989).
fn fit_diagonal(alpha: &mut [f64], Pair { s, y }: &Pair) {
    let weighed = |v: &[f64], weights: &dyn Fn(f64) -> f64| -> f64 {
        v.iter().zip(&*alpha).map(|(v, a)| v * v * weights(*a)).sum()
    };
    let (a, b, c) = (weighed(y, &|alpha| alpha), dot(y, s), weighed(s, &f64::recip));
    for (alpha, (s, y)) in alpha.iter_mut().zip(s.iter().zip(y)) {
        let inverse = a / (b * *alpha) + y * y / b - a * s * s / (b * c * *alpha * *alpha);
        if inverse.is_finite() && inverse > 0.0 {
            *alpha = inverse.recip();
        }
    }
}

/// `diag(alpha)` updated by all pairs, round 0; none where rounding leaves no positive matrix.
fn inverse_hessian(alpha: &[f64], pairs: &VecDeque<Pair>) -> Option<Normal> {
    let count = pairs.len();
    let scale: Vec<f64> = alpha.iter().map(|alpha| alpha.sqrt()).collect();
    // H = A (I + B gamma B^T) A, B = [A Y, A^{-1} S]: in units of A the first diagonal is 1.
    let y = pairs.iter().map(|pair| pair.y.iter().zip(&scale).map(|(y, a)| y * a).collect::<Vec<f64>>());
    let s = pairs.iter().map(|pair| pair.s.iter().zip(&scale).map(|(s, a)| s / a).collect::<Vec<f64>>());
    let columns: Vec<Vec<f64>> = y.chain(s).collect();
    let (y, s) = columns.split_at(count);
    // The inverse of R, R_ij = s_i . y_j for i <= j, column by column.
    let mut inverse = vec![0.0; count * count];
    for j in 0..count {
        for i in (0..=j).rev() {
            let known: f64 = (i + 1..=j).map(|k| dot(&s[i], &y[k]) * inverse[k * count + j]).sum();
            inverse[i * count + j] = (f64::from(u8::from(i == j)) - known) / dot(&s[i], &y[i]);
        }
    }
    let inner = |i: usize, j: usize| {
        let curvature = if i == j { dot(&s[i], &y[i]) } else { 0.0 };
        curvature + dot(&y[i], &y[j])
    };
    let corner = |i: usize, j: usize| -> f64 {
        let all = (0..count).flat_map(|k| (0..count).map(move |l| (k, l)));
        all.map(|(k, l)| inverse[k * count + i] * inner(k, l) * inverse[l * count + j]).sum()
    };
    let gamma = |i: usize, j: usize| match (i < count, j < count) {
        (true, true) => 0.0,
        (true, false) => -inverse[i * count + j - count],
        (false, true) => -inverse[j * count + i - count],
        (false, false) => corner(i - count, j - count),
    };
    let gamma: Vec<f64> =
        (0..4 * count * count).map(|at| gamma(at / (2 * count), at % (2 * count))).collect();
    let mut basis = columns.clone();
    orthonormalise(&mut basis);
    basis.retain(|q| dot(q, q) > 0.5);
    // R_b = Q^T B, and the part on Q: I + R_b gamma R_b^T.
    let rank = basis.len();
    let along: Vec<Vec<f64>> =
        basis.iter().map(|q| columns.iter().map(|column| dot(q, column)).collect()).collect();
    let mapped: Vec<Vec<f64>> = along
        .iter()
        .map(|row| gamma.chunks_exact((2 * count).max(1)).map(|gamma| dot(gamma, row)).collect())
        .collect();
    let part = |at: usize| {
        let (i, j) = (at / rank, at % rank);
        f64::from(u8::from(i == j)) + dot(&along[i], &mapped[j])
    };
    let part: Vec<f64> = (0..rank * rank).map(part).collect();
    let lower = cholesky(&part, rank).ok()?;
    Some(Normal { mean: vec![0.0; alpha.len()], scale, basis, lower })
}

/// Draws that several normals propose, with the weights that lead from them to the density.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposals {
    /// `[paths * draws, dimension]`.
    pub points: Vec<f64>,
    /// `log pi - log N` of each under its own normal, nats.
    pub log_weights: Vec<f64>,
}

/// `draws` of each normal, weighted: multi-path Pathfinder. Resampling the points by their weights gives approximate draws.
///
/// # Errors
/// As [`Pulled::scores`].
pub fn multi_path(
    density: &Pulled<'_>,
    normals: &[Normal],
    draws: usize,
    noise: &Noise,
) -> Result<Proposals, Failure> {
    let (mut points, mut log_weights) = (Vec::new(), Vec::new());
    for (path, normal) in normals.iter().enumerate() {
        let (drawn, log_densities) = normal.draw(draws, &noise.step(path as u32));
        let (values, _) = density.scores(&drawn, normal.mean.len())?;
        log_weights.extend(values.iter().zip(&log_densities).map(|(value, log)| value - log));
        points.extend(drawn);
    }
    Ok(Proposals { points, log_weights })
}
