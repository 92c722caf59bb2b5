//! Eight schools: how much coaching raised a test's score (Rubin 1981).
//!
//! ```text
//! m ~ N(0, 10^2),   l ~ N(5, 1),   theta_j ~ N(m, e^{2 l}),   y_j ~ N(theta_j, sigma_j^2),     j = 1..8
//! centred        x = (m, l, theta_1..8)
//! not centred    x = (m, l, eta_1..8),   theta_j = m + e^l eta_j
//! log Z          of both: log int N(l; 5, 1) N(y; 0, diag(sigma^2 + e^{2 l}) + 10^2) dl
//! ```
//!
//! The densities of the data count: Z is the evidence, the same in both coordinates. In centred ones it is a funnel. The prior of `l` is
//! the Inference Gym's (Sountsov et al. 2020), far above that of other programs.

use std::f64::consts::TAU;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::density::log_normal;
use super::entry::{Built, Entry, shared};
use super::quantiles::Quantiles;
use crate::environment::continuous::Domain;
use crate::math::Real;
use crate::papers::{INFERENCE_GYM, SCHOOLS};
use crate::rng::Noise;

/// The posterior of eight schools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EightSchools {
    /// Whether the coordinates are the schools' effects, or these in units of their spread around the mean.
    #[serde(default)]
    pub centred: bool,
}

const EFFECTS: [f64; 8] = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0];
const ERRORS: [f64; 8] = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0];
const MEAN_STD: f64 = 10.0;
const LOG_SPREAD: f64 = 5.0;

/// The mean's precision and precision-weighted sum, given the spread's logarithm; and the evidence of the data, nats.
fn given(log_spread: f64) -> ([f64; 2], f64) {
    let (mut precision, mut sum) = (MEAN_STD.powi(-2), 0.0);
    let mut log_evidence = 0.5 * precision.ln();
    for (y, error) in EFFECTS.iter().zip(ERRORS) {
        let variance = error * error + (2.0 * log_spread).exp();
        (precision, sum) = (precision + 1.0 / variance, sum + y / variance);
        log_evidence -= 0.5 * (y * y / variance + (TAU * variance).ln());
    }
    ([precision, sum], log_evidence + 0.5 * (sum * sum / precision - precision.ln()))
}

/// The law of the spread's logarithm, its mass the evidence.
fn spreads() -> &'static Quantiles {
    static TABLE: OnceLock<Quantiles> = OnceLock::new();
    let density = |l: f64| (given(l).1 + log_normal(l - LOG_SPREAD, 1.0)).exp();
    TABLE.get_or_init(|| Quantiles::of([-6.0, 16.0], 1 << 15, density))
}

impl Density for EightSchools {
    fn dimension(&self) -> usize {
        10
    }

    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T {
        let (mean, log_spread, rest) = (point[0], point[1], &point[2..]);
        let spread = log_spread.exp();
        let mut value = log_normal(mean, MEAN_STD) + log_normal(log_spread - LOG_SPREAD, 1.0);
        let mut slopes = [T::from(0.0); 10];
        slopes[0] = -mean / (MEAN_STD * MEAN_STD);
        slopes[1] = -log_spread + LOG_SPREAD;
        for (j, x) in rest.iter().enumerate() {
            let (eta, theta) = match self.centred {
                true => ((*x - mean) / spread, *x),
                false => (*x, mean + spread * *x),
            };
            let away = (theta - EFFECTS[j]) / ERRORS[j];
            value += log_normal(eta, 1.0) + log_normal(away, 1.0) - ERRORS[j].ln();
            let of_data = -away / ERRORS[j];
            if self.centred {
                value -= log_spread;
                slopes[0] += eta / spread;
                slopes[1] += eta * eta - 1.0;
                slopes[2 + j] = of_data - eta / spread;
            } else {
                slopes[0] += of_data;
                slopes[1] += of_data * spread * eta;
                slopes[2 + j] = of_data * spread - eta;
            }
        }
        if let Some(score) = score {
            score.copy_from_slice(&slopes);
        }
        value
    }

    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        vec![vec![0], (2..10).collect()]
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        (beta == 1.0).then(|| spreads().mass.ln())
    }

    /// The spread by its own law, the mean given it, the effects given both.
    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        let uniforms = noise.uniform(count, 1);
        let mut values = noise.step(noise.current_step() + 1).normal(count, 10);
        for (row, u) in values.chunks_exact_mut(10).zip(uniforms) {
            let log_spread = spreads().at(f64::from(u));
            let ([precision, sum], _) = given(log_spread);
            let mean = sum / precision + f64::from(row[0]) / precision.sqrt();
            let spread = log_spread.exp();
            for ((x, y), error) in row[2..].iter_mut().zip(EFFECTS).zip(ERRORS) {
                let (own, data) = (spread.powi(-2), error.powi(-2));
                let theta = (own * mean + data * y) / (own + data) + f64::from(*x) / (own + data).sqrt();
                *x = (if self.centred { theta } else { (theta - mean) / spread }) as f32;
            }
            (row[0], row[1]) = (mean as f32, log_spread as f32);
        }
        Some(values)
    }
}

impl Entry for EightSchools {
    fn formula(&self) -> String {
        let coordinates = if self.centred { "centred" } else { "not centred" };
        format!("eight schools, {coordinates}: theta_j ~ N(m, e^{{2 l}}), y_j ~ N(theta_j, sigma_j^2)")
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![SCHOOLS, INFERENCE_GYM]
    }

    fn dimension(&self) -> Option<usize> {
        Some(10)
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::Estimate;
    use crate::rng::Purpose;

    /// The density and the evidence as numpy and scipy compute them, the latter with the covariance as a matrix.
    #[test]
    fn the_posterior_by_another_program() {
        let point: Vec<f64> = (1..=10).map(|i| f64::from((0.1 * f64::from(i).sin()) as f32)).collect();
        let centred = EightSchools { centred: true };
        assert!((centred.at(&point, None) + 55.764_398_234_9).abs() < 1e-9);
        assert!((centred.log_z_tempered(1.0).unwrap() + 36.130_815_911_2).abs() < 1e-9);
        // The other coordinates have the Jacobian e^{8 l}.
        let mut other = point.clone();
        other[2..].iter_mut().for_each(|x| *x = (*x - point[0]) / point[1].exp());
        let expected = centred.at(&point, None) + 8.0 * point[1];
        assert!((EightSchools::default().at(&other, None) - expected).abs() < 1e-12);
    }

    /// The means and standard deviations of the Inference Gym's ground truth, by Stan.
    #[test]
    fn draws_have_the_published_moments() {
        let count = 40_000;
        let draws = EightSchools { centred: true }.draw(count, &Noise::new(2, Purpose::Target)).unwrap();
        for (column, mean, std) in
            [(0, 5.7598, 5.4654), (1, 2.4533, 0.5147), (2, 14.7649, 10.7965), (3, 7.1560, 7.8138)]
        {
            let values: Vec<f64> = draws.iter().skip(column).step_by(10).map(|x| f64::from(*x)).collect();
            let found = Estimate::mean(&values);
            assert!((found.value - mean).abs() < 5.0 * found.error, "{column}: {found:?}, {mean}");
            let spread = found.error * (count as f64).sqrt();
            assert!((spread / std - 1.0).abs() < 0.03, "{column}: {spread}, {std}");
        }
    }
}
