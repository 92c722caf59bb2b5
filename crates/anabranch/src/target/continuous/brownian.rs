//! Brownian motion, seen with noise but for ten steps in its middle.
//!
//! ```text
//! x_1 ~ N(0, a^2),   x_t ~ N(x_{t-1}, a^2),   y_t ~ N(x_t, s^2) for t in 1..10 and 21..30
//! known scales      a = 0.1, s = 0.15:      points (x_1..30), a Gaussian: log Z, draws and entropy by Kalman's filter
//! unknown scales    ln a, ln s ~ N(0, 2^2): points (ln a, ln s, x_1..30), log Z by quadrature over the scales
//! ```
//!
//! The densities of the data count: Z is the evidence. The observations are the Inference Gym's (Sountsov et al. 2020, Apache-2.0),
//! which keeps `softplus^{-1}` of the scales for coordinates: its Z is the same, its density is not.

use std::f64::consts::TAU;
use std::sync::OnceLock;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Density;
use super::density::log_normal;
use super::entry::{Built, Entry, shared};
use crate::environment::continuous::Domain;
use crate::math::{Real, log_sum_exp};
use crate::papers::INFERENCE_GYM;
use crate::rng::Noise;

/// The posterior of a Brownian motion with a missing middle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brownian {
    /// Whether the two scales are coordinates, too.
    #[serde(default)]
    pub unknown_scales: bool,
}

const STEPS: usize = 30;
/// The standard deviations of a step and of an observation.
const SCALES: [f64; 2] = [0.1, 0.15];
/// That of the scales' logarithms.
const SPREAD: f64 = 2.0;

const BEFORE: [f64; 10] = [
    0.215_926_408_767_700_2,
    0.118_771_404_027_938_84,
    -0.079_454_466_700_553_9,
    0.037_677_474_319_934_845,
    -0.278_858_453_035_354_6,
    -0.148_415_595_293_045_04,
    -0.325_090_587_139_129_64,
    -0.229_579_031_467_437_74,
    -0.441_108_942_031_860_35,
    -0.098_307_818_174_362_18,
];
const AFTER: [f64; 10] = [
    -0.878_601_610_660_553,
    -0.837_360_739_707_946_8,
    -0.738_484_919_071_197_5,
    -0.893_925_428_390_502_9,
    -0.777_456_581_592_559_8,
    -0.702_387_154_102_325_4,
    -0.877_715_647_220_611_6,
    -0.518_535_733_222_961_4,
    -0.694_821_417_331_695_6,
    -0.620_278_894_901_275_6,
];

/// What was seen at a step, from 0.
fn seen(t: usize) -> Option<f64> {
    match t {
        0..10 => Some(BEFORE[t]),
        20..STEPS => Some(AFTER[t - 20]),
        _ => None,
    }
}

/// The mean and variance of each `x_t` given what was seen until then, and the evidence of all, nats (Kalman 1960).
fn filter([step, error]: [f64; 2]) -> ([[f64; 2]; STEPS], f64) {
    let (mut mean, mut variance, mut log_evidence) = (0.0, 0.0, 0.0);
    let filtered = std::array::from_fn(|t| {
        variance += step * step;
        if let Some(y) = seen(t) {
            let spread = variance + error * error;
            log_evidence -= 0.5 * ((y - mean) * (y - mean) / spread + (TAU * spread).ln());
            mean += variance / spread * (y - mean);
            variance *= error * error / spread;
        }
        [mean, variance]
    });
    (filtered, log_evidence)
}

/// The evidence with unknown scales, by the trapezoidal rule over their logarithms, which converges exponentially.
fn evidence(cells: usize) -> f64 {
    const ENDS: [f64; 2] = [-24.0, 12.0];
    let width = (ENDS[1] - ENDS[0]) / cells as f64;
    let row = |i: usize| {
        let u = ENDS[0] + i as f64 * width;
        let value = |j: usize| {
            let v = ENDS[0] + j as f64 * width;
            filter([u.exp(), v.exp()]).1 + log_normal(u, SPREAD) + log_normal(v, SPREAD)
        };
        log_sum_exp(&(0..=cells).map(value).collect::<Vec<f64>>())
    };
    log_sum_exp(&(0..=cells).into_par_iter().map(row).collect::<Vec<f64>>()) + 2.0 * width.ln()
}

/// `ln det` of the Gaussian posterior's precision, a tridiagonal matrix.
fn log_det_precision() -> f64 {
    let [step, error] = SCALES.map(|scale| scale.powi(-2));
    let mut before = f64::INFINITY;
    let pivots = (0..STEPS).map(|t| {
        let ends = if t == STEPS - 1 { 1.0 } else { 2.0 };
        before = ends * step + seen(t).map_or(0.0, |_| error) - step * step / before;
        before.ln()
    });
    pivots.sum()
}

impl Density for Brownian {
    fn dimension(&self) -> usize {
        if self.unknown_scales { STEPS + 2 } else { STEPS }
    }

