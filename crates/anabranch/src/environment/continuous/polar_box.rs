//! The unit square in steps along quarter circles.
//!
//! ```text
//! s_0 -> x        x = d z_0 (cos(pi z_1 / 2), sin(pi z_1 / 2))      |x| < d
//! x   -> x'       x' = x + d (cos t, sin t)                          inside of the square
//! s_0 <- x                                                          where |x| < d, the only removal
//! x   <- x'       x = x' - d (cos t, sin t)                          where |x'| >= d, inside of the square
//! ```
//!
//! with `t = lo + z (hi - lo)` on the angles that stay inside: with `a`, `b` the distances to the two edges ahead,
//! `cos lo = min(1, a / d)`, `sin hi = min(1, b / d)`. Every point is an object; within `d` of the far corner there is no
//! move.
//!
//! Measures: Lebesgue's on the disc (`dx = d^2 z_0 (pi / 2) dz_0 dz_1`), angles on the circles, in both directions: for
//! fixed angles `s_1 -> s_n` is a translation, so that `ds_1 dt_2 .. dt_n = dt_2 .. dt_n ds_n`.
//!
//! Lahlou et al. (2023), section 4.1.

use std::f64::consts::FRAC_PI_2;
use std::ops::Range;

use super::{Continuous, Domain, UNPLACED, check_delta, describe_point};
use crate::error::Result;

/// The unit square in steps of length `delta`. A state is a point; the source is -1 everywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolarBox {
    delta: f32,
}

/// The width that a narrower range of angles is taken to have, so that densities are finite: f32 tells no finer, and states
/// with such a range are next to impossible.
const NARROWEST: f64 = 1e-6;

/// Between the source and the quarter disc, and along quarter circles.
const FIRST: usize = 0;
const ON: usize = 1;

/// A point as numbers to reckon with.
fn point(state: &[f32]) -> [f64; 2] {
    [f64::from(state[0]), f64::from(state[1])]
}

/// The distances of a point to the two far edges.
fn ahead(state: &[f32]) -> [f64; 2] {
    point(state).map(|x| 1.0 - x)
}

impl PolarBox {
    /// The square in steps of length `delta`.
    ///
    /// # Errors
    /// Unless `delta` is from 0.001 to 0.999.
    pub fn new(delta: f32) -> Result<Self> {
        check_delta(delta)?;
        Ok(Self { delta })
    }

    fn radius(&self) -> f64 {
        f64::from(self.delta)
    }

    /// Whether a corner is so near that no quarter circle towards it stays inside.
    fn within(&self, [a, b]: [f64; 2]) -> bool {
        a * a + b * b < self.radius().powi(2)
    }

    /// The first angle and the width of the range of angles that stay inside.
    fn window(&self, distances: [f64; 2]) -> (f64, f64) {
        let [cos_lo, sin_hi] = distances.map(|distance| (distance / self.radius()).clamp(0.0, 1.0));
        let lo = cos_lo.acos();
        (lo, (sin_hi.asin() - lo).max(NARROWEST))
    }

    /// The coordinate of an arc from `from` to `to`, and the logarithm of its slope by the angle.
    fn read_arc(&self, from: &[f32], to: &[f32], distances: [f64; 2]) -> (f64, f64) {
        let ([x, y], [u, v]) = (point(from), point(to));
        let (lo, width) = self.window(distances);
        (((v - y).atan2(u - x) - lo) / width, -width.ln())
    }
}

impl Continuous for PolarBox {
    fn cells(&self) -> usize {
        2
    }

    fn moves(&self) -> usize {
        2
    }

    fn removals(&self) -> usize {
        2
    }

    fn longest(&self) -> usize {
        // The sum of both coordinates grows by at least delta; rounding can win one step.
        3 + (2.0 / self.delta) as usize
    }

    fn stops(&self) -> bool {
        true
    }

    fn source(&self, state: &mut [f32]) {
        state.fill(UNPLACED);
    }

    fn is_object(&self, state: &[f32]) -> bool {
        state[0] != UNPLACED
    }

