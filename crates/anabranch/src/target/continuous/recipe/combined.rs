//! Targets made of others, as a recipe names them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PointTargetRecipe;
use crate::environment::continuous::Domain;
use crate::target::continuous::entry::{Built, Entry, Result, shared};
use crate::target::recipe::{self, BetaRecipe, by_condition, inside};
use crate::target::{Combination, Preference, Target, Tempered};

/// A target raised to a power, in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemperedRecipe {
    /// The target.
    pub reward: Box<PointTargetRecipe>,
    /// The power, or "condition" for the condition's number.
    #[serde(default = "by_condition")]
    pub beta: BetaRecipe,
}

/// Several targets, weighed by the condition, in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreferenceRecipe {
    /// The targets.
    pub rewards: Vec<PointTargetRecipe>,
    /// How they are put together.
    #[serde(default)]
    pub combination: Combination,
    /// The inverse temperature, or "condition" for the condition's last number.
    #[serde(default)]
    pub beta: BetaRecipe,
}

/// The targets that an entry is made of.
fn build(entry: &impl Entry, domains: &[Domain], place: &str) -> Result<Vec<Arc<dyn Target>>> {
    let part = |(key, part): (String, &PointTargetRecipe)| {
        part.build(domains, &format!("{place}.{key}")).map_err(|problem| inside(&key, problem))
    };
    entry.parts().into_iter().map(part).collect()
}

impl Entry for TemperedRecipe {
    fn formula(&self) -> String {
        recipe::tempered(&self.reward.formula())
    }

    fn papers(&self) -> Vec<&'static str> {
        self.reward.papers()
    }

    fn dimension(&self) -> Option<usize> {
        self.reward.dimension()
    }

    /// Its part says it.
    fn over(&self, _: &[Domain]) -> Result<()> {
        Ok(())
    }

    fn build(&self, domains: &[Domain], place: &str) -> Built {
        let [part] = <[_; 1]>::try_from(build(self, domains, place)?).expect("one part");
        shared(Tempered::new(part, self.beta.into())?)
    }

    fn parts(&self) -> Vec<(String, &PointTargetRecipe)> {
        vec![("reward".to_owned(), &self.reward)]
    }
}

impl Entry for PreferenceRecipe {
    fn formula(&self) -> String {
        recipe::preference(self.combination, self.rewards.iter().map(PointTargetRecipe::formula))
    }

    fn papers(&self) -> Vec<&'static str> {
        self.rewards.iter().flat_map(PointTargetRecipe::papers).collect()
    }

    fn dimension(&self) -> Option<usize> {
        self.rewards.iter().find_map(PointTargetRecipe::dimension)
    }

    /// Its parts say it.
    fn over(&self, _: &[Domain]) -> Result<()> {
        Ok(())
    }

    fn build(&self, domains: &[Domain], place: &str) -> Built {
        shared(Preference::new(build(self, domains, place)?, self.combination, self.beta.into())?)
    }

    fn parts(&self) -> Vec<(String, &PointTargetRecipe)> {
        let keys = self.rewards.iter().enumerate();
        keys.map(|(k, reward)| (format!("rewards.{k}"), reward)).collect()
    }
}
