//! Training of flow networks: walk, ask for rewards, compare both sides, step.

pub mod replay;

use std::sync::Arc;

use super::optimizer::{self, Moments, adam_step};
use super::{State, StepInfo};
use crate::error::{Error, Result};
use crate::model::gflownet::{Batch, GFlowNet, Outward};
use crate::policy::{Behaviour, Policy};
use crate::recipe::OptimizerRecipe;
use crate::reward::{Failure, Reward};
use crate::rng::{Noise, Purpose};

/// How a flow network is trained.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Trajectories of a step.
    pub batch: usize,
    /// Steps of the schedule.
    pub steps: u64,
    /// How weights are updated.
    pub optimizer: OptimizerRecipe,
    /// The learning rate of `log Z`.
    pub log_z_rate: f64,
}

/// A flow network being trained.
pub struct FlowTrainer<P: Policy> {
    model: GFlowNet<P>,
    reward: Arc<dyn Reward<P::Cell>>,
    settings: Settings,
    state: State,
    batch: Batch<P>,
    objects: Vec<P::Cell>,
    sources: Vec<P::Cell>,
    gradient: Vec<f32>,
}

impl<P: Policy> FlowTrainer<P> {
    /// A run at its first step.
    pub fn new(model: GFlowNet<P>, reward: Arc<dyn Reward<P::Cell>>, settings: Settings, seed: u64) -> Self {
        let policy = model.network.initial(&Noise::new(seed, Purpose::Weights));
        let weights = vec![policy, vec![0.0]];
        let zeros: Vec<Vec<f32>> = weights.iter().map(|w| vec![0.0; w.len()]).collect();
        let state = State {
            step: 0,
            seed,
            average: weights.clone(),
            weights,
            first: zeros.clone(),
            second: zeros,
            best: None,
            stale: 0,
        };
        let cells = model.policy.cells();
        let mut sources = vec![P::Cell::default(); settings.batch * cells];
        sources.chunks_exact_mut(cells).for_each(|source| model.policy.source(source));
        let gradient = vec![0.0; state.weights[0].len()];
        Self {
            model,
            reward,
            settings,
            state,
            batch: Batch::default(),
            objects: Vec::new(),
            sources,
            gradient,
        }
    }

    /// The state after the last step.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The mean number of moves of the last step's trajectories.
    pub fn length(&self) -> f64 {
        self.batch.paths.rows() as f64 / self.batch.paths.trajectories() as f64 - 1.0
    }

    /// Makes one step.
    ///
    /// # Errors
    /// If the loss or a gradient is not finite, or there are no rewards.
    pub fn step(&mut self) -> Result<StepInfo> {
        rayon::scope(|_| self.step_here())
    }

    fn step_here(&mut self) -> Result<StepInfo> {
        let step = self.state.step;
        let policy = &self.model.policy;
        let noise =
            Noise::new(self.state.seed, Purpose::Choice).from_trajectory(step * self.settings.batch as u64);
        let evaluator = self.model.network.with(&self.state.weights[0]);
        let walk = Outward {
            sources: &self.sources,
            conditions: &[],
            behaviour: Behaviour::default(),
            noise: &noise,
        };
        self.batch.walk(policy, evaluator.as_ref(), Some(walk), None);
        self.batch.objects(policy, &mut self.objects);
        let paths = &mut self.batch.paths;
        paths.log_reward.resize(self.settings.batch, 0.0);
        self.reward.log_rewards(&self.objects, &[], &mut paths.log_reward).map_err(
            |failure| match failure {
                Failure::Stop(error) => error,
                Failure::Skip(words) => Error::Numeric { step, term: "the reward".to_owned(), detail: words },
            },
        )?;
        let log_z = f64::from(self.state.weights[1][0]);
        let slopes = &mut self.batch.slopes;
        slopes.reset(paths);
        let count = paths.trajectories() as f64;
        let mut loss = 0.0;
        for (b, v) in paths.log_weights().into_iter().enumerate() {
            let delta = log_z - v;
            loss += delta * delta / count;
            let slope = 2.0 * delta / count;
            slopes.log_z[b] = slope;
            for row in paths.starts[b]..paths.starts[b + 1] {
                slopes.forward[row] = slope;
                slopes.backward[row] = -slope;
            }
        }
        let log_z_slope = slopes.log_z.iter().sum::<f64>() as f32;
        self.batch.differentiate(policy, evaluator.as_ref(), &mut self.gradient);
        drop(evaluator);
        let norm = (optimizer::norm_squared(&self.gradient) + f64::from(log_z_slope).powi(2)).sqrt();
        let recipe = &self.settings.optimizer;
        let rate = optimizer::learning_rate(recipe, step, self.settings.steps);
        let clip = recipe.clip_norm;
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        for (index, (rate, gradient)) in
            [(rate, &self.gradient[..]), (self.settings.log_z_rate, &[log_z_slope][..])]
                .into_iter()
                .enumerate()
        {
            let moments =
                Moments { first: &mut self.state.first[index], second: &mut self.state.second[index] };
            adam_step(recipe, rate, step + 1, scale, &mut self.state.weights[index], gradient, moments);
        }
        self.state.step = step + 1;
        Ok(StepInfo { step: step + 1, loss, gradient_norm: norm, learning_rate: rate })
    }
}
