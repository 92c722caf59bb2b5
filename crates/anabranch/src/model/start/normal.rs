//! Normals of any covariance, as a diagonal with a part on few directions.
//!
//! ```text
//! x = m + A (I + Q (L - I) Q^T) u,   u ~ N(0, I),   A = diag(a),  Q^T Q = I,  L lower triangular
//! covariance   A (I + Q (L L^T - I) Q^T) A           log |det| = sum log a_i + sum log L_kk
//! precision    A^{-1} (I + Q ((L L^T)^{-1} - I) Q^T) A^{-1}
//! ```

use std::f64::consts::TAU;

use crate::math::eigen::{dot, leading};
use crate::math::{solve_lower, solve_lower_transposed};
use crate::rng::Noise;

/// Rounds of the principal factor method.
const FACTOR_ITERATIONS: usize = 30;

/// `N(m, A (I + Q (L L^T - I) Q^T) A)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Normal {
    /// `m`, `[dimension]`.
    pub mean: Vec<f64>,
    /// `a`, `[dimension]`, positive.
    pub scale: Vec<f64>,
    /// The columns of Q.
    pub basis: Vec<Vec<f64>>,
    /// `L`, row-major.
    pub lower: Vec<f64>,
}

impl Normal {
    /// `count` draws, `[count, dimension]`, with their log-densities, nats; draw `i` from row `i` of `noise`.
    pub fn draw(&self, count: usize, noise: &Noise) -> (Vec<f64>, Vec<f64>) {
        let (d, rank) = (self.mean.len(), self.basis.len());
        let log_det = self.log_det();
        let (mut points, mut log_densities) = (Vec::with_capacity(count * d), Vec::with_capacity(count));
        for u in noise.normal(count, d).chunks_exact(d) {
            let mut u: Vec<f64> = u.iter().map(|u| f64::from(*u)).collect();
            log_densities.push(-0.5 * (dot(&u, &u) + d as f64 * TAU.ln()) - log_det);
            let along: Vec<f64> = self.basis.iter().map(|q| dot(q, &u)).collect();
            for (k, q) in self.basis.iter().enumerate() {
                let stretched: f64 = (0..=k).map(|j| self.lower[k * rank + j] * along[j]).sum();
                u.iter_mut().zip(q).for_each(|(u, q)| *u += (stretched - along[k]) * q);
            }
            points.extend(u.iter().zip(self.mean.iter().zip(&self.scale)).map(|(u, (m, a))| m + a * u));
        }
        (points, log_densities)
    }

    /// `log |det|` of the map from standard normals.
    fn log_det(&self) -> f64 {
        let rank = self.basis.len();
        let of_scale: f64 = self.scale.iter().map(|a| a.ln()).sum();
        of_scale + (0..rank).map(|k| self.lower[k * rank + k].ln()).sum::<f64>()
    }

    /// The covariance, `[dimension, dimension]`.
    pub fn covariance(&self) -> Vec<f64> {
        let (d, rank) = (self.mean.len(), self.basis.len());
        // Columns of Q L.
        let stretched: Vec<Vec<f64>> = (0..rank)
            .map(|j| {
                let mut column = vec![0.0; d];
                for k in j..rank {
                    let entry = self.lower[k * rank + j];
                    column.iter_mut().zip(&self.basis[k]).for_each(|(to, q)| *to += entry * q);
                }
                column
            })
            .collect();
        let entry = |i: usize, j: usize| {
            let along = |columns: &[Vec<f64>]| columns.iter().map(|c| c[i] * c[j]).sum::<f64>();
            let inner = f64::from(u8::from(i == j)) + along(&stretched) - along(&self.basis);
            self.scale[i] * inner * self.scale[j]
        };
        (0..d * d).map(|at| entry(at / d, at % d)).collect()
    }

    /// The standard deviations given all other coordinates: the roots of the precision's inverse diagonal. They are the mean-field
    /// normal that is nearest by the reverse KL.
    pub fn conditional_stds(&self) -> Vec<f64> {
        let rank = self.basis.len();
        let std = |i: usize| {
            let q: Vec<f64> = self.basis.iter().map(|column| column[i]).collect();
            let mut inner = q.clone();
            solve_lower(&self.lower, &mut inner);
            let precision = 1.0 + dot(&inner, &inner) - dot(&q, &q);
            // Rounding may take away what is left of a stiff direction.
            self.scale[i] / precision.max(f64::EPSILON * rank.max(1) as f64).sqrt()
        };
        (0..self.mean.len()).map(std).collect()
    }

