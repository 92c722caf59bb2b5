//! The independence sampler: `y ~ N(m, h^2 S^2)`, wherever `x` is.
//!
//! ```text
//! log q(x) - log q(y) = (|v|^2 - |u|^2) / 2,     u = (x - m) / (h S),  v = (y - m) / (h S)
//! ```

use super::{Evaluated, LogDensity, Proposal, Stride};
use crate::array::weights::matrix;
use crate::chain::{Given, State};
use crate::error::Failure;

/// Draws of one Gaussian with this mean, `[dimension]`.
#[derive(Debug, Clone)]
pub struct Independent(pub Vec<f32>);

impl Proposal for Independent {
    fn name(&self) -> &'static str {
        "independent"
    }

    fn uses_scores(&self) -> bool {
        false
    }

    fn best_acceptance(&self) -> f64 {
        1.0
    }

    fn propose(
        &self,
        density: &dyn LogDensity,
        stride: &Stride,
        steps: &[f32],
        given: &Given,
        normals: &mut [f32],
        from: &Evaluated,
        to: &mut Evaluated,
        log_ratio: &mut [f64],
    ) -> Result<(), Failure> {
        let d = self.0.len();
        for (row, ratio) in log_ratio.iter_mut().enumerate() {
            let mut sum = 0.0;
            for (c, (mean, scale)) in self.0.iter().zip(&stride.scale).enumerate() {
                let (place, width) = (row * d + c, steps[row] * scale);
                to.points[place] = mean + width * normals[place];
                let old = f64::from((from.points[place] - mean) / width);
                sum += f64::from(normals[place]).powi(2) - old * old;
            }
            *ratio = 0.5 * sum;
        }
        to.ask(density, given)
    }

    fn on_tape(
        &self,
        _: &dyn LogDensity,
        stride: &Stride,
        steps: State,
        _: &Given,
        normals: State,
        _: State,
    ) -> Result<(State, Option<State>), Failure> {
        let row = |values: &[f32]| matrix(values.to_vec(), values.len(), &normals.device());
        Ok((normals.clone() * row(&stride.scale) * steps + row(&self.0), None))
    }
}
