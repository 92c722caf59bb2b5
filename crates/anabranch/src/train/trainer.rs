//! The one step: learn, check, clip, move every player, follow, average.
//!
//! ```text
//! g        gradients of all players of the loss,  scale = min(1, clip / |g|)
//! w       <- Adam(w, scale g) at the scheduled rate times the player's factor
//! follower <- (1 - rate) follower + rate w,        average <- decay average + (1 - decay) w
//! ```

use std::ops::Add;

use super::learner::{Learner, Player, Rule};
use super::{State, StepInfo, Training, TrainingRecipe};
use crate::error::{Error, Failure, Problem, Result};
use crate::optim::adam::{self, Moments, Update, adam_step, norm_squared};
use crate::optim::{OptimizerRecipe, learning_rate};
use crate::parallel::awake;

/// Steps in a row that may fail before training stops.
const MOST_SKIPPED: u64 = 100;

/// A run: a learner with the state of its players.
pub struct Trainer<L> {
    learner: L,
    players: Vec<Player>,
    training: TrainingRecipe,
    optimizer: OptimizerRecipe,
    state: State,
    gradients: Vec<Option<Vec<f32>>>,
    /// Steps that failed, in all and since the last that did not.
    skipped: u64,
    skipped_now: u64,
}

impl<L: Learner> Trainer<L> {
    /// A run at its first step.
    pub fn start(learner: L, training: TrainingRecipe, optimizer: OptimizerRecipe, seed: u64) -> Self {
        let mut players = learner.players();
        let weights = players.iter_mut().map(|player| std::mem::take(&mut player.values)).collect();
        let gradients = players.iter().map(|_| None).collect();
        let state = State::new(seed, weights);
        Self { learner, players, training, optimizer, state, gradients, skipped: 0, skipped_now: 0 }
    }

    /// What is trained.
    pub fn learner(&self) -> &L {
        &self.learner
    }

    /// What is trained, to be made ready.
    pub(super) fn learner_mut(&mut self) -> &mut L {
        &mut self.learner
    }

    /// How many steps failed.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The learned `log Z`, where it is a weight of its own.
    pub fn log_z(&self) -> Option<f64> {
        let place = self.players.iter().position(|player| player.name == "log_z")?;
        Some(f64::from(self.state.weights[place][0]))
    }

    fn step_here(&mut self) -> Result<StepInfo> {
        let step = self.state.step + 1;
        match self.learn() {
            Ok(info) => {
                self.skipped_now = 0;
                self.follow();
                self.state.step = step;
                Ok(info)
            }
            Err(Failure::Stop(error)) => Err(error.at_step(step)),
            Err(Failure::Skip(words)) => {
                self.skipped += 1;
                self.skipped_now += 1;
                if self.skipped_now > MOST_SKIPPED {
                    let found =
                        format!("no rewards for {MOST_SKIPPED} batches in a row; the last time: {words}");
                    return Err(Problem::new("target.reward", found).into());
                }
                self.state.step = step;
                Ok(StepInfo { step, loss: f64::NAN, gradient_norm: 0.0, learning_rate: 0.0 })
            }
        }
    }

    fn learn(&mut self) -> Result<StepInfo, Failure> {
        let step = self.state.step;
        let mut info = None;
        for epoch in 0..self.learner.epochs() {
            let loss = self.learner.learn(&mut self.state.weights, step, epoch, &mut self.gradients)?;
            if !loss.is_finite() {
                let detail = format!("it was {loss}; {}", self.learner.detail());
                return Err(Error::Numeric { step: step + 1, term: "the loss".to_owned(), detail }.into());
            }
            let found = self.update(step, epoch, loss)?;
            info.get_or_insert(found);
        }
        Ok(info.expect("there is at least one epoch"))
    }

