//! The box `[0, 1]^dim` in Cartesian steps.
//!
//! ```text
//! s_0 -> x        x = z                                            anywhere
//! x   -> x'       x'_i = lo_i + z_i (1 - lo_i)                     lo_i = d + max(x_i, e)
//! s_0 <- x                                                         always possible
//! x   <- x'       x_i = z_i hi_i                                   hi_i = min(x'_i, 1 - e) - d
//! ```
//!
//! so that every coordinate grows by at least `d`. A move on from `x` exists where all `1 - lo_i >= e`, a removal from `x'`
//! but to the source where all `hi_i >= e`: `e = 1e-5` keeps every range of coordinates wider than f32's spacing, and both
//! directions on the same pairs of points.
//!
//! Both directions have densities by Lebesgue's measure. Every point is an object.
//!
//! Lahlou et al. (2023), section 4.1, with coordinates in place of angles.

use std::ops::Range;

use super::{Continuous, Domain, UNPLACED, check_delta, check_size, describe_point};
use crate::error::Result;

/// The box in Cartesian steps. A state is a point; the source is -1 everywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CartesianBox {
    dim: usize,
    delta: f32,
}

/// The narrowest range of a coordinate.
const NARROWEST: f64 = 1e-5;

/// From the source anywhere, and on from there.
const FIRST: usize = 0;
const ON: usize = 1;

impl CartesianBox {
    /// The box of `dim` coordinates, each of which grows by at least `delta` at every move but the first.
    ///
    /// # Errors
    /// Unless `dim` is from 1 to 65535 and `delta` from 0.001 to 0.999.
    pub fn new(dim: usize, delta: f32) -> Result<Self> {
        check_size("environment.dim", dim)?;
        check_delta(delta)?;
        Ok(Self { dim, delta })
    }

    /// `1 - lo` of a coordinate that moves on.
    fn room(&self, x: f32) -> f64 {
        1.0 - f64::from(x).max(NARROWEST) - f64::from(self.delta)
    }

    /// `hi` of a coordinate that is taken back.
    fn depth(&self, x: f32) -> f64 {
        f64::from(x).min(1.0 - NARROWEST) - f64::from(self.delta)
    }
}

impl Continuous for CartesianBox {
    fn cells(&self) -> usize {
        self.dim
    }

    fn moves(&self) -> usize {
        2
    }

    fn removals(&self) -> usize {
        2
    }

    fn longest(&self) -> usize {
        // Rounding can win one step.
        2 + (1.0 / self.delta) as usize
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
        self.is_object(state) && !state.iter().all(|x| self.room(*x) >= NARROWEST)
    }

    fn allowed(&self, state: &[f32], mask: &mut [bool]) {
        mask[FIRST] = !self.is_object(state);
        mask[ON] = !mask[FIRST] && !self.is_last(state);
    }

    fn removable(&self, state: &[f32], mask: &mut [bool]) {
        mask[FIRST] = self.is_object(state);
        mask[ON] = mask[FIRST] && state.iter().all(|x| self.depth(*x) >= NARROWEST);
    }

    fn move_domains(&self) -> Vec<Domain> {
        vec![Domain::Unit; self.dim]
    }

    fn move_coordinates(&self, _action: usize) -> Range<usize> {
        0..self.dim
    }

    fn removal_domains(&self) -> Vec<Domain> {
        vec![Domain::Unit; self.dim]
    }

    fn removal_coordinates(&self, removal: usize) -> Range<usize> {
        if removal == FIRST { 0..0 } else { 0..self.dim }
    }

    fn apply(&self, state: &mut [f32], action: usize, z: &[f64]) -> usize {
        for (x, z) in state.iter_mut().zip(z) {
            if action == FIRST {
                *x = *z as f32;
                continue;
            }
            *x = (1.0 - (1.0 - z) * self.room(*x)) as f32;
            // Rounded to where the removal is possible.
            while self.depth(*x) < NARROWEST {
                *x = x.next_up();
            }
        }
        action
    }

    fn undo(&self, state: &mut [f32], removal: usize, z: &[f64]) -> usize {
        if removal == FIRST {
            self.source(state);
        }
        for (x, z) in state.iter_mut().zip(z) {
            *x = (z * self.depth(*x)) as f32;
            // Rounded to where the move is possible.
            while self.room(*x) < NARROWEST {
                *x = x.next_down();
            }
        }
        removal
    }

    fn read_move(&self, state: &[f32], action: usize, next: &[f32], z: &mut [f64]) -> f64 {
        let mut log_slope = 0.0;
        for (z, (x, next)) in z.iter_mut().zip(state.iter().zip(next)) {
            let width = if action == FIRST { 1.0 } else { self.room(*x).max(NARROWEST) };
            *z = 1.0 - (1.0 - f64::from(*next)) / width;
            log_slope -= width.ln();
        }
        log_slope
    }

    fn read_removal(&self, state: &[f32], _removal: usize, before: &[f32], z: &mut [f64]) -> f64 {
        let mut log_slope = 0.0;
        for (z, (x, before)) in z.iter_mut().zip(state.iter().zip(before)) {
            let width = self.depth(*x).max(NARROWEST);
            *z = f64::from(*before) / width;
            log_slope -= width.ln();
        }
        log_slope
    }

    fn features(&self) -> usize {
        1
    }

    fn dense(&self) -> usize {
        self.dim
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