    /// A diagonal `D` and directions `u_k`, at most `rank`, such that `D (I + sum u_k u_k^T)^2 D` is near the covariance and has its
    /// diagonal: beside D, the covariance's largest eigenvalues are what directions are stretched to; beside them, D is what the
    /// diagonal leaves (the principal factor method). Its limit is exact for a diagonal and a positive part of that rank; it comes near it
    /// slowly, and what is left after so many rounds is for training.
    pub fn low_rank(&self, rank: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
        let (d, covariance) = (self.mean.len(), self.covariance());
        let mut diagonal = self.conditional_stds();
        let mut stretched = Vec::new();
        for _ in 0..FACTOR_ITERATIONS {
            let beside = (0..d * d).map(|at| covariance[at] / (diagonal[at / d] * diagonal[at % d]));
            stretched = leading(&beside.collect::<Vec<f64>>(), d, rank);
            stretched.iter_mut().for_each(|(value, _)| *value = value.max(1.0));
            let mut moved = 0f64;
            for (i, diagonal) in diagonal.iter_mut().enumerate() {
                let inner: f64 = stretched.iter().map(|(value, q)| (value - 1.0) * q[i] * q[i]).sum();
                let next = (covariance[i * d + i] / (1.0 + inner)).sqrt();
                moved = moved.max((next / *diagonal - 1.0).abs());
                *diagonal = next;
            }
            if moved < 1e-7 {
                break;
            }
        }
        let direction = |(value, vector): (f64, Vec<f64>)| {
            let length = (value.sqrt() - 1.0).sqrt();
            vector.into_iter().map(|v| length * v).collect()
        };
        (diagonal, stretched.into_iter().map(direction).collect())
    }

    /// The distance of `point` from the mean, squared, in the precision: what twice the negative log-density has of it.
    pub fn squared_distance(&self, point: &[f64]) -> f64 {
        let scaled: Vec<f64> =
            point.iter().zip(self.mean.iter().zip(&self.scale)).map(|(x, (m, a))| (x - m) / a).collect();
        let along: Vec<f64> = self.basis.iter().map(|q| dot(q, &scaled)).collect();
        let mut inner = along.clone();
        solve_lower(&self.lower, &mut inner);
        dot(&scaled, &scaled) + dot(&inner, &inner) - dot(&along, &along)
    }

    /// The log-density at `point`, nats.
    pub fn log_density(&self, point: &[f64]) -> f64 {
        let d = self.mean.len() as f64;
        -0.5 * (self.squared_distance(point) + d * TAU.ln()) - self.log_det()
    }

    /// `Sigma g`.
    pub fn times_covariance(&self, g: &[f64]) -> Vec<f64> {
        let rank = self.basis.len();
        let mut out: Vec<f64> = g.iter().zip(&self.scale).map(|(g, a)| a * g).collect();
        let along: Vec<f64> = self.basis.iter().map(|q| dot(q, &out)).collect();
        let first: Vec<f64> =
            (0..rank).map(|j| (j..rank).map(|k| self.lower[k * rank + j] * along[k]).sum()).collect();
        for (k, q) in self.basis.iter().enumerate() {
            let second: f64 = (0..=k).map(|j| self.lower[k * rank + j] * first[j]).sum();
            out.iter_mut().zip(q).for_each(|(to, q)| *to += (second - along[k]) * q);
        }
        out.iter_mut().zip(&self.scale).for_each(|(to, a)| *to *= a);
        out
    }

