//! Hamiltonian Monte Carlo (Duane et al. 1987; Neal 2011): leapfrog steps from a momentum that is fresh, or fresh in part.
//!
//! ```text
//! p ~ N(0, I);   L times:  p += h S grad log gamma(x) / 2,   x += h S p,   p += h S grad log gamma(x) / 2
//! log q(x | y) - log q(y | x) = (|p_0|^2 - |p_L|^2) / 2
//! ```
//!
//! Of several moves in a row the later ones may start from `a p + sqrt(1 - a^2) n`, `p` being what the one before ended with, turned
//! round where it was refused (Horowitz 1991): short trajectories then go on in one direction.
//!
//! The leapfrog is reversible and keeps volume, so that only the kinetic energies enter. With a dense mass matrix `S` is the factor `L` of
//! a covariance, `p += h L^T grad log gamma(x) / 2`, `x += h L p`: HMC of `L^-1 x`, whose coordinates are uncorrelated.

use pulp::NullaryFnOnce;

use super::{Evaluated, LogDensity, Proposal, Stride};
use crate::array::weights::matrix;
use crate::chain::{Given, State};
use crate::error::Failure;

/// So many leapfrog steps, at least one.
#[derive(Debug, Clone, Copy)]
pub struct Hamiltonian {
    /// `L`.
    pub leapfrogs: usize,
    /// `a`: what of a momentum goes into that of the next move, in [0, 1).
    pub kept: f32,
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

    fn kept(&self) -> f32 {
        self.kept
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
        let scale = &stride.scale;
        let arch = pulp::Arch::new();
        let mut momentum = normals.to_vec();
        to.points.copy_from_slice(&from.points);
        for step in 0..=self.leapfrogs {
            let (end, first) = (step == self.leapfrogs, step == 0);
            let scores = if first { &from.scores } else { &to.scores };
            let share = if first || end { 0.5 } else { 1.0 };
            let points = (!end).then_some(&mut to.points[..]);
            match &stride.factor[..] {
                [] => arch.dispatch(Leap { points, momentum: &mut momentum, scores, scale, steps, share }),
                factor => {
                    arch.dispatch(DenseLeap {
                        points,
                        momentum: &mut momentum,
                        scores,
                        factor,
                        steps,
                        share,
                    });
                }
            }
            if !end {
                to.ask(density, given)?;
            }
        }
        let [before, after] =
            [&*normals, &momentum].map(|momentum| arch.dispatch(Kinetic { momentum, columns: d }));
        let energies = before.into_iter().zip(after);
        log_ratio.iter_mut().zip(energies).for_each(|(ratio, (before, after))| *ratio = before - after);
        if self.kept > 0.0 {
            normals.copy_from_slice(&momentum);
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
        let d = stride.scale.len();
        let scale = matrix(stride.scale.clone(), d, &from.device());
        let factor = (!stride.factor.is_empty()).then(|| matrix(stride.factor.clone(), d, &from.device()));
        // `h S v` of rows, or `h L v`; of scores `h L^T v`.
        let scaled = |v: State, transposed: bool| match &factor {
            Some(factor) if transposed => v.matmul(factor.clone()) * steps.clone(),
            Some(factor) => v.matmul(factor.clone().transpose()) * steps.clone(),
            None => v * scale.clone() * steps.clone(),
        };
        let score = |x: &State| Ok::<_, Failure>(scaled(density.with_score(x, given)?.1, true));
        let (mut x, mut momentum) = (from.clone(), normals + score(&from)? * 0.5);
        for step in 1..=self.leapfrogs {
            x = x + scaled(momentum.clone(), false);
            if step < self.leapfrogs {
                momentum = momentum + score(&x)?;
            }
        }
        let end = (self.kept > 0.0).then(|| Ok::<_, Failure>(momentum + score(&x)? * 0.5)).transpose()?;
        Ok((x, end))
    }
}

/// `p += share h S grad`, then, where there are points to move, `x += h S p`; rows of the machine's instructions.
struct Leap<'a> {
    points: Option<&'a mut [f32]>,
    momentum: &'a mut [f32],
    scores: &'a [f64],
    scale: &'a [f32],
    steps: &'a [f32],
    share: f32,
}

impl NullaryFnOnce for Leap<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { points, momentum, scores, scale, steps, share } = self;
        let d = scale.len();
        let kicks = momentum.chunks_exact_mut(d).zip(scores.chunks_exact(d)).zip(steps);
        match points {
            Some(points) => {
                for (((momentum, scores), step), points) in kicks.zip(points.chunks_exact_mut(d)) {
                    let places = points.iter_mut().zip(momentum).zip(scores.iter().zip(scale));
                    for ((x, p), (score, scale)) in places {
                        let width = step * scale;
                        *p += share * width * *score as f32;
                        *x += width * *p;
                    }
                }
            }
            None => {
                for ((momentum, scores), step) in kicks {
                    for (p, (score, scale)) in momentum.iter_mut().zip(scores.iter().zip(scale)) {
                        *p += share * step * scale * *score as f32;
                    }
                }
            }
        }
    }
}

/// [`Leap`] with a factor in place of a scale: `p += share h L^T grad`, then `x += h L p`.
struct DenseLeap<'a> {
    points: Option<&'a mut [f32]>,
    momentum: &'a mut [f32],
    scores: &'a [f64],
    factor: &'a [f32],
    steps: &'a [f32],
    share: f32,
}

impl NullaryFnOnce for DenseLeap<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { mut points, momentum, scores, factor, steps, share } = self;
        let d = factor.len().isqrt();
        let rows = momentum.chunks_exact_mut(d).zip(scores.chunks_exact(d)).zip(steps).enumerate();
        for (row, ((momentum, scores), step)) in rows {
            for ((i, lower), score) in factor.chunks_exact(d).enumerate().zip(scores) {
                let kick = share * step * *score as f32;
                momentum[..=i].iter_mut().zip(lower).for_each(|(p, l)| *p += kick * l);
            }
            let Some(points) = &mut points else { continue };
            let points = points[row * d..(row + 1) * d].iter_mut();
            for ((i, lower), x) in factor.chunks_exact(d).enumerate().zip(points) {
                let moved: f32 = momentum[..=i].iter().zip(lower).map(|(p, l)| p * l).sum();
                *x += step * moved;
            }
        }
    }
}

/// `|p|^2 / 2` of rows.
struct Kinetic<'a> {
    momentum: &'a [f32],
    columns: usize,
}

impl NullaryFnOnce for Kinetic<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn call(self) -> Vec<f64> {
        let mut energies = Vec::with_capacity(self.momentum.len() / self.columns);
        for row in self.momentum.chunks_exact(self.columns) {
            let mut sums = [0.0; 8];
            let (whole, rest) = row.as_chunks::<8>();
            for eight in whole {
                for (sum, p) in sums.iter_mut().zip(eight) {
                    *sum += f64::from(*p) * f64::from(*p);
                }
            }
            for (sum, p) in sums.iter_mut().zip(rest) {
                *sum += f64::from(*p) * f64::from(*p);
            }
            energies.push(0.5 * sums.iter().sum::<f64>());
        }
        energies
    }
}