    fn at<T: Real>(&self, point: &[T], mut score: Option<&mut [T]>) -> T {
        let first = Density::dimension(self) - STEPS;
        let path = &point[first..];
        let logs =
            if self.unknown_scales { [point[0], point[1]] } else { SCALES.map(|scale| scale.ln().into()) };
        let [step, error] = logs.map(T::exp);
        if let Some(score) = &mut score {
            score.fill(0.0.into());
        }
        let (mut value, mut squares) = (T::from(0.0), [T::from(0.0); 2]);
        let mut before = T::from(0.0);
        for (t, x) in path.iter().enumerate() {
            let moved = (*x - before) / step;
            before = *x;
            squares[0] += moved * moved;
            value += log_normal(moved, 1.0) - logs[0];
            if let Some(score) = &mut score {
                score[first + t] -= moved / step;
                if t > 0 {
                    score[first + t - 1] += moved / step;
                }
            }
            if let Some(y) = seen(t) {
                let off = (*x - y) / error;
                squares[1] += off * off;
                value += log_normal(off, 1.0) - logs[1];
                if let Some(score) = &mut score {
                    score[first + t] -= off / error;
                }
            }
        }
        if !self.unknown_scales {
            return value;
        }
        if let Some(score) = score {
            for (k, count) in [STEPS, BEFORE.len() + AFTER.len()].into_iter().enumerate() {
                score[k] = squares[k] - count as f64 - logs[k] / (SPREAD * SPREAD);
            }
        }
        value + log_normal(logs[0], SPREAD) + log_normal(logs[1], SPREAD)
    }

    // Every other point, given its neighbours.
    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        let first = if self.unknown_scales { 2 } else { 0 };
        [first, first + 1].map(|start| (start..first + STEPS).step_by(2).collect()).to_vec()
    }

    fn log_z_tempered(&self, beta: f64) -> Option<f64> {
        if self.unknown_scales {
            static EVIDENCE: OnceLock<f64> = OnceLock::new();
            return (beta == 1.0).then(|| *EVIDENCE.get_or_init(|| evidence(288)));
        }
        let (d, log_z) = (STEPS as f64, filter(SCALES).1);
        let volume = 0.5 * (d * TAU.ln() - log_det_precision());
        Some(beta * log_z + (1.0 - beta) * volume - 0.5 * d * beta.ln())
    }

    fn entropy(&self) -> Option<f64> {
        let each = 0.5 * (1.0 + TAU.ln());
        (!self.unknown_scales).then(|| STEPS as f64 * each - 0.5 * log_det_precision())
    }

    /// From the last step back to the first, each given the one after it.
    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        if self.unknown_scales {
            return None;
        }
        let (filtered, _) = filter(SCALES);
        let mut values = noise.normal(count, STEPS);
        for row in values.chunks_exact_mut(STEPS) {
            let mut after = None;
            for (t, value) in row.iter_mut().enumerate().rev() {
                let [mut mean, mut variance] = filtered[t];
                if let Some(after) = after {
                    let gain = variance / (variance + SCALES[0] * SCALES[0]);
                    (mean, variance) = (mean + gain * (after - mean), variance * (1.0 - gain));
                }
                let x = mean + variance.sqrt() * f64::from(*value);
                (after, *value) = (Some(x), x as f32);
            }
        }
        Some(values)
    }
}

impl Entry for Brownian {
    fn formula(&self) -> String {
        let scales = if self.unknown_scales { "unknown" } else { "known" };
        format!(
            "Brownian motion, missing middle, {scales} scales: x_t ~ N(x_{{t-1}}, a^2), y_t ~ N(x_t, s^2)"
        )
    }

    fn papers(&self) -> Vec<&'static str> {
        vec![INFERENCE_GYM]
    }

    fn dimension(&self) -> Option<usize> {
        Some(Density::dimension(self))
    }

    fn build(&self, _: &[Domain], _: &str) -> Built {
        shared(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Densities and evidence as numpy computes them, the latter by the covariance of what was seen; and the means of the Inference
    /// Gym's ground truth, by Stan.
    #[test]
    fn the_posterior_by_another_program() {
        let point =
            |d: u32| -> Vec<f64> { (1..=d).map(|i| f64::from((0.1 * f64::from(i).sin()) as f32)).collect() };
        let [known, unknown] = [false, true].map(|unknown_scales| Brownian { unknown_scales });
        assert!((known.at(&point(30), None) + 87.644_398_497_9).abs() < 1e-9);
        assert!((unknown.at(&point(32), None) + 56.164_582_020_2).abs() < 1e-9);
        assert!((known.log_z_tempered(1.0).unwrap() - 5.613_043_490_8).abs() < 1e-9);
        let [coarse, fine] = [288, 576].map(evidence);
        assert!((coarse - fine).abs() < 1e-9 && (fine - 1.187_749).abs() < 1e-6, "{coarse}, {fine}");
        let draws = known.draw(20_000, &Noise::new(1, crate::rng::Purpose::Target)).unwrap();
        for (t, exact) in [(0, 0.0517), (9, -0.2696), (15, -0.5529), (29, -0.6529)] {
            let mean = draws.chunks_exact(STEPS).map(|row| f64::from(row[t])).sum::<f64>() / 20_000.0;
            assert!((mean - exact).abs() < 0.01, "{t}: {mean}, {exact}");
        }
    }
}
