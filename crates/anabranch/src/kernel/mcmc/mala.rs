//! The Metropolis-adjusted Langevin algorithm (Roberts and Tweedie 1996).
//!
//! ```text
//! y = x + h^2 S^2 grad log gamma(x) / 2 + h S n
//! log q(x | y) - log q(y | x) = (|n|^2 - |n'|^2) / 2,     n' = (x - y) / (h S) - h S grad log gamma(y) / 2
//! ```

use super::{Evaluated, LogDensity, Proposal, Stride};
use crate::array::weights::matrix;
use crate::chain::{Given, State};
use crate::error::Failure;

/// One step of Langevin dynamics.
#[derive(Debug, Clone, Copy)]
pub struct Mala;

impl Proposal for Mala {
    fn name(&self) -> &'static str {
        "mala"
    }

    fn uses_scores(&self) -> bool {
        true
    }

    fn best_acceptance(&self) -> f64 {
        0.574
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
        let d = stride.scale.len();
        let widths = steps.iter().flat_map(|step| stride.scale.iter().map(move |scale| step * scale));
        let drawn = from.points.iter().zip(&from.scores).zip(&*normals).zip(widths);
        for (y, (((x, score), n), width)) in to.points.iter_mut().zip(drawn) {
            *y = x + width * (0.5 * width * *score as f32 + n);
        }
        to.ask(density, given)?;
        for (row, ratio) in log_ratio.iter_mut().enumerate() {
            let mut sum = 0.0;
            for (c, scale) in stride.scale.iter().enumerate() {
                let (place, width) = (row * d + c, f64::from(steps[row] * scale));
                let jump = f64::from(from.points[place]) - f64::from(to.points[place]);
                let back = jump / width - 0.5 * width * to.scores[place];
                // The jump that was made, whose rounding is known.
                let out = -jump / width - 0.5 * width * from.scores[place];
                sum += out * out - back * back;
            }
            *ratio = 0.5 * sum;
        }
        Ok(())
    }

    fn on_tape(
        &self,
        density: &dyn LogDensity,
        stride: &Stride,
        steps: State,
        given: &Given,
        normals: State,
        from: State,
    ) -> Result<(State, Option<State>), Failure> {
        let width = steps * matrix(stride.scale.clone(), stride.scale.len(), &from.device());
        let (_, score) = density.with_score(&from, given)?;
        Ok((from + (score * width.clone() * 0.5 + normals) * width, None))
    }
}
