//! Coordinate ascent as training: a step sets the weights of a mean-field guide, and has no gradient.
//!
//! The loss is `-ELBO` of the factors before the step, on all data, allocations at their best; the state of a run is the
//! weights alone.

use crate::error::Failure;
use crate::model::Model;
use crate::model::coordinate_ascent::Factors;
use crate::objective::CoordinateAscent;
use crate::rng::{Noise, Purpose};
use crate::target::BayesianMixture;
use crate::train::chain::Score;
use crate::train::learner::{Learner, Player};

/// A mean-field guide of a Bayesian mixture's means in ascent.
pub struct CoordinateLearner<'a> {
    /// The guide: one vector, the logarithms of the standard deviations, then the means.
    pub model: Model,
    /// What it is a guide of.
    pub mixture: &'a BayesianMixture,
    /// How it steps.
    pub objective: CoordinateAscent,
    /// The validation score.
    pub score: Score<'a>,
    /// The seed of the rows that are drawn.
    pub seed: u64,
}

impl CoordinateLearner<'_> {
    /// The rows of step `step`.
    fn rows(&self, step: u64) -> Vec<usize> {
        let count = self.mixture.data().len();
        if self.objective.rows == 0 {
            return (0..count).collect();
        }
        let noise = Noise::new(self.seed, Purpose::Data).long_step(step);
        let row = |u: f32| ((f64::from(u) * count as f64) as usize).min(count - 1);
        noise.uniform(1, self.objective.rows).into_iter().map(row).collect()
    }
}

/// The factors that weights stand for.
fn factors(weights: &[f32]) -> Factors {
    let (log_std, mean) = weights.split_at(weights.len() / 2);
    Factors {
        mean: mean.iter().map(|m| f64::from(*m)).collect(),
        variance: log_std.iter().map(|s| (2.0 * f64::from(*s)).exp()).collect(),
    }
}

impl Learner for CoordinateLearner<'_> {
    fn players(&self) -> Vec<Player> {
        let of = |weights: &crate::array::weights::Weights| {
            Player::model(weights.name(), weights.values(), weights.slots())
        };
        self.model.weights().into_iter().map(of).collect()
    }

    fn learn(
        &mut self,
        weights: &mut [Vec<f32>],
        step: u64,
        _: u64,
        _: &mut [Option<Vec<f32>>],
    ) -> Result<f64, Failure> {
        let now = factors(&weights[0]);
        let found = now.given(self.mixture, self.rows(step).into_iter());
        let next = now.towards(&found, self.objective.rate(step));
        let log_stds = next.variance.iter().map(|v| (0.5 * v.ln()) as f32);
        weights[0] = log_stds.chain(next.mean.iter().map(|m| *m as f32)).collect();
        Ok(-now.elbo(self.mixture))
    }

    fn detail(&self) -> String {
        format!("{} rows of data", self.mixture.data().len())
    }

    fn score(&self, weights: &[Vec<f32>]) -> Result<f64, Failure> {
        (self.score)(&self.model.with_weights(weights))
    }
}
