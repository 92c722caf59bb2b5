//! Continuous environments: spaces of points that are built by moves with real coordinates.
//!
//! ```text
//! s -> s'     a move's number, then its coordinates z; s' is a function of both
//! s <- s'     a removal's number, then its coordinates
//! ```
//!
//! A policy has densities in the coordinates, each on its own [`Domain`]. A trajectory's two densities can be compared only
//! if they are taken over one measure. So each move says by `log |dz / ds'|`, each removal by `log |dz / ds|`, how a density
//! in the coordinates becomes one over measures `nu(s, ds')` and `nu'(s', ds)` with
//!
//! ```text
//! mu(ds) nu(s, ds')  =  mu(ds') nu'(s', ds)
//! ```
//!
//! where `mu` is the measure over which rewards are densities (at the source: a unit mass). Each environment says what its
//! measures are. A new one is one file with one implementation of [`Continuous`]; [`check`] tests that its directions agree.
//!
//! Lahlou et al., "A theory of continuous generative flow networks" (2023), definitions 2 to 4.

mod cartesian_box;
pub mod check;
mod euclidean;
mod hybrid;
mod polar_box;
mod torus;
mod walk;

use std::fmt::Debug;
use std::ops::Range;

pub use cartesian_box::CartesianBox;
pub use euclidean::Euclidean;
pub use hybrid::Hybrid;
pub use polar_box::PolarBox;
pub use torus::Torus;
pub use walk::{Steps, Walk};

use crate::error::{Problem, Result};

/// Where a coordinate lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Domain {
    /// (0, 1).
    Unit,
    /// The real line, in units of its natural scale.
    Line,
    /// The circle, in radians.
    Circle,
}

/// A space of points built by moves with real coordinates.
///
/// The two directions must agree: a removal is possible exactly where it undoes a possible move.
pub trait Continuous: Send + Sync + Debug {
    /// How many numbers a state has.
    fn cells(&self) -> usize;

    /// How many numbered moves there are, stopping not counted.
    fn moves(&self) -> usize;

    /// How many numbered removals there are.
    fn removals(&self) -> usize;

    /// The most moves that lead from the source to an object.
    fn longest(&self) -> usize;

    /// Whether some object can be moved on from, so that stopping is a choice.
    fn stops(&self) -> bool;

    /// Writes the source `s_0`.
    fn source(&self, state: &mut [f32]);

    /// Whether the state is an object, at which one can stop.
    fn is_object(&self, state: &[f32]) -> bool;

    /// Whether no move is possible.
    fn is_last(&self, state: &[f32]) -> bool;

    /// Sets `mask[a]` to whether move `a` is possible.
    fn allowed(&self, state: &[f32], mask: &mut [bool]);

    /// Sets `mask[r]` to whether removal `r` is possible: none is at the source.
    fn removable(&self, state: &[f32], mask: &mut [bool]);

    /// The domains of the coordinates of all moves.
    fn move_domains(&self) -> Vec<Domain>;

    /// Which of these coordinates a move has.
    fn move_coordinates(&self, action: usize) -> Range<usize>;

    /// The domains of the coordinates of all removals.
    fn removal_domains(&self) -> Vec<Domain>;

    /// Which of these coordinates a removal has.
    fn removal_coordinates(&self, removal: usize) -> Range<usize>;

    /// Makes a possible move with these coordinates; answers the removal that undoes it.
    fn apply(&self, state: &mut [f32], action: usize, z: &[f64]) -> usize;

    /// Makes a possible removal with these coordinates; answers the move that it undoes.
    fn undo(&self, state: &mut [f32], removal: usize, z: &[f64]) -> usize;

    /// Writes the coordinates of the move from `state` to `next`; answers `log |dz / d next|`.
    fn read_move(&self, state: &[f32], action: usize, next: &[f32], z: &mut [f64]) -> f64;

    /// Writes the coordinates of the removal from `state` to `before`; answers `log |dz / d before|`.
    fn read_removal(&self, state: &[f32], removal: usize, before: &[f32], z: &mut [f64]) -> f64;

    /// How many binary features [`Continuous::encode`] chooses from.
    fn features(&self) -> usize;

    /// How many real inputs [`Continuous::encode`] appends.
    fn dense(&self) -> usize;

    /// Appends the features that are on and the real inputs.
    fn encode(&self, state: &[f32], on: &mut Vec<u32>, dense: &mut Vec<f32>);

    /// The state as its users write it.
    fn describe(&self, state: &[f32]) -> String;
}

/// The cell of a state that no move has reached yet, in the boxes: no point of theirs has it.
const UNPLACED: f32 = -1.0;

fn describe_point(state: &[f32]) -> String {
    let numbers: Vec<String> = state.iter().map(ToString::to_string).collect();
    format!("({})", numbers.join(", "))
}

fn check_size(place: &str, found: usize) -> Result<()> {
    match found {
        1..=65_535 => Ok(()),
        _ => Err(Problem::new(place, found.to_string()).allowed("an integer from 1 to 65535").into()),
    }
}

fn check_delta(delta: f32) -> Result<()> {
    if (0.001..=0.999).contains(&delta) {
        return Ok(());
    }
    Err(Problem::new("environment.delta", delta.to_string()).allowed("from 0.001 to 0.999").into())
}
