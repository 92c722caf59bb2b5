//! Neal's funnel: a normal neck `x_0` that sets the width of all other coordinates.
//!
//! ```text
//! N(x_0; 0, s^2) prod_{i >= 1} N(x_i; 0, e^{x_0})      log Z = 0
//! entropy = d (1 + ln 2 pi) / 2 + ln s                 as E[x_0] = 0
//! ```
//!
//! Neal, "Slice sampling" (2003), has `d = 10`, `s = 3`. Some papers take `s = 1`: compare only like with like.

use burn::tensor::Tensor;

use super::Energy;
use crate::array::weights::sum_rows;
use crate::chain::{LogWeight, State};
use crate::kernel::law::HALF_LOG_TAU;
use crate::rng::Noise;

/// Neal's funnel.
#[derive(Debug, Clone)]
pub struct Funnel {
    /// The dimension.
    pub dimension: usize,
    /// The standard deviation of the first coordinate.
    pub std: f32,
}

impl Energy for Funnel {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn log_density(&self, x: &State) -> LogWeight {
        let rows = x.dims()[0];
        let others = (self.dimension - 1) as f32;
        let neck: Tensor<1> = x.clone().slice([0..rows, 0..1]).squeeze_dim(1);
        let rest = sum_rows(x.clone().slice([0..rows, 1..self.dimension]).square());
        let first = (neck.clone() * self.std.recip()).square() * -0.5 - self.std.ln() - HALF_LOG_TAU;
        first - neck.clone() * (0.5 * others) - rest * (-neck).exp() * 0.5 - HALF_LOG_TAU * others
    }

    fn log_z(&self) -> Option<f64> {
        Some(0.0)
    }

    fn entropy(&self) -> Option<f64> {
        let each = 0.5 * (1.0 + std::f64::consts::TAU.ln());
        Some(self.dimension as f64 * each + f64::from(self.std).ln())
    }

    fn sample(&self, rows: usize, noise: &Noise) -> Option<Vec<f32>> {
        let mut values = noise.normal(rows, self.dimension);
        for row in values.chunks_exact_mut(self.dimension) {
            row[0] *= self.std;
            let width = (0.5 * row[0]).exp();
            row[1..].iter_mut().for_each(|v| *v *= width);
        }
        Some(values)
    }
}
