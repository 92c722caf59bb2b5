//! The law that a path of densities begins at: a Gaussian with independent coordinates.
//!
//! ```text
//! x_0 = m + s z,  z ~ N(0, I)       log q(x) = sum_i [-(x_i - m_i)^2 / (2 s_i^2) - log s_i - log(2 pi) / 2]
//! ```

use burn::tensor::Tensor;

use crate::array::weights::{Weights, layout, sum_rows, to_vec};
use crate::chain::{Given, LogWeight, State, double};
use crate::kernel::bijection::Bijection;

/// A Gaussian base with its mean and scale, learned or not.
#[derive(Debug, Clone)]
pub struct Base {
    weights: Weights,
    learned: bool,
}

impl Base {
    /// `N(mean, std^2 I)` in `dimension` dimensions, to begin with where it is learned.
    pub fn new(name: impl Into<String>, dimension: usize, mean: f32, std: f32, learned: bool) -> Self {
        let slots = layout([("mean", vec![dimension]), ("log_std", vec![dimension])]);
        let values = [vec![mean; dimension], vec![std.ln(); dimension]].concat();
        Self { weights: Weights::new(name, slots, values), learned }
    }

    /// How many coordinates there are.
    pub fn dimension(&self) -> usize {
        self.weights.len() / 2
    }

    /// Mean and log-standard-deviation, `[1, dimension]` each.
    fn parts(&self) -> [Tensor<2>; 2] {
        ["mean", "log_std"].map(|name| match self.weights.matrix(name) {
            part if self.learned => part,
            part => part.detach(),
        })
    }

    /// The numbers of [`Base::evaluate`], to be asked for many points.
    pub(super) fn numbers(&self) -> Numbers {
        let values = to_vec(self.weights.tensor());
        let (mean, log_std) = values.split_at(self.dimension());
        let constant = log_std.iter().map(|l| f64::from(*l)).sum::<f64>();
        let constant = constant + 0.5 * mean.len() as f64 * std::f64::consts::TAU.ln();
        let precision = log_std.iter().map(|l| (-2.0 * f64::from(*l)).exp()).collect();
        Numbers { mean: mean.iter().map(|m| f64::from(*m)).collect(), precision, constant }
    }

    /// `log q`, `[batch]`, nats, f64, and the score, `[batch, dimension]`, as operations of burn.
    pub fn with_score(&self, x: &State) -> (LogWeight, State) {
        let [mean, log_std] = self.parts();
        let centred = (x.clone() - mean) * (-log_std.clone()).exp();
        let score = -centred.clone() * (-log_std.clone()).exp();
        let constant = 0.5 * self.dimension() as f64 * std::f64::consts::TAU.ln();
        let log_density = double(sum_rows(centred.square() * -0.5)) - double(sum_rows(log_std));
        (log_density - constant, score)
    }
}

/// A base as plain numbers.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    mean: Vec<f64>,
    precision: Vec<f64>,
    constant: f64,
}

impl Numbers {
    /// `log q(x)`, nats.
    pub(super) fn log_density(&self, x: &[f32]) -> f64 {
        let terms = x.iter().zip(&self.mean).zip(&self.precision);
        let square: f64 =
            terms.map(|((x, mean), precision)| (f64::from(*x) - mean).powi(2) * precision).sum();
        -0.5 * square - self.constant
    }

    /// The score of `x` by coordinate.
    pub(super) fn score<'a>(&'a self, x: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let terms = x.iter().zip(&self.mean).zip(&self.precision);
        terms.map(|((x, mean), precision)| (mean - f64::from(*x)) * precision)
    }
}

impl Bijection for Base {
    fn forward(&self, z: State, _: &Given) -> (State, LogWeight) {
        let [mean, log_std] = self.parts();
        let log_det = sum_rows(log_std.clone()).expand([z.dims()[0]]);
        (z * log_std.exp() + mean, log_det)
    }

    fn inverse(&self, x: State, _: &Given) -> (State, LogWeight) {
        let [mean, log_std] = self.parts();
        let log_det = sum_rows(-log_std.clone()).expand([x.dims()[0]]);
        ((x - mean) * (-log_std).exp(), log_det)
    }

    fn weights(&self) -> Vec<&Weights> {
        vec![&self.weights]
    }

    fn weights_mut(&mut self) -> Vec<&mut Weights> {
        vec![&mut self.weights]
    }

    fn boxed(&self) -> Box<dyn Bijection> {
        Box::new(self.clone())
    }
}
