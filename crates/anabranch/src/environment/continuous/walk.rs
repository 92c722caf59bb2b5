//! Walks of a fixed number of steps, in a space whose coordinates move alike.
//!
//! ```text
//! x_0 = 0,    x_{t+1} = a move of x_t,    x_t = a removal of x_{t+1}          t = 0 .. steps - 1
//! ```
//!
//! Both directions have densities by Lebesgue's measure; `x_1 -> x_0` is certain. The number of moves is part of the state,
//! so that no state comes twice; objects are the states after all of them.

use std::fmt::Debug;
use std::ops::Range;

use super::{Continuous, Domain, check_size, describe_point};
use crate::error::Result;

/// How a coordinate of a walk moves.
pub trait Steps: Send + Sync + Debug {
    /// Where the coordinate of a move lives, and that of a removal.
    fn domain(&self) -> Domain;

    /// `x_{t+1}` from `x_t`.
    fn forward(&self, x: f32, z: f64) -> f32;

    /// `z` and `log |dz / dx_{t+1}|` of the move from `x_t` to `x_{t+1}`.
    fn read_forward(&self, x: f32, next: f32) -> (f64, f64);

    /// `x_{t-1}` from `x_t`, `t >= 2`.
    fn backward(&self, x: f32, t: f32, z: f64) -> f32;

    /// `z` and `log |dz / dx_{t-1}|` of the removal from `x_t` to `x_{t-1}`, `t >= 2`.
    fn read_backward(&self, x: f32, t: f32, before: f32) -> (f64, f64);

    /// How many real inputs [`Steps::encode`] appends.
    fn dense(&self) -> usize;

    /// Appends what a network reads of a coordinate on a walk of `steps` steps.
    fn encode(&self, x: f32, steps: f32, dense: &mut Vec<f32>);
}

/// A walk. A state is a point, `dim` numbers, then the number of moves that led there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Walk<S> {
    space: S,
    dim: usize,
    steps: usize,
}

/// To the source, and to any other state.
const HOME: usize = 0;
const BACK: usize = 1;

impl<S> Walk<S> {
    /// Walks of `steps` steps.
    ///
    /// # Errors
    /// Unless `dim` and `steps` are from 1 to 65535.
    pub(super) fn new(space: S, dim: usize, steps: usize) -> Result<Self> {
        check_size("environment.dim", dim)?;
        check_size("environment.steps", steps)?;
        Ok(Self { space, dim, steps })
    }

    fn time(&self, state: &[f32]) -> f32 {
        state[self.dim]
    }
}

impl<S: Steps> Continuous for Walk<S> {
    fn cells(&self) -> usize {
        self.dim + 1
    }

    fn moves(&self) -> usize {
        1
    }

    fn removals(&self) -> usize {
        2
    }

    fn longest(&self) -> usize {
        self.steps
    }

    fn stops(&self) -> bool {
        false
    }

    fn source(&self, state: &mut [f32]) {
        state.fill(0.0);
    }

    fn is_object(&self, state: &[f32]) -> bool {
        self.time(state) >= self.steps as f32
    }

    fn is_last(&self, state: &[f32]) -> bool {
        self.is_object(state)
    }

    fn allowed(&self, state: &[f32], mask: &mut [bool]) {
        mask[0] = !self.is_object(state);
    }

    fn removable(&self, state: &[f32], mask: &mut [bool]) {
        mask[HOME] = self.time(state) == 1.0;
        mask[BACK] = self.time(state) > 1.0;
    }

    fn move_domains(&self) -> Vec<Domain> {
        vec![self.space.domain(); self.dim]
    }

    fn move_coordinates(&self, _action: usize) -> Range<usize> {
        0..self.dim
    }

    fn removal_domains(&self) -> Vec<Domain> {
        vec![self.space.domain(); self.dim]
    }

    fn removal_coordinates(&self, removal: usize) -> Range<usize> {
        if removal == HOME { 0..0 } else { 0..self.dim }
    }

    fn apply(&self, state: &mut [f32], _action: usize, z: &[f64]) -> usize {
        state.iter_mut().zip(z).for_each(|(x, z)| *x = self.space.forward(*x, *z));
        state[self.dim] += 1.0;
        if self.time(state) == 1.0 { HOME } else { BACK }
    }

    fn undo(&self, state: &mut [f32], removal: usize, z: &[f64]) -> usize {
        if removal == HOME {
            self.source(state);
            return 0;
        }
        let time = self.time(state);
        state.iter_mut().zip(z).for_each(|(x, z)| *x = self.space.backward(*x, time, *z));
        state[self.dim] -= 1.0;
        0
    }

    fn read_move(&self, state: &[f32], _action: usize, next: &[f32], z: &mut [f64]) -> f64 {
        let pairs = z.iter_mut().zip(state.iter().zip(next));
        pairs.fold(0.0, |sum, (z, (x, next))| {
            let log_slope;
            (*z, log_slope) = self.space.read_forward(*x, *next);
            sum + log_slope
        })
    }

    fn read_removal(&self, state: &[f32], _removal: usize, before: &[f32], z: &mut [f64]) -> f64 {
        let time = self.time(state);
        let pairs = z.iter_mut().zip(state.iter().zip(before));
        pairs.fold(0.0, |sum, (z, (x, before))| {
            let log_slope;
            (*z, log_slope) = self.space.read_backward(*x, time, *before);
            sum + log_slope
        })
    }

    fn features(&self) -> usize {
        self.steps + 1
    }

    fn dense(&self) -> usize {
        self.dim * self.space.dense() + 1
    }

    /// A feature for each number of moves; what the space says of each coordinate, and the share of moves that are made.
    fn encode(&self, state: &[f32], on: &mut Vec<u32>, dense: &mut Vec<f32>) {
        let (time, steps) = (self.time(state), self.steps as f32);
        on.push((time as usize).min(self.steps) as u32);
        state[..self.dim].iter().for_each(|x| self.space.encode(*x, steps, dense));
        dense.push(time / steps);
    }

    fn describe(&self, state: &[f32]) -> String {
        format!("{} after {} steps", describe_point(&state[..self.dim]), self.time(state))
    }
}
