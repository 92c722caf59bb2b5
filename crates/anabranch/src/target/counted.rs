//! What a target costs: how often it was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::continuous::BayesianMixture;
use super::{Failure, Target};
use crate::math::Estimate;
use crate::rng::Noise;

/// How many points a target was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// For `log R`, with or without its gradient.
    pub values: u64,
    /// For its gradient.
    pub gradients: u64,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { values: self.values + other.values, gradients: self.gradients + other.gradients }
    }
}

impl std::ops::Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { values: self.values - other.values, gradients: self.gradients - other.gradients }
    }
}

/// A target over points that counts what it is asked.
#[derive(Debug)]
pub struct Counted {
    target: Arc<dyn Target>,
    values: AtomicU64,
    gradients: AtomicU64,
}

impl Counted {
    /// Nothing was asked yet.
    pub fn new(target: Arc<dyn Target>) -> Self {
        Self { target, values: AtomicU64::new(0), gradients: AtomicU64::new(0) }
    }
}

impl Target for Counted {
    fn log_rewards(&self, points: &[f32], conditions: &[f32], out: &mut [f64]) -> Result<(), Failure> {
        self.values.fetch_add(out.len() as u64, Ordering::Relaxed);
        self.target.log_rewards(points, conditions, out)
    }

    fn has_scores(&self) -> bool {
        self.target.has_scores()
    }

    fn log_rewards_with_scores(
        &self,
        points: &[f32],
        conditions: &[f32],
        out: &mut [f64],
        scores: &mut [f64],
    ) -> Result<(), Failure> {
        self.values.fetch_add(out.len() as u64, Ordering::Relaxed);
        self.gradients.fetch_add(out.len() as u64, Ordering::Relaxed);
        self.target.log_rewards_with_scores(points, conditions, out, scores)
    }

    fn has_curvature(&self) -> bool {
        self.target.has_curvature()
    }

    fn score_derivatives(
        &self,
        points: &[f32],
        conditions: &[f32],
        directions: &[f64],
        out: &mut [f64],
    ) -> Result<(), Failure> {
        self.target.score_derivatives(points, conditions, directions, out)
    }

    fn conditional_blocks(&self) -> Vec<Vec<usize>> {
        self.target.conditional_blocks()
    }

    fn observe(
        &self,
        points: &[f32],
        conditions: &[f32],
        noise: &Noise,
        log_rewards: &mut [f64],
    ) -> Result<(), Failure> {
        self.target.observe(points, conditions, noise, log_rewards)
    }

    fn partial(&self, points: &[f32], conditions: &[f32], out: &mut [f64]) -> Result<bool, Failure> {
        self.target.partial(points, conditions, out)
    }

    fn made_of(&self) -> Option<&dyn Target> {
        Some(self.target.as_ref())
    }

    fn cost(&self) -> Option<Cost> {
        let [values, gradients] = [&self.values, &self.gradients].map(|count| count.load(Ordering::Relaxed));
        Some(Cost { values, gradients })
    }

    fn log_z(&self, condition: &[f32]) -> Option<f64> {
        self.target.log_z(condition)
    }

    fn log_z_tempered(&self, beta: f64, condition: &[f32]) -> Option<f64> {
        self.target.log_z_tempered(beta, condition)
    }

    fn reference_log_z(&self) -> Option<Estimate> {
        self.target.reference_log_z()
    }

    fn entropy(&self) -> Option<f64> {
        self.target.entropy()
    }

    fn draw(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        self.target.draw(count, noise)
    }

    fn draw_given(&self, conditions: &[f32], noise: &Noise) -> Option<Vec<f32>> {
        self.target.draw_given(conditions, noise)
    }

    fn draw_conditions(&self, count: usize, noise: &Noise) -> Option<Vec<f32>> {
        self.target.draw_conditions(count, noise)
    }

    fn parts(&self, points: &[f32], batch: usize, out: &mut Vec<f64>) -> Result<usize, Failure> {
        self.target.parts(points, batch, out)
    }

    fn bayesian_mixture(&self) -> Option<&BayesianMixture> {
        self.target.bayesian_mixture()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Funnel;

    #[test]
    fn every_point_is_counted_once() {
        let target = Counted::new(Arc::new(Funnel { dimension: 2, std: 1.5 }));
        let (points, mut out, mut scores) = ([0.1, 0.2, 0.3, 0.4], [0.0; 2], [0.0; 4]);
        target.log_rewards(&points, &[], &mut out).unwrap();
        let before = target.cost().unwrap();
        let alone = out;
        target.log_rewards_with_scores(&points, &[], &mut out, &mut scores).unwrap();
        target.log_rewards_with_scores(&points[..2], &[], &mut out[..1], &mut scores[..2]).unwrap();
        assert_eq!((alone, before), (out, Cost { values: 2, gradients: 0 }));
        assert_eq!(target.cost().unwrap() - before, Cost { values: 3, gradients: 3 });
        assert_eq!(target.log_z(&[]), target.made_of().unwrap().log_z(&[]));
    }
}
