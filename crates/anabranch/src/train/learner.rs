//! What is trained: players, each a vector of weights with a rule by which it moves.

use std::ops::Range;

use crate::array::weights::Slot;
use crate::error::{Failure, Result};

/// How a player moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// By its gradient of the loss, at the optimiser's rate times `factor`; counted in the norm that is clipped.
    Loss {
        /// 1 for a model; `log Z` has a rate of its own.
        factor: f64,
    },
    /// By a gradient of its own, at a rate of its own, never clipped.
    Apart {
        /// The learning rate.
        rate: f64,
    },
    /// Every `every` steps by the share `rate` towards another player, which a target network does.
    Follow {
        /// Whom.
        player: usize,
        /// 1 copies.
        rate: f64,
        /// Steps between moves.
        every: u64,
    },
}

/// A vector of weights in training.
#[derive(Debug, Clone)]
pub struct Player {
    /// Its name in checkpoints.
    pub name: String,
    /// Its first weights.
    pub values: Vec<f32>,
    /// The stretches that weight decay reaches: matrices, never biases, norms, schedules or `log Z`.
    pub decayed: Vec<Range<usize>>,
    /// How it moves.
    pub rule: Rule,
}

impl Player {
    /// A player that minimises the loss, whose matrices decay.
    pub fn model(name: impl Into<String>, values: Vec<f32>, slots: &[Slot]) -> Self {
        Self { name: name.into(), values, decayed: matrices(slots), rule: Rule::Loss { factor: 1.0 } }
    }

    /// A learned `log Z`, from 0, at its own rate.
    pub fn log_z(factor: f64) -> Self {
        Self { name: "log_z".to_owned(), values: vec![0.0], decayed: Vec::new(), rule: Rule::Loss { factor } }
    }
}

/// The stretches of a weight vector that are matrices, neighbours joined.
fn matrices(slots: &[Slot]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for slot in slots.iter().filter(|slot| slot.decays()) {
        match found.last_mut() {
            Some(last) if last.end == slot.range.start => last.end = slot.range.end,
            _ => found.push(slot.range.clone()),
        }
    }
    found
}

/// What draws paths and pulls slopes back to the weights of its players.
///
/// All its random numbers are addressed by the run's seed and the step, so that a run resumes bit for bit.
pub trait Learner: Send {
    /// Its players, with their first weights; the order is that of `weights` and `gradients` below.
    fn players(&self) -> Vec<Player>;

    /// How often a step's paths are learned from.
    fn epochs(&self) -> u64 {
        1
    }

    /// How many threads should stay awake during a step, beside the one that makes it.
    fn threads(&self) -> usize {
        usize::MAX
    }

    /// The loss of step `step` (from 0), and the gradient of every player that has one, written to `gradients`, in which those
    /// of the step before still stand. Paths are drawn in the first epoch and used again in later ones.
    ///
    /// # Errors
    /// [`Failure::Skip`] where this step's paths got no numbers.
    fn learn(
        &mut self,
        weights: &mut [Vec<f32>],
        step: u64,
        epoch: u64,
        gradients: &mut [Option<Vec<f32>>],
    ) -> Result<f64, Failure>;

    /// What to say of the last paths where their loss is no number.
    fn detail(&self) -> String;

    /// The validation score of these weights, lower being better: nats per row on data, `-ELBO` on a target.
    ///
    /// # Errors
    /// [`Failure::Skip`] where there is none now.
    fn score(&self, weights: &[Vec<f32>]) -> Result<f64, Failure>;

    /// What else is needed to go on, by name: the contents of a replay buffer, for one.
    fn memory(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    /// Goes on from what [`Learner::memory`] answered.
    ///
    /// # Errors
    /// If it is of another run, in words.
    fn restore(&mut self, _memory: &[(String, Vec<u8>)]) -> Result<(), String> {
        Ok(())
    }

    /// What was counted, by the names of metrics.
    fn counted(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
