//! Training: one loop for every model and objective.
//!
//! Every random number of step `k` is addressed by `k`, so the whole state of a run is its step, its weights, the
//! optimiser's moments and the averages: a run that stops and resumes makes the same steps, bit for bit.

pub mod checkpoint;
pub mod gflownet;
pub mod optimizer;
mod state;
pub mod tensorboard;

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::fused::scratch;
use crate::model::Model;
use crate::network::weights::{Weights, layout, matrix};
use crate::objective::{self, KlTerms};
use crate::parallel::awake;
use crate::policy::Policy;
use crate::recipe::gflownet::{FlowTask, Task};
use crate::recipe::{ChainPlan, ObjectiveRecipe, Plan, TargetData};
use crate::rng::{Noise, Purpose};
use gflownet::FlowTrainer;
use optimizer::{Moments, adam_step};
pub use state::{Best, State, Trained};

/// What one step looked like.
#[derive(Debug, Clone, Copy)]
pub struct StepInfo {
    /// Steps done, this one included.
    pub step: u64,
    /// The loss before the step.
    pub loss: f64,
    /// The norm of the whole gradient before clipping.
    pub gradient_norm: f64,
    /// The learning rate used.
    pub learning_rate: f64,
}

/// What a run asks of whatever it trains.
pub trait Training {
    /// The names of the weight vectors, in the state's order.
    fn names(&self) -> Vec<String>;

    /// The state after the last step.
    fn state(&self) -> &State;

    /// What else is needed to go on, by name: the contents of a replay buffer, for one.
    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    /// Goes on from a state that has vectors of the same lengths, and from what [`Training::memory`] answered then.
    ///
    /// # Errors
    /// If what was kept is of another run, in words; another state must then be restored.
    fn restore(&mut self, state: State, memory: Vec<(String, Vec<u8>)>) -> Result<(), String>;

    /// Makes one step.
    ///
    /// # Errors
    /// If the loss or a gradient is not finite, the state being then that before the step; or if no rewards are to be had.
    fn step(&mut self) -> Result<StepInfo>;

    /// The validation score of the averaged weights, lower being better: nats per row on data, `-ELBO` on an energy or a
    /// reward. Takes note of it.
    ///
    /// # Errors
    /// If no rewards are to be had.
    fn evaluate(&mut self) -> Result<f64>;

    /// The weights that are to be used: the best evaluated, else the average, else the last.
    fn trained(&self) -> &[Vec<f32>];

    /// What was counted while training, by the names of metrics.
    fn counted(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Whether training is over.
    fn finished(&self) -> bool;
}

/// A run of a plan at its first step.
///
/// # Errors
/// If the objective does not fit the rest of the recipe.
pub fn start(plan: &Plan) -> Result<Box<dyn Training + '_>> {
    Ok(match plan {
        Plan::Chain(plan) => Box::new(Trainer::new(plan)),
        Plan::GFlowNet(plan) => match &plan.task {
            Task::Discrete(task) => Box::new(flow_trainer(task, plan.recipe.seed)?),
            Task::Continuous(task) => Box::new(flow_trainer(task, plan.recipe.seed)?),
        },
    })
}

fn flow_trainer<P: Policy + Clone>(task: &FlowTask<P>, seed: u64) -> Result<FlowTrainer<P>> {
    FlowTrainer::new(task.model.clone(), task.reward.clone(), task.settings.clone(), seed)
}

/// A chain being trained.
pub struct Trainer<'a> {
    plan: &'a ChainPlan,
    /// Holds its weights during a step; between steps the state has them.
    model: Model,
    log_z: Option<Weights>,
    state: State,
    order: Option<(u64, Vec<usize>)>,
}

impl<'a> Trainer<'a> {
    /// A run at its first step; data-dependent initial values are set from the first batch.
    pub fn new(plan: &'a ChainPlan) -> Self {
        let mut model = plan.model.clone();
        if let TargetData::Rows(data) = &plan.data {
            let rows = data.train.len() / data.columns;
            let first = data.train[..rows.min(2048) * data.columns].to_vec();
            let noise = Noise::new(plan.recipe.seed, Purpose::Weights);
            model.initialise(matrix(first, data.columns, &model.device()), &noise);
        }
        let mut log_z = matches!(plan.recipe.objective, ObjectiveRecipe::TrajectoryBalance {})
            .then(|| Weights::new("log_z", layout([("log_z", vec![1])]), vec![0.0]));
        let weights = model.weights().into_iter().chain(&log_z).map(Weights::values).collect();
        let state = State::new(plan.recipe.seed, weights);
        model.track();
        log_z.iter_mut().for_each(Weights::track);
        Self { plan, model, log_z, state, order: None }
    }

    /// The batch of step `step`: the next rows of an endless sequence of permutations, or fresh exact samples.
    fn batch(&mut self, step: u64) -> Vec<f32> {
        let batch = self.plan.recipe.training.batch;
        let noise = Noise::new(self.state.seed, Purpose::Data);
        match &self.plan.data {
            TargetData::Rows(data) => {
                let rows = (data.train.len() / data.columns) as u64;
                let mut out = Vec::with_capacity(batch * data.columns);
                for index in step * batch as u64..(step + 1) * batch as u64 {
                    let (epoch, place) = (index / rows, (index % rows) as usize);
                    if self.order.as_ref().is_none_or(|(known, _)| *known != epoch) {
                        self.order = Some((epoch, noise.step(epoch as u32).permutation(rows as usize)));
                    }
                    let row = self.order.as_ref().map_or(0, |(_, order)| order[place]);
                    out.extend_from_slice(&data.train[row * data.columns..(row + 1) * data.columns]);
                }
                out
            }
            TargetData::Energy(energy) => {
                let address =
                    Noise::new(self.state.seed, Purpose::Target).from_trajectory(step * batch as u64);
                energy.sample(batch, &address).unwrap_or_default()
            }
        }
    }

