//! Densities over real vectors that are evaluated point by point in f64, and bring their own gradient.
//!
//! A density writes its value and its gradient down once, over any [`Real`]. At dual numbers `x + v e` the gradient's derivative
//! is the Hessian of `log R` times `v`, exact and for a small multiple of the gradient's cost.
//!
//! Rows are compiled for the instructions of the machine at hand: loops over coordinates of an [`Density::at`] that is inlined run
//! several at a time, with the same bits everywhere.

use std::fmt::Debug;

use pulp::NullaryFnOnce;
use rayon::prelude::*;

use crate::math::{Dual, Estimate, Real};
use crate::rng::Noise;
use crate::target::{Failure, Target};

/// Rows that one task evaluates.
const CHUNK: usize = 64;

/// An unnormalised density over real vectors, by its value at a point: a [`Target`] with scores, evaluated by all threads.
pub trait Density: Debug + Send + Sync {
    /// How many coordinates a point has.
    fn dimension(&self) -> usize;

    /// `log R` at a point, nats; writes its gradient there, `[dimension]`, where one is wanted.
    fn at<T: Real>(&self, point: &[T], score: Option<&mut [T]>) -> T;

    /// [`Density::at`] of rows of points, `[rows, dimension]`: values, `[rows]`, and gradients, `[rows, dimension]`, where wanted.
    #[inline(always)]
    fn at_rows(&self, points: &[f32], out: &mut [f64], scores: Option<&mut [f64]>) {
        let d = self.dimension();
        let mut point = vec![0.0; d];
        let mut scores = scores.map(|scores| scores.chunks_exact_mut(d));
        for (from, out) in points.chunks_exact(d).zip(out) {
            widen(from, &mut point);
            *out = self.at(&point, scores.as_mut().and_then(Iterator::next));
        }
    }

    /// The Hessian of `log R` at rows of points times `directions`, all `[rows, dimension]`.
    fn hessian_times(&self, points: &[f32], directions: &[f64], out: &mut [f64]) {
        let d = self.dimension();
        let [mut point, mut score] = [0; 2].map(|_| vec![Dual::<1>::from(0.0); d]);
        let rows = points.chunks_exact(d).zip(directions.chunks_exact(d));
        for ((from, along), out) in rows.zip(out.chunks_exact_mut(d)) {
            for (to, (x, v)) in point.iter_mut().zip(from.iter().zip(along)) {
                *to = Dual { value: f64::from(*x), slopes: [*v] };
            }
            self.at(&point, Some(&mut score));
            out.iter_mut().zip(&score).for_each(|(to, slope)| [*to] = slope.slopes);
        }
    }

    /// As [`Target::log_z_tempered`].
    fn log_z_tempered(&self, _beta: f64) -> Option<f64> {
        None
    }

    /// As [`Target::reference_log_z`].
    fn reference_log_z(&self) -> Option<Estimate> {
        None
    }

    /// As [`Target::entropy`].
    fn entropy(&self) -> Option<f64> {
        None
    }

    /// As [`Target::conditional_blocks`].
    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        Vec::new()
    }

    /// As [`Target::positive_everywhere`].
    fn positive_everywhere(&self) -> bool {
        true
    }

    /// As [`Target::draw`].
    fn draw(&self, _count: usize, _noise: &Noise) -> Option<Vec<f32>> {
        None
    }

    /// How many modes there are; 0 where that is not told.
    fn modes(&self) -> usize {
        0
    }

    /// The numbers of the modes that a point belongs to.
    fn modes_of(&self, _point: &[f32], _found: &mut dyn FnMut(usize)) {}
}

/// Rows that are evaluated with the instructions of the machine at hand.
struct Rows<'a, D> {
    density: &'a D,
    points: &'a [f32],
    out: &'a mut [f64],
    scores: Option<&'a mut [f64]>,
}

impl<D: Density> NullaryFnOnce for Rows<'_, D> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.density.at_rows(self.points, self.out, self.scores);
    }
}

impl<D: Density> Target for D {
    fn log_rewards(&self, points: &[f32], _: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let d = self.dimension();
        out.par_chunks_mut(CHUNK).zip(points.par_chunks(CHUNK * d)).for_each(|(out, points)| {
            pulp::Arch::new().dispatch(Rows { density: self, points, out, scores: None });
        });
        Ok(())
    }

    fn has_scores(&self) -> bool {
        true
    }

    fn log_rewards_with_scores(
        &self,
        points: &[f32],
        _: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        let d = self.dimension();
        let chunks = out.par_chunks_mut(CHUNK).zip(scores.par_chunks_mut(CHUNK * d));
        chunks.zip(points.par_chunks(CHUNK * d)).for_each(|((out, scores), points)| {
            pulp::Arch::new().dispatch(Rows { density: self, points, out, scores: Some(scores) });
        });
        Ok(())
    }

    fn has_curvature(&self) -> bool {
        true
    }

    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        Density::conditional_blocks(self)
    }

    fn score_derivatives(
        &self,
        points: &[f32],
        _: &[f32],
        directions: &[f64],
        out: &mut [f64],
    ) -> Result<(), Failure> {
        let d = self.dimension();
        let chunks = out.par_chunks_mut(CHUNK * d).zip(directions.par_chunks(CHUNK * d));
        chunks
            .zip(points.par_chunks(CHUNK * d))
            .for_each(|((out, directions), points)| self.hessian_times(points, directions, out));
        Ok(())
    }

    fn log_z_tempered(&self, beta: f64, _: &[f32]) -> Option<f64> {
        Density::log_z_tempered(self, beta)
    }

    fn reference_log_z(&self) -> Option<Estimate> {
        Density::reference_log_z(self)
    }

    fn entropy(&self) -> Option<f64> {
        Density::entropy(self)
    }

    fn positive_everywhere(&self) -> bool {
        Density::positive_everywhere(self)
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        Density::draw(self, count, noise)
    }

    fn is_mode(&self, point: &[f32]) -> Option<bool> {
        let mut any = false;
        (Density::modes(self) > 0).then(|| Density::modes_of(self, point, &mut |_| any = true)).map(|()| any)
    }

    fn modes(&self) -> Option<f64> {
        Some(Density::modes(self)).filter(|modes| *modes > 0).map(|modes| modes as f64)
    }

    fn modes_of(&self, point: &[f32], found: &mut dyn FnMut(usize)) {
        Density::modes_of(self, point, found);
    }
}

#[inline(always)]
fn widen(from: &[f32], to: &mut [f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = f64::from(*from));
}

/// `log N(x; 0, std^2)`, nats.
pub(super) fn log_normal<T: Real>(x: T, std: f64) -> T {
    (x / std).powi(2) * -0.5 - (std.ln() + 0.5 * std::f64::consts::TAU.ln())
}

/// `log sum_k exp(term(k))`; `visit(k, w)` is called with weights `w` that add up to one.
///
/// Terms below `e^{-40}` of the largest are left out: together they stay below the rounding of the sum.
pub(super) fn log_sum_exp_visit<T: Real>(
    count: usize,
    term: impl Fn(usize) -> T,
    mut visit: impl FnMut(usize, T),
) -> T {
    let largest = (0..count).map(|k| term(k).value()).fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest.into();
    }
    let kept = |k: &usize| term(*k).value() - largest > -40.0;
    let sum: T = (0..count).filter(kept).map(|k| (term(k) - largest).exp()).sum();
    (0..count).filter(kept).for_each(|k| visit(k, (term(k) - largest).exp() / sum));
    sum.ln() + largest
}
