//! Rewards: positive functions of objects, to which a flow network samples in proportion.
//!
//! ```text
//! R(x) = exp(-E(x)),     P(x) = R(x) / Z,     Z = sum_x R(x)
//! ```
//!
//! All is in log space: a reward answers `log R(x)` in nats, for a batch at once. A condition `c` (temperature,
//! preference, context) is a row of numbers beside each object.

use std::fmt::Debug;

use crate::environment::Cell;
use crate::error::Error;

/// Why a batch of objects got no rewards.
#[derive(Debug)]
pub enum Failure {
    /// This batch has none, another may: it is left out and counted.
    Skip(String),
    /// There will be none.
    Stop(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Stop(error.into())
    }
}

/// A reward over objects whose states are rows of `C`: [`Cell`] for discrete, `f32` for continuous ones.
pub trait Reward<C = Cell>: Send + Sync + Debug {
    /// Writes `log R(x | c)` of each object, nats. `objects` is `[batch, cells]`, `conditions` `[batch, width]` or empty,
    /// `out` `[batch]`.
    ///
    /// # Errors
    /// If the reward could not be found. A value that is no number or infinite is written as it is: the caller says
    /// which object it belongs to.
    fn log_rewards(&self, objects: &[C], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure>;

    /// Writes what is known of the reward on the way to an object, as `-E(s)`: 0 at the source, `log R(x)` less a constant
    /// at an object; answers whether it is known. Where every state is an object it is `log R(s)`.
    ///
    /// # Errors
    /// As [`Reward::log_rewards`].
    fn partial(&self, _states: &[C], _conditions: &[f32], _out: &mut [f64]) -> Result<bool, Failure> {
        Ok(false)
    }

    /// `log Z` of the whole space at a condition (empty for none), where a closed form is known. Nats.
    fn log_z(&self, _condition: &[f32]) -> Option<f64> {
        None
    }

    /// Whether the object is one of the reward's modes, where it has such.
    fn is_mode(&self, _object: &[C]) -> Option<bool> {
        None
    }

    /// How many modes there are, where a closed form is known.
    fn modes(&self) -> Option<f64> {
        None
    }
}
