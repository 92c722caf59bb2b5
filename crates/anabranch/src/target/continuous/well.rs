//! The double well, and many of them side by side.
//!
//! ```text
//! log R(x) = sum over pairs (d, v) of  -d^4 + 6 d^2 + d / 2 - v^2 / 2
//! log Z    = pairs (ln 11784.50927 + ln(2 pi) / 2)
//! ```
//!
//! Dimension 2 is the double well of Noe et al. (2019); dimension 32, with its 2^16 modes, the many well of Midgley
//! et al. (2023). The wells at `d = +- sqrt 3` differ in mass: the right one holds about 0.85 of it.

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::entry::{Built, Entry, LARGEST, Result, problem, shared};
use super::quantiles::Quantiles;
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::papers::{DOUBLE_WELL, FAB};
use crate::rng::Noise;

/// Independent pairs of a double well and a normal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManyWell {
    /// The dimension, twice the number of pairs.
    pub dimension: usize,
}

/// The integral of `exp(-d^4 + 6 d^2 + d / 2)`.
const WELL_INTEGRAL: f64 = 11_784.509_27;

#[inline(always)]
fn well<T: Real>(d: T) -> T {
    -d.powi(4) + d * 6.0 * d + d * 0.5
}

/// The well's draws: outside of [-4, 4] lies less than e^{-150} of the mass.
fn well_quantile(u: f64) -> f64 {
    static TABLE: OnceLock<Quantiles> = OnceLock::new();
    TABLE.get_or_init(|| Quantiles::of([-4.0, 4.0], 1 << 16, |d| well(d).exp())).at(u)
}

impl Density for ManyWell {
    fn dimension(&self) -> usize {
        self.dimension
    }

    #[inline(always)]
    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        if let Some(score) = score {
            for (to, pair) in score.chunks_exact_mut(2).zip(point.chunks_exact(2)) {
                let d = pair[0];
                to.copy_from_slice(&[d.powi(3) * -4.0 + d * 12.0 + 0.5, -pair[1]]);
            }
        }
        // Sums that are kept apart, so that they are added several at a time.
        let energy = |pair: &[T]| well(pair[0]) - pair[1] * 0.5 * pair[1];
        let mut sums: [T; 4] = [0.0.into(); 4];
        let (whole, rest) = point.as_chunks::<8>();
        for eight in whole {
            sums.iter_mut().zip(eight.chunks_exact(2)).for_each(|(sum, pair)| *sum += energy(pair));
        }
        sums[0] = rest.chunks_exact(2).map(energy).fold(sums[0], |sum, value| sum + value);
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }

    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        vec![(1..self.dimension).step_by(2).collect()]
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        let pair = WELL_INTEGRAL.ln() + 0.5 * std::f64::consts::TAU.ln();
        (beta == 1.0).then_some(pair * (self.dimension / 2) as f64)
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let uniforms = noise.uniform(count, self.dimension);
        let mut values = noise.step(noise.current_step() + 1).normal(count, self.dimension);
        values.iter_mut().zip(uniforms).step_by(2).for_each(|(v, u)| *v = well_quantile(f64::from(u)) as f32);
        Some(values)
    }
}

impl Entry for ManyWell {
    fn formula(&self) -> String {
        match self.dimension {
            2 => "double well: -d^4 + 6 d^2 + d / 2 - v^2 / 2".to_owned(),
            dimension => format!("many-well: {} pairs of -d^4 + 6 d^2 + d / 2 - v^2 / 2", dimension / 2),
        }
    }

    fn papers(&self) -> Vec<&'static str> {
        if self.dimension == 2 { vec![DOUBLE_WELL] } else { vec![DOUBLE_WELL, FAB] }
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.dimension)
    }

    fn check(&self) -> Result<()> {
        if self.dimension == 0 || self.dimension % 2 == 1 || self.dimension > LARGEST {
            let allowed = format!("an even number from 2 to {LARGEST}");
            return problem("dimension", self.dimension.to_string(), &allowed);
        }
        Ok(())
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_has_its_published_integral() {
        let n = 200_000;
        let width = 8.0 / f64::from(n);
        let middle = |i: i32| -4.0 + (f64::from(i) + 0.5) * width;
        let sum: f64 = (0..n).map(|i| well(middle(i)).exp() * width).sum();
        assert!((sum - WELL_INTEGRAL).abs() < 1e-4, "{sum}");
        let right: f64 = (n / 2..n).map(|i| well(middle(i)).exp() * width).sum();
        assert!((right / sum - 0.85).abs() < 0.01, "{}", right / sum);
        let many = ManyWell { dimension: 32 };
        assert!((many.log_z_tempered(1.0).unwrap() - 164.695_675).abs() < 1e-5);
    }
}
