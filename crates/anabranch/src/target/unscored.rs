//! No target at all: `log R = 0` of everything, for draws that nobody weighs.

use super::{Failure, Target};

/// A target that asks nobody.
#[derive(Debug, Clone, Copy)]
pub struct Unscored;

impl<C> Target<C> for Unscored {
    fn log_rewards(&self, _objects: &[C], _conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        out.fill(0.0);
        Ok(())
    }
}
