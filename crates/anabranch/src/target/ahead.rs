//! Rewards of rooted states: what the object is worth, whatever the root.

use std::sync::Arc;

use super::{Failure, Target};
use crate::environment::Cell;
use crate::rng::Noise;

/// The reward of the second half of a state of a [`Rooted`](crate::environment::Rooted) environment.
#[derive(Debug, Clone)]
pub struct Ahead {
    reward: Arc<dyn Target<Cell>>,
    cells: usize,
}

impl Ahead {
    /// This reward of objects of `cells` cells.
    pub fn new(reward: Arc<dyn Target<Cell>>, cells: usize) -> Self {
        Self { reward, cells }
    }

    fn objects(&self, states: &[Cell]) -> Vec<Cell> {
        states.chunks_exact(2 * self.cells).flat_map(|state| state[self.cells..].iter().copied()).collect()
    }
}

impl Target<Cell> for Ahead {
    fn log_rewards(&self, objects: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        self.reward.log_rewards(&self.objects(objects), conditions, out)
    }

    fn condition_width(&self) -> usize {
        self.reward.condition_width()
    }

    fn observe(
        &self,
        objects: &[Cell],
        conditions: &[f32],
        noise: &Noise,
        log_rewards: &mut [f64],
    ) -> Result<(), Failure> {
        self.reward.observe(&self.objects(objects), conditions, noise, log_rewards)
    }

    fn log_quantiles(
        &self,
        objects: &[Cell],
        conditions: &[f32],
        levels: &[f64],
        out: &mut [f64],
    ) -> Result<bool, Failure> {
        self.reward.log_quantiles(&self.objects(objects), conditions, levels, out)
    }

    fn partial(&self, states: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        self.reward.partial(&self.objects(states), conditions, out)
    }
}
