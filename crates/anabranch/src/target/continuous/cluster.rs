//! A cluster of particles that attract and repel each other as Lennard and Jones have it, held by a spring.
//!
//! ```text
//! log R(x) = -e sum_{i < j} [(r / d_ij)^12 - 2 (r / d_ij)^6] - c / 2 sum_i |x_i|^2,     d_ij = |x_i - x_j|
//! ```
//!
//! `r` is the distance of the least energy, `-e`, of a pair. The spring holds every particle to the origin, so that Z is finite and
//! nothing is left out: neither the centre of mass nor the orientation is fixed, and the particles have no names (all their
//! permutations and turns have the same density). Others hold only the distances from the centre of mass, in the space of points whose
//! centre is 0 (Koehler, Klein and Noe 2020: 13 or 55 particles, `e = r = c = 1`): as `sum |x_i|^2 = sum |x_i - x|^2 + n |x|^2`, the
//! centre `x` is independent of the rest here, and over orthonormal coordinates of that space this Z is theirs times
//! `(2 pi / c)^(space / 2)`.
//!
//! Where two particles meet the density is 0; nowhere else. For two particles the distance has a law of its own, so that log Z is an
//! integral over one number and there are exact draws.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::entry::{Built, Entry, LARGEST, Result, check_count, check_std, problem, shared};
use super::quantiles::Quantiles;
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::math::special::ln_gamma;
use crate::papers::EQUIVARIANT;
use crate::rng::Noise;

/// A Lennard-Jones cluster: the coordinates of one particle after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LennardJones {
    /// How many particles there are.
    #[serde(default = "thirteen")]
    pub particles: usize,
    /// The dimension of the space that they are in.
    #[serde(default = "three")]
    pub space: usize,
    /// The depth of a pair's well, over the temperature.
    #[serde(default = "one")]
    pub depth: f64,
    /// The distance of a pair at the well's bottom.
    #[serde(default = "one")]
    pub radius: f64,
    /// The stiffness of the spring, over the temperature.
    #[serde(default = "one")]
    pub spring: f64,
}

fn thirteen() -> usize {
    13
}

fn three() -> usize {
    3
}

fn one() -> f64 {
    1.0
}

impl Default for LennardJones {
    fn default() -> Self {
        Self { particles: thirteen(), space: three(), depth: one(), radius: one(), spring: one() }
    }
}

impl LennardJones {
    /// `log R` of a pair at the square of its distance, and its derivative by that.
    fn pair<T: Real>(&self, square: T) -> (T, T) {
        let sixth = (T::from(self.radius * self.radius) / square).powi(3);
        let value = (sixth * sixth - sixth * 2.0) * -self.depth;
        (value, (sixth * sixth - sixth) / square * (6.0 * self.depth))
    }

    /// The law of a single pair's distance: its mass is the integral over the vector between them.
    fn distances(&self) -> Quantiles {
        let space = self.space as f64;
        let sphere = 2f64.ln() + 0.5 * space * PI.ln() - ln_gamma(0.5 * space);
        let density = |d: f64| {
            (sphere + (space - 1.0) * d.ln() + self.pair(d * d).0 - 0.25 * self.spring * d * d).exp()
        };
        let most = self.radius + 16.0 / self.spring.sqrt();
        Quantiles::of([0.0, most], 1 << 16, density)
    }
}

impl Density for LennardJones {
    fn dimension(&self) -> usize {
        self.particles * self.space
    }