    fn loss(&mut self, step: u64) -> Tensor<1> {
        let recipe = &self.plan.recipe;
        let batch = recipe.training.batch;
        let noise = Noise::new(self.state.seed, Purpose::Backward).from_trajectory(step * batch as u64);
        let objective = recipe.objective.clone();
        if let (true, TargetData::Energy(energy)) = (objective.needs_energy(), &self.plan.data) {
            let energy = energy.as_ref();
            return match (&objective, &self.log_z) {
                (ObjectiveRecipe::TrajectoryBalance {}, Some(log_z)) => {
                    objective::trajectory_balance(&self.model, energy, log_z, batch, &noise)
                }
                (ObjectiveRecipe::LogVariance {}, _) => {
                    objective::log_variance(&self.model, energy, batch, &noise)
                }
                _ => objective::reverse_kl(&self.model, energy, batch, &noise),
            };
        }
        let rows = self.batch(step);
        let x = matrix(rows, self.model.dimension(), &self.model.device());
        match objective {
            ObjectiveRecipe::ImportanceWeighted { samples } => {
                let noise = noise.from_trajectory(step * (batch * samples) as u64);
                objective::importance_weighted(&self.model, x, samples, &noise)
            }
            ObjectiveRecipe::ForwardKl { kl_weight, kl_warm_up, free_nats } => {
                let warm =
                    if kl_warm_up == 0 { 1.0 } else { ((step + 1) as f32 / kl_warm_up as f32).min(1.0) };
                objective::forward_kl(&self.model, x, &noise, KlTerms { weight: kl_weight * warm, free_nats })
            }
            _ => unreachable!("objectives on energies are handled above"),
        }
    }

    fn step_here(&mut self) -> Result<StepInfo> {
        let step = self.state.step;
        for (weights, values) in vectors(&mut self.model, &mut self.log_z).zip(&mut self.state.weights) {
            weights.set(std::mem::take(values));
        }
        let loss = self.loss(step);
        let value = loss.clone().cast(burn::tensor::FloatDType::F64).into_scalar::<f64>();
        let mut gradients = value.is_finite().then(|| loss.backward());
        let mut found: Vec<Option<Vec<f32>>> = Vec::new();
        for (weights, values) in vectors(&mut self.model, &mut self.log_z).zip(&mut self.state.weights) {
            found.push(gradients.as_mut().and_then(|gradients| weights.gradient(gradients)));
            *values = weights.take();
        }
        if !value.is_finite() {
            let detail = format!(
                "it was {value}; trajectories {} onwards",
                step * self.plan.recipe.training.batch as u64
            );
            return Err(Error::Numeric { step: step + 1, term: "the loss".to_owned(), detail });
        }
        let squares = found.iter().flatten().map(|gradient| optimizer::norm_squared(gradient));
        let norm = squares.sum::<f64>().sqrt();
        if !norm.is_finite() {
            let names = self.names();
            let bad = found.iter().position(|g| g.as_ref().is_some_and(|g| g.iter().any(|v| !v.is_finite())));
            let term =
                bad.map_or("the gradient".to_owned(), |index| format!("the gradient of {}", names[index]));
            return Err(Error::Numeric { step: step + 1, term, detail: format!("the loss was {value}") });
        }
        let recipe = &self.plan.recipe;
        let clip = recipe.optimizer.clip_norm;
        let scale = if clip > 0.0 && norm > clip { clip / norm } else { 1.0 };
        let learning_rate = optimizer::learning_rate(&recipe.optimizer, step, recipe.training.steps);
        let of_log_z = recipe.optimizer.of_log_z();
        let model_vectors = found.len() - usize::from(self.log_z.is_some());
        for (index, gradient) in found.into_iter().enumerate() {
            let Some(gradient) = gradient else { continue };
            let (optimizer, rate) = if index == model_vectors {
                (&of_log_z, of_log_z.learning_rate)
            } else {
                (&recipe.optimizer, learning_rate)
            };
            let moments =
                Moments { first: &mut self.state.first[index], second: &mut self.state.second[index] };
            adam_step(optimizer, rate, step + 1, scale, &mut self.state.weights[index], &gradient, moments);
            scratch::give_back(gradient);
        }
        self.state.average(recipe.training.ema, step);
        self.state.step = step + 1;
        Ok(StepInfo { step: step + 1, loss: value, gradient_norm: norm, learning_rate })
    }
}

impl Training for Trainer<'_> {
    fn names(&self) -> Vec<String> {
        self.model.weights().into_iter().chain(&self.log_z).map(|weights| weights.name().to_owned()).collect()
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn restore(&mut self, state: State, _memory: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        self.state = state;
        Ok(())
    }

    fn step(&mut self) -> Result<StepInfo> {
        // On a thread of the pool, so that the parallel parts of a step need not be handed over one by one.
        awake(usize::MAX, || self.step_here())
    }

    fn evaluate(&mut self) -> Result<f64> {
        let training = &self.plan.recipe.training;
        let score = self.plan.validation_score(&self.model.with_weights(self.state.scored(training)));
        self.state.note(score, training);
        Ok(score)
    }

    fn trained(&self) -> &[Vec<f32>] {
        self.state.trained(&self.plan.recipe.training)
    }

    fn finished(&self) -> bool {
        self.state.finished(&self.plan.recipe.training)
    }
}

/// Every weight vector, in the state's order.
fn vectors<'a>(
    model: &'a mut Model,
    log_z: &'a mut Option<Weights>,
) -> impl Iterator<Item = &'a mut Weights> {
    model.weights_mut().into_iter().chain(log_z)
}
