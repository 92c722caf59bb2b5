//! Hamiltonian Monte Carlo (Duane et al. 1987; Neal 2011): leapfrog steps from a fresh momentum.
//!
//! ```text
//! p ~ N(0, I);   L times:  p += h S grad log gamma(x) / 2,   x += h S p,   p += h S grad log gamma(x) / 2
//! log q(x | y) - log q(y | x) = (|p_0|^2 - |p_L|^2) / 2
//! ```
//!
//! The leapfrog is reversible and keeps volume, so that only the kinetic energies enter.

use super::{Evaluated, LogDensity, Proposal, Stride};
use crate::array::weights::matrix;
use crate::chain::{Given, State};
use crate::error::Failure;

/// So many leapfrog steps, at least one.
#[derive(Debug, Clone, Copy)]
pub struct Hamiltonian {
    /// `L`.
    pub leapfrogs: usize,
}

impl Proposal for Hamiltonian {
    fn name(&self) -> &'static str {
        "hmc"
    }

    fn uses_scores(&self) -> bool {
        true
    }

    fn best_acceptance(&self) -> f64 {
        0.651
    }

    fn propose(
        &self,
        density: &dyn LogDensity,
        stride: &Stride,
        given: &Given,
        normals: &[f32],
        from: &Evaluated,
        to: &mut Evaluated,
        log_ratio: &mut [f64],
    ) -> Result<(), Failure> {
        let d = stride.scale.len();
        let widths: Vec<f32> = stride.scale.iter().map(|s| stride.step * s).collect();
        let kick = |momentum: &mut [f32], scores: &[f64], share: f32| {
            for (p, scores) in momentum.chunks_exact_mut(d).zip(scores.chunks_exact(d)) {
                for ((p, score), width) in p.iter_mut().zip(scores).zip(&widths) {
                    *p += share * width * *score as f32;
                }
            }
        };
        let mut momentum = normals.to_vec();
        kick(&mut momentum, &from.scores, 0.5);
        to.points.copy_from_slice(&from.points);
        for step in 1..=self.leapfrogs {
            for (x, p) in to.points.chunks_exact_mut(d).zip(momentum.chunks_exact(d)) {
                for ((x, p), width) in x.iter_mut().zip(p).zip(&widths) {
                    *x += width * p;
                }
            }
            to.ask(density, given)?;
            kick(&mut momentum, &to.scores, if step == self.leapfrogs { 0.5 } else { 1.0 });
        }
        let kinetic = |p: &[f32]| p.iter().map(|p| f64::from(*p).powi(2)).sum::<f64>();
        let ends = normals.chunks_exact(d).zip(momentum.chunks_exact(d));
        log_ratio.iter_mut().zip(ends).for_each(|(ratio, (first, last))| {
            *ratio = 0.5 * (kinetic(first) - kinetic(last));
        });
        Ok(())
    }

    fn on_tape(
        &self,
        density: &dyn LogDensity,
        stride: &Stride,
        given: &Given,
        normals: State,
        from: State,
    ) -> Result<State, Failure> {
        let width = matrix(stride.scale.clone(), stride.scale.len(), &from.device()) * stride.step;
        let score = |x: &State| Ok::<_, Failure>(density.with_score(x, given)?.1 * width.clone());
        let (mut x, mut momentum) = (from.clone(), normals + score(&from)? * 0.5);
        for step in 1..=self.leapfrogs {
            x = x + momentum.clone() * width.clone();
            if step < self.leapfrogs {
                momentum = momentum + score(&x)?;
            }
        }
        Ok(x)
    }
}