    /// With the covariance that is the inverse of `L_p L_p^T`, given the factor of a precision, row-major.
    pub fn of_precision(mean: Vec<f64>, factor: &[f64]) -> Option<Self> {
        let d = mean.len();
        let mut covariance = vec![0.0; d * d];
        for (i, column) in covariance.chunks_exact_mut(d).enumerate() {
            column[i] = 1.0;
            solve_lower(factor, column);
            solve_lower_transposed(factor, column);
        }
        let lower = crate::math::cholesky(&covariance, d).ok()?;
        let unit = |k: usize| (0..d).map(|i| f64::from(u8::from(i == k))).collect();
        Some(Self { mean, scale: vec![1.0; d], basis: (0..d).map(unit).collect(), lower })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::cholesky;
    use crate::math::eigen::orthonormalise;
    use crate::rng::Purpose;

    fn normal() -> Normal {
        let noise = Noise::new(1, Purpose::Metric);
        let mut basis: Vec<Vec<f64>> =
            noise.normal(2, 4).chunks(4).map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect();
        orthonormalise(&mut basis);
        let lower = vec![2.0, 0.0, -0.7, 0.3];
        Normal { mean: vec![1.0, -2.0, 0.5, 0.0], scale: vec![0.5, 2.0, 1.0, 0.1], basis, lower }
    }

    /// All closed forms against the dense covariance.
    #[test]
    fn closed_forms_agree_with_the_dense_covariance() {
        let normal = normal();
        let covariance = normal.covariance();
        let factor = cholesky(&covariance, 4).unwrap();
        let (points, log_densities) = normal.draw(5, &Noise::new(2, Purpose::Metric));
        for (point, log_density) in points.chunks(4).zip(&log_densities) {
            let mut z: Vec<f64> = point.iter().zip(&normal.mean).map(|(x, m)| x - m).collect();
            solve_lower(&factor, &mut z);
            let log_det: f64 = (0..4).map(|i| factor[5 * i].ln()).sum();
            let exact = -0.5 * (dot(&z, &z) + 4.0 * TAU.ln()) - log_det;
            assert!((log_density - exact).abs() < 1e-10, "{log_density} {exact}");
            assert!((normal.log_density(point) - exact).abs() < 1e-10);
        }
        let g = [0.3, -1.0, 2.0, 5.0];
        let times = normal.times_covariance(&g);
        for i in 0..4 {
            assert!((times[i] - dot(&covariance[4 * i..4 * i + 4], &g)).abs() < 1e-12);
            let mut unit = vec![0.0; 4];
            unit[i] = 1.0;
            solve_lower(&factor, &mut unit);
            assert!((normal.conditional_stds()[i] - dot(&unit, &unit).sqrt().recip()).abs() < 1e-12);
        }
    }

    #[test]
    fn inverses_of_precisions_and_low_ranks_come_back() {
        // diag(D^2) + two directions.
        let (d, u) = ([0.5, 1.0, 2.0, 0.2, 1.5], [[1.0, -1.0, 0.5, 0.0, 0.3], [0.2, 0.4, 1.0, -2.0, 0.0]]);
        let entry = |i: usize, j: usize| {
            let own = if i == j { d[i] * d[i] } else { 0.0 };
            own + u.iter().map(|u| u[i] * u[j]).sum::<f64>()
        };
        let covariance: Vec<f64> = (0..25).map(|at| entry(at / 5, at % 5)).collect();
        let factor = cholesky(&covariance, 5).unwrap();
        let mut precision = vec![0.0; 25];
        for (i, column) in precision.chunks_exact_mut(5).enumerate() {
            column[i] = 1.0;
            solve_lower(&factor, column);
            solve_lower_transposed(&factor, column);
        }
        let normal = Normal::of_precision(vec![0.0; 5], &cholesky(&precision, 5).unwrap()).unwrap();
        let near = |a: &[f64], by: f64| a.iter().zip(&covariance).all(|(a, b)| (a - b).abs() < by);
        assert!(near(&normal.covariance(), 1e-10));
        let (diagonal, directions) = normal.low_rank(2);
        // (I + sum u u^T)^2 with orthogonal u.
        let inner = |i: usize, j: usize| {
            let along = |u: &Vec<f64>| (2.0 + dot(u, u)) * u[i] * u[j];
            f64::from(u8::from(i == j)) + directions.iter().map(along).sum::<f64>()
        };
        let found: Vec<f64> =
            (0..25).map(|at| diagonal[at / 5] * inner(at / 5, at % 5) * diagonal[at % 5]).collect();
        assert!(near(&found, 0.1), "{found:?} {covariance:?}");
    }
}