    /// One update of all players that have a gradient.
    fn update(&mut self, step: u64, epoch: u64, loss: f64) -> Result<StepInfo> {
        let of_loss = |player: &Player| matches!(player.rule, Rule::Loss { .. });
        let counted = || self.players.iter().zip(&self.gradients).filter(|(player, _)| of_loss(player));
        let norm = counted()
            .filter_map(|(_, gradient)| gradient.as_deref())
            .map(norm_squared)
            .fold(0.0, f64::add)
            .sqrt();
        let Some(scale) = adam::clipping(self.optimizer.clip_norm, norm) else {
            let is_bad =
                |gradient: &Option<Vec<f32>>| gradient.iter().flatten().any(|value| !value.is_finite());
            let bad = counted().find(|(_, gradient)| is_bad(gradient));
            let term = bad
                .map_or("the gradient".to_owned(), |(player, _)| format!("the gradient of {}", player.name));
            let detail = format!("its norm was {norm}, the loss {loss}");
            return Err(Error::Numeric { step: step + 1, term, detail });
        };
        let learning_rate = learning_rate(&self.optimizer, step, self.training.steps);
        let time = step * self.learner.epochs() + epoch + 1;
        let State { weights, first, second, .. } = &mut self.state;
        let moments = first.iter_mut().zip(second);
        let players = self.players.iter().zip(&self.gradients).zip(weights.iter_mut().zip(moments));
        for ((player, gradient), (weights, (first, second))) in players {
            let Some(gradient) = gradient else { continue };
            let (rate, time, scale) = match player.rule {
                Rule::Loss { factor } => (learning_rate * factor, time, scale),
                Rule::Apart { rate } if epoch == 0 => (rate, step + 1, 1.0),
                Rule::Apart { .. } | Rule::Follow { .. } => continue,
            };
            let update = Update { rate, time, scale, decayed: &player.decayed };
            adam_step(&self.optimizer, update, weights, gradient, Moments { first, second });
        }
        Ok(StepInfo { step: step + 1, loss, gradient_norm: norm, learning_rate })
    }

    /// Moves what follows the weights: followers and the average.
    fn follow(&mut self) {
        let step = self.state.step + 1;
        for (place, player) in self.players.iter().enumerate() {
            if let Rule::Follow { player, rate, every } = player.rule
                && step.is_multiple_of(every)
                && let Ok([follower, leader]) = self.state.weights.get_disjoint_mut([place, player])
            {
                adam::average(follower, leader, (1.0 - rate) as f32);
            }
        }
        self.state.average(self.training.ema, self.state.step);
    }
}

impl<L: Learner> Training for Trainer<L> {
    fn names(&self) -> Vec<String> {
        self.players.iter().map(|player| player.name.clone()).collect()
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        let mut memory = self.learner.memory();
        memory.push(("skipped".to_owned(), self.skipped.to_le_bytes().to_vec()));
        memory
    }

    fn restore(&mut self, state: State, memory: Vec<(String, Vec<u8>)>) -> Result<(), String> {
        self.learner.restore(&memory)?;
        self.skipped = count(&memory, "skipped");
        self.state = state;
        Ok(())
    }

    /// Makes one step. Where its paths got no numbers but others may, the step is spent, the weights stay, and the loss is no
    /// number.
    fn step(&mut self) -> Result<StepInfo> {
        // On a thread of the pool, so that the parallel parts of a step need not be handed over one by one.
        awake(self.learner.threads(), || self.step_here())
    }

    fn evaluate(&mut self) -> Result<f64> {
        let score = match self.learner.score(self.state.scored(&self.training)) {
            Ok(score) => score,
            Err(Failure::Skip(_)) => f64::NAN,
            Err(Failure::Stop(error)) => return Err(error),
        };
        self.state.note(score, &self.training);
        Ok(score)
    }

    fn scored(&self) -> &[Vec<f32>] {
        self.state.scored(&self.training)
    }

    fn trained(&self) -> &[Vec<f32>] {
        self.state.trained(&self.training)
    }

    fn counted(&self) -> Vec<(&'static str, u64)> {
        let mut counted = vec![("skipped_batches", self.skipped)];
        counted.extend(self.learner.counted());
        counted
    }

    fn finished(&self) -> bool {
        self.state.finished(&self.training)
    }
}

/// A number that [`Learner::memory`] kept as eight bytes; 0 where it is not there.
pub(super) fn count(memory: &[(String, Vec<u8>)], name: &str) -> u64 {
    let bytes =
        memory.iter().find(|(known, _)| known == name).and_then(|(_, bytes)| bytes.first_chunk::<8>());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
