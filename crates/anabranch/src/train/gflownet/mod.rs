//! Training of flow networks: walk, ask for rewards, compare both sides, step.

pub mod replay;

use std::sync::Arc;

use super::optimizer::{self, Moments, adam_step};
use super::{State, StepInfo, Training};
use crate::error::{Error, Result};
use crate::estimate::trajectories::outward;
use crate::model::gflownet::{Batch, GFlowNet, Outward};
use crate::policy::Policy;
use crate::recipe::gflownet::{BalanceRecipe, ExplorationRecipe};
use crate::recipe::{GFlowNetRecipe, OptimizerRecipe, TrainingRecipe, evaluation_noise};
use crate::reward::{Failure, Reward};
use crate::rng::{Noise, Purpose};

/// How a flow network is trained.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What the loss is.
    pub objective: BalanceRecipe,
    /// Which trajectories there are besides the policy's own.
    pub exploration: ExplorationRecipe,
    /// How weights are updated.
    pub optimizer: OptimizerRecipe,
    /// How long, and how many trajectories a step has.
    pub training: TrainingRecipe,
}

impl From<&GFlowNetRecipe> for Settings {
    fn from(recipe: &GFlowNetRecipe) -> Self {
        Self {
            objective: recipe.objective.clone(),
            exploration: recipe.exploration.clone(),
            optimizer: recipe.optimizer.clone(),
            training: recipe.overview().training,
        }
    }
}

/// Trajectories of an evaluation while training.
const SCORED: usize = 2000;

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
        let state = State::new(seed, vec![policy, vec![0.0]]);
        let cells = model.policy.cells();
        let mut sources = vec![P::Cell::default(); settings.training.batch * cells];
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

    /// The mean number of moves of the last step's trajectories.
    pub fn length(&self) -> f64 {
        self.batch.paths.rows() as f64 / self.batch.paths.trajectories() as f64 - 1.0
    }

    fn step_here(&mut self) -> Result<StepInfo> {
        let step = self.state.step;
        let policy = &self.model.policy;
        let batch = self.settings.training.batch;
        let noise = Noise::new(self.state.seed, Purpose::Choice).from_trajectory(step * batch as u64);
        let evaluator = self.model.network.with(&self.state.weights[0]);
        let walk = Outward {
            sources: &self.sources,
            conditions: &[],
            behaviour: self.settings.exploration.behaviour(step),
            noise: &noise,
        };
        self.batch.walk(policy, evaluator.as_ref(), Some(walk), None);
        self.batch.objects(policy, &mut self.objects);
        let paths = &mut self.batch.paths;
        paths.log_reward.resize(batch, 0.0);
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
        if !(loss.is_finite() && norm.is_finite()) {
            let term = if loss.is_finite() { "the gradient" } else { "the loss" }.to_owned();
            let detail = format!("the loss was {loss}; trajectories {} onwards", step * batch as u64);
            return Err(Error::Numeric { step: step + 1, term, detail });
        }
        let recipe = &self.settings.optimizer;
        let rate = optimizer::learning_rate(recipe, step, self.settings.training.steps);
        let of_log_z = recipe.of_log_z();
        let clip = recipe.clip_norm;
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        for (index, (recipe, rate, gradient)) in
            [(recipe, rate, &self.gradient[..]), (&of_log_z, of_log_z.learning_rate, &[log_z_slope][..])]
                .into_iter()
                .enumerate()
        {
            let moments =
                Moments { first: &mut self.state.first[index], second: &mut self.state.second[index] };
            adam_step(recipe, rate, step + 1, scale, &mut self.state.weights[index], gradient, moments);
        }
        self.state.average(self.settings.training.ema, step);
        self.state.step = step + 1;
        Ok(StepInfo { step: step + 1, loss, gradient_norm: norm, learning_rate: rate })
    }
}

impl<P: Policy> Training for FlowTrainer<P> {
    fn names(&self) -> Vec<String> {
        vec!["policy".to_owned(), "log_z".to_owned()]
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn restore(&mut self, state: State, _memory: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        self.state = state;
        Ok(())
    }

    fn step(&mut self) -> Result<StepInfo> {
        rayon::scope(|_| self.step_here())
    }

    fn evaluate(&mut self) -> Result<f64> {
        let (policy, training) = (&self.model.policy, &self.settings.training);
        let evaluator = self.model.network.with(&self.state.scored(training)[0]);
        let noise = evaluation_noise(self.state.seed, Purpose::Choice);
        let found = outward(policy, evaluator.as_ref(), self.reward.as_ref(), &[], SCORED, &noise, &|_| true);
        drop(evaluator);
        let score = match found {
            Ok(found) => -found.log_weights.iter().sum::<f64>() / SCORED as f64,
            Err(Failure::Skip(_)) => f64::NAN,
            Err(Failure::Stop(error)) => return Err(error),
        };
        self.state.note(score, training);
        Ok(score)
    }

    fn trained(&self) -> &[Vec<f32>] {
        self.state.trained(&self.settings.training)
    }

    fn finished(&self) -> bool {
        self.state.finished(&self.settings.training)
    }
}