    #[inline]
    fn at<T: Real>(&self, point: &[T], mut score: Option<&mut [T]>) -> T {
        let squares: T = point.iter().map(|x| *x * *x).sum();
        let mut value = squares * (-0.5 * self.spring);
        if let Some(score) = &mut score {
            score.iter_mut().zip(point).for_each(|(to, x)| *to = *x * -self.spring);
        }
        for i in 0..self.particles {
            for j in 0..i {
                let away = |k: usize| point[i * self.space + k] - point[j * self.space + k];
                let square: T = (0..self.space).map(away).map(|x| x * x).sum();
                let (energy, slope) = self.pair(square);
                value += energy;
                if let Some(score) = &mut score {
                    for k in 0..self.space {
                        let along = slope * away(k) * 2.0;
                        score[i * self.space + k] += along;
                        score[j * self.space + k] -= along;
                    }
                }
            }
        }
        // At 0 / 0 and beyond: particles that meet.
        if value.value().is_nan() { f64::NEG_INFINITY.into() } else { value }
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        let centre = 0.5 * self.space as f64 * (PI / self.spring).ln();
        (beta == 1.0 && self.particles == 2).then(|| centre + self.distances().mass.ln())
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        if self.particles != 2 {
            return None;
        }
        let (distances, space) = (self.distances(), self.space);
        let uniforms = noise.uniform(count, 1);
        let mut values = noise.step(noise.current_step() + 1).normal(count, 2 * space);
        for (row, u) in values.chunks_exact_mut(2 * space).zip(uniforms) {
            let (centre, direction) = row.split_at_mut(space);
            let norm = direction.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let half = 0.5 * distances.at(f64::from(u)) / norm;
            for (x, y) in centre.iter_mut().zip(direction) {
                let (middle, way) = (f64::from(*x) / (2.0 * self.spring).sqrt(), half * f64::from(*y));
                (*x, *y) = ((middle + way) as f32, (middle - way) as f32);
            }
        }
        Some(values)
    }
}

impl Entry for LennardJones {
    fn formula(&self) -> String {
        let Self { particles, space, depth, radius, spring } = self;
        format!(
            "Lennard-Jones, {particles} particles in R^{space}: -{depth} sum [({radius} / d)^12 - 2 ({radius} / d)^6] - {spring} |x|^2 / 2"
        )
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![EQUIVARIANT]
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.particles.saturating_mul(self.space))
    }

    fn check(&self) -> Result<()> {
        check_count("particles", self.particles, 1, 1000)?;
        check_count("space", self.space, 1, LARGEST / 1000)?;
        for (key, value) in [("depth", self.depth), ("radius", self.radius), ("spring", self.spring)] {
            check_std(key, [value])?;
        }
        let dimension = Density::dimension(self);
        match dimension > LARGEST {
            true => problem("particles", format!("{dimension} coordinates in all"), "at most 100000"),
            false => Ok(()),
        }
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_by_hand() {
        let target = LennardJones { particles: 3, space: 2, depth: 2.0, radius: 1.5, spring: 0.5 };
        let (a, b, c) = ([0.3, -0.2], [1.8, -0.2], [0.3, 1.8f64]);
        let pair = |d: f64| -2.0 * ((1.5 / d).powi(12) - 2.0 * (1.5 / d).powi(6));
        let squares: f64 = [a, b, c].iter().flatten().map(|x| x * x).sum();
        let exact = pair(1.5) + pair(2.0) + pair(2.5) - 0.25 * squares;
        assert!((target.at(&[a, b, c].concat(), None) - exact).abs() < 1e-12);
        assert_eq!(pair(1.5), 2.0);
        assert_eq!(target.at(&[0.5; 6], None), f64::NEG_INFINITY);
    }

    /// Two particles on a line, by the midpoint rule over both.
    #[test]
    fn two_particles_have_their_constant() {
        let target = LennardJones { particles: 2, space: 1, depth: 0.7, radius: 1.2, spring: 0.8 };
        let (n, width) = (2400, 20.0 / 2400.0);
        let place = |i: usize| -10.0 + (i as f64 + 0.5) * width;
        let row = |i: usize| (0..n).map(|j| target.at(&[place(i), place(j)], None).exp()).sum::<f64>();
        let sum: f64 = (0..n).map(row).sum();
        let (found, exact) = (target.log_z_tempered(1.0).unwrap(), (sum * width * width).ln());
        assert!((found - exact).abs() < 1e-9, "{found}, {exact}");
        assert!(LennardJones::default().log_z_tempered(1.0).is_none());
    }
}
