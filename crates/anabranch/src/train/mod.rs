//! Training: one step for every model and objective.
//!
//! A [`Learner`] draws paths and pulls slopes back to its [`Player`]s; the [`Trainer`] clips, steps, averages and follows.
//!
//! Every random number of step `k` is addressed by `k`, so the whole state of a run is its step, its weights, the
//! optimiser's moments and the averages: a run that stops and resumes makes the same steps, bit for bit.

pub mod buffer;
pub mod chain;
pub mod checkpoint;
pub mod coordinate;
pub mod craft;
pub mod energy;
pub mod energy_flow;
mod epochs;
pub mod fab;
pub mod gflownet;
pub mod learner;
mod settings;
mod state;
pub mod tensorboard;
mod trainer;
mod tuning;

use crate::error::Result;

pub use learner::{Learner, Player, Rule};
pub use settings::TrainingRecipe;
pub use state::{Best, State, Trained};
pub use trainer::Trainer;

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

    /// The weights that are scored: the average, where there is one, else the last.
    fn scored(&self) -> &[Vec<f32>];

    /// The weights that are to be used: the best evaluated, else the average, else the last.
    fn trained(&self) -> &[Vec<f32>];

    /// What was counted while training, by the names of metrics.
    fn counted(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Whether training is over.
    fn finished(&self) -> bool;
}
