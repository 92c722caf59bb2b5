//! Gaussians of one standard deviation for all coordinates and rows, with little on the tape.
//!
//! ```text
//! v = m + s n,  n ~ N(0, I)       log N(v; m, s^2) = -|v - m|^2 / (2 s^2) - d log s - d log(2 pi) / 2
//! ```
//!
//! Of a draw `|v - m|^2 / s^2 = |n|^2` is a constant of the tape, exactly and in its gradient.

use burn::tensor::Tensor;

use super::law::{HALF_LOG_TAU, normal_like};
use crate::array::combine::squared_distance;
use crate::array::weights::sum_rows;
use crate::chain::{LogWeight, State, double};
use crate::rng::Noise;

/// A standard deviation.
#[derive(Debug, Clone)]
pub struct Isotropic {
    /// `log s`, `[1, 1]`.
    log_std: Tensor<2>,
    std: Tensor<2>,
}

impl Isotropic {
    /// The standard deviation whose logarithm is given, `[1, 1]`.
    pub fn new(log_std: Tensor<2>) -> Self {
        Self { std: log_std.clone().exp(), log_std }
    }

    /// The same for a number.
    pub fn fixed(std: f64, device: &burn::tensor::Device) -> Self {
        Self {
            log_std: Tensor::full([1, 1], std.ln() as f32, device),
            std: Tensor::full([1, 1], std as f32, device),
        }
    }

    /// A draw around each row of `mean`, and its log-density, `[batch]`, nats, f64.
    pub fn draw(&self, mean: State, noise: &Noise) -> (State, LogWeight) {
        let columns = mean.dims()[1];
        let normal = normal_like(&mean, noise);
        let square = sum_rows(normal.clone().square());
        (mean + normal * self.std.clone(), self.normalised(double(square), columns))
    }

    /// The log-density of `value` around `mean`, `[batch]`, nats, f64.
    pub fn log_density(&self, value: &State, mean: State) -> LogWeight {
        let columns = mean.dims()[1];
        let square = double(squared_distance(value.clone(), mean));
        let precision: Tensor<1> = double((self.log_std.clone() * -2.0).exp().reshape([1]));
        self.normalised(square * precision, columns)
    }

    fn normalised(&self, square: LogWeight, columns: usize) -> LogWeight {
        let log_std: Tensor<1> = double(self.log_std.clone().reshape([1]));
        square * -0.5 - log_std * columns as f64 - f64::from(HALF_LOG_TAU) * columns as f64
    }
}
