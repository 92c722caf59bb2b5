//! The random walk: `y = x + h S n`. Its proposals are symmetric, so that their ratio is 1 (Metropolis et al. 1953).

use super::{Evaluated, LogDensity, Proposal, Stride};
use crate::array::weights::matrix;
use crate::chain::{Given, State};
use crate::error::Failure;

/// Gaussian jumps.
#[derive(Debug, Clone, Copy)]
pub struct RandomWalk;

impl Proposal for RandomWalk {
    fn name(&self) -> &'static str {
        "random-walk"
    }

    fn uses_scores(&self) -> bool {
        false
    }

    fn best_acceptance(&self) -> f64 {
        0.234
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
        let widths = steps.iter().flat_map(|step| stride.scale.iter().map(move |scale| step * scale));
        let drawn = from.points.iter().zip(&*normals).zip(widths);
        to.points.iter_mut().zip(drawn).for_each(|(y, ((x, n), width))| *y = x + width * n);
        log_ratio.fill(0.0);
        to.ask(density, given)
    }

    fn on_tape(
        &self,
        _: &dyn LogDensity,
        stride: &Stride,
        steps: State,
        _: &Given,
        normals: State,
        from: State,
    ) -> Result<(State, Option<State>), Failure> {
        let scale = matrix(stride.scale.clone(), stride.scale.len(), &from.device());
        Ok((from + normals * scale * steps, None))
    }
}
