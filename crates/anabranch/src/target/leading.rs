//! Rewards of the leading numbers of a state: those that say which object it is.

use std::sync::Arc;

use super::{Failure, Target};
use crate::environment::Cell;
use crate::rng::Noise;

/// The reward of the first `cells` numbers of each object; what follows them is of states on the way only.
#[derive(Debug, Clone)]
pub struct Leading {
    reward: Arc<dyn Target<Cell>>,
    cells: usize,
    width: usize,
}

impl Leading {
    /// Of objects of `width` numbers, the reward of their first `cells`.
    ///
    /// # Panics
    /// If `cells` is 0 or more than `width`.
    pub fn new(reward: Arc<dyn Target<Cell>>, cells: usize, width: usize) -> Self {
        assert!((1..=width).contains(&cells), "{cells} of {width} numbers");
        Self { reward, cells, width }
    }

    fn of(&self, objects: &[Cell]) -> Vec<Cell> {
        objects.chunks_exact(self.width).flat_map(|object| object[..self.cells].iter().copied()).collect()
    }
}

impl Target<Cell> for Leading {
    fn log_rewards(&self, objects: &[Cell], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        self.reward.log_rewards(&self.of(objects), conditions, out)
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
        self.reward.observe(&self.of(objects), conditions, noise, log_rewards)
    }

    fn log_quantiles(
        &self,
        objects: &[Cell],
        conditions: &[f32],
        levels: &[f64],
        out: &mut [f64],
    ) -> Result<bool, Failure> {
        self.reward.log_quantiles(&self.of(objects), conditions, levels, out)
    }

    fn log_z_tempered(&self, beta: f64, condition: &[f32]) -> Option<f64> {
        self.reward.log_z_tempered(beta, condition)
    }

    fn log_z(&self, condition: &[f32]) -> Option<f64> {
        self.reward.log_z(condition)
    }

    fn parts(&self, objects: &[Cell], batch: usize, out: &mut Vec<f64>) -> Result<usize, Failure> {
        self.reward.parts(&self.of(objects), batch, out)
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        self.reward.figures()
    }

    fn is_mode(&self, object: &[Cell]) -> Option<bool> {
        self.reward.is_mode(&object[..self.cells])
    }

    fn modes(&self) -> Option<f64> {
        self.reward.modes()
    }

    fn modes_of(&self, object: &[Cell], found: &mut dyn FnMut(usize)) {
        self.reward.modes_of(&object[..self.cells], found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Expression;

    #[test]
    fn what_follows_an_object_is_passed_over() {
        let inner: Arc<dyn Target<Cell>> =
            Arc::new(Expression::log_reward("log_reward", "x0 - 2 * x1", 2).unwrap());
        let reward = Leading::new(inner, 2, 3);
        let mut out = [0.0; 2];
        reward.log_rewards(&[1, 2, 9, 4, 1, 0], &[], &mut out).unwrap();
        assert_eq!(out, [-3.0, 2.0]);
        assert!(reward.log_z(&[]).is_none() && reward.modes().is_none());
    }
}