    fn is_last(&self, state: &[f32]) -> bool {
        self.is_object(state) && self.within(ahead(state))
    }

    fn allowed(&self, state: &[f32], mask: &mut [bool]) {
        mask[FIRST] = !self.is_object(state);
        mask[ON] = !mask[FIRST] && !self.is_last(state);
    }

    fn removable(&self, state: &[f32], mask: &mut [bool]) {
        mask[FIRST] = self.is_object(state) && self.within(point(state));
        mask[ON] = self.is_object(state) && !mask[FIRST];
    }

    fn move_domains(&self) -> Vec<Domain> {
        vec![Domain::Unit; 2]
    }

    fn move_coordinates(&self, action: usize) -> Range<usize> {
        if action == FIRST { 0..2 } else { 1..2 }
    }

    fn removal_domains(&self) -> Vec<Domain> {
        vec![Domain::Unit]
    }

    fn removal_coordinates(&self, removal: usize) -> Range<usize> {
        if removal == FIRST { 0..0 } else { 0..1 }
    }

    fn apply(&self, state: &mut [f32], action: usize, z: &[f64]) -> usize {
        if action == FIRST {
            let (sin, cos) = (FRAC_PI_2 * z[1]).sin_cos();
            // Inside of the disc, however it is rounded.
            let radius = self.radius() * z[0].min(1.0 - NARROWEST);
            state.copy_from_slice(&[cos, sin].map(|direction| (radius * direction) as f32));
            return FIRST;
        }
        let (lo, width) = self.window(ahead(state));
        let (sin, cos) = (lo + z[0] * width).sin_cos();
        for (x, direction) in state.iter_mut().zip([cos, sin]) {
            *x = (f64::from(*x) + self.radius() * direction).min(1.0) as f32;
        }
        // Rounded to where the removal is an arc again.
        while self.within(point(state)) {
            let larger = usize::from(state[1] > state[0]);
            state[larger] = state[larger].next_up();
        }
        ON
    }

    fn undo(&self, state: &mut [f32], removal: usize, z: &[f64]) -> usize {
        if removal == FIRST {
            self.source(state);
            return FIRST;
        }
        let (lo, width) = self.window(point(state));
        let (sin, cos) = (lo + z[0] * width).sin_cos();
        for (x, direction) in state.iter_mut().zip([cos, sin]) {
            *x = (f64::from(*x) - self.radius() * direction).max(0.0) as f32;
        }
        // Rounded to where a move on is possible: at 0 it always is.
        while self.within(ahead(state)) {
            let smaller = usize::from(state[1] < state[0]);
            state[smaller] = (state[smaller] - f32::EPSILON).max(0.0);
        }
        ON
    }

    fn read_move(&self, state: &[f32], action: usize, next: &[f32], z: &mut [f64]) -> f64 {
        if action == FIRST {
            let [x, y] = point(next);
            let share = (x.hypot(y) / self.radius()).max(NARROWEST);
            z.copy_from_slice(&[share, y.atan2(x) / FRAC_PI_2]);
            return -(self.radius().powi(2) * share * FRAC_PI_2).ln();
        }
        let log_slope;
        (z[0], log_slope) = self.read_arc(state, next, ahead(state));
        log_slope
    }

    fn read_removal(&self, state: &[f32], removal: usize, before: &[f32], z: &mut [f64]) -> f64 {
        if removal == FIRST {
            return 0.0;
        }
        let log_slope;
        (z[0], log_slope) = self.read_arc(before, state, point(state));
        log_slope
    }

    fn features(&self) -> usize {
        1
    }

    fn dense(&self) -> usize {
        2
    }

    /// A feature for the source, and the point within [-1, 1].
    fn encode(&self, state: &[f32], on: &mut Vec<u32>, dense: &mut Vec<f32>) {
        let placed = self.is_object(state);
        on.extend((!placed).then_some(0));
        dense.extend(state.iter().map(|x| if placed { 2.0 * x - 1.0 } else { 0.0 }));
    }

    fn describe(&self, state: &[f32]) -> String {
        if self.is_object(state) { describe_point(state) } else { "the source".to_owned() }
    }
}
