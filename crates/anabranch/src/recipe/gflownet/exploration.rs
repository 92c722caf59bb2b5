//! Which trajectories a flow network learns from, besides those that its policy would walk.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Problem, Result, reason};
use crate::policy::Number;
use crate::recipe::within;
use crate::sampler::back_and_forth::{Acceptance, Removals};
use crate::train::gflownet::exploration::{
    DataSettings, Exploration, NoveltySettings, Ramp, ReplaySettings, SearchSettings,
};
use crate::train::gflownet::replay::ReplayKind;

/// A number that stays, or moves along a line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Schedule {
    /// It stays.
    Constant(f64),
    /// It moves.
    Ramp(Ramp),
}

impl From<Schedule> for Ramp {
    fn from(schedule: Schedule) -> Self {
        match schedule {
            Schedule::Constant(value) => Self::constant(value),
            Schedule::Ramp(ramp) => ramp,
        }
    }
}

impl Schedule {
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
    pub epsilon: Schedule,
    /// What logits are divided by before an action is drawn: a number, or a line.
    pub temperature: Schedule,
    /// Objects found before, walked to again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayRecipe>,
    /// Objects from a file, walked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<DataRecipe>,
    /// A step's objects, taken apart and built again, again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_search: Option<LocalSearchRecipe>,
    /// A bonus for objects that are new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub novelty: Option<NoveltySettings>,
}

impl Default for ExplorationRecipe {
    /// On-policy.
    fn default() -> Self {
        Self {
            epsilon: Schedule::Constant(0.0),
            temperature: Schedule::Constant(1.0),
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
        #[schemars(range(min = 1))]
        capacity: usize,
        /// Trajectories drawn for every step, besides the policy's own [default: as many as those].
        #[serde(skip_serializing_if = "Option::is_none")]
        batch: Option<usize>,
    },
    /// The newest objects, some of the draws being from the best of them.
    Prioritised {
        /// How many objects are kept.
        #[serde(default = "capacity")]
        #[schemars(range(min = 1))]
        capacity: usize,
        /// Trajectories drawn for every step, besides the policy's own [default: as many as those].
        #[serde(skip_serializing_if = "Option::is_none")]
        batch: Option<usize>,
        /// The share of draws that are from the best objects.
        #[serde(default = "half")]
        share: f64,
        /// The share of objects that count as best.
        #[serde(default = "tenth")]
        best: f64,
    },
    /// The best objects that keep a distance from each other.
    Diverse {
        /// How many objects are kept.
        #[serde(default = "capacity")]
        #[schemars(range(min = 1))]
        capacity: usize,
        /// Trajectories drawn for every step, besides the policy's own [default: as many as those].
        #[serde(skip_serializing_if = "Option::is_none")]
        batch: Option<usize>,
        /// The least sum of absolute differences of two objects' numbers.
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
    /// What the trainer needs, where the policy draws `own` trajectories for a step.
    fn settings(&self, own: usize) -> ReplaySettings {
        let (kind, capacity, batch) = match *self {
            Self::Uniform { capacity, batch } => (ReplayKind::Uniform {}, capacity, batch),
            Self::Prioritised { capacity, batch, share, best } => {
                (ReplayKind::Prioritised { share, best }, capacity, batch)
            }
            Self::Diverse { capacity, batch, distance } => {
                (ReplayKind::Diverse { distance }, capacity, batch)
            }
        };
        ReplaySettings { kind, capacity, batch: batch.unwrap_or(own) }
    }

    fn check(&self) -> Result<()> {
        within("exploration.replay.capacity", self.settings(1).capacity as f64, 1.0, 1e8)?;
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
    /// One object a line, written as `anabranch sample` writes objects.
    pub file: String,
    /// Trajectories drawn for every step, besides the policy's own [default: as many as those].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
}

/// Objects taken apart by some removals and built again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalSearchRecipe {
    /// How often a step's objects are taken apart and built again.
    #[serde(default = "rounds")]
    #[schemars(range(min = 1))]
    pub rounds: usize,
    /// The most removals of a round.
    #[schemars(range(min = 1))]
    pub removals: u32,
    /// Whether as many are made every time, and not any number up to it.
    #[serde(default)]
    pub always: bool,
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

impl LocalSearchRecipe {
    fn settings(&self) -> SearchSettings {
        let Self { rounds, removals, always, acceptance } = *self;
        let removals = if always { Removals::Exactly(removals) } else { Removals::UpTo(removals) };
        SearchSettings { rounds, removals, acceptance }
    }
}

impl ExplorationRecipe {
    /// What the trainer needs, where the policy draws `own` trajectories for a step; `read` reads an object.
    ///
    /// # Errors
    /// If the file of objects cannot be read.
    pub(super) fn build<C: Number>(
        &self,
        own: usize,
        read: impl Fn(&str) -> Result<Vec<C>, String>,
    ) -> Result<Exploration<C>> {
        Ok(Exploration {
            epsilon: self.epsilon.into(),
            temperature: self.temperature.into(),
            replay: self.replay.as_ref().map(|replay| replay.settings(own)),
            data: match &self.data {
                Some(data) => Some(DataSettings {
                    objects: Arc::new(objects(&data.file, read)?),
                    batch: data.batch.unwrap_or(own),
                }),
                None => None,
            },
            search: self.local_search.as_ref().map(LocalSearchRecipe::settings),
            novelty: self.novelty,
        })
    }

    /// The most trajectories of a step that are walked from their objects.
    pub(super) fn homeward(&self, own: usize) -> usize {
        let replay = self.replay.as_ref().map_or(0, |replay| replay.settings(own).batch);
        let data = self.data.as_ref().map_or(0, |data| data.batch.unwrap_or(own));
        replay.saturating_add(data).saturating_add(if self.local_search.is_some() { own } else { 0 })
    }

    pub(super) fn check(&self) -> Result<()> {
        self.epsilon.check("exploration.epsilon", 0.0, 1.0)?;
        self.temperature.check("exploration.temperature", 1e-3, 1e3)?;
        if let Some(replay) = &self.replay {
            replay.check()?;
        }
        if let Some(search) = &self.local_search {
            within("exploration.local_search.rounds", search.rounds as f64, 1.0, 1e4)?;
            within("exploration.local_search.removals", f64::from(search.removals), 1.0, 1e9)?;
        }
        if let Some(novelty) = &self.novelty {
            within("exploration.novelty.scale", novelty.scale, 0.0, 1e9)?;
            within("exploration.novelty.learning_rate", novelty.learning_rate, f64::MIN_POSITIVE, 1e3)?;
            within("exploration.novelty.width", novelty.width as f64, 1.0, 65_536.0)?;
        }
        Ok(())
    }
}

/// The objects of a file, one a line; empty lines are left out.
fn objects<C: Number>(file: &str, read: impl Fn(&str) -> Result<Vec<C>, String>) -> Result<Vec<C>> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Problem::new("exploration.data.file", reason(&error)).allowed("a readable file"))?;
    let mut found = Vec::new();
    for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let object = read(text.trim());
        found.extend(object.map_err(|words| Problem::new(format!("{file}, line {}", line + 1), words))?);
    }
    if found.is_empty() {
        return Err(Problem::new(file, "no objects").allowed("one a line").into());
    }
    Ok(found)
}
