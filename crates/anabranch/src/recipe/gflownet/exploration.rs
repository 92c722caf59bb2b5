//! Which trajectories a flow network learns from, besides those that its policy would walk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::within;
use crate::error::{Problem, Result};
use crate::sampler::back_and_forth::Acceptance;
use crate::train::gflownet::exploration::{NoveltySettings, Ramp};
use crate::train::gflownet::replay::ReplayKind;

/// How a number moves over the steps of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Annealing {
    /// It stays.
    Constant(f64),
    /// It moves.
    Ramp(Ramp),
}

impl Annealing {
    /// The line that it is.
    pub fn ramp(self) -> Ramp {
        match self {
            Self::Constant(value) => Ramp::constant(value),
            Self::Ramp(ramp) => ramp,
        }
    }

    fn check(self, key: &str, low: f64, high: f64) -> Result<()> {
        match self {
            Self::Constant(value) => within(key, value, low, high),
            Self::Ramp(Ramp { start, end, .. }) => {
                within(&format!("{key}.start"), start, low, high)?;
                within(&format!("{key}.end"), end, low, high)
            }
        }
    }
}

/// How trajectories are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExplorationRecipe {
    /// The chance of a uniform action in place of the policy's: a number, or a line from `start` to `end` over `steps`.
    pub epsilon: Annealing,
    /// What logits are divided by before an action is drawn: a number, or a line.
    pub temperature: Annealing,
    /// Objects found before, walked to again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayRecipe>,
    /// Objects from a file, walked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<DataRecipe>,
    /// Objects taken apart and built again, again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_search: Option<LocalSearchRecipe>,
    /// A bonus for objects that are new (GAFN).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub novelty: Option<NoveltySettings>,
}

impl Default for ExplorationRecipe {
    /// On-policy.
    fn default() -> Self {
        Self {
            epsilon: Annealing::Constant(0.0),
            temperature: Annealing::Constant(1.0),
            replay: None,
            data: None,
            local_search: None,
            novelty: None,
        }
    }
}

/// Objects found before: what is kept and what is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReplayRecipe {
    /// The newest objects, all alike.
    Uniform {
        /// How many objects are kept.
        #[serde(default = "capacity")]
        #[schemars(range(min = 1, max = 100_000_000))]
        capacity: usize,
        /// The share of a step's trajectories.
        #[serde(default = "half")]
        #[schemars(range(min = 0.0, max = 1.0))]
        fraction: f64,
    },
    /// The newest objects, some of the draws being from the best of them.
    Prioritised {
        /// How many objects are kept.
        #[serde(default = "capacity")]
        #[schemars(range(min = 1, max = 100_000_000))]
        capacity: usize,
        /// The share of a step's trajectories.
        #[serde(default = "half")]
        #[schemars(range(min = 0.0, max = 1.0))]
        fraction: f64,
        /// The share of draws that are from the best objects.
        #[serde(default = "half")]
        #[schemars(range(min = 0.0, max = 1.0))]
        share: f64,
        /// The share of objects that count as best.
        #[serde(default = "tenth")]
        #[schemars(range(min = 0.0, max = 1.0))]
        best: f64,
    },
    /// The best objects that keep a distance from each other.
    Diverse {
        /// How many objects are kept.
        #[serde(default = "capacity")]
        #[schemars(range(min = 1, max = 100_000_000))]
        capacity: usize,
        /// The share of a step's trajectories.
        #[serde(default = "half")]
        #[schemars(range(min = 0.0, max = 1.0))]
        fraction: f64,
        /// The least sum of absolute differences of two objects' numbers.
        #[schemars(range(min = 0.0))]
        distance: f64,
    },
}

fn capacity() -> usize {
    10_000
}

fn half() -> f64 {
    0.5
}

fn tenth() -> f64 {
    0.1
}

impl ReplayRecipe {
    /// How many objects are kept.
    pub fn capacity(&self) -> usize {
        match self {
            Self::Uniform { capacity, .. }
            | Self::Prioritised { capacity, .. }
            | Self::Diverse { capacity, .. } => *capacity,
        }
    }

    /// The share of a step's trajectories.
    pub fn fraction(&self) -> f64 {
        match self {
            Self::Uniform { fraction, .. }
            | Self::Prioritised { fraction, .. }
            | Self::Diverse { fraction, .. } => *fraction,
        }
    }

    /// What is kept and what is drawn.
    pub fn kind(&self) -> ReplayKind {
        match self {
            Self::Uniform { .. } => ReplayKind::Uniform {},
            Self::Prioritised { share, best, .. } => ReplayKind::Prioritised { share: *share, best: *best },
            Self::Diverse { distance, .. } => ReplayKind::Diverse { distance: *distance },
        }
    }

    fn check(&self) -> Result<()> {
        within("exploration.replay.capacity", self.capacity() as f64, 1.0, 1e8)?;
        within("exploration.replay.fraction", self.fraction(), 0.0, 1.0)?;
        match self {
            Self::Uniform { .. } => Ok(()),
            Self::Prioritised { share, best, .. } => {
                within("exploration.replay.share", *share, 0.0, 1.0)?;
                within("exploration.replay.best", *best, 0.0, 1.0)
            }
            Self::Diverse { distance, .. } => within("exploration.replay.distance", *distance, 0.0, f64::MAX),
        }
    }
}

/// Objects from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataRecipe {
    /// One object a line, as `anabranch sample` writes them as text.
    pub file: String,
    /// The share of a step's trajectories.
    #[serde(default = "half")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fraction: f64,
}

/// Objects taken apart by some removals and built again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalSearchRecipe {
    /// How often a step's objects are taken apart and built again.
    #[serde(default = "rounds")]
    #[schemars(range(min = 1, max = 10_000))]
    pub rounds: usize,
    /// The most removals of a round.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub removals: u32,
    /// When the new object takes the place of the old.
    #[serde(default = "better")]
    pub acceptance: Acceptance,
}

fn rounds() -> usize {
    4
}

fn better() -> Acceptance {
    Acceptance::Better
}

impl ExplorationRecipe {
    pub(super) fn check(&self) -> Result<()> {
        self.epsilon.check("exploration.epsilon", 0.0, 1.0)?;
        self.temperature.check("exploration.temperature", 1e-3, 1e3)?;
        if let Some(replay) = &self.replay {
            replay.check()?;
        }
        if let Some(data) = &self.data {
            within("exploration.data.fraction", data.fraction, 0.0, 1.0)?;
        }
        if let Some(search) = &self.local_search {
            within("exploration.local_search.rounds", search.rounds as f64, 1.0, 1e4)?;
            within("exploration.local_search.removals", f64::from(search.removals), 1.0, 1e9)?;
        }
        if let Some(novelty) = &self.novelty {
            within("exploration.novelty.scale", novelty.scale, f64::MIN_POSITIVE, 1e9)?;
            within("exploration.novelty.learning_rate", novelty.learning_rate, f64::MIN_POSITIVE, 1e3)?;
            within("exploration.novelty.width", novelty.width as f64, 1.0, 65_536.0)?;
        }
        let shares = self.replay.as_ref().map_or(0.0, ReplayRecipe::fraction)
            + self.data.as_ref().map_or(0.0, |data| data.fraction);
        if shares > 1.0 {
            return Err(Problem::new(
                "exploration",
                format!("fractions of replay and data that add up to {shares}"),
            )
            .allowed("at most 1; the rest are the policy's own trajectories")
            .into());
        }
        Ok(())
    }
}
