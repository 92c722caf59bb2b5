//! Haario's banana: a normal, bent by a map that keeps volume.
//!
//! ```text
//! x_0 ~ N(0, s^2),     x_1 ~ N(b (x_0^2 - s^2), 1),     x_i ~ N(0, 1)                  log Z = 0
//! entropy              d (1 + ln 2 pi) / 2 + ln s
//! log int R^beta       (1 - beta) (d ln(2 pi) / 2 + ln s) - d ln(beta) / 2
//! ```
//!
//! Haario, Saksman and Tamminen (1999), with `s = 10`, `b = 0.03`, as the Inference Gym has it.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::entry::{Built, Entry, Result, check_dimension, check_finite, check_std, shared};
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::papers::BANANA;
use crate::rng::Noise;

/// Haario's banana.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Banana {
    /// The dimension.
    #[serde(default = "two")]
    pub dimension: usize,
    /// How much it bends.
    #[serde(default = "curvature")]
    pub curvature: f64,
    /// The standard deviation of the first coordinate.
    #[serde(default = "ten")]
    pub std: f64,
}

fn two() -> usize {
    2
}

fn curvature() -> f64 {
    0.03
}

fn ten() -> f64 {
    10.0
}

impl Default for Banana {
    fn default() -> Self {
        Self { dimension: two(), curvature: curvature(), std: ten() }
    }
}

impl Banana {
    /// Where the second coordinate is, given the first.
    fn bend<T: Real>(&self, x: T) -> T {
        (x * x - self.std * self.std) * self.curvature
    }
}

impl Density for Banana {
    fn dimension(&self) -> usize {
        self.dimension
    }

    #[inline]
    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let (first, rest) = (point[0] / self.std, &point[2..]);
        let across = point[1] - self.bend(point[0]);
        if let Some(score) = score {
            score[0] = -first / self.std + across * point[0] * (2.0 * self.curvature);
            score[1] = -across;
            score[2..].iter_mut().zip(rest).for_each(|(to, x)| *to = -*x);
        }
        let square = first * first + across * across + rest.iter().map(|x| *x * *x).sum::<T>();
        square * -0.5 - self.std.ln() - 0.5 * point.len() as f64 * TAU.ln()
    }

    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        vec![(1..self.dimension).collect()]
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        let d = self.dimension as f64;
        Some((1.0 - beta) * (0.5 * d * TAU.ln() + self.std.ln()) - 0.5 * d * beta.ln())
    }

    fn entropy(&self) -> Option<f64> {
        Some(0.5 * self.dimension as f64 * (1.0 + TAU.ln()) + self.std.ln())
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let mut values = noise.normal(count, self.dimension);
        for row in values.chunks_exact_mut(self.dimension) {
            let first = self.std * f64::from(row[0]);
            (row[0], row[1]) = (first as f32, (f64::from(row[1]) + self.bend(first)) as f32);
        }
        Some(values)
    }
}

impl Entry for Banana {
    fn formula(&self) -> String {
        let Self { curvature, std, .. } = self;
        format!("banana: N(x_0; 0, {std}^2) N(x_1; {curvature} (x_0^2 - {std}^2), 1) prod_i N(x_i; 0, 1)")
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![BANANA]
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.dimension)
    }

    fn check(&self) -> Result<()> {
        check_dimension(self.dimension, 2)?;
        check_finite("curvature", [self.curvature])?;
        check_std("std", [self.std])
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}
