//! What a flow network is trained on besides its own draws.
//!
//! Off-policy trajectories change which residuals are seen, never what they are: losses and estimates always use the policy's
//! own probabilities.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::replay::ReplayKind;
use crate::policy::Behaviour;
use crate::sampler::back_and_forth::{Acceptance, Removals};

/// A number that moves along a line from a start to an end over some steps, and then stays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// At the first step.
    pub start: f64,
    /// After `steps` steps.
    pub end: f64,
    /// How many steps it takes.
    #[schemars(range(min = 1))]
    pub steps: u64,
}

impl Ramp {
    /// The same number at every step.
    pub fn constant(value: f64) -> Self {
        Self { start: value, end: value, steps: 0 }
    }

    /// At step `step`, from 0.
    pub fn at(&self, step: u64) -> f64 {
        if step >= self.steps {
            return self.end;
        }
        self.start + (self.end - self.start) * step as f64 / self.steps as f64
    }
}

/// How a training batch explores.
#[derive(Debug, Clone)]
pub struct Exploration<C> {
    /// The chance of a uniform action.
    pub epsilon: Ramp,
    /// What logits are divided by.
    pub temperature: Ramp,
    /// Trajectories walked backward from objects found before.
    pub replay: Option<ReplaySettings>,
    /// Trajectories walked backward from given objects.
    pub data: Option<DataSettings<C>>,
    /// Objects of the batch refined by back-and-forth moves, from which trajectories are walked backward.
    pub search: Option<SearchSettings>,
    /// A bonus for objects that are new.
    pub novelty: Option<NoveltySettings>,
}

impl<C> Default for Exploration<C> {
    /// On-policy.
    fn default() -> Self {
        let (replay, data, search, novelty) = (None, None, None, None);
        Self { epsilon: Ramp::constant(0.0), temperature: Ramp::constant(1.0), replay, data, search, novelty }
    }
}

impl<C> Exploration<C> {
    /// How actions are drawn at a step.
    pub fn behaviour(&self, step: u64) -> Behaviour {
        Behaviour { epsilon: self.epsilon.at(step) as f32, temperature: self.temperature.at(step) as f32 }
    }

    /// Whether every trajectory is the policy's own draw.
    pub fn is_on_policy(&self) -> bool {
        let still = |ramp: Ramp, value| ramp.start == value && ramp.end == value;
        still(self.epsilon, 0.0)
            && still(self.temperature, 1.0)
            && self.replay.is_none()
            && self.data.is_none()
            && self.search.is_none()
    }
}

/// Replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplaySettings {
    /// What is kept and drawn.
    pub kind: ReplayKind,
    /// The most objects.
    pub capacity: usize,
    /// How many are drawn for every step, once there are any.
    pub batch: usize,
}

/// Given objects.
#[derive(Debug, Clone)]
pub struct DataSettings<C> {
    /// `[count, cells]`.
    pub objects: Arc<Vec<C>>,
    /// How many are drawn for every step.
    pub batch: usize,
}

/// Local search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchSettings {
    /// Moves of every object.
    pub rounds: usize,
    /// How much of an object is taken apart.
    pub removals: Removals,
    /// When the new object takes its place.
    pub acceptance: Acceptance,
}

/// Intrinsic reward by random network distillation (Pan et al. 2023; Burda et al. 2019).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoveltySettings {
    /// What the squared error of the distilled network is multiplied by before it is added to the reward.
    #[schemars(range(max = 1e9), extend("exclusiveMinimum" = 0))]
    pub scale: f64,
    /// The learning rate of the distilled network.
    #[serde(default = "thousandth")]
    #[schemars(range(max = 1e3), extend("exclusiveMinimum" = 0))]
    pub learning_rate: f64,
    /// The width of both networks' hidden layer and of what they answer.
    #[serde(default = "width")]
    #[schemars(range(min = 1, max = 65_536))]
    pub width: usize,
}

fn thousandth() -> f64 {
    1e-3
}

fn width() -> usize {
    64
}
