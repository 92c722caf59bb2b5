//! The rewards that an environment by another program gives its objects.

use std::sync::Arc;

use super::{Failure, Target};
use crate::environment::{Cell, Environment as _, ProcessEnvironment};

/// The reward of a program's own objects. One that it answers `null` for has none, and its batch is skipped.
#[derive(Debug, Clone)]
pub struct EnvironmentReward(pub Arc<ProcessEnvironment>);

impl Target<Cell> for EnvironmentReward {
    fn log_rewards(&self, objects: &[Cell], _conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        self.0.log_rewards(objects, out)?;
        match out.iter().position(|log_reward| log_reward.is_nan()) {
            None => Ok(()),
            Some(row) => {
                let object = &objects[row * self.0.cells()..][..self.0.cells()];
                Err(Failure::Skip(format!(
                    "the environment program has no log-reward (null) for {}",
                    self.0.describe(object)
                )))
            }
        }
    }
}
