//! Element-wise maps: standardisation, activation normalisation, logit.
//!
//! ```text
//! standardise  x = mean + std z                     fixed, fitted to the training split
//! actnorm      x = b + e^a z                        learned, started so that z is standardised (Glow)
//! logit        x = (sigmoid(z) - c) / (1 - 2 c)     onto (0, 1), slightly widened by c
//! ```

use burn::tensor::{Tensor, activation};
use serde_json::json;

use super::Bijection;
use crate::array::described::Described;
use crate::array::weights::sum_rows;
use crate::array::weights::{Weights, layout, matrix, to_vec};
use crate::chain::{Given, LogWeight, State};

/// `x = mean + std z`, undoing the standardisation of data: densities stay those of the original units.
#[derive(Debug, Clone)]
pub struct Standardise {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Standardise {
    /// From per-column means and standard deviations.
    ///
    /// # Panics
    /// If the lengths differ or a standard deviation is not positive.
    pub fn new(mean: Vec<f32>, std: Vec<f32>) -> Self {
        assert_eq!(mean.len(), std.len(), "one mean and one standard deviation per column");
        assert!(std.iter().all(|s| *s > 0.0), "standard deviations are positive");
        Self { mean, std }
    }

    fn rows(&self, like: &State) -> (Tensor<2>, Tensor<2>, f32) {
        let (columns, device) = (self.mean.len(), like.device());
        let log_det = self.std.iter().map(|s| f64::from(*s).ln()).sum::<f64>() as f32;
        (matrix(self.mean.clone(), columns, &device), matrix(self.std.clone(), columns, &device), log_det)
    }
}

fn constant(value: f32, like: &State) -> LogWeight {
    Tensor::full([like.dims()[0]], value, &like.device())
}

impl Bijection for Standardise {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        let (mean, std, log_det) = self.rows(&z);
        let log_det = constant(log_det, &z);
        (z * std + mean, log_det)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        let (mean, std, log_det) = self.rows(&x);
        let log_det = constant(-log_det, &x);
        ((x - mean) / std, log_det)
    }

    fn described(&self) -> Option<Described> {
        let (shape, described) = (vec![self.mean.len()], Described::new("standardise", json!({})));
        Some(described.with("mean", shape.clone(), self.mean.clone()).with("std", shape, self.std.clone()))
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}

/// Activation normalisation (Kingma and Dhariwal 2018): a learned scale and shift per coordinate.
#[derive(Debug, Clone)]
pub struct ActNorm {
    weights: Weights,
}

impl ActNorm {
    /// The identity on `dimension` coordinates, until [`Bijection::initialise`] sees data.
    pub fn new(name: impl Into<String>, dimension: usize) -> Self {
        let slots = layout([("log_scale", vec![dimension]), ("shift", vec![dimension])]);
        Self { weights: Weights::new(name, slots, vec![0.0; 2 * dimension]) }
    }

    /// The map onto the given means and standard deviations, `[dimension]` each, of standardised coordinates.
    ///
    /// # Panics
    /// If the lengths differ or a standard deviation is not positive.
    pub fn placed(name: impl Into<String>, mean: &[f32], std: &[f32]) -> Self {
        assert_eq!(mean.len(), std.len(), "one mean and one standard deviation per coordinate");
        assert!(std.iter().all(|s| *s > 0.0), "standard deviations are positive");
        let mut map = Self::new(name, mean.len());
        map.weights.set(std.iter().map(|s| s.ln()).chain(mean.iter().copied()).collect());
        map
    }

    fn parts(&self, rows: usize) -> (Tensor<2>, Tensor<2>, LogWeight) {
        let log_scale = self.weights.matrix("log_scale");
        let log_det = sum_rows(log_scale.clone()).expand([rows]);
        (log_scale, self.weights.matrix("shift"), log_det)
    }
}

impl Bijection for ActNorm {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        let (log_scale, shift, log_det) = self.parts(z.dims()[0]);
        (z * log_scale.exp() + shift, log_det)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        let (log_scale, shift, log_det) = self.parts(x.dims()[0]);
        ((x - shift) * (-log_scale).exp(), -log_det)
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![&self.weights]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![&mut self.weights]
    }

    fn initialise(&mut self, x: &State) {
        let [rows, columns] = x.dims();
        let values = to_vec(x.clone());
        let column = |c: usize| values.iter().skip(c).step_by(columns).map(|v| f64::from(*v));
        let mut initial = vec![0.0; 2 * columns];
        for c in 0..columns {
            let mean = column(c).sum::<f64>() / rows as f64;
            let variance = column(c).map(|v| (v - mean).powi(2)).sum::<f64>() / rows as f64;
            initial[c] = (0.5 * (variance + 1e-6).ln()) as f32;
            initial[columns + c] = mean as f32;
        }
        self.weights.set(initial);
    }

    fn described(&self) -> Option<Described> {
        Some(Described::new("actnorm", json!({ "weights": self.weights.name() })))
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}

/// The values of the sigmoid whose logits f32 holds well.
const INSIDE: std::ops::RangeInclusive<f32> = 1e-6..=1.0 - 1e-6;

/// `x = (sigmoid(z) - c) / (1 - 2 c)`: from the line onto an interval slightly wider than (0, 1), so that data
/// on [0, 1] have finite logits (RealNVP's preprocessing, `c` about 1e-3 .. 5e-2).
#[derive(Debug, Clone)]
pub struct Logit {
    margin: f32,
}

impl Logit {
    /// With the given margin `c`.
    ///
    /// # Panics
    /// If the margin is not within (0, 1/2).
    pub fn new(margin: f32) -> Self {
        assert!(margin > 0.0 && margin < 0.5, "the margin lies within (0, 1/2)");
        Self { margin }
    }

    /// The ends of the interval, `-c / (1 - 2 c)` and one less that, neither of which is reached.
    pub fn ends(&self) -> [f32; 2] {
        let low = -self.margin / (1.0 - 2.0 * self.margin);
        [low, 1.0 - low]
    }

    /// Whether a number has a logit. [`Bijection::inverse`] takes others for the nearest that has one.
    pub fn holds(&self, x: f32) -> bool {
        INSIDE.contains(&(x * (1.0 - 2.0 * self.margin) + self.margin))
    }

    /// `log dx/dz = log sigmoid(z) + log sigmoid(-z) - log(1 - 2 c)`, summed.
    fn log_det(&self, z: &State) -> LogWeight {
        let slope = activation::log_sigmoid(z.clone()) + activation::log_sigmoid(-z.clone());
        sum_rows(slope - (1.0 - 2.0 * self.margin).ln())
    }
}

impl Bijection for Logit {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        let log_det = self.log_det(&z);
        ((activation::sigmoid(z) - self.margin) / (1.0 - 2.0 * self.margin), log_det)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        let inside = (x * (1.0 - 2.0 * self.margin) + self.margin).clamp(*INSIDE.start(), *INSIDE.end());
        let z = inside.clone().log() - (-inside + 1.0).log();
        let log_det = self.log_det(&z);
        (z, -log_det)
    }

    fn described(&self) -> Option<Described> {
        Some(Described::new("logit", json!({ "margin": self.margin })))
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}
