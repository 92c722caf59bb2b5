//! Neal's funnel: a normal neck `x_0` that sets the width of all other coordinates.
//!
//! ```text
//! N(x_0; 0, s^2) prod_{i >= 1} N(x_i; 0, e^{x_0})      log Z = 0
//! gradient             -x_0 / s^2 - n / 2 + sum x_i^2 e^{-x_0} / 2,     -x_i e^{-x_0},     n = d - 1
//! entropy              d (1 + ln 2 pi) / 2 + ln s      as E[x_0] = 0
//! log int R^beta       (1 - beta) (d ln(2 pi) / 2 + ln s) - d ln(beta) / 2 + (n (1 - beta) s / 2)^2 / (2 beta)
//! ```
//!
//! Neal, "Slice sampling" (2003), has `d = 10`, `s = 3`. Some papers take `s = 1`: compare only like with like.

use std::f64::consts::TAU;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::entry::{Built, Entry, Result, check_dimension, check_std, shared};
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::papers::FUNNEL;
use crate::rng::Noise;

/// Neal's funnel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Funnel {
    /// The dimension.
    pub dimension: usize,
    /// The standard deviation of the first coordinate.
    pub std: f32,
}

impl Density for Funnel {
    fn dimension(&self) -> usize {
        self.dimension
    }

    #[inline]
    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let (neck, rest) = (point[0], &point[1..]);
        let (std, others, precision) = (f64::from(self.std), rest.len() as f64, (-neck).exp());
        let square = rest.iter().map(|x| *x * *x).sum::<T>() * precision;
        if let Some(score) = score {
            score[0] = -neck / (std * std) - 0.5 * others + square * 0.5;
            score[1..].iter_mut().zip(rest).for_each(|(to, x)| *to = -*x * precision);
        }
        let first = (neck / std).powi(2) * -0.5 - std.ln();
        first - (neck * others + square + point.len() as f64 * TAU.ln()) * 0.5
    }

    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        vec![(1..self.dimension).collect()]
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        let (d, std) = (self.dimension as f64, f64::from(self.std));
        let tilt = 0.5 * (d - 1.0) * (1.0 - beta) * std;
        let spread = (1.0 - beta) * (0.5 * d * TAU.ln() + std.ln());
        Some(spread - 0.5 * d * beta.ln() + tilt * tilt / (2.0 * beta))
    }

    fn entropy(&self) -> Option<f64> {
        let each = 0.5 * (1.0 + TAU.ln());
        Some(self.dimension as f64 * each + f64::from(self.std).ln())
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let mut values = noise.normal(count, self.dimension);
        for row in values.chunks_exact_mut(self.dimension) {
            row[0] *= self.std;
            let width = (0.5 * row[0]).exp();
            row[1..].iter_mut().for_each(|v| *v *= width);
        }
        Some(values)
    }
}

impl Entry for Funnel {
    fn formula(&self) -> String {
        format!("funnel: N(x_0; 0, {}^2) prod_i N(x_i; 0, e^{{x_0}})", self.std)
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![FUNNEL]
    }

    fn dimension(&self) -> Option<usize> {
        Some(self.dimension)
    }

    fn check(&self) -> Result<()> {
        check_dimension(self.dimension, 2)?;
        check_std("std", [f64::from(self.std)])
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}
