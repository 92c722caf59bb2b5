//! The rewards that a given graph gives its nodes.

use std::sync::Arc;

use super::{Failure, Target};
use crate::environment::{Cell, Environment, ExplicitGraph, States};
use crate::math::log_sum_exp;

/// The rewards of a graph's own nodes.
#[derive(Debug, Clone)]
pub struct GraphReward(pub Arc<ExplicitGraph>);

impl Target<Cell> for GraphReward {
    fn log_rewards(&self, objects: &[Cell], _conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        let cells = self.0.cells();
        for (object, out) in objects.chunks_exact(cells).zip(out) {
            *out = self.0.log_reward(object);
        }
        Ok(())
    }

    fn log_z(&self, _condition: &[f32]) -> Option<f64> {
        let states = States::of(self.0.as_ref(), usize::from(Cell::MAX)).ok()?;
        let objects = states.objects().iter();
        let log_rewards: Vec<f64> = objects.map(|i| self.0.log_reward(states.state(*i as usize))).collect();
        Some(log_sum_exp(&log_rewards))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toy_graph_has_the_published_z() {
        let reward = GraphReward(Arc::new(ExplicitGraph::toy()));
        assert!((reward.log_z(&[]).unwrap() - 112f64.ln()).abs() < 1e-12);
    }
}
